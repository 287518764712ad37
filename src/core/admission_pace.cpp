#include <limits>

#include "core/admission_state.h"

namespace perigee {

void AdmissionQueue::State::keep_pace(Instant now) {
  const std::uint32_t decoding = running_ordinary + running_network - prefilling;
  if (decoding > 0) pace.observe(static_cast<double>(decoding) / engines, tpot_ms(now), now);
  std::array<std::uint32_t, PaceLimit::kClasses> answers{};
  for (std::uint8_t c = 0; c < answers.size(); ++c) {
    const auto level = static_cast<std::uint8_t>(c + 1);
    answers[c] = running_by_level[level] + static_cast<std::uint32_t>(table.level(level).answers);
  }
  const double slots_each = slots_ordinary == kSlotsUnbounded
                                ? std::numeric_limits<double>::infinity()
                                : static_cast<double>(slots_ordinary) / engines;
  const double most = pace.most_running(slots_each, answers, now) * engines;
  slots_paced = most < kSlotsUnbounded ? static_cast<std::uint32_t>(most) : kSlotsUnbounded;
}

}  // namespace perigee
