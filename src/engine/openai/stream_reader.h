// StreamReader: turns the bytes of an engine's SSE answer into calls of an EventSink. One lives as
// long as its stream, so it is kept small.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/stream_field.h"
#include "engine/engine.h"
#include "engine/openai/continued_stream.h"
#include "net/sse_parser.h"

namespace perigee {

class StreamReader {
 public:
  enum class State : std::uint8_t { More, Done, Failed };

  // `trusted`: the engine adds Perigee's stream field (token ids, usage, load); of a chunk without
  // ids (an external engine behind a peer) tokens are counted all the same. Else tokens are
  // counted and usage is read from the chunks, and the usage chunk that the client did not ask for
  // (`include_usage` false) is kept from it. `summed`: each event must have the sum that it is made
  // for; once one had, all must, said or not. `follows_text`: the text of an engine that is not
  // trusted is told, so that another can go on with it; what a trusted one says of that counts.
  StreamReader(bool trusted, bool include_usage, bool summed = false, bool follows_text = false);
  // Its answer goes on with another's, by text.
  void go_on(std::unique_ptr<ContinuedStream> with) { continued_ = std::move(with); }

  // Feeds the next bytes. `sink` is the job's own pointer, which becomes null when a call cancels
  // the job: nothing is touched then.
  State feed(std::string_view bytes, EventSink*& sink);
  bool paused() const { return paused_; }  // the sink asked to pause during the last feed()
  Finished finished() const;               // after Done
  Error error() const { return *error_; }  // after Failed

 private:
  State on_event(const net::SseEvent& event, EventSink*& sink);
  State on_scanned(Chunk& chunk, const api::StreamField& field, EventSink*& sink);
  State hand_on(const Chunk& chunk, EventSink*& sink);
  State fail(Error error);
  State fail(Code code, std::string_view message);

  bool trusted_;
  bool include_usage_;
  bool summed_;
  bool follows_text_;
  bool paused_ = false;
  net::SseParser parser_;
  Usage usage_;
  // What the last events tell besides, when it was told.
  struct Told {
    std::optional<EngineLoad> load;
    std::string receipt;
  };
  Told& told();
  std::unique_ptr<Told> told_;
  std::unique_ptr<ContinuedStream> continued_;
  std::unique_ptr<const Error> error_;
};

}  // namespace perigee
