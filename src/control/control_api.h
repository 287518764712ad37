// ControlApi: the control plane's calls (docs/control_api.md) as functions of the directory,
// without HTTP: a request's parts in, a status and a JSON body out. One file per collection.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "control/audit_log.h"
#include "control/control_routes.h"
#include "control/directory_table.h"
#include "control/grid_authority.h"
#include "identity/identity.h"

namespace perigee::control {

// Bounds of the directory. ResourceExhausted beyond them.
inline constexpr std::size_t kSitesMax = 20'000;
inline constexpr std::size_t kModelsMax = 4'096;
inline constexpr std::size_t kPlacementsMax = 200'000;
inline constexpr std::size_t kTenantsMax = 100'000;
inline constexpr std::size_t kKeysMax = 200'000;
inline constexpr std::size_t kJoinTokensMax = 10'000;
inline constexpr std::size_t kIssuersMax = 64;

// Of a call's body. What a site tells of limits is the longest: as many as it keeps, at the longest
// names, fit.
inline constexpr std::size_t kCallBytesMax = std::size_t{640} * 1024;

inline constexpr std::string_view kPathPrefix = "/control/v1/";

struct ApiRequest {
  std::string_view method;
  std::string_view path;  // begins with kPathPrefix, still percent-encoded
  std::string_view body;
  std::string_view authorization;      // the whole header
  std::string_view if_match;           // "\"12\"", "*" or empty
  std::string_view if_none_match;      // "*" or empty
  std::string_view from = {};          // the other end, for the audit log
  std::string_view member = {};        // the verified member of the grid at the other end, or empty
  std::string_view fetched_jwks = {};  // of an issuer that has a URL: what control found there
};

struct ApiAnswer {
  int status = 200;
  std::string body;            // JSON
  std::uint64_t revision = 0;  // of the one row that it is about: its ETag; 0: none
  std::shared_ptr<const std::string> shared = {};  // instead of `body`: of many answers
  std::string_view text() const { return shared ? std::string_view{*shared} : body; }
};

// When a key was last used, as far as is known; micros 0: never.
using LastUse = std::function<WallTime(const std::string& key_id)>;

// How fetching an issuer's keys goes (control/issuer_keys.h).
struct IssuerKeysState {
  WallTime fetched;       // last; micros 0: not since control started
  std::string error;      // of the last try; empty: it went well
  unsigned failures = 0;  // in a row
};
using KnowIssuerKeys = std::function<IssuerKeysState(const std::string& issuer_id)>;

// On the IO thread. The table must outlive this.
class ControlApi {
 public:
  ControlApi(DirectoryTable& table, const Clock& clock) : table_(table), clock_(clock) {}
  // Shown with keys from now on; without it every key was never used.
  void know_last_use(LastUse last_use) { last_use_ = std::move(last_use); }
  // Shown with issuers whose keys are fetched.
  void know_issuer_keys(KnowIssuerKeys know) { issuer_keys_ = std::move(know); }
  // The keys that control found at `url`; no change when they are the same.
  Result<> refresh_issuer(const std::string& id, std::string_view jwks, const std::string& url);

  // A request past its door: what it asks for, and who asks.
  struct Permitted {
    const ControlRoute* route = nullptr;
    ControlPath path;
    Caller caller;  // of a call that anyone may make: a default one
  };
  // Checks the credential, and by the table of routes what it may do.
  Result<Permitted> permit(const ApiRequest& request) const;
  // Answers what was permitted. Not the watch, usage and rates, which the server answers itself.
  Result<ApiAnswer> answer(const ApiRequest& request, Permitted permitted);
  Result<ApiAnswer> answer(const ApiRequest& request);  // both
  // From now on no change is made that is not written there first. It must outlive this.
  void keep_audit(AuditLog& audit) { audit_ = &audit; }
  // From now on sites get certificates when they join, and need them. It must outlive this.
  // No site gets a certificate for a host of control's own.
  void use_authority(const GridAuthority& authority, std::vector<std::string> own_hosts = {}) {
    authority_ = &authority;
    own_hosts_ = std::move(own_hosts);
    require_members(authority.grid());
  }
  // Sites' keys count only with their certificates of this grid.
  void require_members(std::string grid) { members_of_ = std::move(grid); }
  const std::string& members_of() const { return members_of_; }

