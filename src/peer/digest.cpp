#include "peer/digest.h"

#include <array>
#include <boost/json.hpp>
#include <limits>
#include <utility>

#include "api/load.h"
#include "base/base64.h"

namespace perigee {
namespace {

namespace json = boost::json;

constexpr std::array<std::pair<std::string_view, Capabilities>, 4> kCapabilityNames{
    {{"vision", kVision},
     {"guided_output", kGuidedOutput},
     {"embeddings", kEmbeddings},
     {"tools", kTools}}};
constexpr std::uint32_t kEnginesMax = 1'000'000;
constexpr std::uint32_t kContextMax = 1'000'000'000;
constexpr std::int64_t kPriceMax = 1'000'000'000'000'000;

Error malformed(std::string_view what) {
  return Error{Code::InvalidArgument, "malformed digest: " + std::string{what}};
}

json::array capability_names(Capabilities capabilities) {
  json::array names;
  for (const auto& [name, bit] : kCapabilityNames) {
    if ((capabilities & bit) != 0) names.emplace_back(name);
  }
  return names;
}

// Names of a newer version are no news of what is asked here.
std::optional<Capabilities> parse_capabilities(const json::value& value) {
  const json::array* names = value.if_array();
  if (names == nullptr) return std::nullopt;
  Capabilities capabilities = 0;
  for (const json::value& name : *names) {
    if (!name.is_string()) return std::nullopt;
    capabilities |= parse_capability(std::string_view{name.get_string()}).value_or(0);
  }
  return capabilities;
}

// Leaves `out` as it is where the key is absent; false when it is no number of 0 to `most`.
template <class Number>
bool read_number(const json::object& object, std::string_view key, Number most, Number& out) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return true;
  boost::system::error_code error;
  const auto number = value->to_number<Number>(error);
  if (error || !(number >= Number{0}) || number > most) return false;
  out = number;
  return true;
}

// A filter of another version or size is as none.
bool read_filter(const json::object& object, ModelDigest& out) {
  const json::value* value = object.if_contains("prefixes");
  if (value == nullptr) return true;
  if (!value->is_string()) return false;
  const auto bytes = from_base64(std::string_view{value->get_string()});
  if (!bytes) return false;
  if (auto filter = PrefixFilter::parse(*bytes)) {
    out.prefixes = std::make_shared<const PrefixFilter>(std::move(*filter));
  }
  return true;
}

Result<ModelDigest> parse_model(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return malformed("models must hold objects");
  const json::value* id = object->if_contains("id");
  const json::value* ready = object->if_contains("ready");
  const json::value* load = object->if_contains("load");
  if (id == nullptr || !id->is_string() || !valid_model_name(std::string_view{id->get_string()})) {
    return malformed("models[].id must be a model's name");
  }
  if (ready == nullptr || !ready->is_bool()) return malformed("models[].ready must be a bool");
  if (load == nullptr || !load->is_string()) return malformed("models[].load must be a string");
  const auto parsed = api::parse_load(std::string_view{load->get_string()});
  if (!parsed) return malformed("models[].load is not a load");
  ModelDigest digest;
  digest.model = ModelId{std::string{id->get_string()}};
  digest.ready = ready->get_bool();
  digest.load = *parsed;
  if (!read_number(*object, "engines", kEnginesMax, digest.engines) || digest.engines == 0) {
    return malformed("models[].engines must be a number of engines");
  }
  if (!read_number(*object, "context_tokens", kContextMax, digest.context_tokens)) {
    return malformed("models[].context_tokens must be a number of tokens");
  }
  if (!read_number(*object, "price_micros_per_mtok", kPriceMax, digest.price_micros_per_mtok)) {
    return malformed("models[].price_micros_per_mtok must be a number of micro-units");
  }
  if (const json::value* names = object->if_contains("capabilities")) {
    const auto capabilities = parse_capabilities(*names);
    if (!capabilities) return malformed("models[].capabilities must be a list of names");
    digest.capabilities = *capabilities;
  }
  if (!read_number(*object, "prefix_version", std::numeric_limits<std::uint64_t>::max(),
                   digest.prefix_version) ||
      !read_filter(*object, digest)) {
    return malformed("models[].prefix_version and prefixes must be a number and base64");
  }
  return digest;
}

Result<PrefixVersions> parse_holds(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr || object->size() > kDigestModelsMax) {
    return malformed("holds must be an object with a number for each of at most 1024 models");
  }
  PrefixVersions held;
  for (const auto& [model, version] : *object) {
    boost::system::error_code error;
    const auto number = version.to_number<std::uint64_t>(error);
    if (error || !valid_model_name(std::string_view{model})) {
      return malformed("holds must have a number for each model");
    }
    held.emplace(ModelId{std::string{model}}, number);
  }
  return held;
}

