// EngineServer: OpenAI's HTTP API in front of one Batcher.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "engine/llama/batcher.h"
#include "engine/server/exchange.h"
#include "engine/server/openai_request.h"
#include "engine/server/openai_response.h"
#include "engine/server/standstill_watch.h"
#include "net/http_server.h"

namespace perigee::engine_server {

// POST /v1/chat/completions, /v1/completions, /v1/embeddings; GET /v1/models, /v1/models/ID,
// /healthz (503 until ready), /load (503 when the computation stands still: StandstillWatch),
// /metrics. Request and response headers, and the lines beside `data:` in streams, are in
// docs/engine.md.
//
// IO thread only, except deliver(). Handlers borrow the server: stop the HttpServer first.
class EngineServer {
 public:
  // `clock` must outlive it.
  EngineServer(Executor executor, const Clock& clock, std::string model_name);

  // From now on requests are served; until then they get 503. Both must outlive the server's last
  // request. The batcher must have been started with deliver() as its handler.
  void set_ready(const llama::Model& model, llama::Batcher& batcher);
  // A handler for Batcher::start: hands events over to the IO thread. Any thread; may be called
  // after the server has gone.
  llama::Batcher::EventHandler deliver() const;

  Task<> handle(net::Request& request, net::ResponseWriter& out);

 private:
  Task<Result<>> dispatch(net::Request& request, net::ResponseWriter& out);
  Task<Result<>> text(Operation operation, net::Request& request, net::ResponseWriter& out);
  Task<Result<>> embeddings(net::Request& request, net::ResponseWriter& out);
  Task<Result<>> stream(std::shared_ptr<const TextRequest> request, AnswerFrame frame,
                        Exchange& exchange, net::ResponseWriter& out);
  Task<Result<>> whole(std::shared_ptr<const TextRequest> request, AnswerFrame frame,
                       Exchange& exchange, net::ResponseWriter& out);
  Result<TextRequest> parse(Operation operation, const net::Request& request) const;
  Result<> submit(const TextRequest& request, Exchange& exchange);
  Task<Result<>> load(net::ResponseWriter& out);
  Task<Result<>> models(std::string_view path, net::ResponseWriter& out);
  std::string metrics() const;

  Executor executor_;
  const Clock& clock_;
  std::string model_name_;
  std::int64_t started_at_;  // seconds since 1970
  const llama::Model* model_ = nullptr;
  llama::Batcher* batcher_ = nullptr;
  std::shared_ptr<ExchangeTable> exchanges_;
  StandstillWatch standstill_;
  std::uint64_t requests_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t prompt_tokens_ = 0;  // of all answers
  std::uint64_t completion_tokens_ = 0;
};

}  // namespace perigee::engine_server
