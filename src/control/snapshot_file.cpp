#include "control/snapshot_file.h"

#include "base/private_file.h"
#include "base/secret.h"
#include "directory/records_json.h"

namespace perigee::control {
namespace {

constexpr std::string_view kMark = "perigee-snapshot 1 ";
constexpr std::size_t kSnapshotBytesMax = std::size_t{512} * 1024 * 1024;

}  // namespace

Result<> save_snapshot(const std::string& path, const DirectorySnapshot& snapshot) {
  const std::string json = to_json(snapshot) + "\n";
  return replace_private_file(path, std::string{kMark} + to_hex(sha256(json)) + "\n" + json);
}

Result<DirectorySnapshot> load_snapshot(const std::string& path,
                                        std::vector<std::string>& skipped) {
  PERIGEE_TRY(content, read_private_file(path, kSnapshotBytesMax));
  const Error damaged{Code::DataLoss, path + " is damaged or of another version of perigee"};
  std::string_view rest = content;
  const std::size_t head_size = kMark.size() + 2 * Sha256{}.size() + 1;
  if (!rest.starts_with(kMark) || rest.size() < head_size) return damaged;
  const std::string_view checksum = rest.substr(kMark.size(), 2 * Sha256{}.size());
  rest.remove_prefix(head_size);
  if (to_hex(sha256(rest)) != checksum) return damaged;
  Result<DirectorySnapshot> snapshot = snapshot_from_json(rest, skipped);
  if (!snapshot) return damaged;
  return snapshot;
}

}  // namespace perigee::control
