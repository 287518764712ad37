#include "proof/sha256_lanes.h"

namespace perigee::proof::internal {

void compress_8(std::uint32_t* state, const std::uint32_t* words);
void compress_8(std::uint32_t* state, const std::uint32_t* words) {
  Lanes<8>::compress(state, words);
}

}  // namespace perigee::proof::internal
