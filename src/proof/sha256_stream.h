// Sha256Stream: SHA-256 of bytes as they pass. 112 bytes and no allocation, since thousands of
// streams each have one.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/secret.h"

namespace perigee::proof {

class Sha256Stream {
 public:
  Sha256Stream();
  void update(std::string_view bytes);
  Sha256 finish();  // once, last

 private:
  std::array<std::uint32_t, 28> state_{};  // OpenSSL's SHA256_CTX
};

}  // namespace perigee::proof
