// The engine process: loads a model, listens, serves until a signal.
#pragma once

#include <string>

#include "base/instant.h"
#include "base/result.h"
#include "engine/llama/batcher.h"
#include "engine/server/weights_check.h"
#include "net/endpoint.h"

namespace perigee::engine_server {

struct EngineOptions {
  llama::ModelOptions model;
  WeightsTrust trust;    // in the model's file
  std::string name;      // the model id that it serves
  net::Endpoint listen;  // a Unix socket (made with mode 0600) or a loopback address
  llama::BatcherOptions batcher;
  Duration grace = seconds{5};  // for running answers at SIGTERM or SIGINT
};

// Listens first, so that a socket in use is told before minutes of loading; answers 503 until the
// model is loaded. Returns after SIGTERM or SIGINT: stops accepting, lets answers end for at most
// `grace`, then cuts them. Call it once, from the main thread. Errors are one line each.
Result<> run_engine(const EngineOptions& options);

}  // namespace perigee::engine_server
