// The one error body, and the one mapping of codes to HTTP statuses.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace perigee::api {

// HTTP status of a code: 400, 401, 403, 404, 409, 412, 413, 429, 499, 500, 502, 503, 504.
int http_status(Code code);
// Code of an upstream's HTTP status (>= 400), for relaying its error.
Code code_of_status(int status);

// {"error":{"message":...,"type":...,"param":...|null,"code":...|null}} with OpenAI's `type` and
// `code` vocabulary (invalid_request_error, authentication_error, permission_error, not_found_error,
// rate_limit_error, server_error; codes as model_not_found, context_length_exceeded,
// invalid_api_key, data_residency_mismatch, rate_limit_exceeded ...).
std::string error_body(const Error& error);
// Reads such a body from an upstream; keeps its message and param; falls back to the status.
Error parse_error_body(int status, std::string_view body);

}  // namespace perigee::api
