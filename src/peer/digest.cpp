#include "peer/digest.h"

#include <boost/json.hpp>

#include "api/load.h"

namespace perigee {
namespace {

namespace json = boost::json;

Error malformed(std::string_view what) {
  return Error{Code::InvalidArgument, "malformed digest: " + std::string{what}};
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
  return ModelDigest{ModelId{std::string{id->get_string()}}, ready->get_bool(), *parsed};
}

}  // namespace

std::string digest_json(const Digest& digest) {
  json::array models;
  for (const ModelDigest& model : digest.models) {
    models.emplace_back(json::object{
        {"id", model.model.str()}, {"ready", model.ready}, {"load", api::format_load(model.load)}});
  }
  const json::object object{{"site", digest.site.str()},
                            {"revision", digest.revision},
                            {"drained", digest.drained},
                            {"models", std::move(models)}};
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
  const json::value* models = object.if_contains("models");
  if (models == nullptr || !models->is_array()) return malformed("models must be a list");
  if (models->get_array().size() > kDigestModelsMax) return malformed("more than 1024 models");
  for (const json::value& value : models->get_array()) {
    PERIGEE_TRY(model, parse_model(value));
    digest.models.push_back(std::move(model));
  }
  return digest;
}

}  // namespace perigee
