#include "engine/server/request_headers.h"

#include <algorithm>
#include <charconv>

#include "api/headers.h"
#include "base/secret.h"

namespace perigee::engine_server {
namespace {

constexpr std::size_t kRequestIdBytesMax = 128;
constexpr std::int64_t kDeadlineMsMax = 86'400'000;

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && !text.empty() && end == text.data() + text.size();
  return whole ? std::optional{value} : std::nullopt;
}

}  // namespace

std::string request_id_of(const net::Request& request) {
  const std::string_view given = request.header(api::headers::kRequestId);
  const bool sound = !given.empty() && given.size() <= kRequestIdBytesMax &&
                     std::all_of(given.begin(), given.end(),
                                 [](char c) { return c > ' ' && c <= '~' && c != '"'; });
  return sound ? std::string{given} : random_base62(24);
}

std::optional<Instant> deadline_of(const net::Request& request, const Clock& clock) {
  const auto ms = number<std::int64_t>(request.header(api::headers::kDeadlineMs));
  if (!ms || *ms < 0 || *ms > kDeadlineMsMax) return std::nullopt;
  return clock.now() + milliseconds{*ms};
}

std::int64_t created_of(const net::Request& request, const Clock& clock) {
  const auto given = number<std::int64_t>(request.header(api::headers::kCreated));
  return given && *given > 0 ? *given : clock.wall().micros / 1'000'000;
}

Result<> apply_headers(const net::Request& request, const Clock& clock, TextRequest& text) {
  const auto seed = number<std::uint64_t>(request.header(api::headers::kSeed));
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
    if (seed && !text.seeded) generation.sampling.seed = *seed;
  }
  return {};
}

}  // namespace perigee::engine_server
