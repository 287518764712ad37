// What sites tell each other about themselves.
#include <string>

#include "fuzz/fuzz.h"
#include "peer/digest.h"

namespace perigee::fuzz {

void take_input(std::string_view text) {
  const Piece piece = exact(text);
  const auto digest = parse_digest(piece.view());
  if (!digest) {
    PERIGEE_PROPERTY(digest.error().code == Code::InvalidArgument ||
                     digest.error().code == Code::Protocol);
    PERIGEE_PROPERTY(!digest.error().message.empty() && digest.error().message.size() < 4096);
    return;
  }
  PERIGEE_PROPERTY(valid_name(digest->site.str()));
  PERIGEE_PROPERTY(digest->models.size() <= kDigestModelsMax);
  const std::string written = digest_json(*digest);
  const auto again = parse_digest(written);
  PERIGEE_PROPERTY(again.has_value());
  PERIGEE_PROPERTY(digest_json(*again) == written);
  PERIGEE_PROPERTY(again->site == digest->site && again->revision == digest->revision);
  PERIGEE_PROPERTY(again->models.size() == digest->models.size());
}

}  // namespace perigee::fuzz
