// HttpEngine: an engine behind HTTP that speaks the OpenAI API. One class for the three kinds that
// exist: an engine process of this site (Unix socket), a peer site, an external server. They differ
// in options only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "api/text_resume.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "net/http_client.h"

namespace perigee {

struct HttpEngineOptions {
  net::Endpoint endpoint;
  std::string base_path = "/v1";  // of the OpenAI API
  std::string authorization;      // value of the header; empty: none
  std::string upstream_model;     // what it calls the model; empty: as in the request
  // Send Perigee's headers (tenant, class, deadline, jurisdictions, cache salt, hop): to own
  // engines and peers. An external server gets none of them.
  bool trusted = true;
  // Tell an external server the tenant's cache salt, as the field `cache_salt` of the body.
  bool salts_cache = false;
  // How an external server goes on with an answer that another began and whose text alone is known.
  // Off: it does not, nor do others with its own.
  api::TextResume resume_by_text = api::TextResume::Off;
  std::size_t answer_bytes_max = std::size_t{32} * 1024 * 1024;  // of a non-streaming answer
  // What passes a network between sites is summed (api/message_sum.h).
  bool sums() const { return trusted && !endpoint.is_unix(); }
};

// IO thread. `client` and `clock` must outlive the engine and its generations.
class HttpEngine final : public Engine {
 public:
  HttpEngine(Executor executor, const Clock& clock, net::HttpClient& client,
             HttpEngineOptions options);
  std::unique_ptr<Generation> start(const Job& job, EventSink& sink) override;

 private:
  struct Start;
  Result<> check(const Job& job) const;
  Result<Start> prepare(const Job& job) const;

  Executor executor_;
  const Clock& clock_;
  net::HttpClient& client_;
  std::shared_ptr<const HttpEngineOptions> options_;
  // Whether an answer of it was summed once: then all must be. Its jobs know it, too.
  std::shared_ptr<bool> has_summed_ = std::make_shared<bool>(false);
};

}  // namespace perigee
