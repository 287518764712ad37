// PrefixHasher: cuts a prompt's text in blocks of kPrefixBlockBytes and chains one 64-bit XXH3 hash
// per full block. Each hash is seeded with the one before and the first with a hash of the tenant's
// salt, so equal prompts of two tenants share no hash, and a block's hash stands for all text
// before it too. Equal on every machine: sites compare these hashes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace perigee::api {

inline constexpr std::size_t kPrefixBlockBytes = 256;

class PrefixHasher {
 public:
  // Text after `blocks_max` full blocks is ignored.
  PrefixHasher(std::string_view salt, std::size_t blocks_max);
  // How the text is cut over several calls makes no difference.
  void add(std::string_view text);
  // The hashes of the full blocks so far. The object is empty afterwards.
  std::vector<std::uint64_t> take() { return std::move(hashes_); }

 private:
  void add_block(const char* block);

  std::size_t blocks_max_;
  std::uint64_t chain_;
  std::size_t pending_size_ = 0;
  std::array<char, kPrefixBlockBytes> pending_;
  std::vector<std::uint64_t> hashes_;
};

}  // namespace perigee::api
