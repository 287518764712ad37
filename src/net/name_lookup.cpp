#include "net/name_lookup.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/assert.h"

namespace perigee::net {

// All but `text` and `ready` is under the State's mutex.
struct NameLookup::Name {
  explicit Name(std::string text_in) : text(std::move(text_in)) {}
  ~Name() {
    if (ready >= 0) ::close(ready);
  }
  Name(const Name&) = delete;
  Name& operator=(const Name&) = delete;

  const std::string text;
  const int ready = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::size_t waits = 0;
  bool begun = false;
  std::optional<Result<Addresses>> found;
};

// Shared by the service, its threads and its waits; the last to leave destroys it.
struct NameLookup::State {
  explicit State(Ask ask_in) : ask(std::move(ask_in)) {}

  const Ask ask;
  std::mutex mutex;                                                 // never held while asking
  std::map<std::string, std::shared_ptr<Name>, std::less<>> names;  // without an answer yet
  std::deque<std::shared_ptr<Name>> queue;                          // of them, those not begun
  std::size_t threads = 0;

  void forget(const Name& name) {
    std::erase_if(queue, [&](const auto& each) { return each.get() == &name; });
    names.erase(name.text);
  }
};

namespace {

Error cannot_resolve(const std::string& name, const std::string& why) {
  return Error{Code::Unavailable, "can't resolve " + name + ": " + why};
}

Result<Addresses> ask_safely(const NameLookup::State& state, const std::string& name) {
  try {
    return state.ask(name);
  } catch (const std::exception& thrown) {
    return cannot_resolve(name, thrown.what());
  }
}

// A thread: takes names until none waits. The mutex is let go of before the State.
void ask_names(const std::shared_ptr<NameLookup::State>& state) {
  std::unique_lock lock{state->mutex};
  while (!state->queue.empty()) {
    const std::shared_ptr<NameLookup::Name> name = std::move(state->queue.front());
    state->queue.pop_front();
    name->begun = true;
    lock.unlock();
    Result<Addresses> found = ask_safely(*state, name->text);
    lock.lock();
    name->found.emplace(std::move(found));
    state->names.erase(name->text);
    ::eventfd_write(name->ready, 1);
  }
  --state->threads;
}

}  // namespace

Result<Addresses> ask_system(const std::string& name) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int error = ::getaddrinfo(name.c_str(), nullptr, &wanted, &first);
  if (error != 0) {
    return cannot_resolve(name, error == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(error));
  }
  Addresses addresses;
  for (const addrinfo* each = first; each != nullptr; each = each->ai_next) {
    if (addresses.size() == NameLookup::kAddressesMax) break;
    if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
    SocketAddress address;
    address.size = each->ai_addrlen;
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
    addresses.push_back(address);
  }
  ::freeaddrinfo(first);
  if (addresses.empty()) return cannot_resolve(name, "it has no address");
  return addresses;
}

NameLookup::Wait::Wait(std::shared_ptr<State> state, std::shared_ptr<Name> name)
    : state_(std::move(state)), name_(std::move(name)) {}

NameLookup::Wait::~Wait() {
  if (name_ == nullptr) return;
  const std::scoped_lock lock{state_->mutex};
  if (--name_->waits == 0 && !name_->begun) state_->forget(*name_);
}

int NameLookup::Wait::descriptor() const { return ::fcntl(name_->ready, F_DUPFD_CLOEXEC, 0); }

Result<Addresses> NameLookup::Wait::answer() const {
  const std::scoped_lock lock{state_->mutex};
  PERIGEE_ASSERT(name_->found.has_value());
  return *name_->found;
}

asio::execution_context::id NameLookup::id;

NameLookup::NameLookup(asio::execution_context& context, Ask ask)
    : service(context), state_(std::make_shared<State>(std::move(ask))) {}

NameLookup::~NameLookup() = default;

NameLookup& NameLookup::of(Executor executor) {
  return asio::use_service<NameLookup>(asio::query(executor, asio::execution::context));
}

Result<NameLookup::Wait> NameLookup::start(const std::string& text) {
  const std::scoped_lock lock{state_->mutex};
  if (const auto known = state_->names.find(text); known != state_->names.end()) {
    ++known->second->waits;
    return Wait{state_, known->second};
  }
  if (state_->names.size() == kNamesMax) {
    return cannot_resolve(text, std::to_string(kNamesMax) + " names wait for the DNS already");
  }
  auto name = std::make_shared<Name>(text);
  if (name->ready < 0) return cannot_resolve(text, std::strerror(errno));
  try {
    state_->names.emplace(text, name);
    state_->queue.push_back(name);
    if (state_->threads < kThreadsMax) {
      std::thread{ask_names, state_}.detach();
      ++state_->threads;
    }
  } catch (const std::exception& error) {  // no thread, no memory
    // If it waits already, a thread that is there takes it.
    const bool waits = !state_->queue.empty() && state_->queue.back() == name;
    if (!waits || state_->threads == 0) {
      state_->forget(*name);
      return cannot_resolve(text, error.what());
    }
  }
  ++name->waits;
  return Wait{state_, std::move(name)};
}

}  // namespace perigee::net
