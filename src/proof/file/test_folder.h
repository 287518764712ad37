// For tests: a folder that goes with its test, and a signer with a key of its own.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "proof/file/receipt_log.h"

namespace perigee::proof {

class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "proof-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string{name}; }

 private:
  std::string path_;
};

class TestSigner final : public HeadSigner {
 public:
  PublishedHead sign(std::string_view origin, const TreeHead& tree, WallTime time) override {
    return {sign_head(origin, tree, time, key), key.public_key(), {}};
  }
  pki::KeyPair key = pki::KeyPair::generate();
  KeyTrust trust{key.public_key()};
};

}  // namespace perigee::proof
