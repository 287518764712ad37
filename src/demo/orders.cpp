#include "demo/orders.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <utility>

#include "api/error_body.h"

namespace perigee::demo {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 6> kNames{"kill", "start", "cut", "heal", "slow", "stop"};
constexpr std::size_t kBodyBytesMax = 4096;

Result<SiteId> site_at(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(field);
  if (value == nullptr) return SiteId{};
  if (!value->is_string() || !valid_name(value->get_string())) {
    return Error{Code::InvalidArgument, "this must be a site's name", std::string{field}};
  }
  return SiteId{std::string{value->get_string()}};
}

Result<> check(const Order& order) {
  const bool one_site = order.kind == OrderKind::Kill || order.kind == OrderKind::Start;
  const bool link = order.kind == OrderKind::Cut || order.kind == OrderKind::Slow;
  if (one_site && order.site.empty()) return Error{Code::InvalidArgument, "name a site", "site"};
  if (link && order.from.empty()) return Error{Code::InvalidArgument, "name a site", "from"};
  if (order.from.empty() != order.to.empty() || (order.from == order.to && !order.from.empty())) {
    return Error{Code::InvalidArgument, "name another site, the link's other end", "to"};
  }
  if (!(order.ms >= 0 && order.ms <= kSlowMsMax)) {
    return Error{Code::InvalidArgument, fmt::format("0 to {:.0f} milliseconds", kSlowMsMax), "ms"};
  }
  return {};
}

Task<> respond(net::ResponseWriter& out, int status, std::string body) {
  const std::array<net::Header, 1> headers{net::Header{"content-type", "application/json"}};
  co_await out.respond(status, headers, body);
}

}  // namespace

std::string to_json(const Order& order) {
  json::object object{{"order", kNames.at(static_cast<std::size_t>(order.kind))}};
  if (!order.site.empty()) object["site"] = order.site.str();
  if (!order.from.empty()) object["from"] = order.from.str();
  if (!order.to.empty()) object["to"] = order.to.str();
  if (order.kind == OrderKind::Cut) object["one_way"] = order.one_way;
  if (order.kind == OrderKind::Slow) object["ms"] = order.ms;
  return json::serialize(object);
}

Result<Order> parse_order(std::string_view text) {
  boost::system::error_code failed;
  const json::value parsed = json::parse(text, failed);
  if (failed || !parsed.is_object()) {
    return Error{Code::InvalidArgument, "an order is one JSON object; see docs/demo.md"};
  }
  const json::object& object = parsed.get_object();
  const json::value* value = object.if_contains("order");
  const std::string name{value != nullptr && value->is_string()
                             ? std::string_view{value->get_string()}
                             : std::string_view{}};
  Order order;
  bool known = false;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (name != kNames.at(i)) continue;
    order.kind = static_cast<OrderKind>(i);
    known = true;
  }
  if (!known) {
    return Error{Code::InvalidArgument, "kill, start, cut, heal, slow or stop", "order"};
  }
  PERIGEE_TRY(site, site_at(object, "site"));
  PERIGEE_TRY(from, site_at(object, "from"));
  PERIGEE_TRY(to, site_at(object, "to"));
  order.site = site;
  order.from = from;
  order.to = to;
  const json::value* one_way = object.if_contains("one_way");
  order.one_way = one_way != nullptr && one_way->is_bool() && one_way->get_bool();
  if (const json::value* ms = object.if_contains("ms"); ms != nullptr) {
    if (!ms->is_number()) return Error{Code::InvalidArgument, "this must be a number", "ms"};
    order.ms = ms->to_number<double>();
  }
  PERIGEE_CHECK(check(order));
  return order;
}

OrderServer::OrderServer(Executor executor, const Clock& clock, DemoGrid& grid,
                         std::function<void()> stop)
    : grid_(grid), stop_(std::move(stop)) {
  net::ServerLimits limits;
  limits.body_bytes_max = kBodyBytesMax;
  limits.connections_max = 64;
  server_ = std::make_unique<net::HttpServer>(
      executor, clock, limits,
      [this](net::Request& request, net::ResponseWriter& out) { return handle(request, out); });
}

OrderServer::~OrderServer() = default;

Result<> OrderServer::listen(const std::string& socket_path) {
  const net::Endpoint endpoint{.host = {}, .port = 0, .path = socket_path};
  PERIGEE_CHECK(server_->listen(endpoint));
  return {};
}

Task<> OrderServer::handle(net::Request& request, net::ResponseWriter& out) {
  Result<std::string> done = Error{Code::NotFound, "POST /orders; see docs/demo.md"};
  bool stop = false;
  if (request.method == "POST" && request.path == "/orders") {
    auto order = parse_order(request.body);
    if (order) {
      stop = order->kind == OrderKind::Stop;
      done = co_await obey(std::move(*order));
    } else {
      done = std::move(order).error();
    }
  }
  if (done) {
    std::string body = json::serialize(json::object{{"done", *done}});
    co_await respond(out, 200, std::move(body));
  } else {
    std::string body = api::error_body(done.error());
    co_await respond(out, api::http_status(done.error().code), std::move(body));
  }
  if (stop) stop_();
}

Task<Result<std::string>> OrderServer::obey(Order order) {
  Relay& relay = grid_.relay();
  const LinkName there{order.from, order.to};
  const LinkName back{order.to, order.from};
  switch (order.kind) {
    case OrderKind::Kill:
      PERIGEE_CO_CHECK(grid_.kill(order.site));
      co_return fmt::format("{0} is dead; bring it back: perigee demo --start {0}",
                            order.site.str());
    case OrderKind::Start: {
      auto started = co_await grid_.restart(order.site);
      if (!started) co_return std::move(started).error();
      co_return fmt::format("{} is back", order.site.str());
    }
    case OrderKind::Cut:
      PERIGEE_CO_CHECK(relay.cut(there));
      if (!order.one_way) PERIGEE_CO_CHECK(relay.cut(back));
      co_return fmt::format("the link {} {} {} {} is cut; mend it: perigee demo --heal",
                            order.one_way ? "from" : "between", order.from.str(),
                            order.one_way ? "to" : "and", order.to.str());
    case OrderKind::Heal:
      if (order.from.empty()) {
        relay.heal_all();
        co_return std::string{"all links are whole"};
      }
      PERIGEE_CO_CHECK(relay.heal(there));
      PERIGEE_CO_CHECK(relay.heal(back));
      co_return fmt::format("the link {} - {} is whole", order.from.str(), order.to.str());
    case OrderKind::Slow:
      PERIGEE_CO_CHECK(relay.slow(there, from_ms(order.ms / 2)));
      PERIGEE_CO_CHECK(relay.slow(back, from_ms(order.ms / 2)));
      co_return fmt::format("the link {} - {} takes {:.0f} ms more per round trip",
                            order.from.str(), order.to.str(), order.ms);
    case OrderKind::Stop: co_return std::string{"the demo stops"};
  }
  co_return Error{Code::Internal, "an order without a meaning"};
}

}  // namespace perigee::demo
