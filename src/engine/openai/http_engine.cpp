#include "engine/openai/http_engine.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <utility>

#include "api/error_body.h"
#include "api/headers.h"
#include "api/json_text.h"
#include "api/message_sum.h"
#include "api/resume_field.h"
#include "base/log.h"
#include "engine/openai/continued_stream.h"
#include "engine/openai/http_request.h"
#include "engine/openai/stream_reader.h"
#include "net/notifier.h"
#include "net/vital_task.h"

namespace perigee {
namespace {

constexpr std::size_t kErrorBytesMax = std::size_t{64} * 1024;

// Whether the answer began elsewhere.
bool goes_on(const Job& job) { return job.delivered != nullptr || job.resume_span.size > 0; }

// A running job: shared by its coroutine and the Generation, whichever ends last. It lives as long
// as the answer: nothing of the request stays but its body, until the answer's head is there.
struct HttpJob {
  HttpJob(Executor executor, std::shared_ptr<const HttpEngineOptions> with,
          std::shared_ptr<bool> summed, const Job& job, EventSink& to)
      : options(std::move(with)),
        has_summed(std::move(summed)),
        sink(&to),
        resumed(executor),
        streaming(job.stream),
        include_usage(job.include_usage),
        must_say_resumed(goes_on(job) && options->trusted) {}

  void cancel() {
    sink = nullptr;
    abort.abort();
    resumed.notify();
  }
  void fail(Error error) {
    if (sink != nullptr) std::exchange(sink, nullptr)->on_error(std::move(error));
  }

  std::shared_ptr<const HttpEngineOptions> options;
  std::shared_ptr<bool> has_summed;
  std::shared_ptr<const std::string> body;  // as sent
  EventSink* sink;                          // null once ended or cancelled
  net::Abort abort;
  net::Notifier resumed;
  bool streaming;
  bool include_usage;
  bool must_say_resumed;  // that it goes on where it is told: engines and sites of ours do
  std::unique_ptr<ContinuedStream> continued;  // until its stream is read
};

class HttpGeneration final : public Generation {
 public:
  explicit HttpGeneration(std::shared_ptr<HttpJob> job) : job_(std::move(job)) {}
  HttpGeneration(const HttpGeneration&) = delete;
  HttpGeneration& operator=(const HttpGeneration&) = delete;
  ~HttpGeneration() override { job_->cancel(); }
  void resume() override { job_->resumed.notify(); }

