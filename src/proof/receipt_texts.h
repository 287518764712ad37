// ReceiptTexts: the texts of receipts that go into a log together, one after the other in one piece
// of memory. Cleared, it keeps the memory for the next ones.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proof/receipt.h"

namespace perigee::proof {

class ReceiptTexts {
 public:
  void add(const Receipt& receipt) {
    append_text(receipt, bytes_);
    ends_.push_back(bytes_.size());
  }
  bool empty() const { return ends_.empty(); }
  std::size_t size() const { return ends_.size(); }
  std::string_view operator[](std::size_t index) const { return range(index, 1); }
  // Texts [first, first + count) in a row.
  std::string_view range(std::size_t first, std::size_t count) const {
    const std::size_t begin = begin_of(first);
    return std::string_view{bytes_}.substr(begin, begin_of(first + count) - begin);
  }
  void clear() {
    bytes_.clear();
    ends_.clear();
  }

 private:
  std::size_t begin_of(std::size_t index) const { return index == 0 ? 0 : ends_[index - 1]; }
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

}  // namespace perigee::proof
