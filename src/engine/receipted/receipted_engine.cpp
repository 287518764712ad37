#include "engine/receipted/receipted_engine.h"

#include <algorithm>
#include <utility>

#include "api/resume_field.h"

namespace perigee {
namespace {

// The trace-id of a traceparent, "00-<32 digits>-<16>-01"; empty when it is none.
std::string trace_of(std::string_view traceparent) {
  constexpr std::size_t kAt = 3;
  constexpr std::size_t kDigits = 32;
  if (traceparent.size() < kAt + kDigits) return {};
  const std::string_view trace = traceparent.substr(kAt, kDigits);
  const bool hex = trace.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  return hex ? std::string{trace} : std::string{};
}

// The field that an ingress put before the client's own: `"perigee_resume":VALUE,`.
BodySpan added_field(const Job& job) {
  const BodySpan value = job.resume_span;
  const std::size_t name = api::kResumeField.size() + 3;  // quotes and colon
  if (value.size == 0 || value.offset < name) return {};
  const std::size_t end = value.offset + value.size;
  const bool comma = end < job.body->size() && (*job.body)[end] == ',';
  return {value.offset - name, name + value.size + (comma ? 1 : 0)};
}

std::uint32_t tokens_before(const Job& job) {
  if (job.delivered != nullptr) return job.delivered->tokens();
  if (job.resume_span.size == 0) return 0;
  const auto before = api::parse_resume(
      std::string_view{*job.body}.substr(job.resume_span.offset, job.resume_span.size));
  return before ? before->tokens() : 0;
}

std::unique_ptr<proof::ReceiptDraft> draft_of(const Job& job, WallTime now) {
  auto draft = std::make_unique<proof::ReceiptDraft>();
  draft->body = job.body;
  draft->not_the_clients = added_field(job);
  draft->request_id = job.context.request_id;
  draft->trace = trace_of(job.context.traceparent);
  draft->tenant = job.context.tenant;
  draft->operation = job.operation;
  draft->resumed_tokens = tokens_before(job);
  // Until the engine says better.
  draft->usage.prompt_tokens = job.prompt_tokens;
  draft->usage.completion_tokens = draft->resumed_tokens;
  draft->began = now;
  return draft;
}

class ReceiptedGeneration final : public Generation, public EventSink {
 public:
  ReceiptedGeneration(proof::ReceiptBook& book, const Clock& clock, const Job& job,
                      std::shared_ptr<const proof::ReceiptFacts> facts, EventSink& sink)
      : book_(book), clock_(clock), sink_(sink), draft_(draft_of(job, clock.wall())) {
    draft_->facts = std::move(facts);
  }
  ReceiptedGeneration(const ReceiptedGeneration&) = delete;
  ReceiptedGeneration& operator=(const ReceiptedGeneration&) = delete;
  ~ReceiptedGeneration() override {
    inner_.reset();
    end(Outcome::Abandoned);
  }

  // False: it has ended already.
  bool start(Engine& engine, const Job& job) {
    auto inner = engine.start(job, *this);
    if (draft_ == nullptr) return false;
    inner_ = std::move(inner);
    return true;
  }
  void resume() override { inner_->resume(); }
  bool waits() const override { return inner_ != nullptr && inner_->waits(); }
  std::optional<bool> lost() const override {
    return inner_ != nullptr ? inner_->lost() : std::nullopt;
  }

  void on_head(const Head& head) override { sink_.on_head(head); }
  // The sink may destroy this: nothing of it is touched after the call.
  bool on_chunk(const Chunk& chunk) override {
    draft_->response.update(chunk.json);
    draft_->response.update("\n");
    draft_->usage.completion_tokens += chunk.tokens;
    yielded_ = true;
    return sink_.on_chunk(chunk);
  }
  void on_finished(Finished finished) override {
    if (finished.usage.prompt_tokens > 0) draft_->usage = finished.usage;
    if (!yielded_ && finished.body.size() <= proof::kHashedLaterBytesMax) {
      draft_->whole = finished.body;
    } else {
      draft_->response.update(finished.body);
    }
    yielded_ = true;
    finished.receipt = end(Outcome::Completed);
    sink_.on_finished(std::move(finished));
  }
  void on_error(Error error) override {
    end(Outcome::Failed);
    sink_.on_error(std::move(error));
  }

 private:
  std::string end(Outcome outcome) {
    if (draft_ == nullptr) return {};
    std::unique_ptr<proof::ReceiptDraft> draft = std::move(draft_);
    if (!yielded_) {
      book_.give_back();
      return {};
    }
    draft->outcome = outcome;
    draft->ended = clock_.wall();
    return book_.give(std::move(draft));
  }

  proof::ReceiptBook& book_;
  const Clock& clock_;
  EventSink& sink_;
  std::unique_ptr<proof::ReceiptDraft> draft_;  // null once it has ended
  std::unique_ptr<Generation> inner_;
  bool yielded_ = false;
};

}  // namespace

ReceiptedEngine::ReceiptedEngine(std::shared_ptr<Engine> engine, proof::ReceiptBook& book,
                                 const Clock& clock, Facts facts)
    : engine_(std::move(engine)), book_(book), clock_(clock), facts_(std::move(facts)) {}

std::unique_ptr<Generation> ReceiptedEngine::start(const Job& job, EventSink& sink) {
  if (auto place = book_.reserve(); !place) {
    sink.on_error(std::move(place).error());
    return nullptr;
  }
  auto generation = std::make_unique<ReceiptedGeneration>(book_, clock_, job, facts_(), sink);
  if (!generation->start(*engine_, job)) return nullptr;
  return generation;
}

}  // namespace perigee
