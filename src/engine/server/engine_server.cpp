#include "engine/server/engine_server.h"

#include <fmt/format.h>

#include <array>
#include <boost/asio/post.hpp>

#include "api/error_body.h"
#include "api/headers.h"
#include "api/load.h"
#include "api/models_body.h"
#include "base/log.h"
#include "engine/llama/stop_matcher.h"
#include "engine/server/request_headers.h"

namespace perigee::engine_server {
namespace {

constexpr net::Header kJson{"content-type", "application/json"};
constexpr net::Header kPlain{"content-type", "text/plain; charset=utf-8"};

Error client_left() { return Error{Code::Cancelled, "the client left"}; }

}  // namespace

EngineServer::EngineServer(Executor executor, const Clock& clock, std::string model_name)
    : executor_(executor),
      clock_(clock),
      model_name_(std::move(model_name)),
      started_at_(clock.wall().micros / 1'000'000),
      exchanges_(std::make_shared<ExchangeTable>()) {}

void EngineServer::set_ready(const llama::Model& model, llama::Batcher& batcher) {
  model_ = &model;
  batcher_ = &batcher;
}

llama::Batcher::EventHandler EngineServer::deliver() const {
  return [executor = executor_, table = exchanges_](std::vector<llama::GenerationEvent>&& events) {
    asio::post(executor, [table, events = std::move(events)]() mutable {
      table->deliver(std::move(events));
    });
  };
}

Task<> EngineServer::handle(net::Request& request, net::ResponseWriter& out) {
  auto served = co_await dispatch(request, out);
  if (served || served.error().code == Code::Cancelled) co_return;
  ++failures_;
  const Error& error = served.error();
  if (out.started()) {  // the stream is cut after it, so no client takes it for whole
    std::string event;
    AnswerWriter::append_error(event, error);
    co_await out.write(event);
    co_return;
  }
  const std::string body = api::error_body(error);
  const std::string retry_after = std::to_string((error.retry_after_ms + 999) / 1000);
  const std::string load = batcher_ != nullptr ? api::format_load(batcher_->load()) : "";
  std::vector<net::Header> headers{kJson};
  if (!load.empty()) headers.push_back({api::headers::kLoad, load});
  if (error.retry_after_ms > 0) headers.push_back({api::headers::kRetryAfter, retry_after});
  co_await out.respond(api::http_status(error), headers, body);
}

Task<Result<>> EngineServer::dispatch(net::Request& request, net::ResponseWriter& out) {
  const std::string_view path = request.path;
  const bool post = request.method == "POST";
  const bool get = request.method == "GET" || request.method == "HEAD";
  if (batcher_ == nullptr) {
    co_return Error{Code::Unavailable, "the engine is still loading its model", "", 1000};
  }
  if (post && path == "/v1/chat/completions")
    co_return co_await text(Operation::Chat, request, out);
  if (post && path == "/v1/completions") {
    co_return co_await text(Operation::Completion, request, out);
  }
  if (post && path == "/v1/embeddings") co_return co_await embeddings(request, out);
  if (get && path == "/healthz") co_return co_await out.respond(200, {&kPlain, 1}, "ok\n");
  if (get && path == "/load") co_return co_await load(out);
  if (get && path == "/metrics") {
    const std::string body = metrics();
    co_return co_await out.respond(200, {&kPlain, 1}, body);
  }
  if (get && path.starts_with("/v1/models")) co_return co_await models(path, out);
  co_return Error{Code::NotFound,
                  "there is no such endpoint: POST /v1/chat/completions, /v1/completions or "
                  "/v1/embeddings"};
}

// The computing thread can't say that it hangs: this one looks whether it gets on.
Task<Result<>> EngineServer::load(net::ResponseWriter& out) {
  if (standstill_.look(clock_.now(), batcher_->pace())) {
    co_return Error{Code::Unavailable,
                    fmt::format("the computation stands still: no step has ended for {} s",
                                kStepMax / seconds{1})};
  }
  const std::string load = api::format_load(batcher_->load());
  co_return co_await out.respond(200, {&kPlain, 1}, load);
}

Task<Result<>> EngineServer::models(std::string_view path, net::ResponseWriter& out) {
  api::ModelListing listing;
  listing.id = ModelId{model_name_};
  listing.created = started_at_;
  listing.owned_by = "perigee";
  listing.context_length = batcher_->context();
  std::string body;
  if (path == "/v1/models") {
    body = api::models_body({&listing, 1});
  } else if (path == "/v1/models/" + model_name_) {
    body = api::model_body(listing);
  } else {
    co_return Error{Code::NotFound, fmt::format("this engine serves '{}' only", model_name_),
                    "model"};
  }
  co_return co_await out.respond(200, {&kJson, 1}, body);
}

Result<TextRequest> EngineServer::parse(Operation operation, const net::Request& request) const {
  const ServedModel served{*model_, model_name_, batcher_->context()};
  PERIGEE_TRY(text, operation == Operation::Chat ? parse_chat(served, request.body)
                                                 : parse_completion(served, request.body));
  PERIGEE_CHECK(apply_headers(request, clock_, text));
  return std::move(text);
}

Result<> EngineServer::submit(const TextRequest& request, Exchange& exchange) {
  if (request.choices() > batcher_->places()) {
    const bool one_prompt = request.generations.size() == 1;
    return llama::too_many_answers(request.choices(), batcher_->places(),
                                   one_prompt ? "n" : "prompt");
  }
  for (const llama::GenerationRequest& generation : request.generations) {
    PERIGEE_TRY(ticket, batcher_->submit(generation));
    exchange.add(std::move(ticket));
  }
  return {};
}

Task<Result<>> EngineServer::text(Operation operation, net::Request& request,
                                  net::ResponseWriter& out) {
  ++requests_;
  auto parsed = parse(operation, request);
  if (!parsed) co_return std::move(parsed).error();
  auto text = std::make_shared<const TextRequest>(std::move(*parsed));
  AnswerFrame frame;
  frame.operation = operation;
  frame.id = (operation == Operation::Chat ? "chatcmpl-" : "cmpl-") + request_id_of(request);
  frame.created = created_of(request, clock_);
  frame.model = model_name_;
  frame.fingerprint = model_->fingerprint();
  frame.logprobs = text->generations.front().top_logprobs.has_value();
  frame.include_usage = text->include_usage;
  request.body = {};
  out.release_request();
  Exchange exchange{executor_, *exchanges_};
  auto submitted = submit(*text, exchange);
  if (!submitted) co_return std::move(submitted).error();
  out.watch_client([&exchange] { exchange.client_left(); });
  Result<> served = Error{};
  if (text->stream) {
    served = co_await stream(text, std::move(frame), exchange, out);
  } else {
    served = co_await whole(text, std::move(frame), exchange, out);
  }
  out.watch_client(nullptr);
  co_return served;
}

namespace {

// What the generations of one request have yielded.
struct Gathered {
  explicit Gathered(const TextRequest& request)
      : choices_each(request.generations.front().choices),
        open(request.generations.size()),
        answers(request.choices()),
        begun(request.choices()) {
    for (std::size_t i = 0; i < begun.size(); ++i) {  // what began elsewhere has its role already
      const auto& resume = request.generations[i / choices_each].resume;
      const std::size_t choice = i % choices_each;
      begun[i] = choice < resume.size() && !resume[choice].tokens.empty();
    }
  }

