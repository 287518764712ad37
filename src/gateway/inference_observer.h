// InferenceObserver: told of what happened; implemented by the site's metrics. Names are label
// values.
#pragma once

#include <optional>

#include "base/error.h"
#include "base/id.h"
#include "base/instant.h"
#include "core/inference.h"

namespace perigee {

class InferenceObserver {
 public:
  virtual ~InferenceObserver() = default;
  virtual void on_done(Operation operation, const ModelId& model, int status, Duration took,
                       std::optional<Duration> first_token, const Usage& usage) = 0;
  // Another attempt is made before the client has got anything.
  virtual void on_retry(const ModelId& model, Code why) = 0;
  // A stream goes on at another engine: its client saw nothing new for `gap`.
  virtual void on_resumed(const ModelId& model, Code why, Duration gap) = 0;
  // A second attempt beside a late first one has been decided: which of them was first.
  virtual void on_hedged(const ModelId& model, bool second_won) = 0;
};

}  // namespace perigee
