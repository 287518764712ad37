#include <algorithm>

#include "control/control_api.h"
#include "directory/json_text.h"
#include "directory/records_json.h"

namespace perigee::control {

Result<ApiAnswer> ControlApi::list_models() const {
  std::vector<std::string> views;
  for (const auto& [id, model] : table_.snapshot().models) {
    views.push_back(with_revision(to_view(model), table_.row_revision(row_kind::kModel, id.str())));
  }
  return list_of(views);
}

Result<ApiAnswer> ControlApi::show_model(const Call& call) const {
  const auto& models = table_.snapshot().models;
  const auto model = models.find(ModelId{call.name});
  if (model == models.end()) return no_such("model", call.name);
  return item(row_kind::kModel, call.name, to_view(model->second));
}

Result<ApiAnswer> ControlApi::put_model(const Call& call) {
  PERIGEE_TRY(model, model_from_request(call.name, call.body));
  const auto& models = table_.snapshot().models;
  const auto stored = models.find(model.id);
  if (stored == models.end()) PERIGEE_CHECK(check_room("models", models.size(), kModelsMax));
  if (model.created == 0) {
    model.created =
        stored != models.end() ? stored->second.created : clock_.wall().micros / 1'000'000;
  }
  return put_row(call, row_kind::kModel, call.name, to_row(model), to_view(model));
}

Result<ApiAnswer> ControlApi::remove_model(const Call& call) {
  for (const auto& [placement_id, placement] : table_.snapshot().placements) {
    if (placement.model.str() == call.name) {
      return Error{Code::FailedPrecondition, "model " + call.name + " is placed at site " +
                                                 placement.site.str() + ": unplace it first"};
    }
  }
  return remove_row(call, row_kind::kModel, call.name);
}

Result<ApiAnswer> ControlApi::list_placements() const {
  std::vector<std::string> views;
  for (const auto& [placement_id, placement] : table_.snapshot().placements) {
    const std::string key = placement_key(placement.site, placement.model);
    views.push_back(
        with_revision(to_view(placement), table_.row_revision(row_kind::kPlacement, key)));
  }
  return list_of(views);
}

Result<ApiAnswer> ControlApi::show_placement(const Call& call) const {
  const auto& placements = table_.snapshot().placements;
  const auto slash = std::min(call.name.find('/'), call.name.size());
  const auto found =
      placements.find({SiteId{call.name.substr(0, slash)},
                       ModelId{call.name.substr(std::min(slash + 1, call.name.size()))}});
  if (found == placements.end()) return no_such("placement", call.name);
  return item(row_kind::kPlacement, call.name, to_view(found->second));
}

Result<ApiAnswer> ControlApi::put_placement(const Call& call) {
  const auto slash = call.name.find('/');
  if (slash == std::string::npos) {
    return Error{Code::InvalidArgument, "a placement's path is placements/SITE/MODEL", "path"};
  }
  const std::string site = call.name.substr(0, slash);
  const std::string model = call.name.substr(slash + 1);
  PERIGEE_TRY(placement, placement_from_request(site, model, call.body));
  const DirectorySnapshot& snapshot = table_.snapshot();
  if (!snapshot.sites.contains(placement.site)) return no_such("site", site);
  if (!snapshot.models.contains(placement.model)) return no_such("model", model);
  if (table_.row_revision(row_kind::kPlacement, call.name) == 0) {
    PERIGEE_CHECK(check_room("placements", snapshot.placements.size(), kPlacementsMax));
  }
  return put_row(call, row_kind::kPlacement, call.name, to_row(placement), to_view(placement));
}

}  // namespace perigee::control