 private:
  // A request past its door: who asks, what is named, what is expected.
  struct Call {
    std::string_view method;
    std::string_view body;
    std::string name;                       // the rest of the path, decoded
    std::string action;                     // "drain" of POST .../sites/NAME/drain
    std::optional<std::uint64_t> expected;  // from if-match or if-none-match
    SiteId site;                            // that calls; empty: no site does
    std::string actor;                      // the key's id, for the audit log
    OperatorRole actor_role = OperatorRole::Viewer;
    std::string_view from;  // whence, for the audit log
    std::string_view fetched_jwks;
    std::uint64_t expected_or_any() const { return expected.value_or(kAnyRevision); }
  };
  Result<ApiAnswer> dispatch(ControlCallName name, const Call& call);
  Result<ApiAnswer> change_grid(ControlCallName name, const Call& call);
  Result<ApiAnswer> change_tenants(ControlCallName name, const Call& call);

  Result<ApiAnswer> list_sites() const;
  Result<ApiAnswer> show_site(const Call& call) const;
  Result<ApiAnswer> put_site(const Call& call);
  Result<ApiAnswer> set_drained(const Call& call, bool drained);
  Result<ApiAnswer> remove_site(const Call& call);

  Result<ApiAnswer> list_models() const;
  Result<ApiAnswer> show_model(const Call& call) const;
  Result<ApiAnswer> put_model(const Call& call);
  Result<ApiAnswer> remove_model(const Call& call);
  Result<ApiAnswer> list_placements() const;
  Result<ApiAnswer> show_placement(const Call& call) const;
  Result<ApiAnswer> put_placement(const Call& call);

  Result<ApiAnswer> list_tenants() const;
  Result<ApiAnswer> show_tenant(const Call& call) const;
  Result<ApiAnswer> put_tenant(const Call& call);
  Result<ApiAnswer> set_suspended(const Call& call, bool suspended);
  Result<ApiAnswer> remove_tenant(const Call& call);

  Result<ApiAnswer> list_keys() const;
  Result<ApiAnswer> show_key(const Call& call) const;
  Result<ApiAnswer> create_key(const Call& call);
  Result<ApiAnswer> revoke_key(const Call& call);
  Result<ApiAnswer> rotate_key(const Call& call);
  Result<ApiAnswer> scope_key(const Call& call);
  Result<KeyRecord> key_to_change(const Call& call) const;
  Result<> check_last_operator(const KeyRecord& key) const;
  std::string view_of(const KeyRecord& key) const;

  Result<ApiAnswer> list_issuers() const;
  Result<ApiAnswer> show_issuer(const Call& call) const;
  Result<ApiAnswer> put_issuer(const Call& call);
  Result<ApiAnswer> refresh_issuer(const Call& call);
  std::string view_of(const IssuerRecord& issuer) const;

  Result<ApiAnswer> list_join_tokens() const;
  Result<ApiAnswer> create_join_token(const Call& call);
  Result<ApiAnswer> join(const Call& asked);
  Result<ApiAnswer> renew(const SiteId& site, std::string_view body) const;
  Result<JoinTokenRecord> redeemable_token(std::string_view text, std::string_view site) const;

  // Stores one row and answers with its view.
  Result<ApiAnswer> put_row(const Call& call, std::string_view kind, const std::string& key,
                            std::string row, std::string_view view);
  Result<ApiAnswer> remove_row(const Call& call, std::string_view kind, const std::string& key);
  // DirectoryTable::record_and_apply(): "put tenant" is a `what`.
  Result<std::uint64_t> apply(const Call& call, std::string_view what,
                              std::vector<DirectoryWrite> writes);
  ApiAnswer list_of(const std::vector<std::string>& views) const;
  ApiAnswer item(std::string_view kind, std::string_view key, std::string_view view) const;

  DirectoryTable& table_;
  const Clock& clock_;
  LastUse last_use_;
  KnowIssuerKeys issuer_keys_;
  AuditLog* audit_ = nullptr;
  const GridAuthority* authority_ = nullptr;  // null: no certificates are made here
  std::vector<std::string> own_hosts_;
  std::string members_of_;
};

// The steps that the collections share.
Error no_such(std::string_view what, std::string_view name);
// ResourceExhausted when `count` has reached `most`.
Result<> check_room(std::string_view what, std::size_t count, std::size_t most);
// `{...}` with one more field "revision".
std::string with_revision(std::string_view object, std::uint64_t revision);

}  // namespace perigee::control
