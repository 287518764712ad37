// TextChecker: judges answers by the model itself. Whatever broke on the way, each token of an
// answer must be the one that the model, with the request's own sampling, chooses after the tokens
// before it.
//
// A client sees text, not tokens. So the checker walks along the text: it computes the logits after
// the prompt, lets the engine's own Sampler choose (its noise is keyed by seed and position, so the
// choice is a function of the prefix), and looks whether the text goes on with that token's bytes.
// Engines may compute a near tie the other way, because logits differ in the last digits between
// batch shapes: any token with which the text goes on may have been sent, if it scores less than
// the choice by no more than the tolerance. The text behind tells which (text_walk.h). Where an
// answer has logprobs, the bytes of every token are known and bind. At the end the tokens counted
// must be the usage's: so none was lost and none came twice.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "lab/lab_answer.h"
#include "lab/lab_requests.h"

namespace perigee::lab {

struct TextVerdict {
  std::uint32_t tokens = 0;      // counted, over all choices
  std::uint32_t near_ties = 0;   // tokens that are not the checker's own choice
  double gap_max = 0;            // the most that one of them scored less than the choice
  double logprob_error_max = 0;  // of the log probabilities told, against the checker's
  std::string fault;             // empty: the answer is the model's
};

class TextChecker {
 public:
  // Loads `model_file`, which the grid served as `model`. `tolerance`: in logits (divided by the
  // temperature, as the sampler compares them).
  static Result<std::unique_ptr<TextChecker>> create(const std::string& model_file,
                                                     const std::string& model, double tolerance);
  ~TextChecker();
  // `answer` is complete. Takes as long as the engine to read prompt and answer.
  TextVerdict check(const LabRequest& request, const LabAnswer& answer);

 private:
  struct State;
  explicit TextChecker(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace perigee::lab
