#include "demo/control_calls.h"

#include <fmt/format.h>

#include <boost/json.hpp>

namespace perigee::demo {
namespace {

namespace json = boost::json;

constexpr std::string_view kRoot = "/control/v1";

std::string text_in(const json::value& answer, std::string_view field) {
  const json::value* found = answer.is_object() ? answer.get_object().if_contains(field) : nullptr;
  return found != nullptr && found->is_string() ? std::string{found->get_string()} : std::string{};
}

}  // namespace

GridCall ControlCalls::call(std::string method, std::string path, std::string body) const {
  GridCall call;
  call.url = url_;
  call.key = operator_key_;
  call.method = std::move(method);
  call.path = fmt::format("{}{}", kRoot, path);
  call.body = std::move(body);
  return call;
}

Task<Result<std::string>> ControlCalls::text_of(GridCall call, std::string_view field) {
  const std::string path = call.path;
  auto answer = co_await client_.call(std::move(call));
  if (!answer) co_return std::move(answer).error();
  const json::value* found =
      answer->is_object() ? answer->get_object().if_contains(field) : nullptr;
  if (found == nullptr || !found->is_string()) {
    co_return Error{Code::Protocol, fmt::format("control's answer to {} has no {}", path, field)};
  }
  std::string text{found->get_string()};
  co_return text;
}

Task<Result<>> ControlCalls::add_model(ModelId model, std::string file) {
  const json::object body{{"kind", "llama"}, {"file", file}};
  GridCall put = call("PUT", "/models/" + model.str(), json::serialize(body));
  auto answer = co_await client_.call(std::move(put));
  if (!answer) co_return std::move(answer).error();
  co_return Result<>{};
}

Task<Result<>> ControlCalls::add_tenant(TenantId tenant) {
  const json::object body{{"display_name", "The demo's tenant"}};
  GridCall put = call("PUT", "/tenants/" + tenant.str(), json::serialize(body));
  auto answer = co_await client_.call(std::move(put));
  if (!answer) co_return std::move(answer).error();
  co_return Result<>{};
}

Task<Result<std::string>> ControlCalls::make_key(TenantId tenant) {
  const json::object body{{"tenant", tenant.str()}, {"label", "perigee demo"}};
  GridCall post = call("POST", "/keys", json::serialize(body));
  co_return co_await text_of(std::move(post), "key");
}

Task<Result<Joined>> ControlCalls::join(PlannedSite site, std::string site_url,
                                        std::string request) {
  const json::object wish{{"site", site.name.str()}, {"jurisdiction", site.jurisdiction.str()}};
  GridCall ask = call("POST", "/join-tokens", json::serialize(wish));
  auto token = co_await text_of(std::move(ask), "token");
  if (!token) co_return std::move(token).error();
  json::object body{{"token", *token},
                    {"name", site.name.str()},
                    {"url", site_url},
                    {"tier", to_string(site.tier)},
                    {"jurisdiction", site.jurisdiction.str()},
                    {"latitude", site.place.latitude},
                    {"longitude", site.place.longitude},
                    {"city", site.city}};
  if (!request.empty()) body["certificate_request"] = request;
  GridCall join = call("POST", "/join", json::serialize(body));
  join.key.clear();  // the token is the credential
  auto answer = co_await client_.call(std::move(join));
  if (!answer) co_return std::move(answer).error();
  Joined joined;
  joined.key = text_in(*answer, "key");
  joined.certificate = text_in(*answer, "certificate");
  joined.authorities = text_in(*answer, "authorities");
  if (joined.key.empty()) co_return Error{Code::Protocol, "control's answer to /join has no key"};
  co_return joined;
}

Task<Result<>> ControlCalls::place(SiteId site, ModelId model, std::uint32_t slots) {
  const json::object body{{"engines", 1}, {"slots", slots}, {"threads", 1}};
  GridCall put =
      call("PUT", "/placements/" + site.str() + "/" + model.str(), json::serialize(body));
  auto answer = co_await client_.call(std::move(put));
  if (!answer) co_return std::move(answer).error();
  co_return Result<>{};
}

}  // namespace perigee::demo
