#include "api/models_body.h"

#include <string_view>

#include "api/json_text.h"

namespace perigee::api {
namespace {

template <class Name>
void append_names(std::string& out, std::string_view key, const std::vector<Name>& names) {
  out += ",\"";
  out += key;
  out += "\":[";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, names[i].str());
  }
  out += ']';
}

void append_model(std::string& out, const ModelListing& model) {
  out += R"({"id":)";
  append_json_string(out, model.id.str());
  out += R"(,"object":"model","created":)";
  append_json_number(out, model.created);
  out += R"(,"owned_by":)";
  append_json_string(out, model.owned_by);
  if (model.context_length > 0) {
    out += R"(,"context_length":)";
    append_json_number(out, model.context_length);
  }
  append_names(out, "sites", model.sites);
  append_names(out, "jurisdictions", model.jurisdictions);
  out += '}';
}

}  // namespace

std::string model_body(const ModelListing& model) {
  std::string out;
  append_model(out, model);
  return out;
}

std::string models_body(std::span<const ModelListing> models) {
  std::string out = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (i > 0) out += ',';
    append_model(out, models[i]);
  }
  out += "]}";
  return out;
}

}  // namespace perigee::api
