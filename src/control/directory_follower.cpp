#include "control/directory_follower.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "api/error_body.h"
#include "base/log.h"
#include "base/random.h"
#include "control/control_client.h"
#include "control/history.h"
#include "control/snapshot_file.h"
#include "control/snapshot_keeper.h"
#include "directory/records_json.h"
#include "net/sse_parser.h"
#include "net/vital_task.h"

namespace perigee::control {
namespace {

using Timer = asio::steady_timer::rebind_executor<Executor>::other;

constexpr std::size_t kEventBytesMax = std::size_t{64} * 1024 * 1024;
constexpr int kErrorStatusUnknown = 500;
constexpr std::string_view kOtherHistory = "history";  // `param` of control's refusal

// The watch that a snapshot follows is refused by control itself if it must be. A whole snapshot
// says nothing of its past: control may have been replaced by an older copy in the moment between.
// One that has made as many changes since is not told apart here.
Result<> check_not_older(const DirectorySnapshot& ours, const DirectorySnapshot& taken) {
  if (epoch_of(taken.epoch) != epoch_of(ours.epoch) || taken.revision >= ours.revision) return {};
  return Error{Code::FailedPrecondition,
               "control's directory, at revision " + std::to_string(taken.revision) +
                   ", is an older copy than what this site has, at " +
                   std::to_string(ours.revision) +
                   "; docs/directory.md (Histories) says what to do",
               std::string{kOtherHistory}};
}

void log_skipped(const std::vector<std::string>& skipped) {
  for (const std::string& row : skipped) {
    log::warning("a directory row is not understood and left out: upgrade this site",
                 {{"row", row}});
  }
}

}  // namespace

struct FollowerState {
  FollowerState(Executor io, const Clock& system_clock, FollowerOptions follower_options,
                DirectoryFollower::OnChange callback)
      : executor(io),
        clock(system_clock),
        options(std::move(follower_options)),
        on_change(std::move(callback)),
        random(options.seed),
        timer(io) {
    link.since = clock.now();
  }

  void load_file();
  void publish(DirectorySnapshot next);
  void set_connected();
  void set_island(const Error& why);
  Duration next_delay();

