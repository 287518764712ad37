#include "demo/relay.h"

#include <fmt/format.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <map>
#include <optional>
#include <utility>

#include "demo/relay_connection.h"
#include "net/vital_task.h"

namespace perigee::demo {
namespace {

constexpr int kBacklog = 128;
constexpr std::size_t kConnectionsMax = 8192;

using tcp = asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;

// The listener of one ordered pair of sites.
struct Path {
  Path(Executor executor, tcp::endpoint to, std::shared_ptr<LinkModel> there,
       std::shared_ptr<LinkModel> answers)
      : acceptor(executor),
        resumed(executor),
        target(std::move(to)),
        forth(std::move(there)),
        back(std::move(answers)) {}

  bool blocked() const { return forth->is_cut() || back->is_cut(); }

  // New connects must hang while the link is cut, as if their packets were lost. A listening socket
  // answers by itself, until its queue is full: so shrink the queue to one place and fill that.
  void block() {
    boost::system::error_code ignored;
    if (shut || !acceptor.is_open()) return;
    shut = true;
    acceptor.cancel(ignored);
    acceptor.listen(0, ignored);
    if (plug) return;  // of the cut before, still in the queue
    plug.emplace(acceptor.get_executor());
    plug->open(tcp::v4(), ignored);
    plug->non_blocking(true, ignored);
    plug->connect(acceptor.local_endpoint(ignored), ignored);
  }

  void unblock() {
    boost::system::error_code ignored;
    if (!shut || !acceptor.is_open()) return;
    shut = false;
    acceptor.listen(kBacklog, ignored);
    resumed.cancel();
  }

  // The accepted end of the plug is no client.
  bool is_plug(const RelaySocket& accepted) {
    if (!plug) return false;
    boost::system::error_code error;
    const tcp::endpoint from = accepted.remote_endpoint(error);
    const tcp::endpoint own = plug->local_endpoint(error);
    if (error || from != own) return false;
    plug.reset();
    return true;
  }

  Acceptor acceptor;
  RelayTimer resumed;  // the accept loop waits for unblock()
  tcp::endpoint target;
  std::shared_ptr<LinkModel> forth;
  std::shared_ptr<LinkModel> back;
  std::optional<RelaySocket> plug;
  bool shut = false;
};

}  // namespace

struct Relay::State : std::enable_shared_from_this<Relay::State> {
  State(Executor io, const Clock& time, std::uint64_t random_seed)
      : executor(io), clock(time), seed(random_seed) {}

  std::shared_ptr<LinkModel> link(const LinkName& name, const LinkQuality& quality) {
    auto& entry = links[name];
    if (!entry) entry = std::make_shared<LinkModel>(quality, seed + links.size());
    return entry;
  }

  void changed() {
    for (auto& [name, path] : paths) path->blocked() ? path->block() : path->unblock();
    for (auto& [id, connection] : connections) connection->wake();
  }

  void admit(Path& path, RelaySocket socket) {
    if (path.is_plug(socket) || connections.size() >= kConnectionsMax) return;
    const std::uint64_t id = ++last_id;
    const auto ended = [weak = weak_from_this(), id] {
      if (const auto self = weak.lock()) self->connections.erase(id);
    };
    const auto connection =
        std::make_shared<RelayConnection>(std::move(socket), path.forth, path.back, clock, ended);
    connections.emplace(id, connection);
    connection->start(path.target);
  }

  static Task<> accept(std::shared_ptr<State> self, std::shared_ptr<Path> path) {
    while (path->acceptor.is_open()) {
      if (path->blocked()) {
        path->resumed.expires_at(std::chrono::steady_clock::time_point::max());
        co_await path->resumed.async_wait(kAwait);
        continue;
      }
      RelaySocket socket{self->executor};
      auto accepted = co_await path->acceptor.async_accept(socket, kAwait);
      if (!std::get<0>(accepted)) {
        self->admit(*path, std::move(socket));
      } else if (std::get<0>(accepted) != asio::error::operation_aborted) {
        RelayTimer pause{self->executor};  // no descriptor left: try again when some may be free
        pause.expires_after(milliseconds{50});
        co_await pause.async_wait(kAwait);
      }
    }
  }

