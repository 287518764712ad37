// ByteBuffer: growing bytes without initialisation, freed when cleared (a waiting connection holds
// none).
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace perigee::net {

class ByteBuffer {
 public:
  ByteBuffer() = default;
  ByteBuffer(ByteBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ~ByteBuffer() { std::free(data_); }

  char* data() { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t room() const { return capacity_ - size_; }
  char* end() { return data_ + size_; }
  std::string_view view() const { return {data_, size_}; }

  void reserve(std::size_t capacity) {
    if (capacity <= capacity_) return;
    void* grown = std::realloc(data_, capacity);
    if (grown == nullptr) throw std::bad_alloc{};
    data_ = static_cast<char*>(grown);
    capacity_ = capacity;
  }
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    if (bytes.size() > room()) reserve(std::max(size_ + bytes.size(), 2 * capacity_));
    std::memcpy(end(), bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void added(std::size_t n) { size_ += n; }  // bytes written at end()
  void remove_front(std::size_t n) {
    if (n == size_) return clear();
    std::memmove(data_, data_ + n, size_ - n);
    size_ -= n;
  }
  ByteBuffer take() { return std::move(*this); }
  void clear() {
    std::free(std::exchange(data_, nullptr));
    size_ = 0;
    capacity_ = 0;
  }

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace perigee::net
