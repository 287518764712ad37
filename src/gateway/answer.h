// Answer: where the answer to one inference request goes, whatever the transport.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/result.h"
#include "core/inference.h"
#include "engine/engine.h"
#include "gateway/rate_gate.h"
#include "net/task.h"

namespace perigee {

// What is told beside the answer.
struct AnswerHead {
  std::string request_id;
  std::string site;                      // the serving site; empty before one is known
  std::string route;                     // short reason
  std::optional<EngineLoad> load;        // for a peer site only
  std::optional<std::uint32_t> resumed;  // for a peer site only: goes on after so many tokens
  std::optional<Usage> usage;            // for a peer site only, with a whole answer
  Refused refused = Refused::No;         // with an error
  bool for_site = false;                 // it goes to a peer site: with sums (api/message_sum.h)
  std::string receipt;                   // its id, with a whole answer; may be empty
  bool replayed = false;                 // an earlier request was answered so: nothing ran
  std::shared_ptr<const RateState> rates = {};  // of a key with limits per minute
};

// Either respond() or fail() once, or begin_stream(), write()* and then finish() or fail().
// All may suspend; all fail with Cancelled when the client has left.
class Answer {
 public:
  virtual ~Answer() = default;
  virtual Task<Result<>> respond(const AnswerHead& head, std::string_view body) = 0;
  virtual Task<Result<>> begin_stream(const AnswerHead& head) = 0;
  virtual Task<Result<>> write(std::string_view events) = 0;  // framed SSE events
  virtual Task<Result<>> finish(std::string_view events) = 0;
  // An error status before anything was sent, an error event after.
  virtual Task<Result<>> fail(const AnswerHead& head, const Error& error) = 0;
  virtual bool started() const = 0;
  // What is told from now on comes from this site; also before the first of it.
  virtual void served_at(const SiteId& /*site*/) {}
  // The request's bytes are no longer needed: a long stream need not hold them.
  virtual void release_request() {}
  // Calls `left` once if the client leaves; nullptr stops watching.
  virtual void watch_client(std::function<void()> left) = 0;
};

}  // namespace perigee
