// Brings up llama.cpp once per process.
#pragma once

namespace perigee::llama {

// Loads the CPU (and GPU) backends that lie beside the library and sends llama.cpp's log lines to
// base/log at debug level. Idempotent, any thread.
void start_backend();

}  // namespace perigee::llama
