// DemoSession: a demo in the foreground, from its start to the signal, order or tour's end that
// stops it.
#pragma once

#include <optional>
#include <string>

#include "cli/output.h"
#include "demo/demo_grid.h"

namespace perigee::cli {

struct DemoWishes {
  demo::DemoOptions grid;
  bool once = false;  // take the tour and stop; nothing is published
  OutputFormat format = OutputFormat::Table;
};

// Runs to the end; returns the exit status. SIGINT, SIGTERM and SIGHUP stop it; a second one at
// once.
int run_demo(DemoWishes wishes);

// The model that ships with Perigee: in $PERIGEE_MODELS_DIR, beside the binary (../models in a
// build folder, ../share/perigee/models when installed), or in the source tree it was built from.
// NotFound lists where it was looked for.
Result<std::string> find_demo_model(const std::string& program);

}  // namespace perigee::cli
