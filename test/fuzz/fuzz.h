// What the fuzz targets share. A target is one file with take_input(); it is linked with libFuzzer
// (`./dev fuzz`) or with replay.cpp (an ordinary test), which both bring inputs.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace perigee::fuzz {

// The target: reads `text` as its parser would, and checks its properties. A property that does not
// hold ends the process.
void take_input(std::string_view text);

[[noreturn]] void property_failed(const char* property, const char* file, int line);
#define PERIGEE_PROPERTY(condition) \
  ((condition) ? void() : ::perigee::fuzz::property_failed(#condition, __FILE__, __LINE__))

// Ways to cut a text in pieces: whole, byte by byte (when short), and two by chance that depends on
// the text alone. Each piece lies in memory of exactly its size, with nothing known behind it.
class Piece {
 public:
  explicit Piece(std::string_view text) : bytes_(new char[text.size()]), size_(text.size()) {
    text.copy(bytes_.get(), text.size());
  }
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};
using Pieces = std::vector<Piece>;
std::vector<Pieces> cuts(std::string_view text);

// The same for one text, when that is all: no byte may be read behind it.
inline Piece exact(std::string_view text) { return Piece{text}; }

}  // namespace perigee::fuzz
