#include "engine/server/request_headers.h"

#include <algorithm>
#include <charconv>

#include "api/headers.h"
#include "base/secret.h"

namespace perigee::engine_server {
namespace {

constexpr std::size_t kRequestIdBytesMax = 128;
constexpr std::int64_t kDeadlineMsMax = 86'400'000;

}  // namespace

std::string request_id_of(const net::Request& request) {
  const std::string_view given = request.header(api::headers::kRequestId);
  const bool sound = !given.empty() && given.size() <= kRequestIdBytesMax &&
                     std::all_of(given.begin(), given.end(),
                                 [](char c) { return c > ' ' && c <= '~' && c != '"'; });
  return sound ? std::string{given} : random_base62(24);
}

std::optional<Instant> deadline_of(const net::Request& request, const Clock& clock) {
  const std::string_view text = request.header(api::headers::kDeadlineMs);
  std::int64_t ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  const bool sound = !text.empty() && error == std::errc{} && end == text.data() + text.size();
  if (!sound || ms < 0 || ms > kDeadlineMsMax) return std::nullopt;
  return clock.now() + milliseconds{ms};
}

Result<> apply_headers(const net::Request& request, const Clock& clock, const llama::Model& model,
                       TextRequest& text) {
  const std::string_view ids = request.header(kResumeIds);
  PERIGEE_TRY(resume, parse_token_ids(model, ids));
  if (!resume.empty() && text.choices() > 1) {
    return Error{Code::InvalidArgument, "only an answer of one choice can be resumed",
                 std::string{kResumeIds}};
  }
  const std::string_view class_name = request.header(api::headers::kClass);
  const auto service_class = parse_service_class(class_name);
  if (!class_name.empty() && !service_class) {
    return Error{Code::InvalidArgument,
                 "'perigee-class' must be realtime, interactive, standard or batch",
                 std::string{api::headers::kClass}};
  }
  for (llama::GenerationRequest& generation : text.generations) {
    generation.cache_salt = request.header(api::headers::kCacheSalt);
    generation.service_class = service_class.value_or(ServiceClass::Standard);
    generation.deadline = deadline_of(request, clock);
    generation.resume = resume;
  }
  return {};
}

}  // namespace perigee::engine_server
