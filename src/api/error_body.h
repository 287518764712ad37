// The one error body, and the one mapping of codes to HTTP statuses.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace perigee::api {

// HTTP status of a code: 400, 401, 403, 404, 405, 409, 412, 413, 429, 499, 500, 502, 503, 504.
int http_status(Code code);
// The same, but 400 for a prompt that exceeds the model's context, as OpenAI answers it. Prefer it
// wherever the whole error is at hand.
int http_status(const Error& error);
// Code of an upstream's HTTP status (>= 400), for relaying its error.
Code code_of_status(int status);

// A prompt that exceeds a model's context is PayloadTooLarge whose `param` names the prompt's field
// ("messages", "prompt", "input", or a member of it). Other PayloadTooLarge errors have no `param`.
bool is_context_length_error(const Error& error);

// {"error":{"message":...,"type":...,"param":...|null,"code":...|null}}, all four always there:
//   Code                        status  type                   code
//   InvalidArgument             400     invalid_request_error  null
//   (context length)            400     invalid_request_error  context_length_exceeded
//   Unauthenticated             401     invalid_request_error  invalid_api_key
//   PermissionDenied            403     permission_error       permission_denied
//   DataResidency               403     permission_error       data_residency_mismatch
//   NotFound, param "model"     404     invalid_request_error  model_not_found
//   NotFound                    404     invalid_request_error  not_found
//   MethodNotAllowed            405     invalid_request_error  method_not_allowed
//   AlreadyExists               409     invalid_request_error  already_exists
//   FailedPrecondition          412     invalid_request_error  failed_precondition
//   PayloadTooLarge             413     invalid_request_error  payload_too_large
//   ResourceExhausted           429     rate_limit_error       rate_limit_exceeded
//   Cancelled                   499     request_cancelled      request_cancelled
//   Internal, DataLoss          500     server_error           server_error
//   Protocol                    502     server_error           bad_gateway
//   Unavailable                 503     server_error           service_unavailable
//   DeadlineExceeded            504     server_error           deadline_exceeded
std::string error_body(const Error& error);

// Reads such a body from an upstream, and the shapes that other servers send ({"error":"text"},
// {"message":...}, {"detail":...}); keeps its message (at most 1 KiB) and param. Falls back to a
// sentence about the status. The code follows from the status, and from an OpenAI `code` where that
// says more (context_length_exceeded, data_residency_mismatch, model_not_found).
Error parse_error_body(int status, std::string_view body);
// The same for an error that comes as an event of a stream, without a status: its code and type say
// what it means; Protocol when they don't.
Error parse_error_event(std::string_view json);

}  // namespace perigee::api
