#include "site/site_endpoints.h"

#include <algorithm>
#include <array>

#include "api/models_body.h"
#include "base/secret.h"
#include "gateway/http_answer.h"
#include "gateway/key_scope.h"
#include "gateway/route_explain.h"

namespace perigee {
namespace {

using Parts = std::shared_ptr<const SiteEndpoints::Parts>;
constexpr std::string_view kModelsPrefix = "/v1/models/";

api::ModelListing listing_of(const Parts& parts, const ModelRecord& model) {
  api::ModelListing listing;
  listing.id = model.id;
  listing.created = model.created;
  listing.owned_by = model.owned_by;
  listing.context_length = model.context_tokens;
  const auto directory = parts->directory();
  for (const auto& [placement_id, placement] : directory->placements) {
    if (placement.model != model.id) continue;
    listing.sites.push_back(placement.site);
    const auto site = directory->sites.find(placement.site);
    if (site == directory->sites.end()) continue;
    if (std::ranges::find(listing.jurisdictions, site->second.jurisdiction) ==
        listing.jurisdictions.end()) {
      listing.jurisdictions.push_back(site->second.jurisdiction);
    }
  }
  return listing;
}

bool may_use(const Caller& caller, const ModelId& model) {
  return caller.bounds == nullptr || allows_model(caller.bounds->scope, model);
}

Task<> list_models(Parts parts, GatewayCall call) {
  std::vector<api::ModelListing> all;
  const auto directory = parts->directory();
  for (const auto& [id, model] : directory->models) {
    if (may_use(call.caller, id)) all.push_back(listing_of(parts, model));
  }
  const std::string body = api::models_body(all);
  co_await respond_json(call.out, body, call.request_id);
}

// Clients send "org%2Fmodel" for "org/model". What is no escape stays as it is.
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::array<std::uint8_t, 1> byte{};
    std::string digits{text.substr(std::min(i + 1, text.size()), 2)};
    for (char& c : digits) c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    if (text[i] == '%' && from_hex(digits, byte)) {
      out.push_back(static_cast<char>(byte[0]));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

Task<> show_model(Parts parts, GatewayCall call) {
  const std::string name = percent_decoded(call.request.path.substr(kModelsPrefix.size()));
  const auto directory = parts->directory();
  const auto model = directory->models.find(ModelId{name});
  if (model == directory->models.end() || !may_use(call.caller, model->first)) {
    const Error error{Code::NotFound, "There is no such model; GET /v1/models lists them.",
                      "model"};
    co_await respond_error(call.out, error, call.request_id);
    co_return;
  }
  const std::string body = api::model_body(listing_of(parts, model->second));
  co_await respond_json(call.out, body, call.request_id);
}

// Alive: the IO thread turns.
Task<> healthz(GatewayCall call) { co_await respond_json(call.out, R"({"status":"ok"})"); }

// Ready: it knows the grid and has somewhere to run a request. For load balancers, which have no
// key: it names no site, model or tenant.
Task<> readyz(Parts parts, GatewayCall call) {
  const SiteStatus status = parts->status();
  std::string_view missing;
  bool can_run = false;
  for (const EngineStatus& engine : status.engines) can_run |= engine.state == EngineState::Ready;
  for (const PeerStatus& peer : status.peers) {
    can_run |= peer.state == PeerState::Up && !peer.models.empty();
  }
  if (status.stopping)
    missing = "This site is stopping.";
  else if (status.drained)
    missing = "This site is drained: perigee sites undrain.";
  else if (status.revision == 0)
    missing = "The directory is not known yet: is control running?";
  else if (!can_run)
    missing = "No engine here or at a peer is ready yet.";
  if (missing.empty()) {
    co_await respond_json(call.out, R"({"status":"ready"})");
    co_return;
  }
  const Error error{Code::Unavailable, std::string{missing}, "", 1000};
  co_await respond_error(call.out, error);
}

Task<> show_metrics(Parts parts, GatewayCall call) {
  const auto may = parts->scrape.check(call.request.header("authorization"), parts->identity);
  if (!may) {
    co_await respond_error(call.out, may.error());
    co_return;
  }
  const std::string body = parts->metrics.exposition(parts->status());
  const std::array<net::Header, 1> headers{net::Header{"content-type", metrics::kContentType}};
  co_await call.out.respond(200, headers, body);
}

Task<> show_status(Parts parts, GatewayCall call) {
  const std::string body = status_body(parts->status(), parts->clock.now());
  co_await respond_json(call.out, body);
}

Task<> exchange_digest(Parts parts, GatewayCall call) {
  auto heard = parse_digest(call.request.body);
  if (heard && heard->site != call.caller.site) {
    heard = Error{Code::PermissionDenied, "A site may only tell its own digest."};
  }
  if (!heard) {
    co_await respond_error(call.out, heard.error());
    co_return;
  }
  parts->heard(*heard);
  const std::string body = digest_json(parts->digest(*heard));
  co_await respond_json(call.out, body);
}

Task<> explain(Parts parts, GatewayCall call) {
  co_await explain_route(call, parts->inference, parts->router, parts->clock);
}

// An endpoint that shows something of `parts`.
Endpoint with(const Parts& parts, Task<> (*show)(Parts, GatewayCall)) {
  return [parts, show](const GatewayCall& call) { return show(parts, call); };
}

}  // namespace

void add_site_endpoints(Gateway& gateway, SiteEndpoints::Parts given) {
  const Parts parts = std::make_shared<const SiteEndpoints::Parts>(std::move(given));
  gateway.add("GET", "/v1/models", Access::Tenant, with(parts, list_models));
  gateway.add("GET", kModelsPrefix, Access::Tenant, with(parts, show_model));
  gateway.add("POST", "/v1/route/explain", Access::TenantOrOperator, with(parts, explain));
  gateway.add("GET", "/healthz", Access::Public, healthz);
  gateway.add("GET", "/readyz", Access::Public, with(parts, readyz));
  gateway.add("GET", "/metrics", Access::Public, with(parts, show_metrics));
  gateway.add("GET", "/grid/v1/status", Access::Operator, with(parts, show_status));
  gateway.add("POST", "/grid/v1/digest", Access::Site, with(parts, exchange_digest));
}

}  // namespace perigee
