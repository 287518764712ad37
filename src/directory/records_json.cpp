#include "directory/records_json.h"

#include "directory/record_fields.h"

namespace perigee {
namespace {

using fields::Dialect;

constexpr std::size_t kIssuerNameBytesMax = 32;  // it is a part of names of accounts

template <class Record>
Result<Record> from_request(std::string_view json) {
  PERIGEE_TRY(object, parse_json_object(json));
  JsonFields fields{object};
  Record record;
  read(fields, Dialect::Request, record);
  PERIGEE_CHECK(fields.finish(UnknownFields::Refuse));
  return record;
}

Result<> check_name(std::string_view name, std::string_view what) {
  if (valid_name(name)) return {};
  return Error{Code::InvalidArgument,
               "the name of a " + std::string{what} +
                   " has at most 64 characters: lower-case letters, digits, '.', '_' and '-', "
                   "starting with a letter or digit",
               "name"};
}

Result<> check_model_name(std::string_view name) {
  if (valid_model_name(name)) return {};
  return Error{Code::InvalidArgument,
               "the name of a model has at most 128 characters: letters, digits and ._:/@-, "
               "starting with a letter or digit",
               "name"};
}

}  // namespace

std::string placement_key(const SiteId& site, const ModelId& model) {
  return site.str() + "/" + model.str();
}

std::string to_row(const SiteRecord& record) { return fields::write(Dialect::Row, record); }
std::string to_row(const ModelRecord& record) { return fields::write(Dialect::Row, record); }
std::string to_row(const PlacementRecord& record) { return fields::write(Dialect::Row, record); }
std::string to_row(const TenantRecord& record) { return fields::write(Dialect::Row, record); }
std::string to_row(const KeyRecord& record) { return fields::write(Dialect::Row, record); }
std::string to_row(const IssuerRecord& record) { return fields::write(Dialect::Row, record); }
std::string to_row(const JoinTokenRecord& record) { return fields::write(Dialect::Row, record); }
std::string meta_row(std::string_view value) { return JsonObject{}.add("value", value).take(); }

Result<JoinTokenRecord> join_token_from_row(std::string_view json) {
  Result<boost::json::object> object = parse_json_object(json);
  if (!object) return Error{Code::DataLoss, "a stored join token is damaged"};
  JsonFields fields{*object};
  JoinTokenRecord record;
  read(fields, Dialect::Row, record);
  if (!fields.finish(UnknownFields::Ignore)) {
    return Error{Code::DataLoss, "a stored join token is damaged"};
  }
  return record;
}

Result<SiteRecord> site_from_request(std::string_view name, std::string_view json) {
  PERIGEE_CHECK(check_name(name, "site"));
  PERIGEE_TRY(record, from_request<SiteRecord>(json));
  record.id = SiteId{std::string{name}};
  return std::move(record);
}

Result<ModelRecord> model_from_request(std::string_view name, std::string_view json) {
  PERIGEE_CHECK(check_model_name(name));
  PERIGEE_TRY(record, from_request<ModelRecord>(json));
  record.id = ModelId{std::string{name}};
  return std::move(record);
}

Result<PlacementRecord> placement_from_request(std::string_view site, std::string_view model,
                                               std::string_view json) {
  PERIGEE_CHECK(check_name(site, "site"));
  PERIGEE_CHECK(check_model_name(model));
  PERIGEE_TRY(record, from_request<PlacementRecord>(json));
  record.site = SiteId{std::string{site}};
  record.model = ModelId{std::string{model}};
  return std::move(record);
}

Result<TenantRecord> tenant_from_request(std::string_view name, std::string_view json) {
  PERIGEE_CHECK(check_name(name, "tenant"));
  PERIGEE_TRY(record, from_request<TenantRecord>(json));
  record.id = TenantId{std::string{name}};
  return std::move(record);
}

Result<IssuerRecord> issuer_from_request(std::string_view name, std::string_view json) {
  PERIGEE_CHECK(check_name(name, "issuer"));
  if (name.size() > kIssuerNameBytesMax) {
    return Error{Code::InvalidArgument, "the name of an issuer has at most 32 characters", "name"};
  }
  PERIGEE_TRY(record, from_request<IssuerRecord>(json));
  record.id = name;
  return std::move(record);
}

Result<KeyScope> scope_from_request(std::string_view json) {
  PERIGEE_TRY(object, parse_json_object(json));
  JsonFields fields{object};
  KeyScope scope = fields::read_scope(fields);
  PERIGEE_CHECK(fields.finish(UnknownFields::Refuse));
  return std::move(scope);
}

std::string to_view(const SiteRecord& record) { return fields::write(Dialect::View, record); }
std::string to_view(const ModelRecord& record) { return fields::write(Dialect::View, record); }
std::string to_view(const PlacementRecord& record) { return fields::write(Dialect::View, record); }
std::string to_view(const TenantRecord& record) { return fields::write(Dialect::View, record); }
std::string to_view(const KeyRecord& record) { return fields::write(Dialect::View, record); }
std::string to_view(const IssuerRecord& record) { return fields::write(Dialect::View, record); }
std::string to_view(const JoinTokenRecord& record) { return fields::write(Dialect::View, record); }

}  // namespace perigee
