#include "control/usage_shipper.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "control/control_client.h"
#include "control/usage_json.h"
#include "ledger/sqlite/usage_outbox.h"
#include "net/vital_task.h"

namespace perigee::control {
namespace {

using Timer = asio::steady_timer::rebind_executor<Executor>::other;

}  // namespace

struct UsageShipper::State {
  State(ShipperOptions wishes, const Clock& clock, net::Url url,
        std::unique_ptr<UsageOutbox> records)
      : options(std::move(wishes)),
        outbox(std::move(records)),
        random(options.seed),
        timer(io.get_executor()),
        client(io.get_executor(), clock, std::move(url), options.key, options.tls) {}

  void run() {
    asio::co_spawn(io, ship(), [this](const std::exception_ptr& thrown) {
      net::VitalTask{"shipping usage"}(thrown);
      const std::scoped_lock lock{mutex};
      ended = true;
      done.notify_all();
      io.stop();  // a connection in the pool would keep it running
    });
    io.run();
  }

  Task<> ship() {
    Duration delay{};
    while (!stopped) {
      auto shipped = co_await ship_batch();
      note(shipped);
      if (shipped) {
        delay = {};
        if (*shipped == kUsageBatchMax || (finishing && *shipped > 0)) continue;
      }
      if (finishing || stopped) co_return;
      Duration pause = options.interval;
      if (!shipped) {
        delay = std::clamp(2 * delay, options.retry_min, options.retry_max);
        const double share = 0.5 + random.uniform() / 2;  // so that not all sites return at once
        pause = std::chrono::duration_cast<Duration>(share * delay);
      }
      timer.expires_after(pause);
      co_await timer.async_wait(kAwait);
    }
  }

  // How many records went; an error leaves the cursor where it is.
  Task<Result<std::size_t>> ship_batch() {
    auto batch = outbox->next(kUsageBatchMax);
    if (!batch) co_return batch.error();
    if (batch->last == 0) co_return std::size_t{0};
    ControlCall call;
    call.method = "POST";
    call.path = "/control/v1/usage";
    call.body = usage_batch_json(batch->records);
    auto answer = co_await client.call(std::move(call), &abort);
    if (!answer) co_return answer.error();
    const Result<> moved = outbox->shipped(batch->last);
    if (!moved) co_return moved.error();
    co_return std::max<std::size_t>(batch->records.size(), 1);
  }

  void note(const Result<std::size_t>& shipped) {
    const Result<std::uint64_t> waiting = outbox->waiting();
    const std::scoped_lock lock{mutex};
    if (waiting) status.waiting = *waiting;
    if (shipped) {
      status.shipped += *shipped;
      status.error.clear();
      return;
    }
    if (status.error != shipped.error().message) {
      log::warning("usage records wait for control",
                   {{"waiting", status.waiting}, {"error", shipped.error().message}});
    }
    status.error = shipped.error().message;
  }

  const ShipperOptions options;
  asio::io_context io{1};
  std::unique_ptr<UsageOutbox> outbox;
  Random random;
  Timer timer;
  net::Abort abort;
  ControlClient client;
  bool stopped = false;    // the thread's own
  bool finishing = false;  // the thread's own
  mutable std::mutex mutex;
  std::condition_variable done;
  bool ended = false;
  ShippingStatus status;
  std::thread thread;
};

Result<std::unique_ptr<UsageShipper>> UsageShipper::start(ShipperOptions options,
                                                          const Clock& clock) {
  PERIGEE_TRY(url, control_url(options.url, options.grid));
  PERIGEE_TRY(outbox, UsageOutbox::open(options.file));
  auto state =
      std::make_unique<State>(std::move(options), clock, std::move(url), std::move(outbox));
  std::unique_ptr<UsageShipper> shipper{new UsageShipper{std::move(state)}};
  shipper->state_->thread = std::thread{[&running = *shipper->state_] { running.run(); }};
  return shipper;
}

UsageShipper::UsageShipper(std::unique_ptr<State> state) : state_(std::move(state)) {}

UsageShipper::~UsageShipper() {
  asio::post(state_->io, [&state = *state_] {
    state.stopped = true;
    state.abort.abort();
    state.timer.cancel();
  });
  state_->thread.join();
}

bool UsageShipper::finish(Duration at_most) {
  asio::post(state_->io, [&state = *state_] {
    state.finishing = true;
    state.timer.cancel();
  });
  std::unique_lock lock{state_->mutex};
  state_->done.wait_for(lock, at_most, [this] { return state_->ended; });
  return state_->ended && state_->status.error.empty() && state_->status.waiting == 0;
}

ShippingStatus UsageShipper::status() const {
  const std::scoped_lock lock{state_->mutex};
  return state_->status;
}

}  // namespace perigee::control
