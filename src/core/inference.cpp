#include "core/inference.h"

#include "base/assert.h"

namespace perigee {

std::string_view to_string(Operation operation) {
  switch (operation) {
    case Operation::Chat: return "chat";
    case Operation::Completion: return "completion";
    case Operation::Embedding: return "embedding";
  }
  PERIGEE_ASSERT(false);
}

std::string_view to_string(ServiceClass service_class) {
  switch (service_class) {
    case ServiceClass::Realtime: return "realtime";
    case ServiceClass::Interactive: return "interactive";
    case ServiceClass::Standard: return "standard";
    case ServiceClass::Batch: return "batch";
  }
  PERIGEE_ASSERT(false);
}

std::optional<ServiceClass> parse_service_class(std::string_view name) {
  if (name == "realtime") return ServiceClass::Realtime;
  if (name == "interactive") return ServiceClass::Interactive;
  if (name == "standard") return ServiceClass::Standard;
  if (name == "batch") return ServiceClass::Batch;
  return std::nullopt;
}

}  // namespace perigee
