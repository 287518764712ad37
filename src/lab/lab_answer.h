// LabAnswer: all that a client of a lab learns from one answer, and AnswerReader, which reads it
// from the bytes as they arrive.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.h"
#include "base/result.h"
#include "core/inference.h"
#include "net/sse_parser.h"

namespace perigee::lab {

// A token as `logprobs` tell of it.
struct TokenSeen {
  std::string bytes;
  double logprob = 0;
};

struct ChoiceSeen {
  std::string text;
  std::string finish;  // "stop", "length"; empty: it did not end
  std::vector<TokenSeen> tokens;
};

struct LabAnswer {
  std::uint32_t number = 0;  // of its request
  int status = 0;            // 0: no head came
  std::string ingress;       // who answered
  std::string site;          // perigee-site: where it began to run
  bool refused = false;      // 429 or 503, with a time to come back, before the first byte
  bool complete = false;     // all that was asked for came, to the last byte
  std::string fault;         // why it is not complete
  std::uint32_t moves = 0;   // to another ingress
  Duration retry_after{};    // as a refusal tells
  std::vector<ChoiceSeen> choices;
  std::vector<float> embedding;
  std::optional<Usage> usage;
  Instant sent{};
  Instant ended{};
  std::vector<Instant> texts;  // when text came; of streams
};

// Reads one answer's body. Single use; not thread-safe.
class AnswerReader {
 public:
  // Fills `answer`, which must outlive it. `choices`: how many were asked for.
  AnswerReader(LabAnswer& answer, std::uint32_t choices);

  // The next bytes of a stream, that came at `now`. Protocol: no such stream; an error event of the
  // stream comes back as its Error.
  Result<> feed(std::string_view bytes, Instant now);
  // The end of a stream's body.
  Result<> finish();
  // A whole body: a chat completion or embeddings.
  Result<> read_whole(std::string_view body);

 private:
  Result<> read_event(std::string_view data, Instant now);
  bool read_choice(const boost::json::object& choice, std::string_view part);
  Result<> judge();

  LabAnswer& answer_;
  net::SseParser parser_;
  bool done_ = false;
};

}  // namespace perigee::lab
