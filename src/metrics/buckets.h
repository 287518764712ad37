// Upper bounds of histogram buckets, those of OpenTelemetry's GenAI conventions, so that Prometheus
// and OpenTelemetry views of one grid agree.
#pragma once

#include <array>

namespace perigee::metrics {

// Of a whole request, in seconds.
inline constexpr std::array kDurationBuckets{0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                             1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
// Until the first token, in seconds.
inline constexpr std::array kTimeToFirstTokenBuckets{
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0};
// Per output token after the first, in seconds.
inline constexpr std::array kTimePerTokenBuckets{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
                                                 0.3,  0.4,   0.5,  0.75,  1.0, 2.5};
// Tokens of one request.
inline constexpr std::array kTokenBuckets{1.0,       4.0,       16.0,       64.0,      256.0,
                                          1024.0,    4096.0,    16384.0,    65536.0,   262144.0,
                                          1048576.0, 4194304.0, 16777216.0, 67108864.0};

}  // namespace perigee::metrics
