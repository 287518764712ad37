// What users do: ask, read, lose patience, come back.
#include <algorithm>

#include "sim/sampler.h"
#include "sim/trial/world.h"
#include "sim/trial/world_log.h"

namespace perigee::sim {
namespace {

constexpr Nanos kSecond = 1'000'000'000;
constexpr Nanos kCheckEvery = 2 * kSecond;  // whether the ingress gives a sign of life
constexpr std::uint32_t kSilentChecks = 3;  // in a row: it is taken for dead
constexpr std::uint32_t kTriesMax = 6;
constexpr Nanos kFirstPause = 200'000'000;  // before trying again; doubles

}  // namespace

void World::arrive(const Arrival& arrival) {
  const auto number = static_cast<std::uint32_t>(clients_.size());
  Client& c = clients_.emplace_back();
  ++clients_open_;
  c.arrival = arrival;
  c.arrived = now_;
  c.keyed = chance().uniform() < spec_.keyed_share;
  if (chance().uniform() < spec_.leave_share) {
    c.leaves = now_ + static_cast<Nanos>(chance().uniform() * 4e9);
  }
  connect(number, arrival.ingress);
}

void World::arm_client(std::uint32_t client, Nanos when) {
  Client& c = clients_[client];
  const Nanos sooner = std::max(std::min(c.leaves, c.vanishes), now_);
  events_.push(std::min(when, sooner), kClientTimer, client, ++c.timer);
}

void World::connect(std::uint32_t client, std::uint32_t site) {
  Client& c = clients_[client];
  c.site = site;
  c.connection = ++c.connections;
  c.received = 0;
  c.silent = 0;
  ++c.tries;
  c.vanishes = kNever;
  if (c.keyed && chance().uniform() < spec_.vanish_share) {
    c.vanishes = now_ + static_cast<Nanos>(chance().uniform() * 3e9);
  }
  events_.push(now_, kConnect, client, c.connection);
  arm_client(client, now_ + kCheckEvery);
}

void World::on_client_timer(std::uint32_t client) {
  Client& c = clients_[client];
  if (c.end != RequestEnd::Open) return;
  if (now_ >= c.leaves) {
    hit(Probe::ClientLeft);
    leave(client);
    return end_client(client, RequestEnd::Left, "left");
  }
  if (c.connection == 0) return connect(client, c.site);  // its pause is over
  if (now_ >= c.vanishes) {  // another network: the old connection is never closed
    c.vanishes = kNever;
    return try_again(client, 0, false);
  }
  c.silent = broken_.stopped_until(c.site, now_) > 0 ? c.silent + 1 : 0;
  if (c.silent < kSilentChecks) return arm_client(client, now_ + kCheckEvery);
  log("client {} hears nothing of {}", client, name(c.site));
  leave(client);
  try_again(client, 0, true);
}

// Closes its connection; the ingress learns it, unless it is dead or stopped.
void World::leave(std::uint32_t client) {
  Client& c = clients_[client];
  const std::uint32_t connection = c.connection;
  c.connection = 0;
  for (std::uint32_t f = 0; f < flights_.size(); ++f) {
    Flight& flight = flights_[f];
    if (!flight.open || flight.client != client || flight.connection != connection) continue;
    flight.gone = true;
    arm_flight(f);  // as soon as it runs
  }
}

void World::client_token(const Flight& flight, std::uint32_t position) {
  Client& c = clients_[flight.client];
  ++c.written;
  if (c.connection != flight.connection || c.end != RequestEnd::Open) return;
  if (position != c.received) {
    find(Check::Tokens, fmt::format("request {} got token {} where {} was next", flight.client,
                                    position, c.received));
  }
  ++c.received;
  ++c.total;
  c.delivered = std::max(c.delivered, c.received);
}

void World::client_answered(std::uint32_t client, std::uint32_t connection, RequestEnd end,
                            Code code, std::string_view reason, Nanos retry_after) {
  Client& c = clients_[client];
  if (c.answered == connection) {
    return find(Check::OneEnding, fmt::format("request {} is answered twice", client));
  }
  if (c.connection != connection) return;
  c.answered = connection;
  if (end == RequestEnd::Completed) {
    if (c.received != c.arrival.out_tokens) {
      find(Check::Tokens, fmt::format("request {} is complete with {} of {} tokens", client,
                                      c.received, c.arrival.out_tokens));
    }
    return end_client(client, end, "completed");
  }
  if (reason.empty()) {
    find(Check::OneEnding, fmt::format("request {} ended without a reason", client));
  }
  const bool worth = code == Code::Unavailable || code == Code::ResourceExhausted ||
                     code == Code::Internal || code == Code::Protocol;
  if (!c.keyed || !worth || c.tries >= kTriesMax) return end_client(client, end, reason);
  c.connection = 0;
  try_again(client, retry_after, code == Code::Unavailable);
}

// The connection was reset: its ingress died.
void World::client_lost(std::uint32_t client, std::uint32_t connection) {
  Client& c = clients_[client];
  if (c.connection != connection || c.end != RequestEnd::Open) return;
  c.connection = 0;
  log("client {} lost {}", client, name(c.site));
  if (!c.keyed || c.tries >= kTriesMax) {
    return end_client(client, RequestEnd::Lost, "connection reset");
  }
  try_again(client, 0, true);
}

void World::try_again(std::uint32_t client, Nanos after, bool elsewhere) {
  Client& c = clients_[client];
  c.connection = 0;
  if (!c.keyed || c.tries >= kTriesMax) {
    return end_client(client, RequestEnd::Lost, "no answer");
  }
  if (elsewhere) {
    std::vector<bool> skip(sites_.size());
    for (std::uint32_t s = 0; s < sites_.size(); ++s) {
      skip[s] = s == c.site || broken_.down(s) || broken_.stopped_until(s, now_) > 0;
    }
    c.site = network_->nearest(c.site, skip);
    hit(Probe::ClientCameBack);
  }
  const auto doubled = static_cast<double>(kFirstPause << c.tries) * (0.5 + chance().uniform());
  arm_client(client, now_ + std::max(after, static_cast<Nanos>(doubled)));
}

void World::end_client(std::uint32_t client, RequestEnd end, std::string_view reason) {
  Client& c = clients_[client];
  if (c.end != RequestEnd::Open) {
    return find(Check::OneEnding, fmt::format("request {} ended twice", client));
  }
  log("client {} ends: {} ({} tokens)", client, reason, c.received);
  c.end = end;
  c.ended = last_end_ = now_;
  c.connection = 0;
  ++c.timer;
  --clients_open_;
  if (end == RequestEnd::Refused) {
    constexpr std::array kByClass{Probe::RefusedRealtime, Probe::RefusedInteractive,
                                  Probe::RefusedStandard, Probe::RefusedBatch};
    hit(kByClass.at(static_cast<std::size_t>(c.arrival.service_class)));
  }
  if (c.arrival.session == Workload::kNone) return;
  const Nanos next = workload_.end_turn(c.arrival.session, end == RequestEnd::Completed, now_);
  if (next != kNever) events_.push(next, kTurn, c.arrival.session, 0);
}

}  // namespace perigee::sim
