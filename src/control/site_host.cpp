#include "control/site_host.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "net/endpoint.h"

namespace perigee::control {

std::string canonical_host(std::string_view host) {
  std::string text{host};
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  in6_addr address{};
  if (::inet_pton(AF_INET6, text.c_str(), &address) == 1) {
    std::array<char, INET6_ADDRSTRLEN> shortest{};
    return ::inet_ntop(AF_INET6, &address, shortest.data(), shortest.size());
  }
  if (text.size() > 1 && text.ends_with('.')) text.pop_back();
  return text;
}

std::string host_of(const SiteRecord& site) {
  const auto url = net::parse_url(site.url);
  return url && !url->endpoint.is_unix() ? canonical_host(url->endpoint.host) : std::string{};
}

bool is_secure(const SiteRecord& site) { return site.url.starts_with("https://"); }

Result<> check_host(const DirectorySnapshot& snapshot, std::span<const std::string> own_hosts,
                    const SiteRecord& site) {
  const std::string host = host_of(site);
  const net::Endpoint endpoint{host, 0, ""};
  if (host.empty() || endpoint.is_loopback()) return {};
  const auto refused = [](const std::string& whose) {
    return Error{Code::FailedPrecondition,
                 "the host of `url` belongs to " + whose + " already: use one of its own", "url"};
  };
  for (const std::string& own : own_hosts) {
    if (canonical_host(own) == host) return refused("control");
  }
  for (const auto& [id, other] : snapshot.sites) {
    if (id != site.id && host_of(other) == host) return refused("site " + id.str());
  }
  return {};
}

Result<> check_site_url(const DirectorySnapshot& snapshot, std::span<const std::string> own_hosts,
                        const SiteRecord& site) {
  if (!is_secure(site)) {
    return Error{Code::InvalidArgument,
                 "`url` must begin with https://: this grid's sites speak TLS to each other",
                 "url"};
  }
  return check_host(snapshot, own_hosts, site);
}

}  // namespace perigee::control
