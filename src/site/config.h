// SiteConfig: what a site is told by its TOML file and environment. Everything about the grid
// (which models, which peers, who may call) comes from the directory instead.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/text_resume.h"
#include "base/id.h"
#include "base/log.h"
#include "base/result.h"
#include "core/attributes.h"
#include "gateway/idempotency.h"
#include "net/endpoint.h"
#include "net/http_server.h"
#include "toml/environment_lookup.h"

namespace perigee {

// An engine that others run: an OpenAI-compatible server.
struct ExternalEngine {
  EngineId name;
  net::Url url;                             // "http://127.0.0.1:8000/v1"
  ModelId model;                            // as clients name it
  std::string upstream_model;               // as the server names it; empty: the same
  std::string key_file;                     // holds its API key; empty: none
  std::uint32_t slots = 0;                  // requests it runs well at once; 0: not known
  std::uint32_t context_tokens = 0;         // longest prompt; 0: not known
  Capabilities capabilities = kEverything;  // what it can do, where it is told
  bool cache_salt = true;                   // it is told the tenant's, to keep prefix caches apart
  // How it goes on with an answer that another began; Off: its streams end with their engine.
  api::TextResume resume_by_text = api::TextResume::Off;
};

// [tls]: PEM files, read again when they change. All empty: everything stays on loopback, in the
// clear.
struct SiteTls {
  std::string certificate;  // of this site as a member of the grid, with its chain
  std::string key;
  std::string authorities;
  bool renew = true;               // by control, at half of its life
  std::string public_certificate;  // what clients are shown instead
  std::string public_key;
  bool plain_http_from_anywhere = false;

  bool member() const { return !certificate.empty(); }
  bool any() const { return member() || !public_certificate.empty(); }
};

struct SiteConfig {
  SiteId name;
  net::Endpoint listen;
  std::string state_dir;   // snapshot, ledger, engine sockets; created
  std::string models_dir;  // where model files are
  // Ed25519 (PEM) that must have signed each of them (FILE.sig); empty: none has to be.
  std::string model_public_key;
  std::int32_t gpu_layers = 0;  // that its own engines keep on a GPU; -1: all
  std::string
      metrics_token_file;  // holds what scrapers show (identity/scrape_check.h); empty: none
  std::string control_url;
  std::string key_file;  // the site's credential
  // The law that it stands under, as whoever installed it knows; empty: as the directory says.
  JurisdictionId jurisdiction;
  SiteTls tls;
  std::size_t neighbours_max = 8;
  Duration exchange_interval = seconds{1};
  std::map<SiteId, net::Endpoint> peer_addresses;
  std::map<SiteId, double> backbone_ms_per_mib;  // what a MiB to a peer counts, in ms
  std::map<ModelId, std::int64_t> prices;  // here, in micro-units per million tokens; else free
  std::vector<ExternalEngine> engines;
  log::Level log_level = log::Level::Info;
  log::Format log_format = log::Format::Text;
  net::ServerLimits http;
  Duration heartbeat = seconds{15};
  Duration first_token_timeout = seconds{60};
  Duration answer_timeout = seconds{600};
  Duration drain_grace = seconds{10};  // how long engines go on with what runs at a drain or stop
  Duration stop_grace = seconds{120};  // how long a stop waits for answers; not below drain_grace
  std::size_t requests_max = 20'000;
  std::uint32_t queue_requests_max = 4'096;  // waiting, of each model
  Duration queue_wait_max = seconds{45};  // then refused: below the patience of whoever forwarded
  std::uint64_t spare_disk_bytes = 32U << 20;  // set aside for usage that a full disk won't take
  // [capacity]: of the slots of own engines and of servers that tell how many they have.
  double reserved_share = 0;              // kept for the network's own work
  double power_share = 1;                 // that the power allows
  std::vector<TenantId> network_tenants;  // whose work is the network's own
  IdempotencyLimits idempotency;
  Duration receipts_keep = seconds{400 * 86'400};  // their texts, at least; zero: for good
};

// Reads and validates. Every error says "FILE:LINE: KEY: what was expected". Unknown keys are
// errors. Relative paths are relative to the file. The environment overrides a scalar key
// ("PERIGEE_SITE_LISTEN"); its errors name the variable instead of file and line.
Result<SiteConfig> load_site_config(const std::string& path, EnvironmentLookup environment);
Result<SiteConfig> parse_site_config(std::string_view text, const std::string& path,
                                     EnvironmentLookup environment);

}  // namespace perigee
