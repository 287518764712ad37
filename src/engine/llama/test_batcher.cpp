#include "engine/llama/test_batcher.h"

#include <array>

namespace perigee::llama {

const Model& demo_model() {
  static const std::unique_ptr<Model> model = [] {
    ModelOptions options;
    options.path = PERIGEE_DEMO_MODEL;
    auto loaded = Model::load(options);
    if (!loaded) throw std::runtime_error(loaded.error().message);
    return std::move(*loaded);
  }();
  return *model;
}

TestBatcher::TestBatcher(const BatcherOptions& options) {
  auto started = Batcher::start(demo_model(), clock_, options,
                                [this](auto&& events) { take(std::move(events)); });
  if (!started) throw std::runtime_error(started.error().message);
  batcher_ = std::move(*started);
}

void TestBatcher::take(std::vector<GenerationEvent>&& events) {
  const std::scoped_lock lock{mutex_};
  std::set<GenerationId>& call = calls_.emplace_back();
  for (GenerationEvent& event : events) {
    call.insert(event.id);
    Outcome& outcome = outcomes_[event.id];
    if (auto* progress = std::get_if<Progress>(&event.what)) {
      if (outcome.tokens.empty()) order_.push_back(event.id);
      outcome.texts[progress->choice] += progress->text;
      for (TokenRecord& record : progress->tokens) {
        outcome.tokens[progress->choice].push_back(record.token);
        outcome.records.push_back(std::move(record));
      }
      if (progress->finish) outcome.finishes[progress->choice] = *progress->finish;
    } else if (auto* done = std::get_if<Done>(&event.what)) {
      outcome.usage = done->usage;
      outcome.load_at_end = batcher_->load();
    } else if (auto* embedded = std::get_if<Embedded>(&event.what)) {
      outcome.embedded = std::move(*embedded);
    } else {
      outcome.error = std::get<Error>(event.what);
    }
  }
  changed_.notify_all();
}

GenerationId TestBatcher::submit(GenerationRequest request) {
  auto ticket = batcher_->submit(std::move(request));
  if (!ticket) throw std::runtime_error(ticket.error().message);
  const GenerationId id = ticket->id();
  const std::scoped_lock lock{mutex_};
  tickets_[id] = std::move(*ticket);
  return id;
}

GenerationId TestBatcher::embed(EmbeddingRequest request) {
  auto ticket = batcher_->embed(std::move(request));
  if (!ticket) throw std::runtime_error(ticket.error().message);
  const GenerationId id = ticket->id();
  const std::scoped_lock lock{mutex_};
  tickets_[id] = std::move(*ticket);
  return id;
}

void TestBatcher::cancel(GenerationId id) {
  const std::scoped_lock lock{mutex_};
  tickets_.erase(id);
}

Outcome TestBatcher::wait(GenerationId id) {
  return wait_until(id, [](const Outcome& outcome) { return outcome.over(); });
}

Outcome TestBatcher::wait_until(GenerationId id, const std::function<bool(const Outcome&)>& met) {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [&] { return met(outcomes_[id]); });
  return outcomes_[id];
}

std::vector<GenerationId> TestBatcher::order() const {
  const std::scoped_lock lock{mutex_};
  return order_;
}

std::vector<std::set<GenerationId>> TestBatcher::calls() const {
  const std::scoped_lock lock{mutex_};
  return calls_;
}

GenerationRequest ask(const std::string& question, std::uint32_t tokens_max) {
  GenerationRequest request;
  const std::array<ChatMessage, 1> chat = {ChatMessage{"user", question}};
  request.prompt = demo_model().chat_prompt(chat).value();
  request.prompt_param = "messages";
  request.sampling.temperature = 0;
  request.tokens_max = tokens_max;
  return request;
}

std::vector<Token> prompt_of(std::uint32_t tokens, std::uint32_t variant) {
  std::vector<Token> prompt;
  for (std::uint32_t i = 0; i < tokens; ++i) {
    prompt.push_back(static_cast<Token>(300 + (i * 37 + variant * 101) % 1500));
  }
  return prompt;
}

}  // namespace perigee::llama
