#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "directory/record_fields.h"
#include "directory/records_json.h"

namespace perigee {
namespace {

using fields::Dialect;

// Reads a row and checks that it stands under its own name.
template <class Record, class KeyOf>
Result<Record> row_of(const boost::json::object& object, std::string_view key, KeyOf key_of) {
  JsonFields fields{object};
  Record record;
  read(fields, Dialect::Row, record);
  PERIGEE_CHECK(fields.finish(UnknownFields::Ignore));
  if (key_of(record) != key) return Error{Code::InvalidArgument, "it names another row"};
  return record;
}

template <class Record, class Map, class MakeKey>
Result<> put(Map& records, std::string_view key, const boost::json::object* value,
             MakeKey make_key) {
  typename Map::key_type map_key = make_key(std::string{key});
  if (value == nullptr) {
    records.erase(map_key);
    return {};
  }
  PERIGEE_TRY(record, row_of<Record>(*value, key, [](const Record& read_record) {
                if constexpr (requires { read_record.id.str(); })
                  return read_record.id.str();
                else
                  return read_record.id;
              }));
  records.insert_or_assign(std::move(map_key), std::move(record));
  return {};
}

Result<> put_placement(SharedMap<PlacementId, PlacementRecord>& placements, std::string_view key,
                       const boost::json::object* value) {
  const auto slash = key.find('/');
  if (slash == std::string_view::npos) return Error{Code::InvalidArgument, "its key has no '/'"};
  PlacementId id{SiteId{std::string{key.substr(0, slash)}},
                 ModelId{std::string{key.substr(slash + 1)}}};
  if (value == nullptr) {
    placements.erase(id);
    return {};
  }
  PERIGEE_TRY(record, row_of<PlacementRecord>(*value, key, [](const PlacementRecord& placement) {
                return placement_key(placement.site, placement.model);
              }));
  placements.insert_or_assign(std::move(id), std::move(record));
  return {};
}

Result<> put_meta(DirectorySnapshot& snapshot, std::string_view key,
                  const boost::json::object* value) {
  if (value == nullptr) return {};
  JsonFields fields{*value};
  std::string text = fields.text("value", Need::Required, kNameBytesMax);
  PERIGEE_CHECK(fields.finish(UnknownFields::Ignore));
  if (key == "grid")
    snapshot.grid = std::move(text);
  else if (key == "epoch")
    snapshot.epoch = std::move(text);
  return {};
}

Result<> put_row(DirectorySnapshot& snapshot, std::string_view kind, std::string_view key,
                 const boost::json::object* value) {
  const auto as_id = [](auto tag) {
    return [](std::string name) { return decltype(tag){std::move(name)}; };
  };
  if (kind == row_kind::kSite) {
    return put<SiteRecord>(snapshot.sites, key, value, as_id(SiteId{}));
  }
  if (kind == row_kind::kModel) {
    return put<ModelRecord>(snapshot.models, key, value, as_id(ModelId{}));
  }
  if (kind == row_kind::kTenant) {
    return put<TenantRecord>(snapshot.tenants, key, value, as_id(TenantId{}));
  }
  if (kind == row_kind::kKey) {
    return put<KeyRecord>(snapshot.keys, key, value, as_id(std::string{}));
  }
  if (kind == row_kind::kIssuer) {
    return put<IssuerRecord>(snapshot.issuers, key, value, as_id(std::string{}));
  }
  if (kind == row_kind::kPlacement) return put_placement(snapshot.placements, key, value);
  if (kind == row_kind::kMeta) return put_meta(snapshot, key, value);
  return {};
}

std::string row_json(std::string_view kind, std::string_view key, std::string_view value) {
  return JsonObject{}
      .add("kind", kind)
      .add("key", key)
      .add_raw("value", value.empty() ? "null" : value)
      .take();
}

std::string_view text_of(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains(name);
  const boost::json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view{} : std::string_view{text->data(), text->size()};
}

Error malformed(std::string_view what) {
  return {Code::Protocol, "a malformed directory " + std::string{what}};
}

// Applies the "rows" of a snapshot or an event.
Result<> put_rows(DirectorySnapshot& snapshot, const boost::json::object& frame,
                  std::string_view what, std::vector<std::string>& skipped) {
  const boost::json::value* rows = frame.if_contains("rows");
  if (rows == nullptr || !rows->is_array()) return malformed(what);
  for (const boost::json::value& element : rows->get_array()) {
    if (!element.is_object()) return malformed(what);
    const boost::json::object& row = element.get_object();
    const std::string_view kind = text_of(row, "kind");
    const std::string_view key = text_of(row, "key");
    const boost::json::value* value = row.if_contains("value");
    if (kind.empty() || key.empty() || value == nullptr) return malformed(what);
    Result<> put = Error{Code::InvalidArgument, "it is not an object"};
    if (value->is_null())
      put = put_row(snapshot, kind, key, nullptr);
    else if (value->is_object())
      put = put_row(snapshot, kind, key, &value->get_object());
    if (!put) {
      skipped.push_back(std::string{kind} + " " + std::string{key} + ": " + put.error().message);
    }
  }
  return {};
}

Result<std::uint64_t> revision_of(const boost::json::object& frame, std::string_view what) {
  const boost::json::value* revision = frame.if_contains("revision");
  const std::int64_t* number = revision == nullptr ? nullptr : revision->if_int64();
  if (number == nullptr || *number < 0) return malformed(what);
  return static_cast<std::uint64_t>(*number);
}

}  // namespace

Result<> apply_change(DirectorySnapshot& snapshot, const DirectoryChange& change) {
  const auto damaged = [&change](const Error& error) {
    return Error{Code::DataLoss,
                 "row " + change.kind + " " + change.key + " is damaged: " + error.message};
  };
  if (change.value.empty()) {
    if (auto put = put_row(snapshot, change.kind, change.key, nullptr); !put) {
      return damaged(put.error());
    }
    return {};
  }
  Result<boost::json::object> object = parse_json_object(change.value);
  if (!object) return damaged(object.error());
  if (auto put = put_row(snapshot, change.kind, change.key, &*object); !put) {
    return damaged(put.error());
  }
  return {};
}

std::string to_json(const DirectorySnapshot& snapshot) {
  std::vector<std::string> rows;
  const auto add = [&rows](std::string_view kind, std::string_view key, std::string_view value) {
    rows.push_back(row_json(kind, key, value));
  };
  for (const auto& [id, record] : snapshot.sites) add(row_kind::kSite, id.str(), to_row(record));
  for (const auto& [id, record] : snapshot.models) add(row_kind::kModel, id.str(), to_row(record));
  for (const auto& [id, record] : snapshot.placements) {
    add(row_kind::kPlacement, placement_key(id.first, id.second), to_row(record));
  }
  for (const auto& [id, record] : snapshot.tenants) {
    add(row_kind::kTenant, id.str(), to_row(record));
  }
  for (const auto& [id, record] : snapshot.keys) add(row_kind::kKey, id, to_row(record));
  for (const auto& [id, record] : snapshot.issuers) add(row_kind::kIssuer, id, to_row(record));
  return JsonObject{}
      .add("revision", snapshot.revision)
      .add("epoch", snapshot.epoch)
      .add("grid", snapshot.grid)
      .add_list("rows", rows)
      .take();
}

Result<DirectorySnapshot> snapshot_from_json(std::string_view json,
                                             std::vector<std::string>& skipped) {
  Result<boost::json::object> frame = parse_json_object(json);
  if (!frame) return malformed("snapshot");
  DirectorySnapshot snapshot;
  PERIGEE_TRY(revision, revision_of(*frame, "snapshot"));
  snapshot.revision = revision;
  snapshot.epoch = text_of(*frame, "epoch");
  snapshot.grid = text_of(*frame, "grid");
  PERIGEE_CHECK(put_rows(snapshot, *frame, "snapshot", skipped));
  return snapshot;
}

std::string to_event(std::uint64_t revision, const std::vector<DirectoryChange>& rows) {
  std::vector<std::string> texts;
  texts.reserve(rows.size());
  for (const DirectoryChange& row : rows) texts.push_back(row_json(row.kind, row.key, row.value));
  return JsonObject{}.add("revision", revision).add_list("rows", texts).take();
}

Result<> apply_event(DirectorySnapshot& snapshot, std::string_view event,
                     std::vector<std::string>& skipped) {
  Result<boost::json::object> frame = parse_json_object(event);
  if (!frame) return malformed("event");
  PERIGEE_TRY(revision, revision_of(*frame, "event"));
  PERIGEE_CHECK(put_rows(snapshot, *frame, "event", skipped));
  snapshot.revision = revision;
  return {};
}

}  // namespace perigee
