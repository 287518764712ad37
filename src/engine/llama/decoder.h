// Decoder: one llama.cpp context with a number of KV streams, and the batch being filled for it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "engine/llama/model.h"

namespace perigee::llama {

struct DecoderOptions {
  std::uint32_t streams = 8;     // sequences whose keys and values are kept; 1..256
  std::uint32_t context = 1024;  // tokens per stream; rounded up to a multiple of 256
  std::uint32_t batch = 512;     // tokens per run at most; at least `streams`
  std::uint32_t threads = 1;     // see BatcherOptions
};

// Every stream has its own KV buffer (llama.cpp's kv_unified=false): attention then reads only the
// streams that take part in a step, so neither other streams nor cached prefixes slow it down. With
// one buffer for all, 32 streams of the demo model decode at 0.6 of this speed. The price: sharing
// a prefix copies a buffer (0.3 ms for the demo model), and states can be handed over only between
// contexts with equal `streams`.
//
// One thread at a time; `model` must outlive it.
class Decoder {
 public:
  // FailedPrecondition when the context does not fit into memory.
  static Result<std::unique_ptr<Decoder>> create(const Model& model, const DecoderOptions& options);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  std::uint32_t context() const;  // tokens per stream

  // Keeps the first `length` tokens of a stream.
  void trim(std::uint32_t stream, std::uint32_t length);
  // Makes stream `to` equal to `from`. The data is copied at the next run().
  void copy(std::uint32_t from, std::uint32_t to);

  // Adds a token to the batch; at most `batch` of them. Streams in rising order are fastest: only
  // neighbours are computed together. Returns the place to ask logits() for.
  std::uint32_t add(std::uint32_t stream, Token token, std::uint32_t position, bool wants_logits);
  std::uint32_t size() const;  // tokens in the batch
  // Decodes the batch and empties it. Unavailable when llama.cpp refused: what was in the batch's
  // streams is then undefined, trim them to 0.
  Result<> run();
  // Of the last run's token that was added `place`-th; valid until the next run().
  std::span<const float> logits(std::uint32_t place) const;

 private:
  struct State;
  explicit Decoder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace perigee::llama
