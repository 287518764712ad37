#include "net/stream_socket.h"

#include <sys/socket.h>

#include <cerrno>

namespace perigee::net {

IoResult StreamSocket::try_read(char* into, std::size_t size) {
  if (!is_open()) return {IoResult::Kind::Failed, 0, EBADF};
  if (tls_ != nullptr) return tls_->read(into, size);
  for (;;) {
    const ssize_t n = ::recv(descriptor_.fd(), into, size, MSG_DONTWAIT);
    if (n > 0) {
      const auto bytes = static_cast<std::size_t>(n);
      // An end of stream that came with these bytes is an edge that won't be told again.
      if (bytes < size && !descriptor_.peer_closed()) descriptor_.clear_readable();
      return {IoResult::Kind::Done, bytes, 0};
    }
    if (n == 0) return {IoResult::Kind::End, 0, 0};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      descriptor_.clear_readable();
      return {IoResult::Kind::WouldBlock, 0, 0};
    }
    return {IoResult::Kind::Failed, 0, errno};
  }
}

IoResult StreamSocket::try_write(std::span<iovec>& parts) {
  if (!is_open()) return {IoResult::Kind::Failed, 0, EBADF};
  if (tls_ != nullptr) return tls_->write(parts);
  std::size_t total = 0;
  while (!parts.empty()) {
    ssize_t n;
    if (parts.size() == 1) {
      n = ::send(descriptor_.fd(), parts[0].iov_base, parts[0].iov_len,
                 MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = parts.data();
      message.msg_iovlen = parts.size();
      n = ::sendmsg(descriptor_.fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        descriptor_.clear_writable();
        return {IoResult::Kind::WouldBlock, total, 0};
      }
      return {IoResult::Kind::Failed, total, errno};
    }
    auto left = static_cast<std::size_t>(n);
    total += left;
    while (!parts.empty() && left >= parts[0].iov_len) {
      left -= parts[0].iov_len;
      parts = parts.subspan(1);
    }
    if (left > 0) {
      parts[0].iov_base = static_cast<char*>(parts[0].iov_base) + left;
      parts[0].iov_len -= left;
    }
  }
  return {IoResult::Kind::Done, total, 0};
}

bool StreamSocket::quiet() {
  if (!is_open() || descriptor_.peer_closed()) return false;
  if (!readable()) return true;
  if (tls_ == nullptr) return false;
  return tls_->peek().kind == IoResult::Kind::WouldBlock;
}

void StreamSocket::shut_down_writing() {
  if (!is_open()) return;
  if (tls_ != nullptr) tls_->say_goodbye();
  ::shutdown(descriptor_.fd(), SHUT_WR);
}

void StreamSocket::close() {
  if (tls_ != nullptr) tls_->say_goodbye();
  descriptor_.close();
}

}  // namespace perigee::net
