// A full queue: who makes room for whom.
#include <algorithm>

#include "core/admission_state.h"

namespace perigee {
namespace {

using Why = AdmissionRefusal::Why;
constexpr std::uint32_t kNone = WaitingTable::kNone;

}  // namespace

bool AdmissionQueue::State::full(const WaitingRequest& request) const {
  if (table.waiting() >= options.requests_max || table.dropped() >= options.requests_max) {
    return true;
  }
  return table.waiting() > 0 && table.waiting_tokens() + request.prompt_tokens > options.tokens_max;
}

bool AdmissionQueue::State::make_room(const WaitingRequest& request, Duration retry) {
  if (table.dropped() >= options.requests_max) return false;
  return take_from_below(request, retry) || take_from_heaviest(request, retry) ||
         (request.begun && take_from_newest(request, retry));
}

// What has begun somewhere goes before whoever has nothing yet, of its own tenant too.
bool AdmissionQueue::State::take_from_newest(const WaitingRequest& request, Duration retry) {
  while (full(request)) {
    const std::uint32_t newest = table.newest(request.level);
    if (newest == kNone || table.at(newest).begun) return false;
    drop(newest, Why::Full, retry);
  }
  return true;
}

bool AdmissionQueue::State::take_from_below(const WaitingRequest& request, Duration retry) {
  std::uint64_t tokens = table.waiting_tokens();
  std::uint32_t requests = 0;
  for (std::uint8_t below = request.level + 1; below < kAdmissionLevels; ++below) {
    tokens -= table.level(below).prompt_tokens;
    requests += table.level(below).requests;
  }
  const bool fits =
      tokens + request.prompt_tokens <= options.tokens_max || requests == table.waiting();
  if (requests == 0 || !fits) return false;
  for (std::uint8_t below = kAdmissionLevels - 1; below > request.level && full(request);) {
    const std::uint32_t newest = table.newest(below);
    if (newest == kNone || table.at(newest).begun) {  // these stand before all others
      --below;
    } else {
      drop(newest, Why::Full, retry);
    }
  }
  return !full(request);
}

// From the newest request of the tenant with the most work here, while it keeps more than the one
// who asks would have.
bool AdmissionQueue::State::take_from_heaviest(const WaitingRequest& request, Duration retry) {
  const std::uint32_t heaviest = table.heaviest(request.level);
  if (heaviest == WaitingTable::kNoTenant || heaviest == request.tenant) return false;
  const double most = table.work(request.tenant, request.level) + request.work;
  const auto over = [](std::uint64_t value, std::uint64_t bound) {
    return value > bound ? value - bound : 0;
  };
  const std::uint64_t tokens_wanted =
      over(table.waiting_tokens() + request.prompt_tokens, options.tokens_max);
  double work = table.work(heaviest, request.level);
  std::uint64_t tokens = 0;
  std::uint32_t last = table.newest(request.level);
  for (; last != kNone; last = table.before(last)) {
    const WaitingRequest& victim = table.at(last);
    if (victim.tenant != heaviest || victim.begun) continue;
    work -= victim.work;
    if (work < most) return false;
    tokens += victim.prompt_tokens;
    if (tokens >= tokens_wanted) break;
  }
  if (last == kNone) return false;
  for (std::uint32_t position = table.newest(request.level); position != kNone;) {
    const std::uint32_t older = table.before(position);
    if (table.at(position).tenant == heaviest && !table.at(position).begun)
      drop(position, Why::Full, retry);
    if (position == last) break;
    position = older;
  }
  return !full(request);
}

}  // namespace perigee
