// Result<T>: a value or an Error. Expected failures travel as values; nothing in Perigee throws
// across a function boundary of its own.
#pragma once

#include <boost/system/result.hpp>
#include <utility>

#include "base/error.h"

namespace perigee {

// Access `.value()`/`*` only after a check; `.error()` only when it holds an error.
template <class T = void>
using Result = boost::system::result<T, Error>;

// Needed by boost::system::result: what `.value()` throws when it holds an error, which is a defect
// of the caller.
[[noreturn]] void throw_exception_from_error(const Error& error,
                                             const boost::source_location& location);

}  // namespace perigee

// PERIGEE_TRY(name, expression): names the value or returns the error from the function.
// PERIGEE_CHECK(expression): the same for Result<>. The CO_ forms are for coroutines. An expression
// that awaits must be named first (style rule C2): `auto r = co_await f(); PERIGEE_CO_TRY(v, r);`
#define PERIGEE_TRY(name, ...)                                 \
  auto name##_result = (__VA_ARGS__);                          \
  if (!name##_result) return std::move(name##_result).error(); \
  auto& name = *name##_result
#define PERIGEE_CHECK(...)                                                            \
  do {                                                                                \
    if (auto checked_ = (__VA_ARGS__); !checked_) return std::move(checked_).error(); \
  } while (false)
#define PERIGEE_CO_TRY(name, ...)                                 \
  auto name##_result = (__VA_ARGS__);                             \
  if (!name##_result) co_return std::move(name##_result).error(); \
  auto& name = *name##_result
#define PERIGEE_CO_CHECK(...)                                                            \
  do {                                                                                   \
    if (auto checked_ = (__VA_ARGS__); !checked_) co_return std::move(checked_).error(); \
  } while (false)
