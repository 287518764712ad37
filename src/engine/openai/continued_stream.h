// ContinuedStream: makes the chunks of an answer that goes on by its text those of the answer that
// was begun. No IO.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/body_edit.h"
#include "api/usage_scan.h"
#include "core/delivered.h"
#include "engine/engine.h"

namespace perigee {

// Where the texts of two engines meet: takes off what the client has already. Some servers repeat
// the text that they were to go on with, and templates trim the white space at its end.
class TextSeam {
 public:
  // What begins like a shorter text is no sign that a server repeats it.
  static constexpr std::size_t kRepeatedBytesLeast = 32;
  TextSeam(std::string sent, std::string space);

  // The next piece of the answer; returns what of it, and of pieces held back, is new.
  std::string show(std::string_view text);
  // The end: what was held back.
  std::string finish();
  // Whether what came so far is held back: it is the beginning of what was sent.
  bool holds() const { return matched_ > 0; }
  bool repeated() const { return repeated_; }  // what was sent came again

 private:
  std::string past_space(std::string_view text);

  std::string sent_;  // compared with; empty: not any more
  std::string space_;
  std::size_t matched_ = 0;  // of sent_
  bool repeated_ = false;
};

class ContinuedStream {
 public:
  enum class Verdict : std::uint8_t { Show, Drop, Broken };

  // `seam` is of a server that took the text as a part of its prompt, and counts it so. None: of a
  // site or an engine of ours, which know what they go on with.
  ContinuedStream(const Delivered::Text& before, std::unique_ptr<TextSeam> seam);
  // That many tokens of the prompt are the client's answer; 0 when the text was not sent.
  void count_as_answer(std::uint32_t tokens) { answered_ = tokens; }

  // `chunk.json` is that of `facts` and `places`. Shown, it has the id and the date of the answer
  // and its usage, no role, and no text twice; json, text and tokens of `chunk` are then what is to
  // be handed on, until the next call. Dropped, nothing is left of it.
  Verdict take(Chunk& chunk, const api::ChunkFacts& facts, const api::ChunkPlaces& places);
  // Of one request, from what the server reported of its own.
  Usage whole(Usage reported) const;
  // Whether text is missing that could not be told from a repetition.
  bool holds() const { return seam_ != nullptr && seam_->holds(); }

 private:
  struct Shown {
    std::string raw;  // as JSON writes it
    bool changed = false;
  };
  Shown shown_of(std::string_view raw, bool ends);
  void name(std::string_view json, const api::ChunkPlaces& places);
  void write_text(const Shown& shown, const api::ChunkPlaces& places);
  void write_usage(const Usage& reported, const api::ChunkPlaces& places);

  std::string id_;
  std::string created_;
  std::uint32_t answered_ = 0;
  std::uint32_t held_tokens_ = 0;
  std::unique_ptr<TextSeam> seam_;
  std::vector<api::BodyEdit> edits_;  // of the chunk at hand
  std::string json_;                  // what was made of it
  std::string text_;
};

}  // namespace perigee
