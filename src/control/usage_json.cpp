#include "control/usage_json.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>

#include "directory/json_fields.h"
#include "directory/json_text.h"
#include "net/query.h"

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

Result<UsageRecord> parse_record(const boost::json::value& value) {
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
  if (!valid_name(record.ingress_site.str())) fields.refuse("ingress_site", "a site's name");
  PERIGEE_CHECK(fields.finish(UnknownFields::Ignore));
  return record;
}

// What it says of its tenant, as far as it can be believed to be a name.
std::string tenant_of(const boost::json::value& value) {
  const boost::json::object* object = value.if_object();
  const boost::json::value* tenant = object == nullptr ? nullptr : object->if_contains("tenant");
  if (tenant == nullptr || !tenant->is_string()) return {};
  const std::string name{tenant->get_string()};
  return valid_name(name) ? name : std::string{};
}

Result<AsideReason> reason_of(std::string_view text) {
  const auto reason = parse_aside_reason(text);
  if (reason) return *reason;
  return Error{Code::InvalidArgument,
               "`reason` must be unknown_tenant, time, counts, ingress_site or unreadable",
               "reason"};
}

Result<std::vector<std::int64_t>> numbers_of(const boost::json::object& object) {
  std::vector<std::int64_t> numbers;
  const boost::json::value* list = object.if_contains("numbers");
  if (list == nullptr) return numbers;
  const Error wrong{
      Code::InvalidArgument,
      "`numbers` must be a list of at most " + std::to_string(kAsideListMax) + " numbers",
      "numbers"};
  if (!list->is_array() || list->get_array().size() > kAsideListMax) return wrong;
  for (const boost::json::value& number : list->get_array()) {
    if (!number.is_int64() || number.get_int64() < 1) return wrong;
    numbers.push_back(number.get_int64());
  }
  return numbers;
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

Result<UsageRecord> parse_usage_record(std::string_view text) {
  PERIGEE_TRY(object, parse_json_object(text));
  return parse_record(object);
}

Result<UsageDelivery> parse_usage_batch(std::string_view text, const SiteId& site, WallTime now,
                                        const UsageJudge& judge) {
  PERIGEE_TRY(object, parse_json_object(text));
  const boost::json::value* records = object.if_contains("records");
  if (records == nullptr || !records->is_array() || records->get_array().size() > 1000) {
    return Error{Code::InvalidArgument, "`records` must be a list of at most 1000", "records"};
  }
  UsageDelivery delivery;
  for (const boost::json::value& value : records->get_array()) {
    Result<UsageRecord> record = parse_record(value);
    std::optional<UsageFault> fault =
        record ? judge(*record) : UsageFault{AsideReason::Unreadable, record.error().message};
    if (!fault) {
      delivery.records.push_back(std::move(*record));
      continue;
    }
    AsideRecord aside{0,
                      site,
                      fault->reason,
                      std::move(fault->why),
                      tenant_of(value),
                      now,
                      boost::json::serialize(value)};
    if (aside.text.size() > kAsideBytesMax)
      ++delivery.too_long;
    else
      delivery.aside.push_back(std::move(aside));
  }
  return delivery;
}

Result<UsageQuery> parse_usage_query(std::string_view query) {
  UsageQuery asked;
  while (!query.empty()) {
    const auto [name, value] = net::take_query_field(query);
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

std::string usage_sums_json(const UsageQuery& query, std::span<const UsageSum> sums,
                            std::size_t aside) {
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
  return JsonObject{}.add("object", "list").add_list("data", rows).add("aside", aside).take();
}

Result<AsideQuery> parse_aside_query(std::string_view query) {
  AsideQuery asked;
  asked.rows_max = kAsideListMax;
  while (!query.empty()) {
    const auto [name, value] = net::take_query_field(query);
    if (name == "after") {
      const auto read = std::from_chars(value.data(), value.data() + value.size(), asked.after);
      if (read.ec != std::errc{} || read.ptr != value.data() + value.size() || asked.after < 0) {
        return Error{Code::InvalidArgument, "`after` must be the number of a record", "after"};
      }
    } else if (name == "reason") {
      PERIGEE_TRY(reason, reason_of(value));
      asked.reason = reason;
    } else if ((name == "site" || name == "tenant") && valid_name(value)) {
      if (name == "site")
        asked.site = SiteId{std::string{value}};
      else
        asked.tenant = value;
    } else {
      return Error{Code::InvalidArgument,
                   "what is aside is asked by site, tenant, reason and after",
                   std::string{name.substr(0, kNameBytesMax)}};
    }
  }
  return asked;
}

Result<AsideQuery> parse_aside_order(std::string_view body) {
  PERIGEE_TRY(object, parse_json_object(body));
  PERIGEE_TRY(numbers, numbers_of(object));
  object.erase("numbers");
  JsonFields fields{object};
  AsideQuery asked;
  asked.numbers = std::move(numbers);
  asked.site = SiteId{fields.text("site", Need::Optional, kNameBytesMax)};
  asked.tenant = fields.text("tenant", Need::Optional, kNameBytesMax);
  const std::string reason = fields.text("reason", Need::Optional, kNameBytesMax);
  asked.after = fields.integer("after", Need::Optional, 0, INT64_MAX);
  if (!reason.empty()) {
    PERIGEE_TRY(parsed, reason_of(reason));
    asked.reason = parsed;
  }
  PERIGEE_CHECK(fields.finish(UnknownFields::Refuse));
  if (asked.numbers.empty() && asked.site.empty() && asked.tenant.empty() && !asked.reason) {
    return Error{Code::InvalidArgument, "say which: `numbers`, `site`, `tenant` or `reason`",
                 "numbers"};
  }
  return asked;
}

std::string aside_json(std::span<const AsideRecord> records, std::size_t total) {
  std::vector<std::string> rows;
  for (const AsideRecord& record : records) {
    JsonObject row;
    row.add("number", record.number)
        .add("site", record.site.str())
        .add("reason", to_string(record.reason))
        .add("why", record.why)
        .add("tenant", record.tenant)
        .add("received_us", record.received.micros)
        .add_raw("record", record.text);
    rows.push_back(row.take());
  }
  return JsonObject{}.add("object", "list").add_list("data", rows).add("total", total).take();
}

}  // namespace perigee::control