 private:
  std::shared_ptr<HttpJob> job_;
};

// What an upstream's error means to our client: a refusal of *our* credential, or of a model that
// this site believes to be there, is no fault of the client's.
Error upstream_error(const HttpEngineOptions& options, int status, std::string_view body,
                     std::int64_t retry_after_ms) {
  Error error = api::parse_error_body(status, body);
  error.retry_after_ms = retry_after_ms;
  const bool ours =
      error.code == Code::Unauthenticated ||
      (!options.trusted && (error.code == Code::PermissionDenied || error.code == Code::NotFound));
  if (ours) {
    return Error{Code::Unavailable, "an engine refused this site (status " +
                                        std::to_string(status) +
                                        "); the operator must correct its "
                                        "credential or model name"};
  }
  return error;
}

// A server that does not take the text as it was told to, or a site that knows no such field.
Error cannot_go_on(const HttpEngineOptions& options, Error error) {
  const bool means_that = !options.trusted || error.param == api::kResumeField;
  if (error.code != Code::InvalidArgument || !means_that) return error;
  return Error{Code::FailedPrecondition,
               "the engine does not go on by the text of an answer: " + error.message};
}

Error damaged() { return Error{Code::Protocol, "the answer was damaged on its way"}; }

// Whether this answer must have sums; remembers that its sender knows them.
bool is_summed(const HttpJob& job, const net::ClientResponse& response) {
  if (!job.options->sums()) return false;
  if (!response.header(api::headers::kSum).empty()) *job.has_summed = true;
  return *job.has_summed;
}

bool is_whole(const HttpJob& job, const net::ClientResponse& response, std::string_view body) {
  if (!is_summed(job, response)) return true;
  const auto sum = api::parse_sum(response.header(api::headers::kSum));
  return sum && *sum == api::sum_of(response.header(api::headers::kUsage), body);
}

// A request that was damaged may be refused as if its client were at fault, before anybody looks at
// its sum: such a refusal has none. Others without one are what they say (a server that is full).
bool is_whole_refusal(const HttpJob& job, const net::ClientResponse& response,
                      std::string_view body) {
  constexpr int kUnauthenticated = 401;
  constexpr int kTooManyRequests = 429;
  const int status = response.status();
  const bool blames_client =
      status < 500 && status != kUnauthenticated && status != kTooManyRequests;
  if (!blames_client && response.header(api::headers::kSum).empty()) return true;
  return is_whole(job, response, body);
}

enum class Step : std::uint8_t { Read, Pause, End };

// Hands on what came of a stream. The sink may cancel inside: reader.feed() stops then.
PERIGEE_OUT_OF_FRAME Step hand_on(HttpJob& job, StreamReader& reader,
                                  const Result<std::string_view>& piece) {
  if (job.sink == nullptr) return Step::End;
  if (!piece) {
    job.fail(piece.error());
    return Step::End;
  }
  if (piece->empty()) {
    job.fail(Error{Code::Unavailable, "the engine ended its stream early"});
    return Step::End;
  }
  const StreamReader::State state = reader.feed(*piece, job.sink);
  if (job.sink == nullptr) return Step::End;
  if (state == StreamReader::State::Failed) {
    job.fail(reader.error());
    return Step::End;
  }
  if (state == StreamReader::State::Done) {
    std::exchange(job.sink, nullptr)->on_finished(reader.finished());
    return Step::Read;  // the end of the body, so that the connection is kept
  }
  return reader.paused() ? Step::Pause : Step::Read;
}

// A coroutine keeps room for each of its temporaries, and this one lasts as long as its stream: it
// only waits.
Task<> read_stream(HttpJob& job, net::ClientResponse& response) {
  StreamReader reader{job.options->trusted, job.include_usage, is_summed(job, response),
                      job.options->resume_by_text != api::TextResume::Off};
  reader.go_on(std::move(job.continued));
  Step step = Step::Read;
  while (step != Step::End) {
    if (step == Step::Pause) co_await job.resumed.wait();
    auto piece = co_await response.read_some();
    step = hand_on(job, reader, piece);
  }
}

Task<> read_whole(HttpJob& job, net::ClientResponse& response) {
  auto body = co_await response.read_all(job.options->answer_bytes_max);
  if (job.sink == nullptr) co_return;
  if (!body) {
    job.fail(std::move(body).error());
    co_return;
  }
  if (!is_whole(job, response, *body)) {
    job.fail(damaged());
    co_return;
  }
  auto finished = read_answer(std::move(*body), read_usage(*job.options, response));
  if (!finished) {
    job.fail(std::move(finished).error());
    co_return;
  }
  finished->load = read_head(*job.options, response).load;
  finished->receipt = read_receipt(*job.options, response);
  std::exchange(job.sink, nullptr)->on_finished(std::move(*finished));
}

Task<> read_refusal(HttpJob& job, net::ClientResponse& response) {
  const Head head = read_refusal(*job.options, response);
  const std::int64_t retry_after_ms = read_retry_after_ms(response);
  auto body = co_await response.read_all(kErrorBytesMax);
  if (body && !is_whole_refusal(job, response, *body)) {
    job.fail(damaged());
    co_return;
  }
  if (job.sink != nullptr) job.sink->on_head(head);
  Error error = upstream_error(*job.options, response.status() < 400 ? 502 : response.status(),
                               body ? std::string_view{*body} : std::string_view{}, retry_after_ms);
  if (job.continued != nullptr) error = cannot_go_on(*job.options, std::move(error));
  job.fail(std::move(error));
}

enum class Reading : std::uint8_t { Nothing, Refusal, Whole, Stream };

// What is left to read once a response's head is there.
PERIGEE_OUT_OF_FRAME Reading begin(HttpJob& job, Result<net::ClientResponse>& sent) {
  job.body.reset();  // a long stream need not hold what was sent
  if (job.sink == nullptr) return Reading::Nothing;
  if (!sent) {
    job.fail(std::move(sent).error());
    return Reading::Nothing;
  }
  const net::ClientResponse& response = *sent;
  if (response.status() != 200) return Reading::Refusal;
  if (job.must_say_resumed && response.header(api::headers::kResumed).empty()) {
    job.fail(Error{Code::FailedPrecondition, "the engine can't go on with another one's answer"});
    return Reading::Nothing;
  }
  job.sink->on_head(read_head(*job.options, response));
  if (job.sink == nullptr) return Reading::Nothing;
  if (!job.streaming) return Reading::Whole;
  if (is_event_stream(response)) return Reading::Stream;
  job.fail(Error{Code::Protocol, "the engine answered a streaming request without a stream"});
  return Reading::Nothing;
}

// Each kind of answer has a coroutine of its own: a long stream holds the frame of no other.
Task<> read(Reading what, HttpJob& job, net::ClientResponse& response) {
  if (what == Reading::Refusal) return read_refusal(job, response);
  return what == Reading::Whole ? read_whole(job, response) : read_stream(job, response);
}

Task<> run(std::shared_ptr<HttpJob> job, Task<Result<net::ClientResponse>> sending) {
  auto sent = co_await std::move(sending);
  const Reading what = begin(*job, sent);
  if (what != Reading::Nothing) co_await read(what, *job, *sent);
}

// What ends an answer by text of which nothing is left to make: the finish reason unless the client
// has one, and the usage that it asked for.
std::vector<std::string> last_chunks(const Job& job, const Delivered::Text& text,
                                     std::string_view finish_reason) {
  const bool chat = job.operation == Operation::Chat;
  std::string head = R"({"id":)";
  if (text.id.empty()) {
    api::append_json_string(head, (chat ? "chatcmpl-" : "cmpl-") + job.context.request_id);
  } else {
    head += text.id;
  }
  head += chat ? R"(,"object":"chat.completion.chunk","created":)"
               : R"(,"object":"text_completion","created":)";
  head += text.created.empty() ? std::to_string(job.context.created) : text.created;
  head += R"(,"model":)";
  api::append_json_string(head, job.model.str());
  std::vector<std::string> last;
  if (!finish_reason.empty()) {
    last.push_back(head + R"(,"choices":[{"index":0,)" +
                   (chat ? R"("delta":{},"finish_reason":")" : R"("text":"","finish_reason":")") +
                   std::string{finish_reason} + "\"}]}");
  }
  if (job.include_usage && !text.told) {
    last.push_back(head + R"(,"choices":[],"usage":{"prompt_tokens":)" +
                   std::to_string(job.prompt_tokens) + R"(,"completion_tokens":)" +
                   std::to_string(text.tokens) + R"(,"total_tokens":)" +
                   std::to_string(job.prompt_tokens + text.tokens) + "}}");
  }
  return last;
}

void end_at_once(HttpJob& job, const std::vector<std::string>& last, const Usage& usage) {
  for (const std::string& json : last) {
    if (job.sink == nullptr) return;
    Chunk chunk;
    chunk.json = json;
    chunk.ends = true;
    chunk.text = "";
    job.sink->on_chunk(chunk);
  }
  if (job.sink == nullptr) return;
  Finished finished;
  finished.usage = usage;
  std::exchange(job.sink, nullptr)->on_finished(std::move(finished));
}

}  // namespace

HttpEngine::HttpEngine(Executor executor, const Clock& clock, net::HttpClient& client,
                       HttpEngineOptions options)
    : executor_(executor),
      clock_(clock),
      client_(client),
      options_(std::make_shared<const HttpEngineOptions>(std::move(options))) {}

// How a job begins: with what is sent, or with what ends it at once.
struct HttpEngine::Start {
  std::vector<api::BodyEdit> changes;          // of an external server's body
  std::unique_ptr<ContinuedStream> continued;  // of an answer by text
  std::vector<std::string> last;               // chunks that end it; nobody is asked
  bool ended = false;
};

// Whether this engine can go on where the job says.
Result<> HttpEngine::check(const Job& job) const {
  if (!goes_on(job)) return {};
  const bool by_text = job.delivered != nullptr && job.delivered->text() != nullptr;
  if (!options_->trusted && !by_text) {
    return Error{Code::FailedPrecondition, "an external engine can't go on from token ids"};
  }
  if (job.delivered != nullptr && !job.delivered->complete()) {
    return Error{Code::FailedPrecondition, "what was delivered so far is not known"};
  }
  return {};
}

Result<HttpEngine::Start> HttpEngine::prepare(const Job& job) const {
  PERIGEE_CHECK(check(job));
  Start start;
  const Delivered::Text* text = job.delivered != nullptr ? job.delivered->text() : nullptr;
  if (text == nullptr) return start;
  if (text->finished) {
    start.last = last_chunks(job, *text, "");
    start.ended = true;
    return start;
  }
  if (!api::unescaped_json(text->text)) {
    return Error{Code::FailedPrecondition, "the text so far ends in half of a character"};
  }
  if (options_->trusted) {
    start.continued = std::make_unique<ContinuedStream>(*text, nullptr);
    return start;
  }
  PERIGEE_TRY(by_text, api::continue_by_text(job.operation, *job.body, job.resume_span, *text,
                                             options_->resume_by_text));
  if (by_text.at_limit) {
    start.last = last_chunks(job, *text, "length");
    start.ended = true;
    return start;
  }
  const bool sent = !by_text.sent.empty();
  start.continued = std::make_unique<ContinuedStream>(
      *text, std::make_unique<TextSeam>(std::move(by_text.sent), std::move(by_text.space)));
  if (!sent) start.continued->count_as_answer(0);
  start.changes = std::move(by_text.edits);
  return start;
}

std::unique_ptr<Generation> HttpEngine::start(const Job& job, EventSink& sink) {
  auto ready = prepare(job);
  if (!ready) {
    sink.on_error(std::move(ready).error());
    return nullptr;
  }
  auto running = std::make_shared<HttpJob>(executor_, options_, has_summed_, job, sink);
  if (ready->ended) {
    const Usage usage{job.prompt_tokens, job.delivered->tokens(), 0};
    asio::post(executor_, [running, usage, last = std::move(ready->last)] {
      end_at_once(*running, last, usage);
    });
    return std::make_unique<HttpGeneration>(std::move(running));
  }
  running->continued = std::move(ready->continued);
  const HttpRequest request{*options_, job, clock_.now(), std::move(ready->changes)};
  running->body = request.body();
  auto sending = client_.send(options_->endpoint, request.view(), &running->abort);
  asio::co_spawn(executor_, run(running, std::move(sending)),
                 [running](const std::exception_ptr& thrown) {
                   if (thrown == nullptr) return;
                   log::error("an engine job ended by an exception: a defect",
                              {{"exception", net::text_of(thrown)}});
                   running->fail(Error{Code::Internal, "the engine's answer could not be handled"});
                 });
  return std::make_unique<HttpGeneration>(std::move(running));
}

}  // namespace perigee
