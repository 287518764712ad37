// LabRequests: the requests of a lab, from its seed: questions of the demo model's own domain, each
// of a kind that says how its answer is judged. The same plan gives the same requests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/lab_plan.h"

namespace perigee::lab {

struct LabRequest {
  std::uint32_t number = 0;
  RequestKind kind = RequestKind::Greedy;
  ServiceClass service_class = ServiceClass::Standard;
  std::string path;  // "/v1/chat/completions"
  std::string body;  // JSON
  bool stream = true;
  std::uint32_t choices = 1;
  std::size_t schema = 0;  // of a guided answer: its place in kLabSchemas
};

// JSON schemas that guided requests name, within what the engine's grammar writer understands.
inline constexpr std::array<const char*, 3> kLabSchemas = {
    R"({"type":"object","properties":{"intent":{"type":"string","maxLength":16},
        "device":{"type":"string","maxLength":16},"place":{"type":"string","maxLength":16}},
        "required":["intent","device","place"],"additionalProperties":false})",
    R"({"type":"object","properties":{"state":{"type":"string","enum":["ok","warning","alarm"]},
        "reason":{"type":"string","maxLength":32}},
        "required":["state","reason"],"additionalProperties":false})",
    R"({"type":"object","properties":{"sites":{"type":"array","items":{"type":"string",
        "maxLength":12},"minItems":1,"maxItems":3},"count":{"type":"integer","minimum":0,
        "maximum":50},"urgent":{"type":"boolean"}},
        "required":["sites","count","urgent"],"additionalProperties":false})"};

// `model` is the name that requests carry.
std::vector<LabRequest> make_requests(const LabPlan& plan, const std::string& model);

}  // namespace perigee::lab
