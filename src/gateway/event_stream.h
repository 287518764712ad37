// EventStream: what an engine yields, gathered for the one coroutine that answers the client.
//
// Chunks are framed as SSE at once and coalesce while the client is slower than the engine, so one
// write carries all that has come. Bounded: beyond kBufferBytesMax the engine is asked to pause.
// One lives as long as its request, so it is kept small.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "base/instant.h"
#include "engine/engine.h"
#include "net/notifier.h"

namespace perigee {

class EventStream final : public EventSink {
 public:
  static constexpr std::size_t kBufferBytesMax = std::size_t{64} * 1024;

  // `relay_field`: keep the `perigee:` lines (token ids) for a peer site.
  EventStream(Executor executor, bool relay_field);

  // From the engine.
  void on_head(const Head& head) override;
  bool on_chunk(const Chunk& chunk) override;
  void on_finished(Finished finished) override;
  void on_error(Error error) override;

  // From the connection and the ticker.
  void client_left();
  void tick(Instant now);  // about once a second

  // For the reader. wait() returns when any of the following may have changed.
  auto wait() { return notifier_.wait(); }
  void expect_by(Instant when) { expect_by_ = when; }  // error when silent by then; max: never
  void beat_every(Duration interval, Instant now);     // asks for heartbeats
  bool left() const { return left_; }
  bool take_heartbeat();
  // Where the answer comes from; null when the engine said nothing of it, or it was taken.
  std::unique_ptr<const Head> take_head() { return std::move(head_); }
  bool has_bytes() const { return !bytes_.empty(); }
  bool paused() const { return paused_; }
  // Moves out the framed bytes and the tokens in them; un-pauses.
  std::string take_bytes(std::uint32_t& tokens);
  // Null until it ended so.
  Finished* finished() { return std::get_if<Finished>(&end_); }
  Error* error() { return std::get_if<Error>(&end_); }
  void restart();  // for the next attempt

 private:
  net::Notifier notifier_;
  bool relay_field_;
  std::string bytes_;
  std::uint32_t tokens_ = 0;
  bool paused_ = false;
  bool left_ = false;
  bool heartbeat_due_ = false;
  Duration heartbeat_interval_{};
  Instant next_heartbeat_ = Instant::max();
  Instant expect_by_ = Instant::max();
  std::unique_ptr<const Head> head_;
  std::variant<std::monostate, Finished, Error> end_;  // the first end that came
};

}  // namespace perigee
