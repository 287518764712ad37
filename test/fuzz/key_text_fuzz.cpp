// The text of keys, and addresses.
#include <string>

#include "fuzz/fuzz.h"
#include "identity/key_text.h"
#include "net/endpoint.h"

namespace perigee::fuzz {

void take_input(std::string_view text) {
  const Piece piece = exact(text);
  const std::string hint = key_hint(piece.view());
  PERIGEE_PROPERTY(hint.size() <= 24 || hint.size() < text.size());
  if (well_typed(piece.view())) {
    PERIGEE_PROPERTY(kind_of_key(piece.view()).has_value());
    PERIGEE_PROPERTY(hint.size() + 16 < text.size());  // enough stays secret
    for (std::size_t i = 0; i < text.size(); ++i) {    // one wrong character is noticed
      std::string mistyped{text};
      mistyped[i] = mistyped[i] == 'a' ? 'b' : 'a';
      if (mistyped != text) PERIGEE_PROPERTY(!well_typed(mistyped));
    }
  }
  if (const auto endpoint = net::parse_endpoint(piece.view())) {
    const auto again = net::parse_endpoint(endpoint->to_string());
    PERIGEE_PROPERTY(again && *again == *endpoint);
  }
  if (const auto url = net::parse_url(piece.view())) {
    PERIGEE_PROPERTY(!url->base_path.ends_with('/'));
  }
}

}  // namespace perigee::fuzz
