#include "identity/bearer_tokens/token.h"

#include <boost/json/array.hpp>
#include <cmath>

#include "base/base64url.h"
#include "directory/json_fields.h"

namespace perigee {
namespace {

namespace json = boost::json;

constexpr std::size_t kAudiencesMax = 32;
constexpr std::size_t kTextBytesMax = 512;
constexpr double kSecondsMax = 1e12;

Error refused(std::string message) { return {Code::Unauthenticated, std::move(message)}; }

Result<json::object> object_in(std::string_view part, std::string_view what) {
  const auto text = from_base64url(part);
  if (text) {
    if (auto object = parse_json_object(*text)) return std::move(*object);
  }
  return refused("malformed token: its " + std::string{what} + " is no JSON object in base64url");
}

// Absent: empty. Present and not a text: refused.
Result<std::string> text_in(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return std::string{};
  const json::string* text = value->if_string();
  if (text == nullptr || text->size() > kTextBytesMax) {
    return refused("malformed token: `" + std::string{name} + "` must be a short text");
  }
  return std::string{text->data(), text->size()};
}

Result<std::optional<std::int64_t>> time_in(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return std::optional<std::int64_t>{};
  boost::system::error_code status;
  const auto number = value->to_number<double>(status);
  if (status || !(std::abs(number) < kSecondsMax)) {
    return refused("malformed token: `" + std::string{name} + "` must be seconds since 1970");
  }
  return std::optional{static_cast<std::int64_t>(std::floor(number))};
}

Result<std::vector<std::string>> audiences_in(const json::object& object) {
  std::vector<std::string> all;
  const json::value* value = object.if_contains("aud");
  if (value == nullptr) return all;
  const Error wrong = refused("malformed token: `aud` must be a text or a list of texts");
  if (const json::string* one = value->if_string()) {
    all.emplace_back(one->data(), one->size());
    return all;
  }
  const json::array* many = value->if_array();
  if (many == nullptr || many->size() > kAudiencesMax) return wrong;
  for (const json::value& each : *many) {
    const json::string* text = each.if_string();
    if (text == nullptr) return wrong;
    all.emplace_back(text->data(), text->size());
  }
  return all;
}

Result<> read_header(std::string_view part, Token& token) {
  PERIGEE_TRY(header, object_in(part, "header"));
  if (header.if_contains("crit") != nullptr) {
    return refused("this token demands extensions (`crit`) that are not known here");
  }
  PERIGEE_TRY(algorithm, text_in(header, "alg"));
  if (algorithm.empty()) return refused("malformed token: it names no algorithm (`alg`)");
  PERIGEE_TRY(key_id, text_in(header, "kid"));
  token.algorithm = std::move(algorithm);
  token.key_id = std::move(key_id);
  return {};
}

Result<> read_claims(std::string_view part, Token& token) {
  PERIGEE_TRY(claims, object_in(part, "payload"));
  PERIGEE_TRY(issuer, text_in(claims, "iss"));
  PERIGEE_TRY(subject, text_in(claims, "sub"));
  PERIGEE_TRY(audiences, audiences_in(claims));
  PERIGEE_TRY(expires, time_in(claims, "exp"));
  PERIGEE_TRY(not_before, time_in(claims, "nbf"));
  token.issuer = std::move(issuer);
  token.subject = std::move(subject);
  token.audiences = std::move(audiences);
  token.expires = expires;
  token.not_before = not_before;
  token.claims = *from_base64url(part);
  return {};
}

}  // namespace

bool looks_like_token(std::string_view text) {
  const std::size_t first = text.find('.');
  return text.starts_with("ey") && first != std::string_view::npos &&
         text.find('.', first + 1) != std::string_view::npos;
}

Result<Token> parse_token(std::string_view text) {
  if (text.size() > kTokenBytesMax) {
    return refused("this token is longer than " + std::to_string(kTokenBytesMax) + " bytes");
  }
  const std::size_t first = text.find('.');
  const std::size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos) {
    return refused("malformed token: it must have three parts with dots between");
  }
  Token token;
  PERIGEE_CHECK(read_header(text.substr(0, first), token));
  PERIGEE_CHECK(read_claims(text.substr(first + 1, second - first - 1), token));
  token.signed_text = text.substr(0, second);
  auto signature = from_base64url(text.substr(second + 1));
  if (!signature) return refused("malformed token: its signature is not in base64url");
  token.signature = std::move(*signature);
  return token;
}

std::string text_claim(std::string_view claims, std::string_view name) {
  const auto object = parse_json_object(claims);
  const auto text = object ? text_in(*object, name) : Result<std::string>{object.error()};
  return text ? *text : std::string{};
}

}  // namespace perigee
