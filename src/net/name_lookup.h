// NameLookup: the addresses of host names, asked of the system's resolver, which blocks and can't
// be interrupted: with a silent DNS server for half a minute. So it is asked on threads of its own,
// side by side, and nobody waits for a thread: neither who lost interest, nor the io_context's end,
// nor the process's.
//
// A thread knows no event loop and posts nothing, so it does not matter whether one is still there
// when its answer comes. It fills in a Name, which belongs to it and to those who wait, and makes
// that Name's eventfd readable; each who waits has a descriptor of its own for that eventfd in its
// own Poller. A coroutine so waits for a name as it waits for a socket, on the IO thread, with the
// same deadline and abort.
#pragma once

#include <boost/asio/execution_context.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/socket_address.h"
#include "net/task.h"

namespace perigee::net {

// At least one, in the order in which they should be tried; their port is 0.
using Addresses = std::vector<SocketAddress>;

// getaddrinfo() for TCP: /etc/hosts, DNS and whatever else the system has configured. Blocks.
// Unavailable says what the system says.
Result<Addresses> ask_system(const std::string& name);

// One per io_context, made by the first of(). Its functions: IO thread only.
class NameLookup final : public asio::execution_context::service {
 public:
  // A silent DNS server holds a thread for as long as the resolver is patient (by default 5 s a
  // try, two tries of each of up to three servers), and a site has about ten names: its neighbours,
  // control, external engines. A thread exists while names are to be looked up, and is never
  // joined.
  static constexpr std::size_t kThreadsMax = 16;
  static constexpr std::size_t kNamesMax = 256;     // asked now or waiting for a thread
  static constexpr std::size_t kAddressesMax = 32;  // kept of one name

  // Called on any thread, several at a time, and possibly while the process ends: it must own what
  // it uses.
  using Ask = std::function<Result<Addresses>(const std::string& name)>;

  struct State;
  struct Name;
  // One caller's interest in a name. Dropping it is always safe and never blocks: a name that waits
  // for a thread is forgotten with its last caller; one being asked is asked to its end, for those
  // who ask meanwhile. May outlive the NameLookup.
  class Wait {
   public:
    Wait(std::shared_ptr<State> state, std::shared_ptr<Name> name);
    Wait(Wait&&) noexcept = default;
    Wait& operator=(Wait&&) = delete;
    ~Wait();
    // A new descriptor, the caller's to close; readable from when the answer is there. -1: the
    // process has none left.
    int descriptor() const;
    // Once that is readable. Not cached: the next to ask asks the system again.
    Result<Addresses> answer() const;

   private:
    std::shared_ptr<State> state_;
    std::shared_ptr<Name> name_;  // null when moved from
  };

  using key_type = NameLookup;
  static asio::execution_context::id id;
  // Of an io_context that has none yet, asio::make_service<NameLookup>(context, ask) makes one that
  // asks something else.
  explicit NameLookup(asio::execution_context& context, Ask ask = ask_system);
  ~NameLookup() override;
  static NameLookup& of(Executor executor);

  // Joins those who wait for this name already. Never blocks. Unavailable: too many names wait, or
  // the process has no descriptor or thread left.
  Result<Wait> start(const std::string& name);

 private:
  void shutdown() noexcept override {}

  std::shared_ptr<State> state_;
};

}  // namespace perigee::net
