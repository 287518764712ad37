#include "api/prefix_hasher.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

namespace perigee::api {

PrefixHasher::PrefixHasher(std::string_view salt, std::size_t blocks_max)
    : blocks_max_(blocks_max), chain_(XXH3_64bits(salt.data(), salt.size())) {}

void PrefixHasher::add_block(const char* block) {
  chain_ = XXH3_64bits_withSeed(block, kPrefixBlockBytes, chain_);
  hashes_.push_back(chain_);
}

void PrefixHasher::add(std::string_view text) {
  while (!text.empty() && hashes_.size() < blocks_max_) {
    if (pending_size_ == 0 && text.size() >= kPrefixBlockBytes) {
      add_block(text.data());
      text.remove_prefix(kPrefixBlockBytes);
      continue;
    }
    const std::size_t taken = std::min(text.size(), kPrefixBlockBytes - pending_size_);
    std::memcpy(pending_.data() + pending_size_, text.data(), taken);
    pending_size_ += taken;
    text.remove_prefix(taken);
    if (pending_size_ == kPrefixBlockBytes) {
      add_block(pending_.data());
      pending_size_ = 0;
    }
  }
}

}  // namespace perigee::api
