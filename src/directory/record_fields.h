// Reading and writing each record's fields, shared by the dialects of records_json.h. For .cpp
// files only: Boost.JSON shows through.
#pragma once

#include <string>

#include "directory/json_fields.h"
#include "directory/json_text.h"
#include "directory/records.h"

namespace perigee::fields {

// What stands in a text: a stored row has the hashes, a view for people has not, a request of an
// operator has neither names nor anything that only control may set.
enum class Dialect : std::uint8_t { Row, View, Request };

void read(JsonFields& fields, Dialect dialect, SiteRecord& record);
void read(JsonFields& fields, Dialect dialect, ModelRecord& record);
void read(JsonFields& fields, Dialect dialect, PlacementRecord& record);
void read(JsonFields& fields, Dialect dialect, TenantRecord& record);
void read(JsonFields& fields, Dialect dialect, KeyRecord& record);
void read(JsonFields& fields, Dialect dialect, IssuerRecord& record);
void read(JsonFields& fields, Dialect dialect, JoinTokenRecord& record);
KeyScope read_scope(JsonFields& fields);

std::string write(Dialect dialect, const SiteRecord& record);
std::string write(Dialect dialect, const ModelRecord& record);
std::string write(Dialect dialect, const PlacementRecord& record);
std::string write(Dialect dialect, const TenantRecord& record);
std::string write(Dialect dialect, const KeyRecord& record);
std::string write(Dialect dialect, const IssuerRecord& record);
std::string write(Dialect dialect, const JoinTokenRecord& record);

}  // namespace perigee::fields
