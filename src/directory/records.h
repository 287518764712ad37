// The rows of the directory: the desired state of the grid, as values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/instant.h"
#include "base/secret.h"
#include "base/shared_map.h"
#include "core/inference.h"
#include "directory/role.h"

namespace perigee {

enum class Tier : std::uint8_t { FarEdge, Edge, Metro, Regional, Core };
std::string_view to_string(Tier tier);  // "far_edge", "edge", ...
std::optional<Tier> parse_tier(std::string_view name);

struct SiteRecord {
  SiteId id;
  std::string url;  // where peers and clients reach it: "http://127.0.0.1:8101"
  Tier tier = Tier::Edge;
  JurisdictionId jurisdiction;
  double latitude = 0;  // degrees, WGS 84
  double longitude = 0;
  std::string city;
  bool drained = false;  // takes no new work
  Sha256 key_hash{};     // of the site's credential
  bool joined = false;   // a credential was issued
};

enum class ModelKind : std::uint8_t { Llama, External };

struct ModelRecord {
  ModelId id;
  ModelKind kind = ModelKind::Llama;
  std::string file;    // GGUF file name inside a site's models folder; empty for External
  std::string sha256;  // of the file, hex; may be empty
  std::uint32_t context_tokens = 0;  // 0: the model's own
  std::string owned_by = "perigee";
  std::int64_t created = 0;  // seconds since 1970
};

// A model that should run at a site.
using PlacementId = std::pair<SiteId, ModelId>;
struct PlacementRecord {
  SiteId site;
  ModelId model;
  std::uint32_t engines = 1;  // processes
  std::uint32_t slots = 8;    // sequences at once, per engine
  std::uint32_t threads = 1;
};

struct TenantRecord {
  TenantId id;
  std::string display_name;
  std::vector<JurisdictionId> jurisdictions;  // empty: any; binds every request of the tenant
  bool suspended = false;
};

// What a tenant's key may be used for, within what its tenant may. Empty lists and 0 bind nothing.
struct KeyScope {
  std::vector<ModelId> models;
  std::vector<ServiceClass> classes;
  std::vector<JurisdictionId> jurisdictions;
  std::uint32_t requests_per_minute = 0;
  std::uint32_t tokens_per_minute = 0;

  bool limits_rate() const { return requests_per_minute > 0 || tokens_per_minute > 0; }
  friend bool operator==(const KeyScope&, const KeyScope&) = default;
};

struct KeyRecord {
  std::string id;            // public: names the key
  Sha256 hash{};             // of the whole key text; the text itself is stored nowhere
  Role role = Role::Tenant;  // Tenant or Operator
  OperatorRole operator_role = OperatorRole::Admin;  // for Role::Operator
  TenantId tenant;
  std::string label;
  KeyScope scope;  // for Role::Tenant
  // The first key of those that followed one another by rotation: they share their rates.
  std::string account;
  std::string replaced_by;  // the key that it was rotated to; empty: none
  WallTime created;
  WallTime expires;  // micros 0: never
  bool revoked = false;
};

inline constexpr std::size_t kJwksBytesMax = 32 * 1024;  // of an issuer's keys

// Whose signed tokens (JWT) are taken like keys: an OpenID provider, as docs/tenants.md says.
struct IssuerRecord {
  std::string id;                       // its name in this grid
  std::string issuer;                   // what `iss` must be, to the letter
  std::string audience;                 // what `aud` must be, or hold
  std::vector<std::string> algorithms;  // RS256, ES256, EdDSA: no other is taken
  std::string jwks;                     // its public keys, as the JSON of a JWK set
  std::string jwks_url;                 // where control fetches them; empty: operators bring them
  std::string tenant_claim;             // the claim that names the tenant; empty: see `tenant`
  TenantId tenant;                      // whose all its tokens are, when no claim names it
  std::uint32_t clock_skew_s = 60;      // allowed between its clock and ours
  KeyScope scope;                       // of each of its subjects
};

// Lets one site join, once. Known to control only: never part of a snapshot.
struct JoinTokenRecord {
  std::string id;  // public: names the token
  Sha256 hash{};   // of the whole token text
  SiteId site;     // the name it lets join
  JurisdictionId
      jurisdiction;  // the law that site stands under: the operator's word, not the site's
  WallTime created;
  WallTime expires;
  bool used = false;  // kept until it expires, so that a replay is told apart
};

// Everything a site needs of the directory, at one revision. Immutable once published. Revisions
// share what there may be many of, so that one more costs what it changed.
struct DirectorySnapshot {
  std::uint64_t revision = 0;
  std::string epoch;  // names one life of control's store: revisions of
                      // two epochs do not compare
  std::string grid;   // the trust domain's name
  SharedMap<SiteId, SiteRecord> sites;
  std::map<ModelId, ModelRecord> models;
  SharedMap<PlacementId, PlacementRecord> placements;
  SharedMap<TenantId, TenantRecord> tenants;
  SharedMap<std::string, KeyRecord> keys;        // by id
  SharedMap<std::string, IssuerRecord> issuers;  // by id
};

}  // namespace perigee
