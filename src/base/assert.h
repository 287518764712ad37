// PERIGEE_ASSERT: a broken invariant of ours, checked in release builds too. Bad input is never an
// assertion: it is a Result.
#pragma once

namespace perigee::detail {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);
}  // namespace perigee::detail

#define PERIGEE_ASSERT(condition)                                          \
  do {                                                                     \
    if (!(condition)) [[unlikely]] {                                       \
      ::perigee::detail::assertion_failed(#condition, __FILE__, __LINE__); \
    }                                                                      \
  } while (false)
