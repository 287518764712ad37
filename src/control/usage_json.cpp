#include "control/usage_json.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <charconv>

#include "directory/json_fields.h"
#include "directory/json_text.h"

namespace perigee::control {
namespace {

constexpr std::size_t kModelBytesMax = 128;
constexpr std::size_t kKeysMax = 6;
constexpr std::int64_t kTokensMax = 0x7fffffff;  // beyond what any request can count

std::string record_json(const UsageRecord& record) {
  JsonObject json;
  json.add("id", to_string(record.id))
      .add("tenant", record.tenant.str())
      .add("key", record.key_id)
      .add("model", record.model.str())
      .add("ingress_site", record.ingress_site.str())
      .add("serving_site", record.serving_site.str())
      .add("operation", to_string(record.operation))
      .add("class", to_string(record.service_class))
      .add("started_us", record.started.micros)
      .add("ended_us", record.ended.micros)
      .add("prompt_tokens", record.prompt_tokens)
      .add("cached_tokens", record.cached_tokens)
      .add("completion_tokens", record.completion_tokens)
      .add("outcome", to_string(record.outcome));
  return json.take();
}

template <class T>
T required(JsonFields& fields, std::string_view name, std::optional<T> (*parse)(std::string_view),
           std::string_view expected) {
  const std::optional<T> value = parse(fields.text(name, Need::Required, kNameBytesMax));
  if (!value) fields.refuse(name, expected);
  return value.value_or(T{});
}

Result<UsageRecord> parse_record(const boost::json::value& value, const SiteId& site) {
  const boost::json::object* object = value.if_object();
  if (object == nullptr) return Error{Code::InvalidArgument, "a record must be an object"};
  JsonFields fields{*object};
  UsageRecord record;
  record.id = required<RecordId>(fields, "id", parse_record_id, "32 lower-case hex digits");
  record.tenant = TenantId{fields.text("tenant", Need::Required, kNameBytesMax)};
  record.key_id = fields.text("key", Need::Optional, kNameBytesMax);
  record.model = ModelId{fields.text("model", Need::Required, kModelBytesMax)};
  record.ingress_site = SiteId{fields.text("ingress_site", Need::Required, kNameBytesMax)};
  record.serving_site = SiteId{fields.text("serving_site", Need::Optional, kNameBytesMax)};
  record.operation = required<Operation>(fields, "operation", parse_operation, "an operation");
  record.service_class =
      required<ServiceClass>(fields, "class", parse_service_class, "a service class");
  record.started = WallTime{fields.integer("started_us", Need::Required, 0, INT64_MAX)};
  record.ended = WallTime{fields.integer("ended_us", Need::Required, 0, INT64_MAX)};
  const auto tokens = [&fields](std::string_view name) {
    return static_cast<std::uint32_t>(fields.integer(name, Need::Optional, 0, kTokensMax));
  };
  record.prompt_tokens = tokens("prompt_tokens");
  record.cached_tokens = tokens("cached_tokens");
  record.completion_tokens = tokens("completion_tokens");
  record.outcome = required<Outcome>(fields, "outcome", parse_outcome, "an outcome");
  if (!valid_name(record.tenant.str())) fields.refuse("tenant", "a tenant's name");
  if (record.ingress_site != site) fields.refuse("ingress_site", "the site that delivers it");
  PERIGEE_CHECK(fields.finish(UnknownFields::Ignore));
  return record;
}

Result<WallTime> time_of(std::string_view name, std::string_view text) {
  std::int64_t micros = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), micros);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size() || micros < 0) {
    return Error{Code::InvalidArgument,
                 "`" + std::string{name} + "` must be microseconds since 1970", std::string{name}};
  }
  return WallTime{micros};
}

Result<std::vector<UsageKey>> keys_of(std::string_view text) {
  std::vector<UsageKey> keys;
  while (!text.empty()) {
    const std::string_view name = text.substr(0, text.find(','));
    text.remove_prefix(std::min(name.size() + 1, text.size()));
    const auto key = parse_usage_key(name);
    if (!key || std::ranges::find(keys, *key) != keys.end() || keys.size() == kKeysMax) {
      return Error{Code::InvalidArgument,
                   "`by` must list, each once: tenant, model, site, ingress, class, day", "by"};
    }
    keys.push_back(*key);
  }
  return keys;
}

}  // namespace

std::string usage_batch_json(std::span<const UsageRecord> records) {
  std::vector<std::string> texts;
  texts.reserve(records.size());
  for (const UsageRecord& record : records) texts.push_back(record_json(record));
  return JsonObject{}.add_list("records", texts).take();
}

Result<UsageDelivery> parse_usage_batch(std::string_view text, const SiteId& site) {
  PERIGEE_TRY(object, parse_json_object(text));
  const boost::json::value* records = object.if_contains("records");
  if (records == nullptr || !records->is_array() || records->get_array().size() > 1000) {
    return Error{Code::InvalidArgument, "`records` must be a list of at most 1000", "records"};
  }
  UsageDelivery delivery;
  for (const boost::json::value& value : records->get_array()) {
    Result<UsageRecord> record = parse_record(value, site);
    if (record)
      delivery.records.push_back(std::move(*record));
    else
      delivery.refused.push_back(record.error().message);
  }
  return delivery;
}

Result<UsageQuery> parse_usage_query(std::string_view query) {
  UsageQuery asked;
  while (!query.empty()) {
    const std::string_view field = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(field.size() + 1, query.size()));
    const std::size_t equals = std::min(field.find('='), field.size());
    const std::string_view name = field.substr(0, equals);
    const std::string_view value = field.substr(std::min(equals + 1, field.size()));
    if (name == "by") {
      PERIGEE_TRY(keys, keys_of(value));
      asked.by = std::move(keys);
    } else if (name == "from_us") {
      PERIGEE_TRY(from, time_of(name, value));
      asked.from = from;
    } else if (name == "until_us") {
      PERIGEE_TRY(until, time_of(name, value));
      asked.until = until;
    } else if (name == "tenant") {
      if (!valid_name(value)) {
        return Error{Code::InvalidArgument, "`tenant` must be a tenant's name", "tenant"};
      }
      asked.tenant = TenantId{std::string{value}};
    } else {
      return Error{Code::InvalidArgument, "usage is asked by by, from_us, until_us and tenant",
                   std::string{name.substr(0, kNameBytesMax)}};
    }
  }
  return asked;
}

std::string usage_sums_json(const UsageQuery& query, std::span<const UsageSum> sums) {
  std::vector<std::string> rows;
  for (const UsageSum& sum : sums) {
    JsonObject row;
    for (std::size_t i = 0; i < query.by.size(); ++i) row.add(to_string(query.by[i]), sum.keys[i]);
    row.add("requests", sum.requests)
        .add("completed", sum.completed)
        .add("failed", sum.failed)
        .add("abandoned", sum.abandoned)
        .add("prompt_tokens", sum.prompt_tokens)
        .add("cached_tokens", sum.cached_tokens)
        .add("completion_tokens", sum.completion_tokens);
    rows.push_back(row.take());
  }
  return JsonObject{}.add("object", "list").add_list("data", rows).take();
}

}  // namespace perigee::control
