// The head and body of a job on the wire, and what an answer's head says. No IO.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/body_edit.h"
#include "base/instant.h"
#include "base/result.h"
#include "engine/engine.h"
#include "engine/openai/http_engine.h"
#include "net/http_client.h"

namespace perigee {

// Owns the texts that a ClientRequest points to. Not copyable or movable: view() points inside.
class HttpRequest {
 public:
  // `options` and `job` must outlive it; body() needs neither. `changes`: of the body, what asks an
  // external server to go on with an answer.
  HttpRequest(const HttpEngineOptions& options, const Job& job, Instant now,
              std::vector<api::BodyEdit> changes = {});
  HttpRequest(const HttpRequest&) = delete;
  HttpRequest& operator=(const HttpRequest&) = delete;
  net::ClientRequest view() const;
  const std::shared_ptr<const std::string>& body() const { return body_; }

 private:
  void add(std::string_view name, std::string_view value);
  void resume(const Job& job);

  static constexpr std::size_t kHeadersMax = 16;
  std::string target_;
  std::string deadline_;
  std::string jurisdictions_;
  std::string seed_;
  std::string created_;
  std::string sum_;
  std::shared_ptr<const std::string> body_;
  std::array<net::Header, kHeadersMax> headers_{};
  std::size_t header_count_ = 0;
};

// The path of an operation below the API's base path.
std::string_view operation_path(Operation operation);

Head read_head(const HttpEngineOptions& options, const net::ClientResponse& response);
std::optional<Usage> read_usage(const HttpEngineOptions& options,
                                const net::ClientResponse& response);
std::string read_receipt(const HttpEngineOptions& options, const net::ClientResponse& response);
bool is_event_stream(const net::ClientResponse& response);
// A whole non-streaming answer. Protocol when it is not a JSON object. `reported` spares the scan.
Result<Finished> read_answer(std::string body, std::optional<Usage> reported);
Refused parse_refused(std::string_view why);  // No where it is not known
// As read_head(), with why it refused: believed of own engines and peers; a 429 of any other server
// means that it is full.
Head read_refusal(const HttpEngineOptions& options, const net::ClientResponse& response);
// When to come back; a second for a 429 that does not say.
std::int64_t read_retry_after_ms(const net::ClientResponse& response);
// `milliseconds` (retry-after-ms) when it is a number, else `seconds` (RFC 9110, section 10.2.3); 0
// when both are absent or no numbers; at most an hour.
std::int64_t parse_retry_after_ms(std::string_view seconds, std::string_view milliseconds);

}  // namespace perigee