  Executor executor;
  const Clock& clock;
  FollowerOptions options;
  DirectoryFollower::OnChange on_change;
  Random random;
  Timer timer;
  net::Abort abort;
  std::optional<ControlClient> client;
  std::optional<SnapshotKeeper> keeper;
  DirectoryFollower::Snapshot snapshot;
  ControlLink link;
  Duration delay{};
  Instant asked{};         // when the try that is under way, or the last, began
  bool take_anew = false;  // the watch can't go on from our snapshot
  bool stopped = false;
};

void FollowerState::load_file() {
  std::vector<std::string> skipped;
  Result<DirectorySnapshot> loaded = load_snapshot(options.file, skipped);
  if (!loaded) {
    if (loaded.error().code != Code::NotFound) {
      log::error("the stored directory snapshot is ignored", {{"error", loaded.error().message}});
    }
    return;
  }
  log_skipped(skipped);
  snapshot = std::make_shared<const DirectorySnapshot>(std::move(*loaded));
  log::info("directory snapshot loaded from disk", {{"revision", snapshot->revision}});
  on_change(snapshot);
}

void FollowerState::publish(DirectorySnapshot next) {
  snapshot = std::make_shared<const DirectorySnapshot>(std::move(next));
  if (keeper) keeper->keep(snapshot);
  on_change(snapshot);
}

void FollowerState::set_connected() {
  delay = Duration{};
  if (link.connected) return;
  link = {true, clock.now(), {}};
  log::info("following control", {{"url", options.url}, {"revision", snapshot->revision}});
}

void FollowerState::set_island(const Error& why) {
  if (link.connected || link.error != why.message) {
    log::warning("control is out of reach: this site carries on with its last snapshot",
                 {{"url", options.url}, {"error", why.message}});
  }
  if (link.connected) link.since = clock.now();
  link.connected = false;
  link.error = why.message;
}

Duration FollowerState::next_delay() {
  delay = std::clamp(2 * delay, options.retry_min, options.retry_max);
  const double share = 0.5 + random.uniform() / 2;  // so that not all sites return at once
  return std::chrono::duration_cast<Duration>(share * delay);
}

namespace {

using StatePtr = std::shared_ptr<FollowerState>;

Task<Result<>> take_snapshot(StatePtr state) {
  state->take_anew = false;  // should this fail, control is first asked again whether it knows us
  ControlCall get;
  get.path = "/control/v1/snapshot";
  auto json = co_await state->client->call(std::move(get), &state->abort);
  if (!json) co_return json.error();
  std::vector<std::string> skipped;
  PERIGEE_CO_TRY(snapshot, snapshot_from_json(*json, skipped));
  log_skipped(skipped);
  if (state->snapshot) PERIGEE_CO_CHECK(check_not_older(*state->snapshot, snapshot));
  if (!state->stopped) state->publish(std::move(snapshot));
  co_return Result<>{};
}

// Takes what one piece of the stream holds. An error ends the watch.
Result<> take_events(FollowerState& state, net::SseParser& parser, std::string_view piece) {
  std::optional<DirectorySnapshot> next;
  std::vector<std::string> skipped;
  Result<> outcome;
  net::SseEvent event;
  for (;;) {
    const net::SseParser::Result parsed = parser.next(piece, event);
    if (parsed == net::SseParser::Result::Failed) {
      outcome = Error{Code::Protocol, parser.failure()};
    }
    if (parsed == net::SseParser::Result::NeedMore || !outcome) break;
    if (parsed != net::SseParser::Result::Event || !event.has_data) continue;
    if (event.event == "error") {
      outcome = api::parse_error_body(kErrorStatusUnknown, event.data);
      state.take_anew =
          state.take_anew || event.data.find("failed_precondition") != std::string::npos;
      break;
    }
    if (!next) next.emplace(*state.snapshot);
    outcome = apply_event(*next, event.data, skipped);
    if (!outcome) {
      state.take_anew = true;
      next.reset();
      break;
    }
  }
  log_skipped(skipped);
  if (next) state.publish(std::move(*next));
  return outcome;
}

// Follows until it fails; the error says why.
Task<Error> follow_once(StatePtr state) {
  if (!state->snapshot || state->take_anew) {
    auto taken = co_await take_snapshot(state);
    if (!taken) co_return taken.error();
  }
  if (state->stopped) co_return Error{Code::Cancelled, "stopped"};
  std::string epoch = state->snapshot->epoch;
  auto opened =
      co_await state->client->watch(state->snapshot->revision, std::move(epoch), &state->abort);
  if (!opened) {
    // Of an older copy of the directory nothing is taken: it would bring back what was revoked.
    state->take_anew =
        opened.error().code == Code::FailedPrecondition && opened.error().param != kOtherHistory;
    co_return opened.error();
  }
  net::ClientResponse response = std::move(*opened);
  net::SseParser parser{kEventBytesMax};
  while (!state->stopped) {
    auto piece = co_await response.read_some();
    if (!piece) co_return piece.error();
    if (piece->empty()) co_return Error{Code::Unavailable, "control ended the watch"};
    if (state->stopped) break;
    state->set_connected();
    Result<> taken = take_events(*state, parser, *piece);
    if (!taken) co_return taken.error();
  }
  co_return Error{Code::Cancelled, "stopped"};
}

Task<void> follow(StatePtr state) {
  while (!state->stopped) {
    const bool took_anew = state->take_anew;
    state->abort.reset();
    state->asked = state->clock.now();
    Error why = co_await follow_once(state);
    if (state->stopped) break;
    if (state->take_anew && !took_anew) continue;  // at once, but not twice in a row
    if (!state->abort.aborted()) state->set_island(why);
    state->timer.expires_after(state->next_delay());
    (void)co_await state->timer.async_wait(kAwait);
  }
}

}  // namespace

DirectoryFollower::DirectoryFollower(Executor executor, const Clock& clock, FollowerOptions options,
                                     OnChange on_change)
    : state_(std::make_shared<FollowerState>(executor, clock, std::move(options),
                                             std::move(on_change))) {}

DirectoryFollower::~DirectoryFollower() {
  state_->stopped = true;
  state_->abort.abort();
  state_->timer.cancel();
  state_->keeper.reset();
  state_->on_change = nullptr;
}

Result<> DirectoryFollower::start() {
  PERIGEE_TRY(url, control_url(state_->options.url, state_->options.grid));
  if (!state_->options.file.empty()) {
    state_->load_file();
    state_->keeper.emplace(state_->options.file);
  }
  state_->client.emplace(state_->executor, state_->clock, std::move(url), state_->options.key,
                         state_->options.tls);
  asio::co_spawn(state_->executor, follow(state_), net::VitalTask{"following control"});
  return {};
}

// A try that began while nothing could come through waits for an answer to what was lost. No random
// pause comes before it, though the sites of an island that heals ask within some 100 ms: control
// has as many within as little whenever it restarts (`retry_min`), and a pause would be served with
// what was revoked meanwhile.
void DirectoryFollower::hurry() {
  FollowerState& state = *state_;
  if (state.stopped || state.link.connected) return;
  state.delay = Duration{};
  state.timer.cancel();
  if (state.clock.now() - state.asked > state.options.hopeless_after)
    state.abort.abort_unanswered();
}

const DirectoryFollower::Snapshot& DirectoryFollower::snapshot() const { return state_->snapshot; }
const ControlLink& DirectoryFollower::link() const { return state_->link; }

}  // namespace perigee::control
