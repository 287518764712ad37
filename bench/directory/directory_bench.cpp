// What one changed key costs a site's IO thread, as DirectoryFollower does it: copy the snapshot,
// apply the event, publish, look up keys by it, let go of the revision before. Each change is of
// another key; the median of them.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "directory/records_json.h"
#include "identity/api_keys/api_keys.h"

namespace perigee {
namespace {

constexpr std::array<std::size_t, 3> kSizes{2'000, 20'000, 200'000};
constexpr std::size_t kChanges = 101;
constexpr std::size_t kKeysOfATenant = 100;

std::string key_id(std::size_t number) { return "key_" + std::to_string(number); }

KeyRecord key_record(std::size_t number) {
  KeyRecord key;
  key.id = key_id(number);
  key.hash = sha256(key.id);
  key.tenant = TenantId{"tenant-" + std::to_string(number / kKeysOfATenant)};
  key.account = key.id;
  key.label = "a label as people write them";
  key.scope.requests_per_minute = 600;
  return key;
}

DirectorySnapshot directory_of(std::size_t keys) {
  DirectorySnapshot directory;
  for (std::size_t i = 0; i < keys; ++i) {
    KeyRecord key = key_record(i);
    if (i % kKeysOfATenant == 0) {
      TenantRecord tenant;
      tenant.id = key.tenant;
      directory.tenants.insert_or_assign(tenant.id, tenant);
    }
    directory.keys.insert_or_assign(key.id, std::move(key));
  }
  return directory;
}

double us_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
      .count();
}

struct Row {
  std::size_t keys = 0;
  double first_us = 0;   // of the first update(): all keys
  double change_us = 0;  // of one that follows
};

Row measure(std::size_t keys) {
  const SystemClock clock;
  ApiKeys identity{clock};
  auto current = std::make_shared<const DirectorySnapshot>(directory_of(keys));
  const auto first = std::chrono::steady_clock::now();
  identity.update(*current);
  Row row{keys, us_since(first)};
  std::vector<double> changes;
  std::vector<std::string> skipped;
  for (std::size_t i = 0; i < kChanges; ++i) {
    KeyRecord key = key_record(i * keys / kChanges);
    key.revoked = true;
    const std::string event =
        to_event(i + 1, {{i + 1, std::string{row_kind::kKey}, key.id, to_row(key)}});
    const auto begin = std::chrono::steady_clock::now();
    DirectorySnapshot next = *current;
    if (!apply_event(next, event, skipped) || !skipped.empty()) std::abort();
    current = std::make_shared<const DirectorySnapshot>(std::move(next));
    identity.update(*current);
    changes.push_back(us_since(begin));
    if (!current->keys.at(key.id).revoked || identity.size() != keys) std::abort();
  }
  std::ranges::nth_element(changes, changes.begin() + kChanges / 2);
  row.change_us = changes[kChanges / 2];
  return row;
}

void print(const Row& row, bool json, bool last) {
  if (json) {
    std::printf(R"({"keys": %zu, "first_us": %.1f, "change_us": %.1f}%s)", row.keys, row.first_us,
                row.change_us, last ? "" : ", ");
  } else {
    std::printf("%10zu %14.1f %14.1f\n", row.keys, row.first_us, row.change_us);
  }
}

}  // namespace
}  // namespace perigee

int main(int argc, char** argv) {
  const bool json =
      argc > 2 && std::string_view{argv[1]} == "-o" && std::string_view{argv[2]} == "json";
  if (json) {
    std::printf("{\"benchmark\": \"directory\", \"results\": [");
  } else {
    std::printf("%10s %14s %14s\n", "keys", "all, us", "one more, us");
  }
  for (const std::size_t size : perigee::kSizes) {
    perigee::print(perigee::measure(size), json, size == perigee::kSizes.back());
  }
  if (json) std::printf("]}\n");
}
