#include "site/config.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "peer/digest.h"
#include "toml/toml_table.h"

namespace perigee {
namespace {

constexpr std::string_view kManual = "docs/site_config.md";
constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kMiB = 1024 * 1024;

Result<net::Endpoint> endpoint_of(const TomlTable& table, std::string_view key,
                                  const std::string& text) {
  auto endpoint = net::parse_endpoint(text);
  if (!endpoint) return table.problem(key, endpoint.error().message);
  return endpoint;
}

Result<> read_tls(TomlTable& table, SiteConfig& config) {
  struct File {
    const char* key;
    std::string& path;
  };
  SiteTls& tls = config.tls;
  for (const File& file :
       {File{"certificate", tls.certificate}, File{"key", tls.key},
        File{"authorities", tls.authorities}, File{"public_certificate", tls.public_certificate},
        File{"public_key", tls.public_key}}) {
    PERIGEE_TRY(path, table.path(file.key, ""));
    file.path = path;
  }
  const bool half = tls.certificate.empty() != tls.key.empty() ||
                    tls.certificate.empty() != tls.authorities.empty();
  if (half) return table.problem("certificate", "goes with `key` and `authorities`: all or none");
  if (tls.public_certificate.empty() != tls.public_key.empty()) {
    return table.problem("public_certificate", "goes with `public_key`: both or none");
  }
  PERIGEE_TRY(renew, table.boolean("renew", true));
  tls.renew = renew;
  PERIGEE_TRY(plain, table.boolean("plain_http_from_anywhere", false));
  tls.plain_http_from_anywhere = plain;
  return table.finish(kManual);
}

Result<> read_site(TomlTable& table, SiteConfig& config) {
  PERIGEE_TRY(name, table.required_string("name"));
  if (!valid_name(name)) return table.error("name", "lower-case letters, digits, '-', '_', '.'");
  config.name = SiteId{name};
  PERIGEE_TRY(listen, table.string("listen", "127.0.0.1:8100"));
  PERIGEE_TRY(endpoint, endpoint_of(table, "listen", listen));
  if (!endpoint.is_loopback() && !config.tls.any() && !config.tls.plain_http_from_anywhere) {
    return table.error("listen",
                       "a loopback address (127.0.0.1, [::1]) or unix:PATH as long as [tls] names "
                       "no certificate: keys must not travel in the clear");
  }
  config.listen = endpoint;
  PERIGEE_TRY(jurisdiction, table.string("jurisdiction", ""));
  if (!jurisdiction.empty() && !valid_name(jurisdiction)) {
    return table.error("jurisdiction", "a name such as de");
  }
  config.jurisdiction = JurisdictionId{jurisdiction};
  PERIGEE_TRY(state_dir, table.required_path("state_dir"));
  config.state_dir = state_dir;
  PERIGEE_TRY(models_dir, table.path("models_dir", "models"));
  config.models_dir = models_dir;
  PERIGEE_TRY(model_public_key, table.path("model_public_key", ""));
  config.model_public_key = model_public_key;
  PERIGEE_TRY(gpu_layers, table.integer("gpu_layers", 0, -1, 100'000));
  config.gpu_layers = static_cast<std::int32_t>(gpu_layers);
  PERIGEE_TRY(metrics_token_file, table.path("metrics_token_file", ""));
  config.metrics_token_file = metrics_token_file;
  return table.finish(kManual);
}

Result<> read_control(TomlTable& table, SiteConfig& config) {
  PERIGEE_TRY(url, table.required_string("url"));
  auto parsed = net::parse_url(url);
  if (!parsed) return table.problem("url", parsed.error().message);
  const bool secure = !parsed->endpoint.tls_name.empty();
  if (!secure && !parsed->endpoint.is_loopback()) {
    return table.error("url", "https://, or a loopback address: keys must not travel in the clear");
  }
  if (secure && !config.tls.member()) {
    return table.error("url", "http:// on loopback as long as [tls] names no certificate");
  }
  config.control_url = url;
  PERIGEE_TRY(key_file, table.required_path("key_file"));
  config.key_file = key_file;
  return table.finish(kManual);
}

Result<> read_addresses(TomlTable& table, SiteConfig& config) {
  for (const std::string& name : table.keys()) {
    if (!valid_name(name)) return table.error(name, "a site's name");
    PERIGEE_TRY(text, table.required_string(name));
    PERIGEE_TRY(endpoint, endpoint_of(table, name, text));
    if (!endpoint.is_loopback() && !config.tls.member()) {
      return table.error(name, "a loopback address as long as [tls] names no certificate");
    }
    config.peer_addresses.emplace(SiteId{name}, endpoint);
  }
  return {};
}

Result<> read_backbone(TomlTable& table, SiteConfig& config) {
  for (const std::string& name : table.keys()) {
    if (!valid_name(name)) return table.error(name, "a site's name");
    PERIGEE_TRY(ms, table.number(name, 0, 0, 1e6));
    config.backbone_ms_per_mib.emplace(SiteId{name}, ms);
  }
  return {};
}

Result<> read_prices(TomlTable& table, SiteConfig& config) {
  constexpr std::int64_t kPriceMax = 1'000'000'000'000'000;
  for (const std::string& name : table.keys()) {
    if (!valid_model_name(name)) return table.error(name, "a model's name such as 'org/name'");
    PERIGEE_TRY(price, table.integer(name, 0, 0, kPriceMax));
    config.prices.emplace(ModelId{name}, price);
  }
  return {};
}

Result<Capabilities> capabilities_of(const TomlTable& table,
                                     const std::vector<std::string>& names) {
  Capabilities all = 0;
  for (const std::string& name : names) {
    const auto one = parse_capability(name);
    if (!one) {
      return table.error("capabilities", "of vision, guided_output, embeddings and tools");
    }
    all |= *one;
  }
  return all;
}

Result<> read_peers(TomlTable& table, SiteConfig& config) {
  PERIGEE_TRY(neighbours, table.integer("neighbours_max", 8, 0, 1024));
  config.neighbours_max = static_cast<std::size_t>(neighbours);
  PERIGEE_TRY(interval, table.integer("exchange_interval_ms", 1000, 200, 60'000));
  config.exchange_interval = milliseconds{interval};
  PERIGEE_TRY(addresses, table.table("addresses"));
  if (addresses) PERIGEE_CHECK(read_addresses(*addresses, config));
  PERIGEE_TRY(backbone, table.table("backbone_ms_per_mib"));
  if (backbone) PERIGEE_CHECK(read_backbone(*backbone, config));
  return table.finish(kManual);
}

Result<> read_engine(TomlTable& table, SiteConfig& config) {
  ExternalEngine engine;
  PERIGEE_TRY(name, table.required_string("name"));
  if (!valid_name(name)) return table.error("name", "lower-case letters, digits, '-', '_', '.'");
  const bool taken = std::ranges::any_of(
      config.engines, [&](const ExternalEngine& other) { return other.name.str() == name; });
  if (taken) return table.error("name", "a name that no other engine has");
  engine.name = EngineId{name};
  PERIGEE_TRY(url, table.required_string("url"));
  auto parsed = net::parse_url(url);
  if (!parsed) return table.problem("url", parsed.error().message);
  engine.url = *parsed;
  PERIGEE_TRY(model, table.required_string("model"));
  if (!valid_model_name(model)) return table.error("model", "a model's name such as 'org/name'");
  engine.model = ModelId{model};
  PERIGEE_TRY(upstream_model, table.string("upstream_model", ""));
  engine.upstream_model = upstream_model;
  PERIGEE_TRY(key_file, table.path("key_file", ""));
  engine.key_file = key_file;
  PERIGEE_TRY(slots, table.integer("slots", 0, 0, 1'000'000));
  engine.slots = static_cast<std::uint32_t>(slots);
  PERIGEE_TRY(context, table.integer("context_tokens", 0, 0, 1'000'000'000));
  engine.context_tokens = static_cast<std::uint32_t>(context);
  PERIGEE_TRY(cache_salt, table.boolean("cache_salt", true));
  engine.cache_salt = cache_salt;
  PERIGEE_TRY(by_text, table.string("resume_by_text", "off"));
  const auto resume = api::parse_text_resume(by_text);
  if (!resume) return table.error("resume_by_text", std::string{api::kTextResumeNames});
  engine.resume_by_text = *resume;
  PERIGEE_TRY(names, table.strings("capabilities"));
  if (!names.empty()) {
    PERIGEE_TRY(capabilities, capabilities_of(table, names));
    engine.capabilities = capabilities;
  }
  PERIGEE_CHECK(table.finish(kManual));
  config.engines.push_back(std::move(engine));
  return {};
}

Result<> read_log(TomlTable& table, SiteConfig& config) {
  PERIGEE_TRY(level, table.string("level", "info"));
  if (!log::parse_level(level, config.log_level)) {
    return table.error("level", "debug, info, warning, error or off");
  }
  PERIGEE_TRY(format, table.string("format", "text"));
  if (format != "text" && format != "json") return table.error("format", "text or json");
  config.log_format = format == "json" ? log::Format::Json : log::Format::Text;
  return table.finish(kManual);
}

// Of the clients' connections.
Result<> read_timeouts(TomlTable& table, SiteConfig& config) {
  struct Timeout {
    const char* key;
    Duration& value;
  };
  for (const Timeout& timeout : {Timeout{"head_timeout_ms", config.http.head_timeout},
                                 Timeout{"body_timeout_ms", config.http.body_timeout},
                                 Timeout{"write_timeout_ms", config.http.write_timeout},
                                 Timeout{"idle_timeout_ms", config.http.idle_timeout}}) {
    PERIGEE_TRY(ms, table.integer(timeout.key, timeout.value / milliseconds{1}, 100, kHourMs));
    timeout.value = milliseconds{ms};
  }
  return {};
}

Result<> read_limits(TomlTable& table, SiteConfig& config) {
  PERIGEE_TRY(requests, table.integer("requests_max", 20'000, 1, 1'000'000));
  config.requests_max = static_cast<std::size_t>(requests);
  PERIGEE_TRY(connections, table.integer("connections_max", 20'000, 1, 1'000'000));
  config.http.connections_max = static_cast<std::size_t>(connections);
  PERIGEE_TRY(body, table.integer("body_bytes_max", 8 * kMiB, 1024, 1024 * kMiB));
  config.http.body_bytes_max = static_cast<std::size_t>(body);
  PERIGEE_TRY(bodies, table.integer("bodies_bytes_max", 512 * kMiB, 1024, 1024 * 1024 * kMiB));
  config.http.bodies_bytes_max = static_cast<std::size_t>(bodies);
  PERIGEE_TRY(head, table.integer("head_bytes_max", 32 * 1024, 1024, kMiB));
  config.http.head_bytes_max = static_cast<std::size_t>(head);
  PERIGEE_TRY(headers, table.integer("headers_max", 100, 16, 10'000));
  config.http.headers_max = static_cast<std::size_t>(headers);
  PERIGEE_CHECK(read_timeouts(table, config));
  PERIGEE_TRY(heartbeat, table.integer("heartbeat_ms", 15'000, 1000, kHourMs));
  config.heartbeat = milliseconds{heartbeat};
  PERIGEE_TRY(first_token, table.integer("first_token_timeout_ms", 60'000, 1000, kHourMs));
  config.first_token_timeout = milliseconds{first_token};
  PERIGEE_TRY(answer, table.integer("answer_timeout_ms", 600'000, 1000, 24 * kHourMs));
  config.answer_timeout = milliseconds{answer};
  PERIGEE_TRY(grace, table.integer("drain_grace_ms", 10'000, 0, kHourMs));
  config.drain_grace = milliseconds{grace};
  PERIGEE_TRY(stop, table.integer("stop_grace_ms", 120'000, 0, kHourMs));
  config.stop_grace = std::max(config.drain_grace, Duration{milliseconds{stop}});
  PERIGEE_TRY(queue, table.integer("queue_requests_max", 4'096, 1, 1'000'000));
  config.queue_requests_max = static_cast<std::uint32_t>(queue);
  PERIGEE_TRY(wait, table.integer("queue_wait_ms", 45'000, 100, kHourMs));
  config.queue_wait_max = milliseconds{wait};
  PERIGEE_TRY(spare, table.integer("spare_disk_bytes", 32 * kMiB, 0, 1024 * kMiB));
  config.spare_disk_bytes = static_cast<std::uint64_t>(spare);
  return table.finish(kManual);
}

Result<> read_capacity(TomlTable& table, SiteConfig& config) {
  PERIGEE_TRY(reserved, table.number("reserved_share", 0, 0, 1));
  config.reserved_share = reserved;
  PERIGEE_TRY(power, table.number("power_share", 1, 0, 1));
  config.power_share = power;
  PERIGEE_TRY(tenants, table.strings("network_tenants"));
  for (const std::string& tenant : tenants) {
    if (!valid_name(tenant)) return table.error("network_tenants", "names of tenants");
    config.network_tenants.emplace_back(tenant);
  }
  return table.finish(kManual);
}

Result<> read_idempotency(TomlTable& table, SiteConfig& config) {
  IdempotencyLimits& limits = config.idempotency;
  PERIGEE_TRY(keys, table.integer("keys_max", 10'000, 1, 10'000'000));
  limits.entries_max = static_cast<std::size_t>(keys);
  PERIGEE_TRY(bytes, table.integer("bytes_max", 64 * kMiB, 0, 64 * 1024 * kMiB));
  limits.bytes_max = static_cast<std::size_t>(bytes);
  PERIGEE_TRY(answer, table.integer("answer_bytes_max", 4 * kMiB, 0, 1024 * kMiB));
  limits.answer_bytes_max = static_cast<std::size_t>(answer);
  PERIGEE_TRY(age, table.integer("age_max_ms", kHourMs, 1000, 24 * kHourMs));
  limits.age_max = milliseconds{age};
  PERIGEE_TRY(patience, table.integer("reader_patience_ms", 10'000, 0, kHourMs));
  limits.reader_patience = milliseconds{patience};
  return table.finish(kManual);
}

Result<> read_receipts(TomlTable& table, SiteConfig& config) {
  PERIGEE_TRY(days, table.integer("keep_days", 400, 0, 36'500));
  config.receipts_keep = seconds{days * 86'400};
  return table.finish(kManual);
}

using Reader = Result<> (*)(TomlTable&, SiteConfig&);

Result<> read_section(TomlTable& root, std::string_view name, bool required, Reader read,
                      SiteConfig& config) {
  PERIGEE_TRY(section, root.table(name));
  if (section) return read(*section, config);
  if (required) return root.error(name, "a [" + std::string{name} + "] section");
  TomlTable absent = root.absent(name);  // the environment may still say something
  return read(absent, config);
}

}  // namespace

Result<SiteConfig> parse_site_config(std::string_view text, const std::string& path,
                                     EnvironmentLookup environment) {
  PERIGEE_TRY(parsed, parse_toml(text, path));
  SiteConfig config;
  TomlTable root{parsed, "", path, environment};
  PERIGEE_CHECK(read_section(root, "tls", false, read_tls, config));  // others ask for it
  PERIGEE_CHECK(read_section(root, "site", true, read_site, config));
  PERIGEE_CHECK(read_section(root, "control", true, read_control, config));
  PERIGEE_CHECK(read_section(root, "peers", false, read_peers, config));
  PERIGEE_CHECK(read_section(root, "log", false, read_log, config));
  PERIGEE_CHECK(read_section(root, "limits", false, read_limits, config));
  PERIGEE_CHECK(read_section(root, "capacity", false, read_capacity, config));
  PERIGEE_CHECK(read_section(root, "prices", false, read_prices, config));
  PERIGEE_CHECK(read_section(root, "idempotency", false, read_idempotency, config));
  PERIGEE_CHECK(read_section(root, "receipts", false, read_receipts, config));
  PERIGEE_TRY(engines, root.tables("engine"));
  for (TomlTable& engine : engines) PERIGEE_CHECK(read_engine(engine, config));
  PERIGEE_CHECK(root.finish(kManual));
  return config;
}

Result<SiteConfig> load_site_config(const std::string& path, EnvironmentLookup environment) {
  std::ifstream file{path, std::ios::binary};
  if (!file) {
    return Error{Code::NotFound,
                 "can't read " + path + "; `perigee site join` writes one for a new site"};
  }
  if (std::filesystem::is_directory(path)) {  // it opens, but has nothing to read
    return Error{Code::InvalidArgument, path + " is a folder: expected a TOML file"};
  }
  std::ostringstream text;
  text << file.rdbuf();
  return parse_site_config(text.str(), path, environment);
}

}  // namespace perigee
