// The directory as JSON: snapshots, events of the watch, and what an operator sends.
#include <string>

#include "directory/records_json.h"
#include "fuzz/fuzz.h"

namespace perigee::fuzz {
namespace {

void check_snapshot(const DirectorySnapshot& snapshot) {
  const std::string written = to_json(snapshot);
  std::vector<std::string> skipped;
  const auto again = snapshot_from_json(written, skipped);
  PERIGEE_PROPERTY(again.has_value());
  PERIGEE_PROPERTY(skipped.empty());
  PERIGEE_PROPERTY(to_json(*again) == written);
}

}  // namespace

void take_input(std::string_view text) {
  const Piece piece = exact(text);
  std::vector<std::string> skipped;
  DirectorySnapshot snapshot;
  if (auto read = snapshot_from_json(piece.view(), skipped)) {
    check_snapshot(*read);
    snapshot = std::move(*read);
  }
  skipped.clear();
  if (apply_event(snapshot, piece.view(), skipped)) check_snapshot(snapshot);
  if (const auto site = site_from_request("metro-a", piece.view())) {
    PERIGEE_PROPERTY(site->latitude >= -90 && site->latitude <= 90);
    PERIGEE_PROPERTY(!site->joined);
  }
  for (const bool accepted :
       {model_from_request("org/m", piece.view()).has_value(),
        tenant_from_request("acme", piece.view()).has_value(),
        placement_from_request("metro-a", "org/m", piece.view()).has_value()}) {
    if (accepted) PERIGEE_PROPERTY(text.find('{') != std::string_view::npos);
  }
}

}  // namespace perigee::fuzz
