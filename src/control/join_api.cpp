#include <boost/json/serialize.hpp>

#include "base/log.h"
#include "control/control_api.h"
#include "control/site_host.h"
#include "directory/json_fields.h"
#include "directory/json_text.h"
#include "directory/records_json.h"
#include "identity/key_text.h"
#include "net/endpoint.h"

namespace perigee::control {
namespace {

constexpr std::int64_t kTokenSecondsDefault = 3'600;
constexpr std::int64_t kTokenSecondsMax = std::int64_t{30} * 86'400;
constexpr std::int64_t kForgetMicros = std::int64_t{7} * 86'400 * 1'000'000;
constexpr std::size_t kIdHexChars = 12;

// A token is found by its hash, so that its id says nothing of its text.
std::string id_of_token(const Sha256& hash) {
  return "join_" + to_hex(hash).substr(0, kIdHexChars);
}

constexpr std::size_t kRequestBytesMax = 16 * 1024;

struct JoinRequest {
  std::string token;
  std::string certificate_request;  // PEM; may be empty
  SiteRecord site;
};

Result<JoinRequest> join_from_request(std::string_view body) {
  PERIGEE_TRY(object, parse_json_object(body));
  JsonFields fields{object};
  JoinRequest request;
  request.token = fields.text("token", Need::Required, 2 * kNameBytesMax);
  const std::string name = fields.text("name", Need::Required, kNameBytesMax);
  request.certificate_request =
      fields.lines("certificate_request", Need::Optional, kRequestBytesMax);
  if (const auto read = fields.finish(UnknownFields::Ignore); !read) return read.error();
  boost::json::object facts = object;
  facts.erase("token");
  facts.erase("certificate_request");
  facts.erase("name");
  facts.erase("drained");
  PERIGEE_TRY(site, site_from_request(name, boost::json::serialize(facts)));
  if (auto url = net::parse_url(site.url); !url) {
    return Error{Code::InvalidArgument, "`url`: " + url.error().message, "url"};
  }
  request.site = std::move(site);
  return request;
}

// What the operator wrote of a site beforehand is law.
Error differs(const SiteId& site, std::string_view field, std::string_view expected) {
  return Error{Code::FailedPrecondition,
               "site " + site.str() + " is registered with " + std::string{field} + " " +
                   std::string{expected} + ": join with that, or have the operator change it",
               std::string{field}};
}

// Under which law a new site will stand: what the token's maker says, or what is registered.
Result<JurisdictionId> law_of_token(const DirectorySnapshot& snapshot, const SiteId& site,
                                    const JurisdictionId& asked) {
  const auto stored = snapshot.sites.find(site);
  if (stored == snapshot.sites.end()) {
    if (!asked.empty()) return asked;
    return Error{Code::InvalidArgument,
                 "`jurisdiction` must be the law that site " + site.str() +
                     " will stand under: it is not registered yet",
                 "jurisdiction"};
  }
  const JurisdictionId& registered = stored->second.jurisdiction;
  if (!asked.empty() && asked != registered) {
    return differs(site, "jurisdiction", registered.str());
  }
  return registered;
}

Result<> check_facts(const JoinTokenRecord& token, const SiteRecord& site) {
  if (token.jurisdiction == site.jurisdiction) return {};
  return differs(site.id, "jurisdiction", token.jurisdiction.str());
}

Result<> check_facts(const SiteRecord& stored, const SiteRecord& site) {
  if (stored.jurisdiction != site.jurisdiction) {
    return differs(site.id, "jurisdiction", stored.jurisdiction.str());
  }
  if (stored.tier != site.tier) return differs(site.id, "tier", to_string(stored.tier));
  return {};
}

}  // namespace

Result<ApiAnswer> ControlApi::list_join_tokens() const {
  std::vector<std::string> views;
  for (const auto& [id, token] : table_.join_tokens()) {
    views.push_back(with_revision(to_view(token), table_.row_revision(row_kind::kJoinToken, id)));
  }
  return list_of(views);
}

Result<ApiAnswer> ControlApi::create_join_token(const Call& call) {
  PERIGEE_TRY(object, parse_json_object(call.body));
  JsonFields fields{object};
  JoinTokenRecord token;
  token.site = SiteId{fields.text("site", Need::Required, kNameBytesMax)};
  if (!valid_name(token.site.str())) fields.refuse("site", "the name of the site that will join");
  const JurisdictionId asked{fields.text("jurisdiction", Need::Optional, kNameBytesMax)};
  if (!asked.empty() && !valid_name(asked.str())) {
    fields.refuse("jurisdiction", "the law that the site will stand under, as \"de\"");
  }
  const std::int64_t seconds_valid =
      fields.integer("expires_in_s", Need::Optional, 1, kTokenSecondsMax, kTokenSecondsDefault);
  PERIGEE_CHECK(fields.finish(UnknownFields::Refuse));
  PERIGEE_TRY(law, law_of_token(table_.snapshot(), token.site, asked));
  token.jurisdiction = std::move(law);
  PERIGEE_CHECK(check_room("join tokens", table_.join_tokens().size(), kJoinTokensMax));
  const std::string text = make_key(KeyKind::JoinToken);
  token.hash = sha256(text);
  token.id = id_of_token(token.hash);
  token.created = clock_.wall();
  token.expires = WallTime{token.created.micros + seconds_valid * 1'000'000};
  const std::string kind{row_kind::kJoinToken};
  std::vector<DirectoryWrite> writes{{kind, token.id, to_row(token), 0}};
  for (const auto& [id, old] : table_.join_tokens()) {
    if (old.expires.micros + kForgetMicros < token.created.micros) {
      writes.push_back({kind, id, "", kAnyRevision});
    }
  }
  Call named = call;
  named.name = token.site.str();
  PERIGEE_TRY(revision, apply(named, "create join token", writes));
  const std::string view = to_view(token);
  std::string shown = view.substr(0, view.size() - 1) + ",\"token\":" + json_quote(text);
  if (authority_ != nullptr) {
    // So that whoever joins knows control before it trusts anything it says.
    shown += ",\"ca_sha256\":" + json_quote(to_hex(authority_->fingerprint()));
  }
  return ApiAnswer{201, with_revision(shown + "}", revision), revision};
}

Result<JoinTokenRecord> ControlApi::redeemable_token(std::string_view text,
                                                     std::string_view site) const {
  const auto refused = [](const char* message) { return Error{Code::Unauthenticated, message}; };
  if (kind_of_key(text) != KeyKind::JoinToken) {
    return refused("this is not a join token: they begin with pgj_");
  }
  if (!well_typed(text)) return refused("mistyped or cut join token: copy it again whole");
  const Sha256 hash = sha256(text);
  const auto found = table_.join_tokens().find(id_of_token(hash));
  if (found == table_.join_tokens().end() || found->second.hash != hash) {
    return refused("unknown join token: ask the operator for a new one");
  }
  const JoinTokenRecord& token = found->second;
  if (token.used) {
    return refused("this join token was already used: ask the operator for a new one");
  }
  if (token.expires <= clock_.wall()) {
    return refused("this join token has expired: ask the operator for a new one");
  }
  if (token.site.str() != site) {
    return refused("this join token is for a site of another name: use the name it was made for");
  }
  return token;
}

Result<ApiAnswer> ControlApi::join(const Call& asked) {
  PERIGEE_TRY(request, join_from_request(asked.body));
  SiteRecord& site = request.site;
  PERIGEE_TRY(token, redeemable_token(request.token, site.id.str()));
  const DirectorySnapshot& snapshot = table_.snapshot();
  const auto stored = snapshot.sites.find(site.id);
  if (stored != snapshot.sites.end()) {
    PERIGEE_CHECK(check_facts(stored->second, site));
    site.drained = stored->second.drained;
    if (site.city.empty()) site.city = stored->second.city;
  } else {
    PERIGEE_CHECK(check_facts(token, site));
    PERIGEE_CHECK(check_room("sites", snapshot.sites.size(), kSitesMax));
  }
  std::string chain;
  if (authority_ != nullptr) {
    if (request.certificate_request.empty()) {
      return Error{Code::InvalidArgument,
                   "this grid has an authority: join with a certificate request (PEM)",
                   "certificate_request"};
    }
    PERIGEE_CHECK(check_site_url(snapshot, own_hosts_, site));
    auto made = authority_->sign_site(request.certificate_request, site.id, host_of(site));
    if (!made) {
      Error error = made.error();
      error.param = "certificate_request";
      return error;
    }
    chain = std::move(*made);
  }
  const std::string key = make_key(KeyKind::Site);
  site.key_hash = sha256(key);
  site.joined = true;
  token.used = true;
  const std::string site_kind{row_kind::kSite};
  const std::string token_kind{row_kind::kJoinToken};
  Call call;
  call.name = site.id.str();
  call.actor = token.id;
  call.from = asked.from;
  PERIGEE_TRY(
      revision,
      apply(call, "join",
            {{site_kind, call.name, to_row(site), table_.row_revision(site_kind, call.name)},
             {token_kind, token.id, to_row(token), table_.row_revision(token_kind, token.id)}}));
  JsonObject answer;
  answer.add("key", key)
      .add("grid", snapshot.grid)
      .add_raw("site", to_view(site))
      .add("revision", revision);
  if (authority_ != nullptr) {
    answer.add("certificate", chain).add("authorities", authority_->authorities_pem());
  }
  return ApiAnswer{201, answer.take(), 0};
}

// The caller showed a certificate that is still good, so it is given the next one. Whom that names
// is what the present one names, and it is for as long as the directory knows the site.
Result<ApiAnswer> ControlApi::renew(const SiteId& site, std::string_view body) const {
  if (authority_ == nullptr) {
    return Error{Code::FailedPrecondition,
                 "no certificates are made here: the grid's certificates come from elsewhere"};
  }
  PERIGEE_TRY(object, parse_json_object(body));
  JsonFields fields{object};
  const std::string request = fields.lines("certificate_request", Need::Required, kRequestBytesMax);
  PERIGEE_CHECK(fields.finish(UnknownFields::Refuse));
  const auto stored = table_.snapshot().sites.find(site);
  if (stored == table_.snapshot().sites.end()) return no_such("site", site.str());
  // Its url may be older than the rule that it must be https. Nobody calls it by that, but it must
  // go on following control.
  if (!is_secure(stored->second)) {
    log::warning("a site has a url in the clear: no other site calls it",
                 {{"site", site.str()}, {"url", stored->second.url}});
  }
  PERIGEE_CHECK(check_host(table_.snapshot(), own_hosts_, stored->second));
  PERIGEE_TRY(chain, authority_->sign_site(request, site, host_of(stored->second)));
  return ApiAnswer{200,
                   JsonObject{}
                       .add("certificate", chain)
                       .add("authorities", authority_->authorities_pem())
                       .take(),
                   0};
}

}  // namespace perigee::control
