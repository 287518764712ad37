#include "engine/openai/stream_reader.h"

#include <utility>

#include "api/usage_scan.h"
#include "engine/openai/http_request.h"

namespace perigee {

StreamReader::StreamReader(bool trusted, bool include_usage, bool summed, bool follows_text)
    : trusted_(trusted),
      include_usage_(include_usage),
      summed_(summed),
      follows_text_(follows_text) {}

StreamReader::State StreamReader::feed(std::string_view bytes, EventSink*& sink) {
  paused_ = false;
  State state = State::More;
  net::SseEvent event;
  while (state == State::More && sink != nullptr) {
    const net::SseParser::Result result = parser_.next(bytes, event);
    if (result == net::SseParser::Result::NeedMore) break;
    if (result == net::SseParser::Result::Failed) return fail(Code::Protocol, parser_.failure());
    if (result == net::SseParser::Result::Event) state = on_event(event, sink);
  }
  return state;
}

StreamReader::State StreamReader::on_event(const net::SseEvent& event, EventSink*& sink) {
  api::StreamField field;
  if (trusted_ && !event.perigee.empty()) {
    auto parsed = api::parse_stream_field(event.perigee);
    if (!parsed) return fail(Code::Protocol, "the engine sent a malformed perigee: line");
    field = *parsed;
    if (field.sum) summed_ = true;
  }
  if (summed_ && !api::is_whole(field, event.data)) {
    return fail(Code::Protocol, "an event was damaged on its way");
  }
  if (field.usage) usage_ = *field.usage;
  if (field.load) told().load = *field.load;
  if (!field.receipt.empty()) told().receipt = field.receipt;
  if (event.data == "[DONE]") {
    if (continued_ == nullptr || !continued_->holds()) return State::Done;
    return fail(Code::Protocol, "the engine ended an answer without its finish reason");
  }
  if (event.data.empty()) return State::More;
  Chunk chunk{event.data, field.tokens, field.token_ids, field.choice, field.ends, field.more, {}};
  const bool known = trusted_ && !field.token_ids.empty() && !field.text && continued_ == nullptr;
  return known ? hand_on(chunk, sink) : on_scanned(chunk, field, sink);
}

// A chunk whose JSON has to be looked at: an error, or of an engine that tells no tokens.
StreamReader::State StreamReader::on_scanned(Chunk& chunk, const api::StreamField& field,
                                             EventSink*& sink) {
  api::ChunkPlaces places;
  const auto facts = api::scan_chunk(chunk.json, &places);
  if (!facts) {
    if (trusted_) return hand_on(chunk, sink);
    return fail(Code::Protocol, "the engine sent a chunk that is not a JSON object");
  }
  if (facts->error) {
    const Refused why = trusted_ ? parse_refused(field.refused) : Refused::No;
    if (why != Refused::No) sink->on_head(Head{.site = {}, .refused = why});
    return fail(*facts->error);
  }
  if (!trusted_) {
    if (facts->usage) usage_ = continued_ ? continued_->whole(*facts->usage) : *facts->usage;
    if (facts->usage_only && !include_usage_) return State::More;
  }
  if (chunk.token_ids.empty()) chunk.tokens = facts->tokens;
  if (trusted_ ? field.text : follows_text_) chunk.text = facts->text;
  if (continued_ != nullptr) {
    const auto verdict = continued_->take(chunk, *facts, places);
    if (verdict == ContinuedStream::Verdict::Drop) return State::More;
    if (verdict == ContinuedStream::Verdict::Broken) {
      return fail(Code::Protocol, "the engine broke off in the middle of a text");
    }
  }
  if (chunk.text) chunk.ends = chunk.ends || facts->ends || facts->usage_only;
  return hand_on(chunk, sink);
}

StreamReader::State StreamReader::hand_on(const Chunk& chunk, EventSink*& sink) {
  if (!sink->on_chunk(chunk)) paused_ = true;
  return State::More;
}

StreamReader::Told& StreamReader::told() {
  if (told_ == nullptr) told_ = std::make_unique<Told>();
  return *told_;
}

Finished StreamReader::finished() const {
  Finished finished;
  finished.usage = usage_;
  if (told_ != nullptr) {
    finished.load = told_->load;
    finished.receipt = told_->receipt;
  }
  return finished;
}

StreamReader::State StreamReader::fail(Error error) {
  error_ = std::make_unique<const Error>(std::move(error));
  return State::Failed;
}

StreamReader::State StreamReader::fail(Code code, std::string_view message) {
  return fail(Error{code, std::string{message}});
}

}  // namespace perigee