json::object model_json(const ModelDigest& model) {
  json::object object{{"id", model.model.str()},
                      {"ready", model.ready},
                      {"load", api::format_load(model.load)},
                      {"engines", model.engines}};
  if (model.capabilities != kEverything) {
    object["capabilities"] = capability_names(model.capabilities);
  }
  if (model.context_tokens > 0) object["context_tokens"] = model.context_tokens;
  if (model.price_micros_per_mtok > 0) {
    object["price_micros_per_mtok"] = model.price_micros_per_mtok;
  }
  if (model.prefix_version > 0) object["prefix_version"] = model.prefix_version;
  if (model.prefixes != nullptr) object["prefixes"] = to_base64(model.prefixes->encode());
  return object;
}

}  // namespace

std::optional<Capabilities> parse_capability(std::string_view name) {
  for (const auto& [known, bit] : kCapabilityNames) {
    if (name == known) return bit;
  }
  return std::nullopt;
}

std::string digest_json(const Digest& digest) {
  json::array models;
  for (const ModelDigest& model : digest.models) models.emplace_back(model_json(model));
  json::object object{{"site", digest.site.str()},
                      {"revision", digest.revision},
                      {"drained", digest.drained},
                      {"models", std::move(models)}};
  if (digest.reserved_share > 0) object["reserved_share"] = digest.reserved_share;
  if (digest.power_share < 1) object["power_share"] = digest.power_share;
  if (digest.holds) {
    json::object holds;
    for (const auto& [model, version] : *digest.holds) holds[model.str()] = version;
    object["holds"] = std::move(holds);
  }
  return json::serialize(object);
}

Result<Digest> parse_digest(std::string_view text) {
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 8;
  const json::value parsed = json::parse(text, error, {}, options);
  if (error || !parsed.is_object()) return malformed("not a JSON object");
  const json::object& object = parsed.get_object();
  Digest digest;
  const json::value* site = object.if_contains("site");
  if (site == nullptr || !site->is_string() || !valid_name(std::string_view{site->get_string()})) {
    return malformed("site must be a site's name");
  }
  digest.site = SiteId{std::string{site->get_string()}};
  if (const json::value* revision = object.if_contains("revision")) {
    boost::system::error_code not_number;
    digest.revision = revision->to_number<std::uint64_t>(not_number);
    if (not_number) return malformed("revision must be a number");
  }
  if (const json::value* drained = object.if_contains("drained")) {
    if (!drained->is_bool()) return malformed("drained must be a bool");
    digest.drained = drained->get_bool();
  }
  if (!read_number(object, "reserved_share", 1.0, digest.reserved_share) ||
      !read_number(object, "power_share", 1.0, digest.power_share)) {
    return malformed("reserved_share and power_share must be numbers of 0 to 1");
  }
  if (const json::value* holds = object.if_contains("holds")) {
    PERIGEE_TRY(held, parse_holds(*holds));
    digest.holds = std::move(held);
  }
  const json::value* models = object.if_contains("models");
  if (models == nullptr || !models->is_array()) return malformed("models must be a list");
  if (models->get_array().size() > kDigestModelsMax) return malformed("more than 1024 models");
  for (const json::value& value : models->get_array()) {
    PERIGEE_TRY(model, parse_model(value));
    digest.models.push_back(std::move(model));
  }
  return digest;
}

Digest without_known_filters(Digest own, const std::optional<PrefixVersions>& held) {
  std::size_t bytes = 0;
  for (ModelDigest& model : own.models) {
    if (model.prefixes == nullptr) continue;
    const auto known = held ? held->find(model.model) : PrefixVersions::const_iterator{};
    const bool has = held && known != held->end() && known->second == model.prefix_version;
    const std::size_t size = model.prefixes->bytes() * 4 / 3;
    if (!held || has || bytes + size > kDigestFilterBytesMax) {
      model.prefixes.reset();
    } else {
      bytes += size;
    }
  }
  return own;
}

}  // namespace perigee
