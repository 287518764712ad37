#include "directory/record_fields.h"

#include <algorithm>
#include <array>

namespace perigee::fields {
namespace {

constexpr std::size_t kUrlBytesMax = 256;
constexpr std::size_t kTextBytesMax = 128;
constexpr std::size_t kModelNameBytesMax = 2 * kNameBytesMax;
constexpr std::size_t kJurisdictionsMax = 32;
constexpr std::size_t kScopeModelsMax = 64;
constexpr std::size_t kScopeClassesMax = 4;
constexpr std::int64_t kPerMinuteMax = 1'000'000'000;
constexpr std::size_t kAlgorithmsMax = 3;
constexpr std::int64_t kClockSkewMax = 600;
constexpr std::int64_t kMicrosMax = std::int64_t{1} << 62;
constexpr std::int64_t kContextTokensMax = 16'777'216;
constexpr std::int64_t kEnginesMax = 64;
constexpr std::int64_t kSlotsMax = 256;  // what an engine takes (llama::Batcher::kStreamsMax)
constexpr std::int64_t kSlotsStoredMax = 1024;  // what was let in once must be read for ever
constexpr std::int64_t kThreadsMax = 256;
constexpr std::string_view kNameRule =
    "a name of at most 64 characters: lower-case letters, digits, '.', '_' and '-', starting with "
    "a "
    "letter or digit";
constexpr std::string_view kModelNameRule =
    "a model name of at most 128 characters: letters, digits and ._:/@-, starting with a letter or "
    "digit";
constexpr std::array<std::string_view, 3> kRoleNames{"tenant", "operator", "site"};
constexpr std::array<std::string_view, 3> kAlgorithms{"RS256", "ES256", "EdDSA"};
constexpr std::array<std::string_view, 2> kKindNames{"llama", "external"};

template <class Tag>
Id<Tag> name_in(JsonFields& fields, std::string_view field, Need need) {
  std::string name = fields.text(field, need, kModelNameBytesMax);
  if (!name.empty() && !valid_name(name)) fields.refuse(field, kNameRule);
  return Id<Tag>{std::move(name)};
}

ModelId model_in(JsonFields& fields, std::string_view field) {
  std::string name = fields.text(field, Need::Required, kTextBytesMax);
  if (!valid_model_name(name)) fields.refuse(field, kModelNameRule);
  return ModelId{std::move(name)};
}

template <class Enum, std::size_t N>
Enum choice_in(JsonFields& fields, std::string_view field, Need need,
               const std::array<std::string_view, N>& names, std::string_view expected) {
  const std::string text = fields.text(field, need, kNameBytesMax);
  for (std::size_t i = 0; i < N; ++i) {
    if (names.at(i) == text) return static_cast<Enum>(i);
  }
  if (!text.empty()) fields.refuse(field, expected);
  return static_cast<Enum>(0);
}

WallTime time_in(JsonFields& fields, std::string_view field) {
  return WallTime{fields.integer(field, Need::Optional, 0, kMicrosMax)};
}

bool plain_file_name(std::string_view name) {
  return name.find('/') == std::string_view::npos && name != "." && name != "..";
}

std::vector<JurisdictionId> jurisdictions_in(JsonFields& fields) {
  std::vector<JurisdictionId> ids;
  for (std::string& name : fields.texts("jurisdictions", kJurisdictionsMax, kNameBytesMax)) {
    if (!valid_name(name)) fields.refuse("jurisdictions", "an array of names");
    ids.emplace_back(std::move(name));
  }
  return ids;
}

template <class Tag>
std::vector<std::string> names_of(const std::vector<Id<Tag>>& ids) {
  std::vector<std::string> names;
  names.reserve(ids.size());
  for (const Id<Tag>& id : ids) names.push_back(id.str());
  return names;
}

std::vector<ModelId> models_in(JsonFields& fields) {
  std::vector<ModelId> ids;
  for (std::string& name : fields.texts("models", kScopeModelsMax, kModelNameBytesMax)) {
    if (!valid_model_name(name)) fields.refuse("models", "an array of names of models");
    ids.emplace_back(std::move(name));
  }
  return ids;
}

std::vector<ServiceClass> classes_in(JsonFields& fields) {
  std::vector<ServiceClass> classes;
  for (const std::string& name : fields.texts("classes", kScopeClassesMax, kNameBytesMax)) {
    const std::optional<ServiceClass> parsed = parse_service_class(name);
    if (!parsed) fields.refuse("classes", "of realtime, interactive, standard and batch");
    classes.push_back(parsed.value_or(ServiceClass::Batch));
  }
  return classes;
}

void add_scope(JsonObject& object, const KeyScope& scope) {
  std::vector<std::string> classes;
  for (const ServiceClass each : scope.classes) classes.emplace_back(to_string(each));
  object.add("models", names_of(scope.models))
      .add("classes", classes)
      .add("jurisdictions", names_of(scope.jurisdictions))
      .add("requests_per_minute", scope.requests_per_minute)
      .add("tokens_per_minute", scope.tokens_per_minute);
}

OperatorRole operator_role_in(JsonFields& fields) {
  const std::string name = fields.text("operator_role", Need::Optional, kNameBytesMax);
  if (name.empty()) return OperatorRole::Admin;  // rows from before there were roles
  const std::optional<OperatorRole> role = parse_operator_role(name);
  if (!role) fields.refuse("operator_role", "viewer, operator, finance or admin");
  return role.value_or(OperatorRole::Viewer);
}

}  // namespace

void read(JsonFields& fields, Dialect dialect, SiteRecord& record) {
  if (dialect != Dialect::Request) record.id = name_in<SiteTag>(fields, "name", Need::Required);
  record.url = fields.text("url", Need::Required, kUrlBytesMax);
  const std::string tier = fields.text("tier", Need::Required, kNameBytesMax);
  const std::optional<Tier> parsed = parse_tier(tier);
  if (!parsed) fields.refuse("tier", "far_edge, edge, metro, regional or core");
  record.tier = parsed.value_or(Tier::Edge);
  record.jurisdiction = name_in<JurisdictionTag>(fields, "jurisdiction", Need::Required);
  if (record.jurisdiction.empty()) fields.refuse("jurisdiction", kNameRule);
  record.latitude = fields.number("latitude", Need::Required, -90, 90);
  record.longitude = fields.number("longitude", Need::Required, -180, 180);
  record.city = fields.text("city", Need::Optional, kNameBytesMax);
  record.drained = fields.flag("drained");
  if (dialect != Dialect::Request) record.joined = fields.flag("joined");
  if (dialect == Dialect::Row) record.key_hash = fields.digest("key_hash", Need::Optional);
}

std::string write(Dialect dialect, const SiteRecord& record) {
  JsonObject object;
  object.add("name", record.id.str())
      .add("url", record.url)
      .add("tier", to_string(record.tier))
      .add("jurisdiction", record.jurisdiction.str())
      .add("latitude", record.latitude)
      .add("longitude", record.longitude)
      .add("city", record.city)
      .add("drained", record.drained)
      .add("joined", record.joined);
  if (dialect == Dialect::Row && record.joined) object.add("key_hash", to_hex(record.key_hash));
  return object.take();
}

void read(JsonFields& fields, Dialect dialect, ModelRecord& record) {
  if (dialect != Dialect::Request) record.id = model_in(fields, "name");
  record.kind =
      choice_in<ModelKind>(fields, "kind", Need::Optional, kKindNames, "llama or external");
  record.file = fields.text("file", Need::Optional, kTextBytesMax);
  if (!plain_file_name(record.file)) {
    fields.refuse("file", "a file name without a path: it lies in each site's models folder");
  }
  if (record.kind == ModelKind::Llama && record.file.empty()) {
    fields.refuse("file", "the name of a GGUF file (or set `kind` to external)");
  }
  if (record.kind == ModelKind::External && !record.file.empty()) {
    fields.refuse("file", "absent for an external model");
  }
  record.sha256 = fields.text("sha256", Need::Optional, kNameBytesMax);
  Sha256 digest{};
  if (!record.sha256.empty() && !from_hex(record.sha256, digest)) {
    fields.refuse("sha256", "64 lower-case hex digits");
  }
  record.context_tokens = static_cast<std::uint32_t>(
      fields.integer("context_tokens", Need::Optional, 0, kContextTokensMax));
  if (fields.has("owned_by"))
    record.owned_by = fields.text("owned_by", Need::Optional, kTextBytesMax);
  record.created = fields.integer("created", Need::Optional, 0, kMicrosMax);
}

std::string write(Dialect /*dialect*/, const ModelRecord& record) {
  JsonObject object;
  object.add("name", record.id.str())
      .add("kind", kKindNames.at(static_cast<std::size_t>(record.kind)))
      .add("file", record.file)
      .add("sha256", record.sha256)
      .add("context_tokens", record.context_tokens)
      .add("owned_by", record.owned_by)
      .add("created", record.created);
  return object.take();
}

void read(JsonFields& fields, Dialect dialect, PlacementRecord& record) {
  if (dialect != Dialect::Request) {
    record.site = name_in<SiteTag>(fields, "site", Need::Required);
    record.model = model_in(fields, "model");
  }
  const auto count = [&fields](std::string_view name, std::int64_t most, std::uint32_t absent) {
    return static_cast<std::uint32_t>(fields.integer(name, Need::Optional, 1, most, absent));
  };
  record.engines = count("engines", kEnginesMax, record.engines);
  record.slots =
      count("slots", dialect == Dialect::Request ? kSlotsMax : kSlotsStoredMax, record.slots);
  record.threads = count("threads", kThreadsMax, record.threads);
}

std::string write(Dialect /*dialect*/, const PlacementRecord& record) {
  JsonObject object;
  object.add("site", record.site.str())
      .add("model", record.model.str())
      .add("engines", record.engines)
      .add("slots", record.slots)
      .add("threads", record.threads);
  return object.take();
}

void read(JsonFields& fields, Dialect dialect, TenantRecord& record) {
  if (dialect != Dialect::Request) record.id = name_in<TenantTag>(fields, "name", Need::Required);
  record.display_name = fields.text("display_name", Need::Optional, kTextBytesMax);
  record.jurisdictions = jurisdictions_in(fields);
  record.suspended = fields.flag("suspended");
}

std::string write(Dialect /*dialect*/, const TenantRecord& record) {
  JsonObject object;
  object.add("name", record.id.str())
      .add("display_name", record.display_name)
      .add("jurisdictions", names_of(record.jurisdictions))
      .add("suspended", record.suspended);
  return object.take();
}

void read(JsonFields& fields, Dialect dialect, KeyRecord& record) {
  record.id = fields.text("id", Need::Required, kNameBytesMax);
  if (dialect == Dialect::Row) record.hash = fields.digest("hash", Need::Required);
  record.role = choice_in<Role>(fields, "role", Need::Required, kRoleNames, "tenant or operator");
  record.operator_role = operator_role_in(fields);
  record.tenant = name_in<TenantTag>(fields, "tenant", Need::Optional);
  record.label = fields.text("label", Need::Optional, kTextBytesMax);
  record.scope = read_scope(fields);
  record.account = fields.text("account", Need::Optional, kNameBytesMax);
  if (record.account.empty()) record.account = record.id;
  record.replaced_by = fields.text("replaced_by", Need::Optional, kNameBytesMax);
  record.created = time_in(fields, "created_us");
  record.expires = time_in(fields, "expires_us");
  record.revoked = fields.flag("revoked");
}

std::string write(Dialect dialect, const KeyRecord& record) {
  JsonObject object;
  object.add("id", record.id);
  if (dialect == Dialect::Row) object.add("hash", to_hex(record.hash));
  object.add("role", kRoleNames.at(static_cast<std::size_t>(record.role)));
  if (record.role == Role::Operator) object.add("operator_role", to_string(record.operator_role));
  object.add("tenant", record.tenant.str()).add("label", record.label);
  if (record.role == Role::Tenant) add_scope(object, record.scope);
  object.add("account", record.account)
      .add("replaced_by", record.replaced_by)
      .add("created_us", record.created.micros)
      .add("expires_us", record.expires.micros)
      .add("revoked", record.revoked);
  return object.take();
}

KeyScope read_scope(JsonFields& fields) {
  const auto per_minute = [&fields](std::string_view name) {
    return static_cast<std::uint32_t>(fields.integer(name, Need::Optional, 0, kPerMinuteMax));
  };
  KeyScope scope;
  scope.models = models_in(fields);
  scope.classes = classes_in(fields);
  scope.jurisdictions = jurisdictions_in(fields);
  scope.requests_per_minute = per_minute("requests_per_minute");
  scope.tokens_per_minute = per_minute("tokens_per_minute");
  return scope;
}

void read(JsonFields& fields, Dialect dialect, IssuerRecord& record) {
  if (dialect != Dialect::Request) record.id = fields.text("name", Need::Required, kNameBytesMax);
  record.issuer = fields.text("issuer", Need::Required, kUrlBytesMax);
  record.audience = fields.text("audience", Need::Required, kUrlBytesMax);
  record.algorithms = fields.texts("algorithms", kAlgorithmsMax, kNameBytesMax);
  for (const std::string& name : record.algorithms) {
    if (std::ranges::find(kAlgorithms, name) == kAlgorithms.end()) {
      fields.refuse("algorithms", "of RS256, ES256 and EdDSA");
    }
  }
  if (record.algorithms.empty()) fields.refuse("algorithms", "one or more of RS256, ES256, EdDSA");
  record.jwks_url = fields.text("jwks_url", Need::Optional, kUrlBytesMax);
  const bool fetched = dialect == Dialect::Request && !record.jwks_url.empty();
  record.jwks = fields.text("jwks", fetched ? Need::Optional : Need::Required, kJwksBytesMax);
  if (fetched && !record.jwks.empty()) {
    fields.refuse("jwks", "left out where `jwks_url` says where control fetches it");
  }
  record.tenant_claim = fields.text("tenant_claim", Need::Optional, kNameBytesMax);
  record.tenant = name_in<TenantTag>(fields, "tenant", Need::Optional);
  if (record.tenant_claim.empty() == record.tenant.empty()) {
    fields.refuse("tenant", "given where `tenant_claim` is not: one of both");
  }
  record.clock_skew_s = static_cast<std::uint32_t>(
      fields.integer("clock_skew_s", Need::Optional, 0, kClockSkewMax, record.clock_skew_s));
  record.scope = read_scope(fields);
}

std::string write(Dialect /*dialect*/, const IssuerRecord& record) {
  JsonObject object;
  object.add("name", record.id)
      .add("issuer", record.issuer)
      .add("audience", record.audience)
      .add("algorithms", record.algorithms)
      .add("jwks", record.jwks)
      .add("tenant_claim", record.tenant_claim)
      .add("tenant", record.tenant.str())
      .add("clock_skew_s", record.clock_skew_s);
  if (!record.jwks_url.empty()) object.add("jwks_url", record.jwks_url);
  add_scope(object, record.scope);
  return object.take();
}

void read(JsonFields& fields, Dialect dialect, JoinTokenRecord& record) {
  record.id = fields.text("id", Need::Required, kNameBytesMax);
  if (dialect == Dialect::Row) record.hash = fields.digest("hash", Need::Required);
  record.site = name_in<SiteTag>(fields, "site", Need::Required);
  record.jurisdiction = name_in<JurisdictionTag>(fields, "jurisdiction", Need::Optional);
  record.created = time_in(fields, "created_us");
  record.expires = time_in(fields, "expires_us");
  record.used = fields.flag("used");
}

std::string write(Dialect dialect, const JoinTokenRecord& record) {
  JsonObject object;
  object.add("id", record.id);
  if (dialect == Dialect::Row) object.add("hash", to_hex(record.hash));
  object.add("site", record.site.str())
      .add("jurisdiction", record.jurisdiction.str())
      .add("created_us", record.created.micros)
      .add("expires_us", record.expires.micros)
      .add("used", record.used);
  return object.take();
}

}  // namespace perigee::fields
