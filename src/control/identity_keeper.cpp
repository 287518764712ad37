#include "control/identity_keeper.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/private_file.h"
#include "control/control_client.h"
#include "directory/json_fields.h"
#include "directory/json_text.h"
#include "net/vital_task.h"
#include "pki/authority.h"

namespace perigee::control {
namespace {

using Timer = asio::steady_timer::rebind_executor<Executor>::other;

constexpr Duration kRetryMin = seconds{1};
constexpr Duration kRetryMax = std::chrono::minutes{5};

// What tells one content of a file from the next.
struct FileMark {
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
  std::int64_t changed_s = 0;  // also its owner and rights
  std::int64_t changed_ns = 0;
  std::uint64_t inode = 0;
  std::int64_t bytes = -1;
  friend bool operator==(const FileMark&, const FileMark&) = default;
};

FileMark mark_of(const std::string& path) {
  struct stat file{};
  if (::stat(path.c_str(), &file) != 0) return {};
  return {file.st_mtim.tv_sec,  file.st_mtim.tv_nsec, file.st_ctim.tv_sec,
          file.st_ctim.tv_nsec, file.st_ino,          file.st_size};
}

}  // namespace

struct IdentityKeeper::State {
  State(Executor io, const Clock& system_clock, IdentityOptions wishes)
      : executor(io), clock(system_clock), options(std::move(wishes)), timer(io) {}

  std::vector<FileMark> marks() const {
    std::vector<FileMark> all;
    if (options.member) {
      all = {mark_of(options.member->certificate), mark_of(options.member->key),
             mark_of(options.member->authorities)};
    }
    if (!options.public_certificate.empty()) {
      all.push_back(mark_of(options.public_certificate));
      all.push_back(mark_of(options.public_key));
    }
    return all;
  }
  static Task<void> run(std::shared_ptr<State> self);
  static Task<void> renew_once(std::shared_ptr<State> self);
  Result<> load();
  Result<std::shared_ptr<const net::TlsServer>> load_server(std::optional<net::TlsMember> as);
  Result<net::TlsCertificate> load_public() const;
  void look();
  bool due() const;
  Result<> keep(const Renewed& renewed);
  void note(std::string_view what, const Error& error);

