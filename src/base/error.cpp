#include "base/error.h"

#include "base/assert.h"

namespace perigee {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::InvalidArgument: return "invalid_argument";
    case Code::Unauthenticated: return "unauthenticated";
    case Code::PermissionDenied: return "permission_denied";
    case Code::DataResidency: return "data_residency_mismatch";
    case Code::NotFound: return "not_found";
    case Code::AlreadyExists: return "already_exists";
    case Code::FailedPrecondition: return "failed_precondition";
    case Code::PayloadTooLarge: return "payload_too_large";
    case Code::ResourceExhausted: return "resource_exhausted";
    case Code::DeadlineExceeded: return "deadline_exceeded";
    case Code::Cancelled: return "cancelled";
    case Code::Unavailable: return "unavailable";
    case Code::Protocol: return "protocol_error";
    case Code::DataLoss: return "data_loss";
    case Code::Internal: return "internal";
    case Code::MethodNotAllowed: return "method_not_allowed";
  }
  PERIGEE_ASSERT(false);
}

}  // namespace perigee
