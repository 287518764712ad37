#include "control/rates_json.h"

#include <boost/json/array.hpp>
#include <charconv>
#include <optional>

#include "base/hex.h"
#include "directory/json_fields.h"
#include "directory/json_text.h"

namespace perigee::control {
namespace {

namespace json = boost::json;

constexpr std::int64_t kUnitsMax = 1'000'000'000'000;
constexpr std::size_t kAccountBytesMax = 128;
constexpr std::int64_t kNumberMax = INT64_MAX;

std::string_view name_of(RateUnit unit) {
  return unit == RateUnit::Requests ? "requests" : "tokens";
}

// One row of four: an account, a unit and two counts.
struct Row {
  RateLimitId id;
  std::int64_t first = 0;
  std::int64_t second = 0;
};

void add_row(std::string& text, const Row& row) {
  if (text.back() != '[') text += ',';
  text += "[" + json_quote(row.id.account) + ",\"" + std::string{name_of(row.id.unit)} + "\"," +
          std::to_string(row.first) + "," + std::to_string(row.second) + "]";
}

std::optional<std::int64_t> units_in(const json::value& value) {
  const std::int64_t* number = value.if_int64();
  if (number == nullptr || *number < 0 || *number > kUnitsMax) return std::nullopt;
  return *number;
}

std::optional<Row> row_in(const json::value& value) {
  const json::array* parts = value.if_array();
  if (parts == nullptr || parts->size() != 4) return std::nullopt;
  const json::string* account = parts->at(0).if_string();
  const json::string* unit = parts->at(1).if_string();
  if (account == nullptr || account->empty() || account->size() > kAccountBytesMax ||
      unit == nullptr || (*unit != "requests" && *unit != "tokens")) {
    return std::nullopt;
  }
  const auto first = units_in(parts->at(2));
  const auto second = units_in(parts->at(3));
  if (!first || !second) return std::nullopt;
  return Row{{std::string{account->data(), account->size()},
              *unit == "requests" ? RateUnit::Requests : RateUnit::Tokens},
             *first,
             *second};
}

Result<std::vector<Row>> rows_in(const json::object& object, std::string_view name) {
  const json::value* list = object.if_contains(name);
  const Error wrong{Code::InvalidArgument,
                    "`" + std::string{name} + "` must be an array of at most " +
                        std::to_string(RateBook::kClaimsMax) + " like [\"key_1\",\"requests\",3,4]",
                    std::string{name}};
  if (list == nullptr || !list->is_array() || list->get_array().size() > RateBook::kClaimsMax) {
    return wrong;
  }
  std::vector<Row> rows;
  for (const json::value& each : list->get_array()) {
    auto row = row_in(each);
    if (!row) return wrong;
    rows.push_back(std::move(*row));
  }
  return rows;
}

}  // namespace

std::string rate_report_json(const RateReport& report) {
  std::string life(kHexDigits64, '0');
  write_hex(report.life, life.data());
  std::string claims = "[";
  for (const RateClaim& claim : report.claims)
    add_row(claims, {claim.id, claim.held, claim.wanted});
  return JsonObject{}
      .add("life", life)
      .add("number", report.number)
      .add_raw("claims", claims + "]")
      .take();
}

Result<RateReport> parse_rate_report(std::string_view text) {
  PERIGEE_TRY(object, parse_json_object(text));
  JsonFields fields{object};
  RateReport report;
  const std::string life = fields.text("life", Need::Required, kHexDigits64);
  const auto [end, error] =
      std::from_chars(life.data(), life.data() + life.size(), report.life, 16);
  if (error != std::errc{} || end != life.data() + life.size()) {
    fields.refuse("life", "16 hex digits");
  }
  report.number =
      static_cast<std::uint64_t>(fields.integer("number", Need::Required, 1, kNumberMax));
  PERIGEE_CHECK(fields.finish(UnknownFields::Ignore));
  PERIGEE_TRY(rows, rows_in(object, "claims"));
  for (Row& row : rows) report.claims.push_back({std::move(row.id), row.first, row.second});
  return report;
}

std::string rate_grants_json(const std::vector<RateGrant>& grants) {
  std::string rows = "[";
  for (const RateGrant& grant : grants) add_row(rows, {grant.id, grant.granted, grant.free});
  return JsonObject{}.add_raw("grants", rows + "]").take();
}

Result<std::vector<RateGrant>> parse_rate_grants(std::string_view text) {
  auto object = parse_json_object(text);
  auto rows = object ? rows_in(*object, "grants") : Result<std::vector<Row>>{object.error()};
  if (!rows)
    return Error{Code::Protocol, "control's grants are malformed: " + rows.error().message};
  std::vector<RateGrant> grants;
  for (Row& row : *rows) grants.push_back({std::move(row.id), row.first, row.second});
  return grants;
}

}  // namespace perigee::control
