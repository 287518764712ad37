#include "gateway/client_hints.h"

#include <algorithm>
#include <charconv>

#include "api/headers.h"
#include "api/message_sum.h"

namespace perigee {
namespace {

constexpr std::size_t kRequestIdBytesMax = 128;
constexpr std::size_t kSessionBytesMax = 512;  // as prompt_cache_key in the body
constexpr std::size_t kTraceparentBytes = 55;  // W3C trace context, version 00
constexpr std::size_t kIdempotencyKeyBytesMax = 255;
constexpr std::size_t kJurisdictionsMax = 64;
constexpr std::int64_t kDeadlineMsMax = 24LL * 3600 * 1000;

Error bad_header(std::string_view name, std::string_view expected) {
  return Error{Code::InvalidArgument,
               "The header '" + std::string{name} + "' must be " + std::string{expected} + ".",
               std::string{name}};
}

bool same_name(std::string_view name, std::string_view lower) {
  return std::ranges::equal(name, lower, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

bool plain_id(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == ':';
  });
}

Result<std::vector<JurisdictionId>> parse_jurisdictions(std::string_view text) {
  std::vector<JurisdictionId> all;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::string_view name = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (!valid_name(name) || all.size() == kJurisdictionsMax) {
      return bad_header(api::headers::kJurisdictions,
                        "a comma-separated list of at most 64 jurisdictions such as 'de,fr'");
    }
    all.emplace_back(std::string{name});
  }
  return all;
}

// Absent: nothing.
template <class T>
Result<> read_number(const net::Request& request, std::string_view name, std::optional<T>& out) {
  const std::string_view text = request.header(name);
  if (text.empty()) return {};
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return bad_header(name, "a number");
  out = value;
  return {};
}

Result<> read_idempotency_key(const net::Request& request, ClientHints& hints) {
  const auto field = std::ranges::find_if(request.headers, [](const net::Header& header) {
    return same_name(header.name, api::headers::kIdempotencyKey);
  });
  if (field == request.headers.end()) return {};
  const std::string_view key = field->value;
  const bool plain = std::ranges::all_of(key, [](char c) { return c > ' ' && c <= '~'; });
  if (key.empty() || key.size() > kIdempotencyKeyBytesMax || !plain) {
    return bad_header(api::headers::kIdempotencyKey, "1 to 255 visible ASCII characters");
  }
  hints.idempotency_key = key;
  return {};
}

// What only sites tell each other has no business in a client's request.
Result<> refuse_forged_hop(const net::Request& request) {
  for (const std::string_view name : {api::headers::kHop, api::headers::kTenant}) {
    if (!request.header(name).empty()) return bad_header(name, "left out: only sites send it");
  }
  return {};
}

Result<> read_site_hints(const net::Request& request, ClientHints& hints) {
  if (request.header(api::headers::kHop) != "1") {
    return bad_header(api::headers::kHop, "1: a site forwards, once");
  }
  hints.hop = 1;
  const std::string_view tenant = request.header(api::headers::kTenant);
  if (!valid_name(tenant)) return bad_header(api::headers::kTenant, "a tenant's name");
  hints.tenant = TenantId{std::string{tenant}};
  const std::string_view salt = request.header(api::headers::kCacheSalt);
  if (salt.empty() || salt.size() > kSessionBytesMax) {
    return bad_header(api::headers::kCacheSalt, "the tenant's cache salt");
  }
  hints.cache_salt = salt;
  // A site of the version before sends neither.
  PERIGEE_CHECK(read_number(request, api::headers::kSeed, hints.seed));
  std::optional<std::int64_t> created;
  PERIGEE_CHECK(read_number(request, api::headers::kCreated, created));
  if (created && *created < 0) return bad_header(api::headers::kCreated, "not negative");
  hints.created = created.value_or(0);
  return {};
}

// Asked before all else: a damaged request must not be refused as if its client were at fault.
Result<> refuse_damaged(const net::Request& request) {
  const std::string_view text = request.header(api::headers::kSum);
  if (text.empty()) return {};  // of the version before
  const std::optional<std::uint32_t> sum = api::parse_sum(text);
  if (sum && *sum == api::sum_of_request(request.headers, request.body)) return {};
  return Error{Code::Protocol, "the request was damaged on its way between sites"};
}

}  // namespace

Result<> refuse_repeated_headers(const net::Request& request) {
  namespace names = api::headers;
  for (const std::string_view once :
       {std::string_view{"authorization"}, names::kJurisdictions, names::kClass, names::kDeadlineMs,
        names::kSession, names::kHop, names::kTenant, names::kCacheSalt, names::kRequestId,
        names::kSeed, names::kCreated, names::kIdempotencyKey}) {
    const auto times = std::ranges::count_if(
        request.headers, [&](const net::Header& header) { return same_name(header.name, once); });
    if (times > 1) return bad_header(once, "given once");
  }
  return {};
}

Result<ClientHints> read_client_hints(const net::Request& request, bool from_site) {
  if (from_site) PERIGEE_CHECK(refuse_damaged(request));
  ClientHints hints;
  const std::string_view id = request.header(api::headers::kRequestId);
  if (id.size() > kRequestIdBytesMax || !plain_id(id)) {
    return bad_header(api::headers::kRequestId, "at most 128 letters, digits, '-', '_', '.', ':'");
  }
  hints.request_id = id;
  if (const std::string_view name = request.header(api::headers::kClass); !name.empty()) {
    hints.service_class = parse_service_class(name);
    if (!hints.service_class) {
      return bad_header(api::headers::kClass, "realtime, interactive, standard or batch");
    }
  }
  if (const std::string_view text = request.header(api::headers::kDeadlineMs); !text.empty()) {
    std::int64_t left_ms = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), left_ms);
    if (error != std::errc{} || end != text.data() + text.size() || left_ms < 1 ||
        left_ms > kDeadlineMsMax) {
      return bad_header(api::headers::kDeadlineMs, "the milliseconds left, 1 to 86400000");
    }
    hints.time_left = milliseconds{left_ms};
  }
  const bool law_given = std::ranges::any_of(request.headers, [](const net::Header& header) {
    return same_name(header.name, api::headers::kJurisdictions);
  });
  const std::string_view law = request.header(api::headers::kJurisdictions);
  if (law_given && law.empty()) {  // fails closed: a template that was not filled in, say
    return bad_header(api::headers::kJurisdictions, "a list such as 'de,fr'; leave it out for any");
  }
  PERIGEE_TRY(jurisdictions, parse_jurisdictions(law));
  hints.jurisdictions = std::move(jurisdictions);
  const std::string_view session = request.header(api::headers::kSession);
  if (session.size() > kSessionBytesMax) {
    return bad_header(api::headers::kSession, "at most 512 bytes");
  }
  hints.session = session;
  const std::string_view traceparent = request.header(api::headers::kTraceparent);
  if (traceparent.size() == kTraceparentBytes) hints.traceparent = traceparent;  // else: not ours
  if (!from_site) PERIGEE_CHECK(refuse_forged_hop(request));
  if (!from_site) PERIGEE_CHECK(read_idempotency_key(request, hints));
  if (from_site) PERIGEE_CHECK(read_site_hints(request, hints));
  return hints;
}

}  // namespace perigee
