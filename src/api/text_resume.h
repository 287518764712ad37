// Going on with an answer at a server that takes no token ids: the body that asks it to continue
// the text that the client has. What a server offers for it differs:
//
//   vLLM, SGLang   the text as a last message of the assistant, with `continue_final_message` true
//                  and `add_generation_prompt` false
//   llama-server   the text as a last message of the assistant (unless --no-prefill-assistant)
//   completions    the text behind the prompt, at any server
//
// Tokens are not the same on both sides of the seam as without one, and penalties, seeds and stop
// strings see the text as prompt: the answer goes on, though not as it would have token by token.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/body_edit.h"
#include "base/result.h"
#include "core/delivered.h"
#include "core/inference.h"

namespace perigee::api {

enum class TextResume : std::uint8_t {
  Off,           // it can't
  FinalMessage,  // chats by `continue_final_message`
  Prefill        // chats by a last message of the assistant alone
};
std::optional<TextResume> parse_text_resume(std::string_view name);  // "off", "final_message", ...
inline constexpr std::string_view kTextResumeNames = "off, final_message or prefill";

struct TextContinuation {
  std::vector<BodyEdit> edits;
  // Templates of chats trim messages, so what is sent as one has no white space at its end; what
  // the answer then begins with of it, the client has already.
  std::string sent;
  std::string space;
  bool at_limit = false;  // nothing is left of the tokens that the client allowed
};

// What to change in `body`, one that summarize() took. FailedPrecondition, and the reason, where
// the answer is more than its text, or the text does not say where it stands: several choices,
// guided answers, tools, log probabilities of completions, an assistant's message at the end
// already. `resume_span` is that of the body's own `perigee_resume`, which is taken out.
Result<TextContinuation> continue_by_text(Operation operation, std::string_view body,
                                          BodySpan resume_span, const Delivered::Text& delivered,
                                          TextResume how);

}  // namespace perigee::api
