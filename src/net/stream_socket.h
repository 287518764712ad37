// StreamSocket: the bytes of one connection, TCP or Unix. All reads and writes of net/ go through
// try_read() and try_write(), so that another transport (TLS) joins here.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "net/poller.h"

namespace perigee::net {

struct IoResult {
  enum class Kind : std::uint8_t { Done, WouldBlock, End, Failed } kind = Kind::Done;
  std::size_t bytes = 0;
  int error = 0;  // errno of Failed
};

class StreamSocket {
 public:
  explicit StreamSocket(Executor executor) : descriptor_(executor) {}

  Descriptor& descriptor() { return descriptor_; }
  bool is_open() const { return descriptor_.is_open(); }
  bool readable() const { return descriptor_.readable(); }

  // Never wait. A short read clears readable(): the socket is empty.
  IoResult try_read(char* into, std::size_t size);
  // Writes what fits; `parts` is changed to what is left.
  IoResult try_write(std::span<iovec>& parts);
  auto wait_readable() { return descriptor_.wait(Descriptor::Readable); }
  auto wait_writable() { return descriptor_.wait(Descriptor::Writable); }
  auto wait_any() { return descriptor_.wait(Descriptor::Readable | Descriptor::Writable); }
  void shut_down_writing();
  void close() { descriptor_.close(); }

 private:
  Descriptor descriptor_;
};

inline iovec part_of(std::string_view bytes) {
  return {const_cast<char*>(bytes.data()), bytes.size()};
}

}  // namespace perigee::net
