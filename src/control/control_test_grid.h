// What control's tests share: a directory with an operator, and calls of the API without HTTP.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/private_file.h"
#include "control/control_api.h"
#include "control/directory_table.h"
#include "control/operator_key.h"
#include "directory/json_fields.h"
#include "directory/memory/memory_directory.h"

namespace perigee::control {

inline constexpr const char* kSiteBody =
    R"({"url":"http://127.0.0.1:8101","tier":"metro","jurisdiction":"de","latitude":52.5,)"
    R"("longitude":13.4,"city":"Berlin"})";

// A directory whose rows outlive the table, as a disk's do; applying fails when the test says so.
class FailingDirectory final : public Directory {
 public:
  FailingDirectory(MemoryDirectory& rows, const bool& fails) : rows_(rows), fails_(fails) {}
  std::uint64_t revision() const override { return rows_.revision(); }
  Result<std::vector<DirectoryChange>> list() const override { return rows_.list(); }
  Result<std::vector<DirectoryChange>> since(std::uint64_t revision,
                                             std::size_t bytes_max) const override {
    return rows_.since(revision, bytes_max);
  }
  std::uint64_t compacted() const override { return rows_.compacted(); }
  Result<std::uint64_t> apply(const std::vector<DirectoryWrite>& writes) override {
    if (fails_) return Error{Code::Unavailable, "the disk is full"};
    return rows_.apply(writes);
  }

 private:
  MemoryDirectory& rows_;
  const bool& fails_;
};

// A folder that lives as long as its test.
class TestFolder {
 public:
  TestFolder()
      : path_(testing::TempDir() + "perigee-control-" + std::to_string(::getpid()) + "-" +
              testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// The first line of a file.
inline std::string first_line(const std::string& path) {
  auto content = read_private_file(path, 4096);
  EXPECT_TRUE(content) << content.error().message;
  return content ? content->substr(0, content->find('\n')) : "";
}

// A text field of a JSON object, "" when absent.
inline std::string json_text(const std::string& json, std::string_view name) {
  auto object = parse_json_object(json);
  if (!object || object->if_contains(name) == nullptr) return "";
  const boost::json::value& value = *object->if_contains(name);
  return value.is_string() ? std::string{value.get_string()} : "";
}

// A table over `directory`, with an operator key in `key_file`.
inline std::unique_ptr<DirectoryTable> make_table(std::unique_ptr<Directory> directory,
                                                  const Clock& clock, const std::string& key_file,
                                                  bool restored = false) {
  auto table = DirectoryTable::load(std::move(directory), clock, "test", restored);
  EXPECT_TRUE(table) << table.error().message;
  const auto ensured = ensure_operator_key(**table, clock, key_file, nullptr);
  EXPECT_TRUE(ensured) << ensured.error().message;
  return std::move(*table);
}

}  // namespace perigee::control