  Executor executor;
  const Clock& clock;
  std::uint64_t seed;
  std::uint64_t last_id = 0;
  std::map<LinkName, std::shared_ptr<LinkModel>> links;
  std::map<LinkName, std::shared_ptr<Path>> paths;
  std::map<std::uint64_t, std::shared_ptr<RelayConnection>> connections;
};

Relay::Relay(Executor executor, const Clock& clock, std::uint64_t seed)
    : state_(std::make_shared<State>(executor, clock, seed)) {}

Relay::~Relay() {
  boost::system::error_code ignored;
  for (auto& [name, path] : state_->paths) {
    path->acceptor.close(ignored);
    path->resumed.cancel();
  }
  const auto connections = std::exchange(state_->connections, {});
  for (const auto& [id, connection] : connections) connection->close();
}

Result<net::Endpoint> Relay::open(const LinkName& name, const net::Endpoint& target,
                                  const LinkQuality& quality) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(target.host, error);
  if (error || target.port == 0) {
    return Error{Code::InvalidArgument,
                 "the relay forwards to IP addresses only, not to " + target.to_string()};
  }
  auto path = std::make_shared<Path>(state_->executor, tcp::endpoint{address, target.port},
                                     state_->link(name, quality),
                                     state_->link({name.to, name.from}, quality));
  path->acceptor.open(tcp::v4(), error);
  if (!error) path->acceptor.bind({asio::ip::address_v4::loopback(), 0}, error);
  if (!error) path->acceptor.listen(kBacklog, error);
  if (error) {
    return Error{Code::ResourceExhausted,
                 fmt::format("the relay can't listen for {}-{}: {}", name.from.str(), name.to.str(),
                             error.message())};
  }
  const std::uint16_t port = path->acceptor.local_endpoint(error).port();
  state_->paths[name] = path;
  asio::co_spawn(state_->executor, State::accept(state_, path),
                 net::VitalTask{"accepting for a link"});
  return net::Endpoint{.host = "127.0.0.1", .port = port, .path = {}};
}

namespace {

Error no_link(const LinkName& name) {
  return Error{Code::NotFound, fmt::format("there is no link from {} to {}; see the sites' names",
                                           name.from.str(), name.to.str())};
}

}  // namespace

Result<> Relay::cut(const LinkName& link) {
  const auto found = state_->links.find(link);
  if (found == state_->links.end()) return no_link(link);
  found->second->cut();
  state_->changed();
  return {};
}

Result<> Relay::heal(const LinkName& link) {
  const auto found = state_->links.find(link);
  if (found == state_->links.end()) return no_link(link);
  found->second->heal(state_->clock.now());
  found->second->slow({});
  found->second->corrupt(0);
  state_->changed();
  return {};
}

Result<> Relay::slow(const LinkName& link, Duration added) {
  const auto found = state_->links.find(link);
  if (found == state_->links.end()) return no_link(link);
  found->second->slow(added);
  return {};
}

Result<> Relay::corrupt(const LinkName& link, double share) {
  const auto found = state_->links.find(link);
  if (found == state_->links.end()) return no_link(link);
  found->second->corrupt(share);
  return {};
}

void Relay::heal_all() {
  for (auto& [name, model] : state_->links) {
    model->heal(state_->clock.now());
    model->slow({});
    model->corrupt(0);
  }
  state_->changed();
}

std::vector<LinkState> Relay::links() const {
  std::vector<LinkState> all;
  for (const auto& [name, model] : state_->links) {
    all.push_back({name, model->delay(), model->is_cut()});
  }
  return all;
}

std::size_t Relay::connections() const { return state_->connections.size(); }

std::uint64_t Relay::damaged() const {
  std::uint64_t pieces = 0;
  for (const auto& [name, model] : state_->links) pieces += model->damaged();
  return pieces;
}

}  // namespace perigee::demo
