// A grid's certificates for tests, made in memory.
#pragma once

#include <string>

#include "base/clock.h"
#include "net/tls.h"
#include "pki/authority.h"

namespace perigee::net {

class TestGrid {
 public:
  explicit TestGrid(std::string name = "acme")
      : name_(std::move(name)), authority_(pki::Authority::make(name_, now())) {}

  static WallTime now() { return SystemClock{}.wall(); }

  // A certificate made at `made` that is valid for `lifetime`.
  TlsMember member(const pki::GridMember& who, WallTime made = now(),
                   Duration lifetime = pki::kMemberLifetime) const {
    const pki::KeyPair key = pki::KeyPair::generate();
    pki::CertificateOrder order{who, made, lifetime};
    order.names = {"127.0.0.1", "localhost"};
    auto certificate = authority_.sign(pki::make_certificate_request(key, "test"), order);
    return {{certificate->to_pem() + authorities_pem(), key.to_pem()}, authorities_pem(), name_};
  }
  TlsMember site(const std::string& site) const {
    return member({name_, pki::MemberRole::Site, site});
  }
  // A day past its end.
  TlsMember expired_site(const std::string& site) const {
    const WallTime made{now().micros - std::int64_t{2} * 86'400'000'000};
    return member({name_, pki::MemberRole::Site, site}, made);
  }
  std::string authorities_pem() const { return authority_.certificate().to_pem(); }
  const pki::Authority& authority() const { return authority_; }

 private:
  std::string name_;
  pki::Authority authority_;
};

inline std::shared_ptr<const TlsServer> server_of(const TlsMember& member) {
  return TlsServer::make({member, std::nullopt}).value();
}

inline std::shared_ptr<TlsClientSource> client_of(const TlsMember& member) {
  TlsClientOptions options;
  options.member = member;
  return std::make_shared<TlsClientSource>(TlsClient::make(options).value());
}

// Calls as a browser does: the host's name, no certificate of its own.
inline std::shared_ptr<TlsClientSource> web_client(const std::string& authorities_pem) {
  TlsClientOptions options;
  options.authorities_pem = authorities_pem;
  options.only_those = true;
  return std::make_shared<TlsClientSource>(TlsClient::make(options).value());
}

}  // namespace perigee::net
