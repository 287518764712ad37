#include "core/delivered.h"

#include <charconv>
#include <utility>

#include "base/assert.h"

namespace perigee {

void TokenList::add(std::int32_t token) {
  PERIGEE_ASSERT(token >= 0);
  auto rest = static_cast<std::uint32_t>(token);
  for (; rest >= 0x80; rest >>= 7U) bytes_ += static_cast<char>((rest & 0x7FU) | 0x80U);
  bytes_ += static_cast<char>(rest);
  ++size_;
}

void TokenList::forget(std::uint32_t more) {
  bytes_ = std::string{};
  size_ += more;
}

Delivered::Delivered(const Delivered& other)
    : choices_(other.choices_),
      text_(other.text_ != nullptr ? std::make_unique<Text>(*other.text_) : nullptr),
      tokens_(other.tokens_),
      complete_(other.complete_) {}

Delivered& Delivered::operator=(const Delivered& other) {
  Delivered copy{other};
  *this = std::move(copy);
  return *this;
}

void Delivered::lose_track() {
  complete_ = false;
  text_.reset();
}

Delivered::Choice* Delivered::at(std::uint32_t choice) {
  if (!complete_ || text_ != nullptr || choice >= kChoicesMax) return nullptr;
  if (choice >= choices_.size()) choices_.resize(choice + std::size_t{1});
  Choice& found = choices_[choice];
  return found.finished ? nullptr : &found;
}

bool Delivered::add(std::uint32_t choice, std::string_view token_ids) {
  Choice* to = at(choice);
  const char* next = token_ids.data();
  const char* const end = next + token_ids.size();
  bool good = to != nullptr && next != end;
  while (good && next != end) {
    std::int32_t token = -1;
    const auto [stop, error] = std::from_chars(next, end, token);
    const bool separated = stop == end || (*stop == ',' && stop + 1 != end);
    good = error == std::errc{} && token >= 0 && separated && tokens_ < kTokensMax;
    if (!good) break;
    to->tokens.add(token);
    ++tokens_;
    next = stop == end ? end : stop + 1;
  }
  if (!good) lose_track();
  return good;
}

bool Delivered::add_text(std::string_view text, std::uint32_t tokens) {
  if (text_ == nullptr && choices_.empty() && complete_) text_ = std::make_unique<Text>();
  const bool nothing = text.empty() && tokens == 0;  // what comes behind the end: usage
  const bool good = text_ != nullptr && (nothing || !text_->finished) &&
                    text.size() <= kTextBytesMax - text_->text.size() &&
                    tokens <= kTokensMax - tokens_;
  if (!good) {
    lose_track();
    return false;
  }
  text_->text += text;
  text_->tokens += tokens;
  tokens_ += tokens;
  return true;
}

void Delivered::name_text(std::string_view id, std::string_view created) {
  if (text_ == nullptr || !text_->id.empty() || !text_->created.empty()) return;
  if (id.size() > kNameBytesMax || created.size() > kNameBytesMax) return;
  text_->id = id;
  text_->created = created;
}

bool Delivered::finish(std::uint32_t choice, std::uint32_t tokens) {
  if (text_ != nullptr && choice == 0 && tokens == 0) {
    text_->told = std::exchange(text_->finished, true);
    return true;
  }
  Choice* at_end = at(choice);
  if (at_end == nullptr || tokens > kTokensMax - tokens_) {
    lose_track();
    return false;
  }
  at_end->finished = true;
  at_end->tokens.forget(tokens);
  tokens_ += tokens;
  return true;
}

}  // namespace perigee
