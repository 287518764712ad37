// ChatReader: what a streamed chat completion says, read from the bytes of its body as they arrive.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/sse_parser.h"

namespace perigee::demo {

struct ChatMessage {
  std::string role;
  std::string content;
};

struct ChatRequest {
  std::string model;
  std::vector<ChatMessage> messages;
  std::uint32_t tokens_max = 0;  // 0: the model's own
  double temperature = 0;
};
// The JSON body of a streaming request that asks for its usage.
std::string chat_body(const ChatRequest& request);

struct ChatText {
  std::string text;
  std::string finish_reason;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t completion_tokens = 0;
};

// Single use. Not thread-safe.
class ChatReader {
 public:
  // Takes the next bytes; calls `on_text` for every piece of text. An error event of the stream
  // comes back as its Error; Protocol when the bytes are no such stream.
  Result<> feed(std::string_view bytes, const std::function<void(std::string_view)>& on_text);
  // At the end of the body: Unavailable when the stream was cut off before its [DONE].
  Result<ChatText> finish();

 private:
  Result<> read_event(std::string_view data, const std::function<void(std::string_view)>& on_text);

  net::SseParser parser_;
  ChatText answer_;
  bool done_ = false;
};

}  // namespace perigee::demo
