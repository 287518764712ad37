// Distinct types for names, so that a tenant can't be passed where a site is meant.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace perigee {

// A non-empty printable name; the edge that makes one from outside input validates it first
// (`valid_name`). Cheap to copy when short (most are within the small-string buffer).
template <class Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string value) : value_(std::move(value)) {}
  const std::string& str() const { return value_; }
  bool empty() const { return value_.empty(); }
  friend auto operator<=>(const Id&, const Id&) = default;

 private:
  std::string value_;
};

using SiteId = Id<struct SiteTag>;                  // "metro-berlin"
using ModelId = Id<struct ModelTag>;                // "perigee-demo"
using TenantId = Id<struct TenantTag>;              // "acme"
using EngineId = Id<struct EngineTag>;              // "perigee-demo-0", unique within a site
using JurisdictionId = Id<struct JurisdictionTag>;  // "de", "eu-gdpr"

inline constexpr std::size_t kNameBytesMax = 64;

// Names of sites, tenants, engines, jurisdictions: [a-z0-9]([a-z0-9._-]*), at most 64 bytes.
bool valid_name(std::string_view name);
// Model names are wider, as in the field ("org/Model-7B:q8"): [A-Za-z0-9]([A-Za-z0-9._:/@-]*), 128.
bool valid_model_name(std::string_view name);

}  // namespace perigee

template <class Tag>
struct std::hash<perigee::Id<Tag>> {
  std::size_t operator()(const perigee::Id<Tag>& id) const noexcept {
    return std::hash<std::string>{}(id.str());
  }
};
