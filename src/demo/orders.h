// Orders: how `perigee demo --kill` and its like reach a running demo: HTTP over a Unix socket in
// the demo's private folder (docs/demo.md lists the orders).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "demo/demo_grid.h"
#include "net/http_server.h"

namespace perigee::demo {

enum class OrderKind : std::uint8_t { Kill, Start, Cut, Heal, Slow, Stop };

struct Order {
  OrderKind kind = OrderKind::Stop;
  SiteId site;  // Kill, Start
  SiteId from;  // Cut, Slow, Heal (both empty: every link)
  SiteId to;
  bool one_way = false;  // Cut: only what `from` sends is lost
  double ms = 0;         // Slow: added to the round trip
};

inline constexpr double kSlowMsMax = 60'000;

std::string to_json(const Order& order);
// InvalidArgument names the field.
Result<Order> parse_order(std::string_view json);

// The demo's end of the socket. `grid` must outlive it.
class OrderServer {
 public:
  // `stop` is called for an order to stop, after its answer.
  OrderServer(Executor executor, const Clock& clock, DemoGrid& grid, std::function<void()> stop);
  ~OrderServer();
  OrderServer(const OrderServer&) = delete;
  OrderServer& operator=(const OrderServer&) = delete;
  Result<> listen(const std::string& socket_path);

 private:
  Task<> handle(net::Request& request, net::ResponseWriter& out);
  Task<Result<std::string>> obey(Order order);

  DemoGrid& grid_;
  std::function<void()> stop_;
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace perigee::demo