  Executor executor;
  const Clock& clock;
  IdentityOptions options;
  Timer timer;
  std::function<void()> on_change;
  std::optional<MemberIdentity> member;
  std::shared_ptr<const net::TlsServer> server;
  std::optional<net::TlsCertificate> shown;  // of the public pair: the last that was good
  std::shared_ptr<net::TlsClientSource> client =
      std::make_shared<net::TlsClientSource>(net::TlsClient::make({}).value());
  std::vector<FileMark> seen;
  std::string noted;         // the last trouble, so that it is told once
  std::string public_noted;  // the same of the public pair; empty: it is good
  Instant retry = Instant::min();
  bool stopped = false;
};

Result<net::TlsCertificate> IdentityKeeper::State::load_public() const {
  PERIGEE_TRY(chain, read_pem_file(options.public_certificate));
  PERIGEE_TRY(key, read_pem_file(options.public_key));
  return net::TlsCertificate{std::move(chain), std::move(key)};
}

// What clients are shown is no reason to do without the member's next certificate: while the public
// pair can't be used, the former one goes on.
Result<std::shared_ptr<const net::TlsServer>> IdentityKeeper::State::load_server(
    std::optional<net::TlsMember> as) {
  net::TlsServerOptions both{std::move(as), std::nullopt};
  if (options.public_certificate.empty()) return net::TlsServer::make(both);
  auto pair = load_public();
  Error fault;
  if (pair) {
    both.shown = *pair;
    auto made = net::TlsServer::make(both);
    if (made) {
      shown = std::move(*pair);
      public_noted.clear();
      return made;
    }
    fault = made.error();
  } else {
    fault = pair.error();
  }
  if (!shown || !both.member) return fault;  // there is nothing else to take
  both.shown = shown;
  auto made = net::TlsServer::make(both);
  if (made && std::exchange(public_noted, fault.message) != fault.message) {
    log::warning("the public certificate's files can't be used: the former ones go on",
                 {{"error", fault.message}});
  }
  return made;
}

Result<> IdentityKeeper::State::load() {
  seen = marks();
  std::optional<MemberIdentity> next;
  if (options.member) {
    auto loaded = load_member(*options.member);
    if (!loaded) return loaded.error();
    next = std::move(*loaded);
  }
  if (!next && options.public_certificate.empty()) return {};
  PERIGEE_TRY(made, load_server(next ? std::optional{next->tls} : std::nullopt));
  if (next) {
    net::TlsClientOptions calls;
    calls.member = next->tls;
    calls.authorities_pem = next->tls.authorities_pem;
    PERIGEE_TRY(calling, net::TlsClient::make(calls));
    client->set(calling);
  }
  server = std::move(made);
  member = std::move(next);
  return {};
}

void IdentityKeeper::State::note(std::string_view what, const Error& error) {
  if (noted == error.message) return;
  noted = error.message;
  log::warning(what, {{"error", error.message}});
}

void IdentityKeeper::State::look() {
  if (marks() == seen) return;
  if (auto loaded = load(); !loaded) {
    note("changed certificate files can't be used: the former ones go on", loaded.error());
    return;
  }
  noted.clear();
  if (member) {
    log::info("certificate loaded", {{"id", member->certificate.spiffe_id()},
                                     {"expires", pki::to_text(member->certificate.not_after())}});
  } else {
    log::info("certificate loaded", {});
  }
  if (on_change) on_change();
}

bool IdentityKeeper::State::due() const {
  return options.renew && member && clock.wall() >= renewal_of(member->certificate) &&
         clock.now() >= retry;
}

Result<> IdentityKeeper::State::keep(const Renewed& renewed) {
  PERIGEE_TRY(chain, pki::certificates_from_pem(renewed.chain_pem));
  PERIGEE_CHECK(pki::check_key_belongs(member->tls.own.key_pem, chain.front()));
  // The authorities first: the new certificate may be the first of a new one.
  PERIGEE_CHECK(replace_private_file(options.member->authorities, renewed.authorities_pem));
  PERIGEE_CHECK(replace_private_file(options.member->certificate, renewed.chain_pem));
  return {};
}

namespace {

// The key stays: it never leaves its machine, and heads of receipts are signed with it.
Result<std::string> request_for(const MemberIdentity& identity) {
  PERIGEE_TRY(key, pki::KeyPair::from_pem(identity.tls.own.key_pem));
  return pki::make_certificate_request(key, identity.member.name);
}

}  // namespace

Task<Result<Renewed>> renew_over(ControlClient& client, std::string request_pem) {
  ControlCall call;
  call.method = "POST";
  call.path = "/control/v1/renew";
  call.body = JsonObject{}.add("certificate_request", request_pem).take();
  auto answer = co_await client.call(std::move(call));
  if (!answer) co_return answer.error();
  PERIGEE_CO_TRY(object, parse_json_object(*answer));
  JsonFields fields{object};
  Renewed renewed;
  renewed.chain_pem = fields.lines("certificate", Need::Required, pki::kPemBytesMax);
  renewed.authorities_pem = fields.lines("authorities", Need::Required, pki::kPemBytesMax);
  PERIGEE_CO_CHECK(fields.finish(UnknownFields::Ignore));
  co_return renewed;
}

IdentityKeeper::IdentityKeeper(Executor executor, const Clock& clock, IdentityOptions options)
    : state_(std::make_shared<State>(executor, clock, std::move(options))) {}

IdentityKeeper::~IdentityKeeper() {
  state_->stopped = true;
  state_->on_change = nullptr;
  state_->options.renew = nullptr;
  state_->timer.cancel();
}

Result<> IdentityKeeper::load() {
  PERIGEE_CHECK(state_->load());
  if (!state_->member) return {};
  if (auto valid = still_valid(*state_->member, state_->clock.wall()); !valid) {
    log::error("this member's certificate is not valid: others will refuse it",
               {{"error", valid.error().message}});
  }
  return {};
}

void IdentityKeeper::watch(std::function<void()> on_change) {
  if (!state_->server) return;
  state_->on_change = std::move(on_change);
  asio::co_spawn(state_->executor, State::run(state_), net::VitalTask{"keeping the certificate"});
}

std::shared_ptr<const net::TlsServer> IdentityKeeper::server() const { return state_->server; }

const std::shared_ptr<net::TlsClientSource>& IdentityKeeper::client() const {
  return state_->client;
}

const std::optional<MemberIdentity>& IdentityKeeper::member() const { return state_->member; }

std::string IdentityKeeper::grid() const {
  return state_->member ? state_->member->member.grid : std::string{};
}

Task<void> IdentityKeeper::State::renew_once(std::shared_ptr<State> self) {
  auto request = request_for(*self->member);
  Result<> kept = Error{Code::Internal, "not tried"};
  if (!request) {
    kept = request.error();
  } else {
    auto renewed = co_await self->options.renew(std::move(*request));
    if (self->stopped) co_return;
    if (renewed) {
      kept = self->keep(*renewed);
    } else {
      kept = renewed.error();
    }
  }
  // Also of what was kept: look() finds the new files, and they may be of no use.
  const Duration left =
      microseconds{self->member->certificate.not_after().micros - self->clock.wall().micros};
  self->retry = self->clock.now() + std::clamp<Duration>(left / 20, kRetryMin, kRetryMax);
  if (kept) co_return;
  self->note("the certificate could not be renewed: it is tried again", kept.error());
}

Task<void> IdentityKeeper::State::run(std::shared_ptr<State> self) {
  while (!self->stopped) {
    self->timer.expires_after(self->options.look);
    (void)co_await self->timer.async_wait(kAwait);
    if (self->stopped) co_return;
    if (self->due()) {
      co_await renew_once(self);
      if (self->stopped) co_return;
    }
    self->look();
  }
}

}  // namespace perigee::control
