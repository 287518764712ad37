// What comes as PEM: certificates of joins and files, certificate requests, SPIFFE ids.
#include <string>

#include "fuzz/fuzz.h"
#include "pki/authority.h"
#include "pki/certificate_check.h"

namespace perigee::fuzz {
namespace {

constexpr WallTime kNow{1'800'000'000'000'000};

const pki::Authority& authority() {
  static const pki::Authority made = pki::Authority::make("acme", kNow);
  return made;
}

}  // namespace

void take_input(std::string_view text) {
  const Piece piece = exact(text);
  if (const auto member = pki::parse_spiffe_id(piece.view())) {
    PERIGEE_PROPERTY(pki::spiffe_id(*member) == piece.view());
  }
  if (const auto chain = pki::certificates_from_pem(piece.view())) {
    PERIGEE_PROPERTY(!chain->empty() && chain->size() <= pki::kCertificatesMax);
    for (const pki::Certificate& each : *chain) {
      static_cast<void>(each.subject() + each.issuer() + each.serial());
      static_cast<void>(each.names());
    }
    const auto again = pki::certificates_from_pem(pki::to_pem(*chain));
    PERIGEE_PROPERTY(again && again->size() == chain->size());
    const std::vector<pki::Certificate> trusted{authority().certificate()};
    // Nothing that a fuzzer makes is signed by this run's authority.
    PERIGEE_PROPERTY(!pki::check_certificate({*chain, trusted, kNow}));
  }
  const auto made =
      authority().sign(piece.view(), {{"acme", pki::MemberRole::Site, "metro"}, kNow});
  if (made) PERIGEE_PROPERTY(made->spiffe_id() == "spiffe://acme/site/metro");
  static_cast<void>(pki::KeyPair::from_pem(piece.view()));
}

}  // namespace perigee::fuzz
