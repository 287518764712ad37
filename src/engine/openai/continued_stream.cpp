#include "engine/openai/continued_stream.h"

#include <algorithm>
#include <utility>

#include "api/json_text.h"

namespace perigee {
namespace {

std::size_t common_prefix(std::string_view a, std::string_view b) {
  const auto differs = std::ranges::mismatch(a, b);
  return static_cast<std::size_t>(differs.in1 - a.begin());
}

}  // namespace

TextSeam::TextSeam(std::string sent, std::string space)
    : sent_(std::move(sent)), space_(std::move(space)) {
  if (sent_.size() < kRepeatedBytesLeast) sent_.clear();
}

std::string TextSeam::show(std::string_view text) {
  if (sent_.empty()) return past_space(text);
  const std::size_t same = common_prefix(text, std::string_view{sent_}.substr(matched_));
  if (matched_ + same == sent_.size()) {
    repeated_ = true;
    matched_ = 0;
    sent_ = {};
    return past_space(text.substr(same));
  }
  if (same == text.size()) {
    matched_ += same;
    return {};
  }
  std::string held = finish();
  return held.empty() ? past_space(text) : held.append(past_space(text));
}

std::string TextSeam::finish() {
  sent_.resize(std::exchange(matched_, 0));
  return past_space(std::exchange(sent_, {}));
}

std::string TextSeam::past_space(std::string_view text) {
  if (text.empty() || space_.empty()) return std::string{text};
  const std::size_t same = common_prefix(text, space_);
  if (same == text.size()) {
    space_.erase(0, same);
  } else {
    space_ = {};
  }
  return std::string{text.substr(same)};
}

ContinuedStream::ContinuedStream(const Delivered::Text& before, std::unique_ptr<TextSeam> seam)
    : id_(before.id), created_(before.created), answered_(before.tokens), seam_(std::move(seam)) {}

ContinuedStream::Verdict ContinuedStream::take(Chunk& chunk, const api::ChunkFacts& facts,
                                               const api::ChunkPlaces& places) {
  edits_.clear();
  name(chunk.json, places);
  chunk.text = facts.text;
  if (!facts.text) {
    if (holds()) return Verdict::Broken;
  } else {
    const Shown shown = shown_of(*facts.text, facts.ends);
    const bool room = places.delta.size > 0 || places.text.size > 0;
    if (shown.changed && !room && !shown.raw.empty()) return Verdict::Broken;
    const bool counts = seam_ == nullptr && chunk.tokens > 0;
    const bool silent = shown.raw.empty() && !facts.ends && !facts.usage && !counts;
    if (silent) {
      held_tokens_ = holds() ? held_tokens_ + chunk.tokens : 0;
      return Verdict::Drop;
    }
    if (seam_ != nullptr) {
      const std::uint32_t held = seam_->repeated() ? 0 : held_tokens_;
      held_tokens_ = 0;
      chunk.tokens = shown.raw.empty() ? 0 : chunk.tokens + held;
    }
    if (seam_ != nullptr && (shown.changed || places.role)) write_text(shown, places);
    text_ = shown.raw;
    chunk.text = text_;
  }
  if (seam_ != nullptr && facts.usage) write_usage(*facts.usage, places);
  if (edits_.empty()) return Verdict::Show;
  json_ = api::edit_text(chunk.json, std::exchange(edits_, {}));
  chunk.json = json_;
  return Verdict::Show;
}

// Half of a character can't be compared: it is shown, and what was held back before it.
ContinuedStream::Shown ContinuedStream::shown_of(std::string_view raw, bool ends) {
  if (seam_ == nullptr) return {std::string{raw}, false};
  const auto text = api::unescaped_json(raw);
  std::string plain = text ? seam_->show(*text) : seam_->finish();
  if (ends) plain += seam_->finish();
  if (text && plain == *text) return {std::string{raw}, false};
  std::string quoted;
  api::append_json_string(quoted, plain);
  std::string shown = quoted.substr(1, quoted.size() - 2);
  if (!text) shown += raw;
  return {std::move(shown), true};
}

void ContinuedStream::name(std::string_view json, const api::ChunkPlaces& places) {
  const auto replace = [&](const BodySpan& span, const std::string& value) {
    if (span.size == 0 || value.empty() || json.substr(span.offset, span.size) == value) return;
    edits_.push_back({span, value});
  };
  replace(places.id, id_);
  replace(places.created, created_);
}

void ContinuedStream::write_text(const Shown& shown, const api::ChunkPlaces& places) {
  const std::string quoted = '"' + shown.raw + '"';
  if (places.delta.size > 0) edits_.push_back({places.delta, R"({"content":)" + quoted + "}"});
  if (places.text.size > 0) edits_.push_back({places.text, quoted});
}

Usage ContinuedStream::whole(Usage reported) const {
  if (seam_ == nullptr || reported.prompt_tokens == 0) return reported;
  // A server may count the text otherwise than the client was told it; a prompt there was.
  const std::uint32_t prompt = reported.prompt_tokens;
  reported.prompt_tokens = prompt > answered_ ? prompt - answered_ : 1;
  reported.completion_tokens += answered_;
  reported.cached_tokens = std::min(reported.cached_tokens, reported.prompt_tokens);
  return reported;
}

void ContinuedStream::write_usage(const Usage& reported, const api::ChunkPlaces& places) {
  const Usage usage = whole(reported);
  const auto replace = [&](const BodySpan& span, std::uint32_t value) {
    if (span.size == 0) return;
    std::string text;
    api::append_json_number(text, value);
    edits_.push_back({span, std::move(text)});
  };
  replace(places.prompt_tokens, usage.prompt_tokens);
  replace(places.completion_tokens, usage.completion_tokens);
  replace(places.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  replace(places.cached_tokens, usage.cached_tokens);
}

}  // namespace perigee
