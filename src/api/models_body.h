// The bodies of GET /v1/models and GET /v1/models/{id}: OpenAI's fields, and a few more that its
// clients ignore.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/id.h"

namespace perigee::api {

struct ModelListing {
  ModelId id;
  std::int64_t created = 0;  // seconds since 1970
  std::string owned_by;
  std::uint32_t context_length = 0;  // tokens; 0: not known, left out
  std::vector<SiteId> sites;         // where it can run now, as far as is known here
  std::vector<JurisdictionId> jurisdictions;
};

// {"id":...,"object":"model","created":...,"owned_by":...,"context_length":...,"sites":[...],
//  "jurisdictions":[...]}
std::string model_body(const ModelListing& model);
// {"object":"list","data":[...]} in the given order.
std::string models_body(std::span<const ModelListing> models);

}  // namespace perigee::api
