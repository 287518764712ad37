// Digest: what a site tells its peers about itself, and its JSON (docs/peer_protocol.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "core/inference.h"

namespace perigee {

struct ModelDigest {
  ModelId model;
  bool ready = false;
  EngineLoad load;  // summed over the site's engines of this model
};

struct Digest {
  SiteId site;
  std::uint64_t revision = 0;  // of the directory that it follows
  bool drained = false;
  std::vector<ModelDigest> models;
};

inline constexpr std::size_t kDigestModelsMax = 1024;

std::string digest_json(const Digest& digest);
// Unknown keys are ignored (a newer peer). InvalidArgument or Protocol names what is wrong.
Result<Digest> parse_digest(std::string_view text);

}  // namespace perigee
