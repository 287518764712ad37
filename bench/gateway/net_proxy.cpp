// perigee_net_proxy: a plain reverse proxy on src/net alone, without keys, routing or accounting:
// the ceiling of what a gateway on this codec can do. For the benchmark only.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

#include "base/clock.h"
#include "net/http_client.h"
#include "net/http_server.h"

namespace perigee::net {
namespace {

constexpr std::size_t kAnswerBytesMax = 64 * 1024 * 1024;

struct Proxy {
  HttpClient& client;
  Endpoint upstream;
};

Task<void> refuse(ResponseWriter& out, const Error& error) {
  auto sent = co_await out.respond(502, {}, error.message);
  static_cast<void>(sent);
}

Task<void> relay(ClientResponse& response, std::span<const Header> headers, ResponseWriter& out) {
  auto begun = co_await out.begin(response.status(), headers);
  while (begun) {
    auto piece = co_await response.read_some();
    if (!piece) co_return;
    if (piece->empty()) break;
    auto written = co_await out.write(*piece);
    if (!written) co_return;
  }
  auto finished = co_await out.finish();
  static_cast<void>(finished);
}

Task<void> forward(Proxy& proxy, Request& request, ResponseWriter& out) {
  const Header sent[] = {{"Content-Type", request.header("content-type")},
                         {"Authorization", request.header("authorization")}};
  Abort abort;
  out.watch_client([&] { abort.abort(); });
  auto answered = co_await proxy.client.send(
      proxy.upstream, {request.method, request.path, sent, request.body}, &abort);
  if (!answered) {
    co_await refuse(out, answered.error());
    co_return;
  }
  ClientResponse& response = *answered;
  const Header type{"Content-Type", response.header("content-type")};
  if (response.header("content-length").empty()) {
    out.release_request();
    co_await relay(response, {&type, 1}, out);
    co_return;
  }
  auto body = co_await response.read_all(kAnswerBytesMax);
  if (!body) {
    co_await refuse(out, body.error());
    co_return;
  }
  auto responded = co_await out.respond(response.status(), {&type, 1}, *body);
  static_cast<void>(responded);
}

int run(int argc, char** argv) {
  CLI::App app{"A plain reverse proxy on src/net, for the benchmark only"};
  std::string listen = "127.0.0.1:0";
  std::string upstream;
  app.add_option("--listen", listen);
  app.add_option("--upstream", upstream)->required();
  CLI11_PARSE(app, argc, argv);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const Result<Endpoint> where = parse_endpoint(listen);
  const Result<Endpoint> to = parse_endpoint(upstream);
  if (!where || !to) {
    std::fprintf(stderr, "%s\n", (where ? to : where).error().message.c_str());
    return 2;
  }
  SystemClock clock;
  asio::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
  HttpClient client{context.get_executor(), clock, {}};
  Proxy proxy{client, *to};
  HttpServer server{
      context.get_executor(), clock, {}, [&proxy](Request& request, ResponseWriter& out) {
        return forward(proxy, request, out);
      }};
  const Result<Endpoint> bound = server.listen(*where);
  if (!bound) {
    std::fprintf(stderr, "%s\n", bound.error().message.c_str());
    return 1;
  }
  std::printf("listening %s\n", bound->to_string().c_str());
  std::fflush(stdout);
  context.run();
  return 0;
}

}  // namespace
}  // namespace perigee::net

int main(int argc, char** argv) { return perigee::net::run(argc, argv); }
