#include "control/rate_lessee.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "control/control_client.h"
#include "control/rates_json.h"
#include "net/vital_task.h"

namespace perigee::control {
namespace {

using Timer = asio::steady_timer::rebind_executor<Executor>::other;

// Between two reports, however many requests wait: what comes meanwhile goes with the next.
constexpr Duration kBreath = milliseconds{5};

}  // namespace

struct RateLessee::State {
  State(Executor executor, const Clock& clock, net::Url url, RateLesseeOptions chosen,
        RateHolder whose)
      : options(std::move(chosen)),
        holder(std::move(whose)),
        client(executor, clock, std::move(url), options.key, options.tls),
        timer(executor),
        limit(executor) {}

  bool due() {
    const Instant since = holder.linked_since();
    const bool again = std::exchange(linked_since, since) != since;
    return std::exchange(wanted, false) || again || holder.has_claims();
  }

  RateLesseeOptions options;
  RateHolder holder;
  ControlClient client;
  Timer timer;
  Timer limit;  // of the call under way
  net::Abort abort;
  Instant linked_since;
  bool wanted = false;
  bool reporting = false;
  bool stopped = false;
};

namespace {

template <class StatePtr>
Task<void> tell(StatePtr state) {
  const RateReport report = state->holder.report();
  ControlCall call;
  call.method = "POST";
  call.path = "/control/v1/rates";
  call.body = rate_report_json(report);
  state->abort.reset();
  state->limit.expires_after(state->options.patience);
  state->limit.async_wait([state](const boost::system::error_code& status) {
    if (!status && state->reporting) state->abort.abort();
  });
  auto answer = co_await state->client.call(std::move(call), &state->abort);
  state->limit.cancel();
  if (state->stopped) co_return;
  auto grants =
      answer ? parse_rate_grants(*answer) : Result<std::vector<RateGrant>>{answer.error()};
  if (grants)
    state->holder.granted(report, *grants);
  else
    state->holder.failed(report);
}

template <class StatePtr>
Task<void> keep_telling(StatePtr state) {
  while (!state->stopped) {
    if (state->due()) {
      state->reporting = true;
      co_await tell(state);
      state->reporting = false;
      if (state->stopped) break;
    }
    state->timer.expires_after(state->wanted ? kBreath : state->options.interval);
    (void)co_await state->timer.async_wait(kAwait);
  }
}

}  // namespace

Result<std::unique_ptr<RateLessee>> RateLessee::start(Executor executor, const Clock& clock,
                                                      RateLesseeOptions options,
                                                      RateHolder holder) {
  PERIGEE_TRY(url, control_url(options.url, options.grid));
  auto state = std::make_shared<State>(executor, clock, std::move(url), std::move(options),
                                       std::move(holder));
  asio::co_spawn(executor, keep_telling(state), net::VitalTask{"asking control for shares"});
  return std::unique_ptr<RateLessee>{new RateLessee{std::move(state)}};
}

RateLessee::RateLessee(std::shared_ptr<State> state) : state_(std::move(state)) {}

RateLessee::~RateLessee() {
  state_->stopped = true;
  state_->abort.abort();
  state_->timer.cancel();
  state_->limit.cancel();
}

void RateLessee::wake() {
  state_->wanted = true;
  if (!state_->reporting) state_->timer.cancel();
}

}  // namespace perigee::control
