// LocalEngines: the engines of this site. Starts one process per placement of the directory, adds
// the external engines of the configuration, and tells the router about each.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/router.h"
#include "directory/records.h"
#include "engine/openai/http_engine.h"
#include "gateway/admission_gate.h"
#include "gateway/engine_table.h"
#include "peer/digest.h"
#include "site/config.h"
#include "site/engine_process.h"

namespace perigee {

// For the status page.
struct EngineStatus {
  EngineId name;
  ModelId model;
  bool external = false;
  EngineState state = EngineState::Stopped;
  std::uint32_t restarts = 0;
  std::string last_fault;
  int pid = 0;
  EngineLoad load;
  Instant heard{};  // when it last told its load; zero: never, or external
};

// The queue before the engines of one model; for status page and metrics.
struct QueueStatus {
  ModelId model;
  AdmissionStats stats;
};

// Of the client that asks engines how they are, and whatever else is quick to answer: what stands
// still takes a connection and says nothing, for kSilentMax at most.
net::ClientLimits probe_limits();

// Before the engines of each model that tell how many requests they run at once stands one queue
// (gateway/admission_gate.h). IO thread. Destroying it kills the processes.
class LocalEngines {
 public:
  struct Parts {
    Executor executor;
    const Clock& clock;
    Router& router;
    EngineTable& engines;
    net::HttpClient& client;        // for inference
    net::HttpClient& probe_client;  // for health and load, with probe_limits()
    std::string program;            // the perigee binary
    std::function<void()> changed;  // load or state of an engine has changed
    // Each engine as the gateway is to use it: receipts are given round it.
    std::function<std::shared_ptr<Engine>(const ModelId&, std::shared_ptr<Engine>)> receipted;
    std::function<void()> opened = {};  // an engine takes work that did not
    // An external engine can't be reached any more: the router knows it as not healthy. Own ones
    // are killed, which ends what runs there.
    std::function<void()> closed = {};
  };
  // `config` must outlive it.
  LocalEngines(Parts parts, const SiteConfig& config);
  ~LocalEngines();

  // Starts, stops and replaces engines so that they match the directory.
  void follow(const DirectorySnapshot& directory);
  // Tells the router of all again: `drained` no new work is planned here.
  void set_drained(bool drained);
  std::vector<EngineStatus> status() const;
  // What peers are told: per model, ready or not, and the summed load, with what waits for it here.
  std::vector<ModelDigest> digest() const;
  // Requests that run on them, whoever sent them.
  std::size_t running() const;
  // The same for one model, to go back with an answer to a peer; nullopt when none is ready.
  std::optional<EngineLoad> load(const ModelId& model) const;
  std::vector<QueueStatus> queues() const;
  // Some engine is ready.
  bool any_ready() const;

 private:
  JurisdictionId own_law(const DirectorySnapshot& directory);
  struct External;
  std::vector<EngineSpec> wanted(const DirectorySnapshot& directory) const;
  void describe(CandidateState& state, Capabilities capabilities,
                std::uint32_t context_tokens) const;
  void publish(const EngineProcess& process);
  void publish(const External& external);
  void forget(const EngineId& name, const ModelId& model);
  AdmissionGate& gate(const ModelId& model);
  std::shared_ptr<Engine> make_engine(const EngineId& name, const ModelId& model, bool gated,
                                      HttpEngineOptions options);
  ModelDigest digest_of(const ModelId& model) const;
  EngineLoad load_of(const EngineId& name, const ModelId& model, EngineLoad told) const;
  void start_external(const ExternalEngine& engine);
  Task<> probe(std::shared_ptr<External> external);

  Parts parts_;
  const SiteConfig& config_;
  // Of engines here. Empty where directory and configuration disagree, or the directory does not
  // know this site: then nothing that is bound to a law runs here.
  JurisdictionId jurisdiction_;
  JurisdictionId disputed_;  // what the directory said when they last disagreed
  bool drained_ = false;
  std::map<ModelId, std::shared_ptr<AdmissionGate>> gates_;
  std::map<EngineId, std::unique_ptr<EngineProcess>> processes_;
  std::map<EngineId, std::shared_ptr<External>> externals_;
};

}  // namespace perigee
