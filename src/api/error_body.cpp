#include "api/error_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "api/json_reader.h"
#include "api/json_text.h"

namespace perigee::api {
namespace {

constexpr std::size_t kMessageBytesMax = 1024;
constexpr std::size_t kParamBytesMax = 128;
constexpr std::size_t kBodyBytesMax = 64 * 1024;
constexpr std::size_t kDepthMax = 32;

constexpr std::string_view kInvalidRequest = "invalid_request_error";
constexpr std::string_view kServerError = "server_error";

struct Shape {
  int status;
  std::string_view type;
  std::string_view code;  // empty: null
};

Shape shape_of(Code code) {
  switch (code) {
    case Code::InvalidArgument: return {400, kInvalidRequest, ""};
    case Code::Unauthenticated: return {401, kInvalidRequest, "invalid_api_key"};
    case Code::PermissionDenied: return {403, "permission_error", "permission_denied"};
    case Code::DataResidency: return {403, "permission_error", "data_residency_mismatch"};
    case Code::NotFound: return {404, kInvalidRequest, "not_found"};
    case Code::MethodNotAllowed: return {405, kInvalidRequest, "method_not_allowed"};
    case Code::AlreadyExists: return {409, kInvalidRequest, "already_exists"};
    case Code::FailedPrecondition: return {412, kInvalidRequest, "failed_precondition"};
    case Code::PayloadTooLarge: return {413, kInvalidRequest, "payload_too_large"};
    case Code::ResourceExhausted: return {429, "rate_limit_error", "rate_limit_exceeded"};
    case Code::DeadlineExceeded: return {504, kServerError, "deadline_exceeded"};
    case Code::Cancelled: return {499, "request_cancelled", "request_cancelled"};
    case Code::Unavailable: return {503, kServerError, "service_unavailable"};
    case Code::Protocol: return {502, kServerError, "bad_gateway"};
    case Code::DataLoss:
    case Code::Internal: break;
  }
  return {500, kServerError, "server_error"};
}

Shape shape_of(const Error& error) {
  if (is_context_length_error(error)) return {400, kInvalidRequest, "context_length_exceeded"};
  if (error.code == Code::NotFound && error.param == "model") {
    return {404, kInvalidRequest, "model_not_found"};
  }
  return shape_of(error.code);
}

struct UpstreamError {
  std::string message;
  std::string param;
  std::string code;
  std::string type;
};

void take_text(json::ondemand::value value, std::string& out, std::size_t bytes_max) {
  std::string_view text;
  if (!out.empty() || value.get_string().get(text)) return;
  if (text.size() > bytes_max) {
    text = text.substr(0, bytes_max);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) {
      text.remove_suffix(1);  // not in the middle of a character
    }
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xC0) text.remove_suffix(1);
  }
  out = text;
}

// False when the JSON is damaged. Takes what it knows at this level; enters `error`.
bool read_level(json::ondemand::object object, UpstreamError& out, bool inside) {
  for (auto member : object) {
    std::string_view key;
    json::ondemand::value value;
    if (member.unescaped_key().get(key) || member.value().get(value)) return false;
    const auto type = json::type_of(value);
    if (!type) return false;
    const bool text = *type == json::ondemand::json_type::string;
    if (text && (key == "message" || key == "detail" || (key == "error" && !inside))) {
      take_text(value, out.message, kMessageBytesMax);
    } else if (text && inside && key == "param") {
      take_text(value, out.param, kParamBytesMax);
    } else if (text && inside && key == "code") {
      take_text(value, out.code, kParamBytesMax);
    } else if (text && inside && key == "type") {
      take_text(value, out.type, kParamBytesMax);
    } else if (*type == json::ondemand::json_type::object && key == "error" && !inside) {
      json::ondemand::object nested;
      if (value.get_object().get(nested) || !read_level(nested, out, true)) return false;
    } else if (!json::check_value(value, kDepthMax)) {
      return false;
    }
  }
  return true;
}

UpstreamError read_upstream(std::string_view body) {
  UpstreamError out;
  if (body.empty() || body.size() > kBodyBytesMax) return out;
  const simdjson::padded_string padded{body};
  json::ondemand::document document;
  json::ondemand::object object;
  if (json::thread_parser().iterate(padded).get(document) || document.get_object().get(object) ||
      !read_level(object, out, false)) {
    return {};
  }
  return out;
}

bool starts_with_field(std::string_view param, std::string_view name) {
  return param.starts_with(name) &&
         (param.size() == name.size() || param[name.size()] == '[' || param[name.size()] == '.');
}

}  // namespace

bool is_context_length_error(const Error& error) {
  return error.code == Code::PayloadTooLarge &&
         (starts_with_field(error.param, "messages") || starts_with_field(error.param, "prompt") ||
          starts_with_field(error.param, "input"));
}

int http_status(Code code) { return shape_of(code).status; }

int http_status(const Error& error) { return shape_of(error).status; }

Code code_of_status(int status) {
  switch (status) {
    case 401: return Code::Unauthenticated;
    case 403: return Code::PermissionDenied;
    case 404: return Code::NotFound;
    case 405: return Code::MethodNotAllowed;
    case 408: return Code::Unavailable;
    case 409: return Code::AlreadyExists;
    case 412: return Code::FailedPrecondition;
    case 413: return Code::PayloadTooLarge;
    case 429: return Code::ResourceExhausted;
    case 499: return Code::Cancelled;
    case 500: return Code::Internal;
    case 502: return Code::Protocol;
    case 504: return Code::DeadlineExceeded;
    default: break;
  }
  return status >= 400 && status < 500 ? Code::InvalidArgument : Code::Unavailable;
}

std::string error_body(const Error& error) {
  const Shape shape = shape_of(error);
  std::string out = R"({"error":{"message":)";
  append_json_string(out, error.message);
  out += R"(,"type":)";
  append_json_string(out, shape.type);
  out += R"(,"param":)";
  if (error.param.empty()) {
    out += "null";
  } else {
    append_json_string(out, error.param);
  }
  out += R"(,"code":)";
  if (shape.code.empty()) {
    out += "null";
  } else {
    append_json_string(out, shape.code);
  }
  out += "}}";
  return out;
}

namespace {

// What an error within a stream means: there the status has gone out before it.
std::optional<Code> code_of_event(const UpstreamError& upstream) {
  for (const Code code : {Code::ResourceExhausted, Code::DeadlineExceeded, Code::Unavailable,
                          Code::FailedPrecondition}) {
    if (upstream.code == shape_of(code).code) return code;
  }
  if (upstream.type == kInvalidRequest) return Code::InvalidArgument;
  return std::nullopt;
}

}  // namespace

Error parse_error_event(std::string_view json) {
  constexpr int kStatus = 502;  // where the error itself tells nothing
  Error error = parse_error_body(kStatus, json);
  if (error.code != code_of_status(kStatus)) return error;
  error.code = code_of_event(read_upstream(json)).value_or(error.code);
  return error;
}

Error parse_error_body(int status, std::string_view body) {
  UpstreamError upstream = read_upstream(body);
  Error error{code_of_status(status), std::move(upstream.message), std::move(upstream.param)};
  if (error.message.empty()) error.message = fmt::format("The engine answered HTTP {}.", status);
  if (upstream.code == "context_length_exceeded") {
    error.code = Code::PayloadTooLarge;
    if (!is_context_length_error(error)) error.param = "messages";
  } else if (upstream.code == "data_residency_mismatch") {
    error.code = Code::DataResidency;
  } else if (upstream.code == "model_not_found" && error.code == Code::NotFound) {
    error.param = "model";
  }
  return error;
}

}  // namespace perigee::api
