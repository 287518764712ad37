// Engine: the port behind which anything that answers inference requests stands: a local engine
// process, a peer site, an external OpenAI-compatible server, a fake. The gateway does not know
// which (no `if (remote)`).
//
// Threads: every call, in both directions, is on the owner's IO thread; an implementation with
// threads of its own posts its events there. Nothing here blocks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/id.h"
#include "base/instant.h"
#include "core/delivered.h"
#include "core/inference.h"

namespace perigee {

// What travels beside the body from hop to hop (see docs/life_of_a_request.md for the headers).
struct RequestContext {
  std::string request_id;  // x-request-id; the response `id` is derived from it
  TenantId tenant;
  ServiceClass service_class = ServiceClass::Standard;
  std::optional<Instant> deadline;            // finish by then, or refuse
  std::vector<JurisdictionId> jurisdictions;  // empty: any
  std::string session;                        // prompt_cache_key or perigee-session; may be empty
  std::string cache_salt;                     // separates prefix caches by tenant; never empty
  std::string traceparent;                    // W3C trace context, may be empty
  std::uint32_t hop = 0;                      // 0: from a client; 1: forwarded by a peer
  // Given by the ingress, so that an answer that goes on at another engine stays one answer.
  std::optional<std::uint64_t> seed;  // of sampling, unless the body names one
  std::int64_t created = 0;           // the answer's `created`; 0: the engine's own
};

// One request for an engine. `body` is the client's JSON object, unchanged (unknown fields pass
// through); shared because a retry sends it again.
//
// Resuming: the engine goes on after `delivered` as if it had made those tokens itself. It repeats
// neither the role nor a finished choice, counts them in max_tokens and in the usage, and ends as
// always. What is known by its text alone it goes on with by that text; its chunks then have the id
// and the date of the answer's first ones. An engine that can't answers FailedPrecondition: try
// another.
struct Job {
  Operation operation = Operation::Chat;
  ModelId model;
  std::shared_ptr<const std::string> body;
  bool stream = false;
  bool include_usage = false;  // the client asked for the usage chunk
  BodySpan model_span;  // of `model`'s value in the body: external engines may name it otherwise
  BodySpan stream_options_span;  // of `stream_options`' value
  BodySpan resume_span;          // of `perigee_resume`'s value, when a site sent one
  // What the client has already, in place of what the body may say; null: as the body says.
  std::shared_ptr<const Delivered> delivered;
  RequestContext context;
  // What it will take, for queues before an engine.
  std::uint32_t prompt_tokens = 0;      // estimate
  std::uint32_t cached_tokens = 0;      // of these, expected in a prefix cache
  std::uint32_t output_tokens_max = 0;  // of one answer, the client's limit; 0: none
  std::uint32_t choices = 1;            // answers to it: n of each prompt
};

// Why a request was refused for load, where that is said: the header `perigee-refused`. It is news
// of the load, never a fault of an engine or a site.
enum class Refused : std::uint8_t {
  No,          // it was not, or nobody said why
  Full,        // too much waits already
  TooLate,     // its first token, or its end, would come later than it may
  NoCapacity,  // the site's power or the network's own work leaves nothing for it
  Draining     // it was let in, and has to go on elsewhere: the site is being emptied
};
inline constexpr Refused kAllRefusals[] = {Refused::Full, Refused::TooLate, Refused::NoCapacity,
                                           Refused::Draining};
constexpr std::string_view to_string(Refused refused) {  // "" for No
  switch (refused) {
    case Refused::Full: return "full";
    case Refused::TooLate: return "too_late";
    case Refused::NoCapacity: return "no_capacity";
    case Refused::Draining: return "draining";
    case Refused::No: break;
  }
  return "";
}

// Where an answer came from, known when its head arrives; also of a refusal.
struct Head {
  SiteId site;  // the serving site; empty for an external engine
  std::optional<EngineLoad> load = {};
  Refused refused = Refused::No;
};
// One `data:` payload of a stream, without framing: JSON to be relayed as it is. Views are valid
// during the call only. One with tokens, and neither ids nor text, can't be resumed.
struct Chunk {
  std::string_view json;
  std::uint32_t tokens = 0;    // completion tokens in it
  std::string_view token_ids;  // "12,345", of `choice`; may be empty
  std::uint32_t choice = 0;
  bool ends = false;  // it has the choice's finish reason
  bool more = false;  // belongs together with what comes next (another chunk, or the end): who
                      // can't hand on both hands on none
  // What it adds to the answer's only choice, as JSON writes it between quotes; may be empty. Of an
  // answer that can be resumed by its text: it counts then, whether there are ids or not.
  std::optional<std::string_view> text = {};
};
// The end of an answer. `body` is the whole JSON of a non-streaming answer, else empty.
struct Finished {
  std::string body;
  Usage usage;  // all zero: the engine reported none
  std::optional<EngineLoad> load;
  std::string receipt = {};  // its id (docs/receipts.md); empty: none was given
};

// Receives what one job yields: at most one Head (before an Error: of a refusal), then Chunk*, then
// exactly one Finished or Error.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_head(const Head& head) = 0;
  // Return false to pause: no further chunk comes until Generation::resume(). For slow readers.
  virtual bool on_chunk(const Chunk& chunk) = 0;
  virtual void on_finished(Finished finished) = 0;  // last call
  virtual void on_error(Error error) = 0;           // last call
};

// A running job. Destroying it cancels the job at once, upstream too; its sink is not called after.
// It may be destroyed inside a sink call.
class Generation {
 public:
  virtual ~Generation() = default;
  virtual void resume() = 0;  // after on_chunk returned false
  // Whether it waits in a queue before the engine: its silence says nothing about that.
  virtual bool waits() const { return false; }
  // Whether the engine that runs it can't be reached any more; none: it is at the one that was
  // asked, and whoever asked knows.
  virtual std::optional<bool> lost() const { return std::nullopt; }
};

// Errors mean: InvalidArgument, PayloadTooLarge, ... (the request is at fault: no other engine will
// do better, do not retry); ResourceExhausted, Unavailable, Protocol (try another engine).
class Engine {
 public:
  virtual ~Engine() = default;
  // `sink` must outlive the Generation. The sink may be called before start() returns; a job that
  // ended so may give null.
  virtual std::unique_ptr<Generation> start(const Job& job, EventSink& sink) = 0;
};

}  // namespace perigee
