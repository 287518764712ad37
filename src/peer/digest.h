// Digest: what a site tells its peers about itself, and its JSON (docs/peer_protocol.md).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "core/attributes.h"
#include "core/inference.h"
#include "core/prefix_filter.h"

namespace perigee {

struct ModelDigest {
  ModelId model;
  bool ready = false;
  EngineLoad load = {};       // summed over the site's engines of this model
  std::uint32_t engines = 1;  // that are ready
  Capabilities capabilities = kEverything;
  std::uint32_t context_tokens = 0;        // longest prompt; 0: not known
  std::int64_t price_micros_per_mtok = 0;  // of a million tokens; 0: free
  // What the engines hold: the filter, and a number that changes with it. A filter is told to a
  // peer once; the number always. 0: none was made.
  std::uint64_t prefix_version = 0;
  std::shared_ptr<const PrefixFilter> prefixes = {};
};

// Numbers of the filters of another site that one holds, by model.
using PrefixVersions = std::map<ModelId, std::uint64_t>;

struct Digest {
  SiteId site;
  std::uint64_t revision = 0;  // of the directory that it follows
  bool drained = false;
  double reserved_share = 0;  // 0..1 of the slots kept for the network's own work
  double power_share = 1;     // 0..1 of the slots that the site's power allows
  std::vector<ModelDigest> models;
  // Of the site that it is told to. nullopt: it takes no filters (an older version).
  std::optional<PrefixVersions> holds;
};

// "vision", "guided_output", "embeddings", "tools"; nullopt for any other.
std::optional<Capabilities> parse_capability(std::string_view name);

inline constexpr std::size_t kDigestModelsMax = 1024;
// Filters in one digest, as JSON: the others wait for the next.
inline constexpr std::size_t kDigestFilterBytesMax = std::size_t{256} * 1024;

std::string digest_json(const Digest& digest);
// Unknown keys are ignored (a newer peer), and so is a filter of another version. InvalidArgument
// names what is wrong.
Result<Digest> parse_digest(std::string_view text);

// `own` as it is told to a site that holds so much of it: without the filters that it has, and no
// more of the others than kDigestFilterBytesMax.
Digest without_known_filters(Digest own, const std::optional<PrefixVersions>& held);

}  // namespace perigee
