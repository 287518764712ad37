// What was delivered of an answer that goes on elsewhere.
#include <string>

#include "api/json_text.h"
#include "api/resume_field.h"
#include "fuzz/fuzz.h"

namespace perigee::fuzz {

void take_input(std::string_view text) {
  const Piece piece = exact(text);
  const auto delivered = api::parse_resume(piece.view());
  if (!delivered) {
    PERIGEE_PROPERTY(delivered.error().code == Code::InvalidArgument);
    PERIGEE_PROPERTY(delivered.error().param == api::kResumeField);
    return;
  }
  PERIGEE_PROPERTY(delivered->complete());
  PERIGEE_PROPERTY(delivered->choices().size() <= Delivered::kChoicesMax);
  PERIGEE_PROPERTY(delivered->tokens() <= Delivered::kTokensMax);
  std::uint64_t tokens = 0;
  if (const Delivered::Text* by_text = delivered->text()) {
    tokens = by_text->tokens;
    PERIGEE_PROPERTY(delivered->choices().empty());
    PERIGEE_PROPERTY(by_text->text.size() <= Delivered::kTextBytesMax);
    PERIGEE_PROPERTY(by_text->id.size() <= Delivered::kNameBytesMax);
    const auto plain = api::unescaped_json(by_text->text);
    PERIGEE_PROPERTY(!plain || plain->size() <= by_text->text.size());
  }
  for (const Delivered::Choice& choice : delivered->choices()) tokens += choice.tokens.size();
  PERIGEE_PROPERTY(tokens == delivered->tokens());
  const std::string written = api::resume_json(*delivered);
  const auto again = api::parse_resume(written);
  PERIGEE_PROPERTY(again.has_value());
  PERIGEE_PROPERTY(api::resume_json(*again) == written);
  PERIGEE_PROPERTY(again->tokens() == delivered->tokens());
}

}  // namespace perigee::fuzz
