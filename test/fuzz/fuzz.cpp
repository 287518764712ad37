#include "fuzz/fuzz.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace perigee::fuzz {
namespace {

constexpr std::size_t kByteByByteMax = 1024;

std::uint64_t seed_of(std::string_view text) {  // FNV-1a
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

void property_failed(const char* property, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, property);
  std::abort();
}

std::vector<Pieces> cuts(std::string_view text) {
  std::vector<Pieces> all(2);
  all[0].emplace_back(text);
  if (text.size() <= kByteByByteMax) {
    for (std::size_t i = 0; i < text.size(); ++i) all[1].emplace_back(text.substr(i, 1));
  } else {
    all.pop_back();
  }
  Random random{seed_of(text)};
  for (const std::size_t longest : {std::size_t{16}, text.size() / 2 + 1}) {
    Pieces pieces;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = 1 + static_cast<std::size_t>(random.below(longest));
      pieces.emplace_back(text.substr(at, size));
      at += pieces.back().view().size();
    }
    all.push_back(std::move(pieces));
  }
  return all;
}

}  // namespace perigee::fuzz

// libFuzzer's entry, and replay.cpp's.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  perigee::fuzz::take_input({reinterpret_cast<const char*>(data), size});
  return 0;
}
