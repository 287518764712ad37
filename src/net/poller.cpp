#include "net/poller.h"

#include <unistd.h>

#include <cerrno>

namespace perigee::net {
namespace {

constexpr std::uint32_t kReadEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;

}  // namespace

asio::execution_context::id Poller::id;

Poller::Poller(asio::io_context& context)
    : service(context),
      context_(context),
      epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)),
      watched_(context.get_executor()) {
  PERIGEE_ASSERT(epoll_fd_ >= 0);
  watched_.assign(epoll_fd_);
}

Poller::~Poller() = default;

Poller& Poller::of(Executor executor) {
  return asio::use_service<Poller>(asio::query(executor, asio::execution::context));
}

void Poller::shutdown() noexcept {
  event_count_ = 0;
  while (first_ != nullptr) {
    Descriptor* descriptor = first_;
    remove(*descriptor);
    Waiter waiter{std::move(descriptor->waiter_)};  // its end may destroy the descriptor
    waiter.drop();
  }
  watched_ = asio::posix::basic_stream_descriptor<Executor>{context_.get_executor()};
}

bool Poller::add(Descriptor& descriptor, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &descriptor;
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, descriptor.fd_, &event) != 0) return false;
  descriptor.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &descriptor.next_;
  descriptor.previous_ = &first_;
  first_ = &descriptor;
  return true;
}

void Poller::modify(Descriptor& descriptor, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &descriptor;
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, descriptor.fd_, &event);
}

void Poller::remove(Descriptor& descriptor) {
  if (descriptor.previous_ == nullptr) return;
  *descriptor.previous_ = descriptor.next_;
  if (descriptor.next_ != nullptr) descriptor.next_->previous_ = descriptor.previous_;
  descriptor.previous_ = nullptr;
  // Explicitly: a forked child may hold the descriptor open for a moment.
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, descriptor.fd_, nullptr);
  if (current_ == &descriptor) current_ = nullptr;
  for (int i = event_next_; i < event_count_; ++i) {
    epoll_event& event = events_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &descriptor) event.data.ptr = nullptr;
  }
}

void Poller::hold() {
  ++held_;
  if (!armed_ && !dispatching_) arm();
}

void Poller::release() {
  PERIGEE_ASSERT(held_ > 0);
  if (--held_ == 0 && armed_ && !dispatching_) watched_.cancel();
}

void Poller::arm() {
  armed_ = true;
  watched_.async_wait(asio::posix::descriptor_base::wait_read,
                      [this](boost::system::error_code) { dispatch(); });
}

void Poller::dispatch() {
  armed_ = false;
  dispatching_ = true;
  event_next_ = 0;
  event_count_ = ::epoll_wait(epoll_fd_, events_.data(), kEventsMax, 0);
  while (event_next_ < event_count_) {
    const epoll_event& event = events_[static_cast<std::size_t>(event_next_++)];
    auto* descriptor = static_cast<Descriptor*>(event.data.ptr);
    if (descriptor == nullptr) continue;
    current_ = descriptor;
    descriptor->on_events(event.events);
  }
  current_ = nullptr;
  event_count_ = 0;
  dispatching_ = false;
  if (held_ > 0) arm();
}

bool Descriptor::open(int fd) {
  PERIGEE_ASSERT(fd_ < 0);
  fd_ = fd;
  ready_ = Writable;
  peer_closed_ = false;
  write_events_ = false;
  if (poller_.add(*this, kReadEvents)) return true;
  ::close(std::exchange(fd_, -1));
  return false;
}

void Descriptor::close() {
  if (fd_ < 0) return;
  poller_.remove(*this);
  ::close(std::exchange(fd_, -1));
  observe(nullptr, nullptr, false);
  wake();
}

void Descriptor::wake() {
  if (!waiter_.waiting()) return;
  asio::post(poller_.context_, [waiter = std::move(waiter_)]() mutable { waiter.resume(); });
  poller_.release();
}

void Descriptor::observe(Observer observer, void* owner, bool keeps_alive) {
  const bool held = std::exchange(observer_holds_, keeps_alive && observer != nullptr);
  observer_ = observer;
  owner_ = owner;
  if (observer_holds_ && !held) poller_.hold();
  if (!observer_holds_ && held) poller_.release();
}

void Descriptor::begin_wait(std::uint8_t interest) {
  interest_ = interest;
  poller_.hold();
  if ((interest & Writable) != 0 && !write_events_ && is_open()) {
    write_events_ = true;  // from now on; the kernel tells at once if it is writable already
    poller_.modify(*this, kReadEvents | EPOLLOUT);
  }
}

void Descriptor::on_events(std::uint32_t events) {
  if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) ready_ |= Readable;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) ready_ |= Writable;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) peer_closed_ = true;
  Poller& poller = poller_;
  if (waiter_.waiting() && (ready_ & interest_) != 0) {
    poller.release();
    waiter_.resume();
    if (poller.current_ != this) return;  // destroyed or closed meanwhile
  }
  if (observer_ != nullptr) observer_(owner_);
}

}  // namespace perigee::net