  void add(const Usage& more) {
    usage.prompt_tokens += more.prompt_tokens;
    usage.completion_tokens += more.completion_tokens;
    usage.cached_tokens += more.cached_tokens;
    --open;
  }

  std::uint32_t choices_each;
  std::size_t open;  // generations that are not done
  std::vector<ChoiceAnswer> answers;
  std::vector<bool> begun;
  Usage usage;
};

std::string resumed_text(const TextRequest& request) {
  return request.resumed ? std::to_string(*request.resumed) : std::string{};
}

void gather(Gathered& gathered, std::size_t generation, llama::Progress&& progress) {
  ChoiceAnswer& answer = gathered.answers[generation * gathered.choices_each + progress.choice];
  answer.text += progress.text;
  std::move(progress.tokens.begin(), progress.tokens.end(), std::back_inserter(answer.tokens));
  if (progress.finish) answer.finish = *progress.finish;
}

// Writes one event into `out`.
void write_event(const AnswerWriter& writer, const TextRequest& request, Gathered& gathered,
                 std::size_t generation, llama::Progress&& progress, std::string& out) {
  const std::uint32_t choice =
      static_cast<std::uint32_t>(generation) * gathered.choices_each + progress.choice;
  progress.choice = choice;
  if (request.echo) progress.text_offset += llama::characters(request.prompts[generation]);
  if (!gathered.begun[choice]) {
    gathered.begun[choice] = true;
    if (request.operation == Operation::Chat) writer.append_role(out, choice);
    if (request.echo) writer.append_text(out, choice, request.prompts[generation]);
  }
  writer.append_progress(out, progress);
}

}  // namespace

Task<Result<>> EngineServer::whole(std::shared_ptr<const TextRequest> request, AnswerFrame frame,
                                   Exchange& exchange, net::ResponseWriter& out) {
  Gathered gathered{*request};
  for (std::size_t i = 0; request->echo && i < gathered.answers.size(); ++i) {
    gathered.answers[i].text = request->prompts[i / gathered.choices_each];
  }
  while (gathered.open > 0) {
    co_await exchange.wait();
    if (exchange.left()) co_return client_left();
    for (llama::GenerationEvent& event : exchange.events()) {
      if (auto* failed = std::get_if<Error>(&event.what)) co_return std::move(*failed);
      if (auto* done = std::get_if<llama::Done>(&event.what)) gathered.add(done->usage);
      if (auto* progress = std::get_if<llama::Progress>(&event.what)) {
        gather(gathered, exchange.index_of(event.id), std::move(*progress));
      }
    }
    exchange.events().clear();
  }
  prompt_tokens_ += gathered.usage.prompt_tokens;
  completion_tokens_ += gathered.usage.completion_tokens;
  const std::string id = frame.id.substr(frame.id.find('-') + 1);
  const AnswerWriter writer{*model_, std::move(frame)};
  const std::string body = writer.body(gathered.answers, gathered.usage);
  const std::string load = api::format_load(batcher_->load());
  const std::string usage = api::format_usage(gathered.usage);
  const std::string resumed = resumed_text(*request);
  const std::array<net::Header, 5> headers{
      kJson, net::Header{api::headers::kRequestId, id}, net::Header{api::headers::kLoad, load},
      net::Header{api::headers::kUsage, usage}, net::Header{api::headers::kResumed, resumed}};
  co_return co_await out.respond(200, {headers.data(), resumed.empty() ? 4U : 5U}, body);
}

Task<Result<>> EngineServer::stream(std::shared_ptr<const TextRequest> request, AnswerFrame frame,
                                    Exchange& exchange, net::ResponseWriter& out) {
  Gathered gathered{*request};
  const std::string id = frame.id.substr(frame.id.find('-') + 1);
  const AnswerWriter writer{*model_, std::move(frame)};
  while (gathered.open > 0) {
    co_await exchange.wait();
    if (exchange.left()) co_return client_left();
    std::string bytes;
    std::optional<Error> failed;
    for (llama::GenerationEvent& event : exchange.events()) {
      if (auto* error = std::get_if<Error>(&event.what)) failed = std::move(*error);
      if (auto* done = std::get_if<llama::Done>(&event.what)) gathered.add(done->usage);
      if (auto* progress = std::get_if<llama::Progress>(&event.what)) {
        write_event(writer, *request, gathered, exchange.index_of(event.id), std::move(*progress),
                    bytes);
      }
    }
    exchange.events().clear();
    if (failed) co_return std::move(*failed);
    if (gathered.open == 0) writer.append_end(bytes, gathered.usage, batcher_->load());
    if (!out.started() && !bytes.empty()) {
      const std::string load = api::format_load(batcher_->load());
      const std::string resumed = resumed_text(*request);
      const std::array<net::Header, 6> headers{net::Header{"content-type", "text/event-stream"},
                                               net::Header{"cache-control", "no-cache"},
                                               net::Header{"x-accel-buffering", "no"},
                                               net::Header{api::headers::kRequestId, id},
                                               net::Header{api::headers::kLoad, load},
                                               net::Header{api::headers::kResumed, resumed}};
      auto begun = co_await out.begin(200, {headers.data(), resumed.empty() ? 5U : 6U});
      if (!begun) co_return client_left();
    }
    if (bytes.empty()) continue;
    auto written = co_await out.write(bytes);
    if (!written) co_return client_left();
  }
  prompt_tokens_ += gathered.usage.prompt_tokens;
  completion_tokens_ += gathered.usage.completion_tokens;
  co_return co_await out.finish();
}

Task<Result<>> EngineServer::embeddings(net::Request& request, net::ResponseWriter& out) {
  ++requests_;
  const ServedModel served{*model_, model_name_, batcher_->context()};
  auto parsed = parse_embeddings(served, request.body);
  if (!parsed) co_return std::move(parsed).error();
  const std::string id = request_id_of(request);
  parsed->embedding.deadline = deadline_of(request, clock_);
  Exchange exchange{executor_, *exchanges_};
  auto ticket = batcher_->embed(std::move(parsed->embedding));
  if (!ticket) co_return std::move(ticket).error();
  exchange.add(std::move(*ticket));
  out.watch_client([&exchange] { exchange.client_left(); });
  while (exchange.events().empty()) {
    co_await exchange.wait();
    if (exchange.left()) co_return client_left();
  }
  out.watch_client(nullptr);
  llama::GenerationEvent event = std::move(exchange.events().front());
  if (auto* failed = std::get_if<Error>(&event.what)) co_return std::move(*failed);
  const auto& embedded = std::get<llama::Embedded>(event.what);
  prompt_tokens_ += embedded.usage.prompt_tokens;
  const std::string body = embeddings_body(model_name_, embedded, parsed->base64);
  const std::string load = api::format_load(batcher_->load());
  const std::string usage = api::format_usage(embedded.usage);
  const std::array<net::Header, 4> headers{kJson, net::Header{api::headers::kRequestId, id},
                                           net::Header{api::headers::kLoad, load},
                                           net::Header{api::headers::kUsage, usage}};
  co_return co_await out.respond(200, headers, body);
}

std::string EngineServer::metrics() const {
  const EngineLoad load = batcher_->load();
  return fmt::format(
      "# TYPE perigee_engine_requests_total counter\nperigee_engine_requests_total {}\n"
      "# TYPE perigee_engine_failures_total counter\nperigee_engine_failures_total {}\n"
      "# TYPE perigee_engine_prompt_tokens_total counter\n"
      "perigee_engine_prompt_tokens_total {}\n"
      "# TYPE perigee_engine_completion_tokens_total counter\n"
      "perigee_engine_completion_tokens_total {}\n"
      "# TYPE perigee_engine_slots gauge\nperigee_engine_slots {}\n"
      "# TYPE perigee_engine_slots_busy gauge\nperigee_engine_slots_busy {}\n"
      "# TYPE perigee_engine_queued_requests gauge\nperigee_engine_queued_requests {}\n"
      "# TYPE perigee_engine_queued_tokens gauge\nperigee_engine_queued_tokens {}\n"
      "# TYPE perigee_engine_kv_used_ratio gauge\nperigee_engine_kv_used_ratio {}\n"
      "# TYPE perigee_engine_prefill_tokens_per_s gauge\n"
      "perigee_engine_prefill_tokens_per_s {}\n"
      "# TYPE perigee_engine_decode_ms gauge\nperigee_engine_decode_ms {}\n",
      requests_, failures_, prompt_tokens_, completion_tokens_, load.slots, load.slots_busy,
      load.queued_requests, load.queued_tokens, load.kv_used, load.prefill_tokens_per_s,
      load.decode_ms);
}

}  // namespace perigee::engine_server
