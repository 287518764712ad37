// EventStream: what one attempt yields, gathered for the coroutine that answers the client.
//
// Chunks are framed as SSE at once and coalesce while the client is slower than the engine, so one
// write carries all that has come. Bounded: beyond kBufferBytesMax the engine is asked to pause.
// Chunks that belong together (Chunk::more) are handed out together or not at all. One lives as
// long as its attempt, so it is kept small.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "gateway/request_events.h"

namespace perigee {

class EventStream final : public EventSink {
 public:
  static constexpr std::size_t kBufferBytesMax = std::size_t{64} * 1024;

  // `events` is notified of everything that comes and must outlive it. `relay_field`: keep the
  // `perigee:` lines for a peer site.
  EventStream(RequestEvents& events, bool relay_field);

  // From the engine.
  void on_head(const Head& head) override;
  bool on_chunk(const Chunk& chunk) override;
  void on_finished(Finished finished) override;
  void on_error(Error error) override;

  // For the reader.
  // Where the answer comes from; null when the engine said nothing of it, or it was taken.
  std::unique_ptr<const Head> take_head() { return std::move(head_); }
  bool has_bytes() const { return !ready_.bytes.empty(); }
  bool paused() const { return paused_; }
  // Moves out the framed bytes, adds their tokens to `tokens` and notes them in `delivered`;
  // un-pauses.
  std::string take_bytes(std::uint32_t& tokens, Delivered& delivered);
  // Null until it ended so.
  Finished* finished() { return finished_.get(); }
  Error* error() { return error_.get(); }

 private:
  // What is delivered with some bytes, in order.
  struct Mark {
    enum class What : std::uint8_t {
      Ids,   // "12,345"
      Text,  // as JSON writes it
      Id,    // of an answer by text: its id, then its date
      Created,
      Unknown,  // something that is known neither by tokens nor by text
    };
    std::uint32_t choice = 0;
    std::uint32_t bytes = 0;   // its part of `noted`
    std::uint32_t tokens = 0;  // of a text
    What what = What::Ids;
    bool ends = false;
  };
  struct Batch {
    void add(const Chunk& chunk, bool relay_field);
    void add(Batch&& later);
    void note(Mark mark, std::string_view bytes);
    void name(const Chunk& chunk);
    std::string bytes;
    std::string noted;  // of each mark, one after the other
    std::vector<Mark> marks;
    std::uint32_t tokens = 0;
  };

  RequestEvents& events_;
  Batch ready_;
  std::unique_ptr<Batch> group_;  // begun, not whole
  std::unique_ptr<const Head> head_;
  std::unique_ptr<Finished> finished_;  // one of the two: the first end that came
  std::unique_ptr<Error> error_;
  bool relay_field_;
  bool named_ = false;  // an answer by text: its id and date were noted
  bool paused_ = false;
};

}  // namespace perigee
