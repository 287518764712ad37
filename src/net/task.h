// Task: the coroutine type of Perigee's shell, and the executor all its IO runs on.
//
// One IO thread per process runs one io_context; everything in net/, gateway/ and peer/ lives on
// it, so nothing here locks. Coroutine rules C1..C5 (STYLE.md, section 7) apply.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>

namespace perigee {

namespace asio = boost::asio;
using Executor = asio::io_context::executor_type;
template <class T = void>
using Task = asio::awaitable<T, Executor>;
// The completion token for awaited operations: `auto [ec, n] = co_await op(kAwait)` style results
// without exceptions (mind rule C3).
inline constexpr auto kAwait = asio::as_tuple(asio::deferred);

}  // namespace perigee

// Before a plain function that a coroutine calls between its waits. Inlined, it would leave room
// for each of its temporaries in the coroutine's frame, which lasts as long as its stream: of the
// frames of one stream that was half.
#define PERIGEE_OUT_OF_FRAME [[gnu::noinline]]
