#include "gateway/event_stream.h"

#include <utility>

#include "api/stream_field.h"
#include "api/usage_scan.h"

namespace perigee {
namespace {

constexpr std::size_t kFrameBytes = 53;  // about "perigee: choice=1 ids= sum=0123abcd\ndata: \n\n"

}  // namespace

void EventStream::Batch::add(const Chunk& chunk, bool relay_field) {
  // One allocation for a chunk that stays alone, as most do; what joins it makes the text double.
  if (bytes.empty()) bytes.reserve(kFrameBytes + chunk.json.size() + chunk.token_ids.size());
  if (relay_field) {
    api::StreamField field;
    field.choice = chunk.choice;
    field.token_ids = chunk.token_ids;
    field.ends = chunk.ends;
    field.more = chunk.more;
    field.text = chunk.text.has_value();
    api::append_summed_event_line(bytes, field, chunk.json);
  }
  std::string_view rest = chunk.json;
  for (std::size_t end; (end = rest.find('\n')) != rest.npos; rest.remove_prefix(end + 1)) {
    bytes.append("data: ").append(rest.substr(0, end)).append("\n");  // it came in several lines
  }
  bytes.append("data: ").append(rest).append("\n\n");
  tokens += chunk.tokens;
  using What = Mark::What;
  if (chunk.text) {
    note({.tokens = chunk.tokens, .what = What::Text, .ends = chunk.ends}, *chunk.text);
  } else if (chunk.token_ids.empty() && chunk.tokens > 0) {
    note({.what = What::Unknown}, {});
  } else if (!chunk.token_ids.empty() || chunk.ends) {
    note({.choice = chunk.choice, .what = What::Ids, .ends = chunk.ends}, chunk.token_ids);
  }
}

void EventStream::Batch::note(Mark mark, std::string_view with) {
  noted += with;
  mark.bytes = static_cast<std::uint32_t>(with.size());
  marks.push_back(mark);
}

// What all chunks of an answer by text say of it, as its first one does.
void EventStream::Batch::name(const Chunk& chunk) {
  api::ChunkPlaces places;
  if (!api::scan_chunk(chunk.json, &places)) return;
  const auto value = [&](BodySpan span) { return chunk.json.substr(span.offset, span.size); };
  note({.what = Mark::What::Id}, value(places.id));
  note({.what = Mark::What::Created}, value(places.created));
}

void EventStream::Batch::add(Batch&& later) {
  if (bytes.empty()) {
    *this = std::move(later);
    return;
  }
  bytes += later.bytes;
  noted += later.noted;
  marks.insert(marks.end(), later.marks.begin(), later.marks.end());
  tokens += later.tokens;
}

EventStream::EventStream(RequestEvents& events, bool relay_field)
    : events_(events), relay_field_(relay_field) {}

void EventStream::on_head(const Head& head) {
  if (!head.site.empty() || head.load || head.refused != Refused::No)
    head_ = std::make_unique<const Head>(head);
}

bool EventStream::on_chunk(const Chunk& chunk) {
  const bool grouped = group_ != nullptr || chunk.more;
  if (grouped && group_ == nullptr) group_ = std::make_unique<Batch>();
  Batch& batch = grouped ? *group_ : ready_;
  batch.add(chunk, relay_field_);
  if (chunk.text && !std::exchange(named_, true)) batch.name(chunk);
  if (grouped && (!chunk.more || group_->bytes.size() >= kBufferBytesMax)) {
    ready_.add(std::move(*group_));
    group_.reset();
  }
  paused_ = ready_.bytes.size() >= kBufferBytesMax;
  events_.notify();
  return !paused_;
}

void EventStream::on_finished(Finished finished) {
  if (group_ != nullptr) ready_.add(std::move(*std::exchange(group_, nullptr)));
  if (finished_ == nullptr && error_ == nullptr) {
    finished_ = std::make_unique<Finished>(std::move(finished));
  }
  events_.notify();
}

void EventStream::on_error(Error error) {
  group_.reset();
  if (finished_ == nullptr && error_ == nullptr) error_ = std::make_unique<Error>(std::move(error));
  events_.notify();
}

std::string EventStream::take_bytes(std::uint32_t& tokens, Delivered& delivered) {
  std::string_view noted = ready_.noted;
  std::string_view id;
  for (const Mark& mark : ready_.marks) {
    const std::string_view with = noted.substr(0, mark.bytes);
    noted.remove_prefix(mark.bytes);
    switch (mark.what) {
      case Mark::What::Ids:
        if (!with.empty()) delivered.add(mark.choice, with);
        break;
      case Mark::What::Text: delivered.add_text(with, mark.tokens); break;
      case Mark::What::Id: id = with; break;
      case Mark::What::Created: delivered.name_text(id, with); break;
      case Mark::What::Unknown: delivered.lose_track(); break;
    }
    if (mark.ends) delivered.finish(mark.choice);
  }
  tokens += std::exchange(ready_.tokens, 0);
  paused_ = false;
  constexpr std::size_t kMarksKept = 2;  // a stream that waits holds little
  if (ready_.marks.capacity() > kMarksKept) ready_.marks = {};
  ready_.marks.clear();
  ready_.noted = {};
  return std::exchange(ready_.bytes, {});
}

}  // namespace perigee
