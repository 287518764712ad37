// Error: what went wrong, as a closed list of codes that tell the *caller* what to do next.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace perigee {

// A code says what the caller should do. Codes never change meaning: they are public through the
// API's `error.code` and the CLI's exit status. Add at the end.
enum class Code : std::uint8_t {
  InvalidArgument,     // the request is wrong: correct it, do not repeat it
  Unauthenticated,     // no credential or a bad one: get a key
  PermissionDenied,    // the credential may not do this: ask the operator
  DataResidency,       // no site under an allowed law can run it: widen the law or add a site
  NotFound,            // the thing named does not exist: check the name
  AlreadyExists,       // the thing named exists: choose another name or update it
  FailedPrecondition,  // the system is not in the state needed: do what the message says first
  PayloadTooLarge,     // the request exceeds a named limit: send less
  ResourceExhausted,   // full or over quota: back off, then repeat (`retry_after_ms`)
  DeadlineExceeded,    // too late: repeat with more time
  Cancelled,           // the caller left: nobody is listening
  Unavailable,         // not reachable now: try elsewhere or later
  Protocol,            // the other side broke its protocol: try elsewhere, report it
  DataLoss,            // stored data is damaged: restore it
  Internal,            // a defect of ours: report it
  MethodNotAllowed,    // the path exists, the method does not: use the one documented
};

// The stable lower_snake name of a code, as printed in JSON and logs.
std::string_view to_string(Code code);

// One failure. `message` is one sentence for a person that says what to do; never a prompt, a key
// or a stack trace. `param` names the offending field ("messages[0].role") or is empty.
struct Error {
  Code code = Code::Internal;
  std::string message;
  std::string param = {};
  std::int64_t retry_after_ms = 0;  // > 0: when it may be worth repeating

  friend bool operator==(const Error&, const Error&) = default;
};

}  // namespace perigee
