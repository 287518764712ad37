#include "lab/lab_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <numeric>
#include <span>

#include "base/random.h"

namespace perigee::lab {
namespace {

namespace json = boost::json;

constexpr std::uint32_t kGuidedTokensMax = 220;  // the longest answer that a schema above allows

constexpr std::array kTerms = {"an AI grid",   "edge inference", "a cell site",   "failover",
                               "MQTT",         "data residency", "a rollback",    "an agent",
                               "the KV cache", "metering",       "a metro site",  "latency",
                               "a router",     "a health check", "load balancing"};
constexpr std::array kQuestions = {"What is {}?", "Why does {} matter?",
                                   "Give me an example of {}.", "Explain {} in detail.",
                                   "Explain {} in simple words."};
constexpr std::array kStories = {
    "Tell me a story about a drone.", "Tell me a story about a camera at a station.",
    "Tell me a story about a pump at a farm.", "Tell me a story about a sensor in a cold room."};
constexpr std::array kGuided = {"Voice command: turn on the fan in the lab",
                                "Check this reading and answer in JSON: temperature 51 C at cell-7",
                                "Which sites are up? Answer in JSON."};
// Common in the model's answers, so that most of these requests end at one.
constexpr std::array kStops = {" the ", ". ", " site"};

class RequestMaker {
 public:
  RequestMaker(const LabPlan& plan, const std::string& model)
      : plan_(plan), model_(model), random_(plan.seed) {}

  LabRequest make(std::uint32_t number) {
    LabRequest request;
    request.number = number;
    request.kind = static_cast<RequestKind>(pick(plan_.workload.kinds));
    request.service_class = static_cast<ServiceClass>(pick(plan_.workload.classes));
    if (request.kind == RequestKind::Embedding) {
      request.path = "/v1/embeddings";
      request.stream = false;
      const json::object body{{"model", model_}, {"input", question()}};
      request.body = json::serialize(body);
      return request;
    }
    request.path = "/v1/chat/completions";
    request.stream = request.kind != RequestKind::Plain;
    request.body = json::serialize(chat(request));
    return request;
  }

 private:
  std::size_t pick(std::span<const double> weights) {
    double left = random_.uniform() * std::accumulate(weights.begin(), weights.end(), 0.0);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      left -= weights[i];
      if (left < 0) return i;
    }
    return static_cast<std::size_t>(std::ranges::max_element(weights) - weights.begin());
  }

  // A third are stories: the longest answers that this model gives.
  std::string question() {
    if (random_.below(3) == 0) return kStories.at(random_.below(kStories.size()));
    const char* form = kQuestions.at(random_.below(kQuestions.size()));
    const char* term = kTerms.at(random_.below(kTerms.size()));
    return fmt::format(fmt::runtime(form), term);
  }

  void sample(json::object& body, double temperature) {
    body["temperature"] = temperature;
    body["seed"] = static_cast<std::int64_t>(random_.below(std::uint64_t{1} << 31));
  }

  json::object chat(LabRequest& request) {
    std::string text = question();
    json::object body{{"model", model_},
                      {"temperature", 0},
                      {"max_tokens", plan_.workload.tokens_max},
                      {"stream", request.stream}};
    if (request.stream) body["stream_options"] = json::object{{"include_usage", true}};
    // Half of what is not greedy by name is sampled, so that both ways meet every feature.
    const bool sampled = random_.below(2) == 0;
    switch (request.kind) {
      case RequestKind::Seeded: sample(body, 0.8); break;
      case RequestKind::Guided:
        request.schema = random_.below(kLabSchemas.size());
        text = kGuided.at(request.schema);
        body["max_tokens"] = kGuidedTokensMax;
        body["response_format"] = json::object{
            {"type", "json_schema"},
            {"json_schema", json::object{{"name", "answer"},
                                         {"strict", true},
                                         {"schema", json::parse(kLabSchemas.at(request.schema))}}}};
        if (sampled) sample(body, 0.7);
        break;
      case RequestKind::Stop:
        body["stop"] = json::array{kStops.at(random_.below(kStops.size()))};
        if (sampled) sample(body, 0.7);
        break;
      case RequestKind::Choices:
        request.choices = 2;
        body["n"] = 2;
        sample(body, 0.8);
        break;
      case RequestKind::Logprobs:
        body["logprobs"] = true;
        body["top_logprobs"] = 2;
        if (sampled) sample(body, 0.7);
        break;
      case RequestKind::Plain:
        if (sampled) sample(body, 0.7);
        break;
      case RequestKind::Greedy:
      case RequestKind::Embedding: break;
    }
    body["messages"] = json::array{json::object{{"role", "user"}, {"content", std::move(text)}}};
    return body;
  }

  const LabPlan& plan_;
  const std::string& model_;
  Random random_;
};

}  // namespace

std::vector<LabRequest> make_requests(const LabPlan& plan, const std::string& model) {
  RequestMaker maker{plan, model};
  std::vector<LabRequest> all;
  all.reserve(plan.workload.requests);
  for (std::uint32_t i = 0; i < plan.workload.requests; ++i) all.push_back(maker.make(i));
  return all;
}

}  // namespace perigee::lab
