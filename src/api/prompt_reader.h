// PromptReader: reads the part of a request body that becomes the prompt, in its several forms
// (messages, a text, texts, token ids), and adds up its size and its prefix hashes. Private to api.
#pragma once

#include <cstdint>
#include <string_view>

#include "api/json_reader.h"
#include "api/prefix_hasher.h"
#include "api/request_summary.h"

namespace perigee::api {

class PromptReader {
 public:
  // `body` must remain live; it is the document that `document` reads.
  PromptReader(std::string_view salt, const SummaryLimits& limits)
      : limits_(limits), hasher_(salt, limits.prefix_blocks_max) {}

  // `messages` of a chat. `document` is the one that `value` belongs to.
  Result<> read_messages(json::ondemand::value value, json::ondemand::document& document);
  // `prompt` or `input`: a string, strings, token ids, or several lists of token ids.
  Result<> read_prompt(json::ondemand::value value, std::string_view name);
  // Tools and the like: counted, not hashed.
  void count_bytes(std::size_t bytes) { bytes_ += bytes; }

  std::uint32_t tokens() const;
  bool has_images() const { return has_images_; }
  std::uint32_t prompts() const { return prompts_; }  // each is answered by itself; a chat is one
  std::vector<std::uint64_t> take_blocks() { return hasher_.take(); }

 private:
  Result<> read_message(json::ondemand::value value, json::Field field,
                        json::ondemand::document& document);
  Result<> read_content(json::ondemand::value value, const json::Field& field,
                        json::ondemand::document& document);
  Result<> read_part(json::ondemand::value value, json::Field field,
                     json::ondemand::document& document);
  Result<> read_raw(json::ondemand::value value, std::size_t depth_left, std::size_t tokens_max,
                    json::ondemand::document& document);
  Result<> read_prompt_item(json::ondemand::value value, const json::Field& field,
                            json::ondemand::json_type expected);
  Result<> read_token_id(json::ondemand::value value, const json::Field& field);
  void add_text(std::string_view text);

  SummaryLimits limits_;
  PrefixHasher hasher_;
  std::uint64_t bytes_ = 0;
  std::uint64_t tokens_ = 0;
  std::uint32_t prompts_ = 1;
  bool has_images_ = false;
};

// The bytes of a value in the body it was read from: call before and after reading it.
inline const char* value_begin(json::ondemand::value& value) {
  return value.raw_json_token().data();
}
// Null when the document is damaged there. `begin` is what value_begin gave.
const char* value_end(json::ondemand::document& document, const char* begin);

}  // namespace perigee::api
