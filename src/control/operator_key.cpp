#include "control/operator_key.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/private_file.h"
#include "base/secret.h"
#include "directory/records_json.h"
#include "identity/key_text.h"

namespace perigee::control {
namespace {

constexpr std::size_t kKeyFileBytesMax = 512;

// The key in the file, made first when there is none.
Result<std::string> key_in_file(const std::string& path) {
  const std::string fresh = make_key(KeyKind::Operator);
  const Result<> created = create_private_file(path, fresh + "\n");
  if (created) return fresh;
  if (created.error().code != Code::AlreadyExists) return created.error();
  PERIGEE_TRY(content, read_private_file(path, kKeyFileBytesMax));
  std::string text = content.substr(0, content.find_first_of(" \r\n"));
  if (!well_typed(text) || kind_of_key(text) != KeyKind::Operator) {
    return Error{Code::FailedPrecondition,
                 path + " holds no operator key, and the directory has none: move the file away"};
  }
  return text;
}

}  // namespace

Result<> ensure_operator_key(DirectoryTable& table, const Clock& clock, const std::string& path,
                             AuditLog* audit) {
  const auto& keys = table.snapshot().keys;
  if (std::ranges::any_of(keys, [](const auto& entry) {
        return entry.second.role == Role::Operator && !entry.second.revoked;
      })) {
    return {};
  }
  PERIGEE_TRY(text, key_in_file(path));
  KeyRecord key;
  key.id = "key_first_operator";
  key.hash = sha256(text);
  key.role = Role::Operator;
  key.label = "made at the first start";
  key.created = clock.wall();
  PERIGEE_CHECK(table.record_and_apply(
      {.time = key.created,
       .actor = "control",
       .from = path,
       .action = "create key",
       .name = key.id,
       .writes = {{std::string{row_kind::kKey}, key.id, to_row(key), kAnyRevision}}},
      audit));
  log::info("operator key written", {{"file", path}});
  return {};
}

}  // namespace perigee::control
