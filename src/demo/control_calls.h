// ControlCalls: what the demo asks of `perigee control` to describe its grid. Each is one
// documented HTTP call with the operator key.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "demo/demo_plan.h"
#include "demo/grid_client.h"
#include "net/task.h"

namespace perigee::demo {

// What a site gets when it joins.
struct Joined {
  std::string key;          // its credential
  std::string certificate;  // PEM, with its chain; empty without certificates
  std::string authorities;
};

class ControlCalls {
 public:
  // `client` must outlive it.
  ControlCalls(GridClient& client, std::string url, std::string operator_key)
      : client_(client), url_(std::move(url)), operator_key_(std::move(operator_key)) {}

  // Names a model that sites find as `file` in their models folder.
  Task<Result<>> add_model(ModelId model, std::string file);
  Task<Result<>> add_tenant(TenantId tenant);
  // A new API key of the tenant; shown only now.
  Task<Result<std::string>> make_key(TenantId tenant);
  // Makes a single-use token and joins with it, as `perigee site join` does. `request` is its
  // certificate request; empty in a grid without certificates.
  Task<Result<Joined>> join(PlannedSite site, std::string site_url, std::string request);
  Task<Result<>> place(SiteId site, ModelId model, std::uint32_t slots);

 private:
  // `field` is a literal.
  Task<Result<std::string>> text_of(GridCall call, std::string_view field);
  GridCall call(std::string method, std::string path, std::string body) const;

  GridClient& client_;
  std::string url_;
  std::string operator_key_;
};

}  // namespace perigee::demo
