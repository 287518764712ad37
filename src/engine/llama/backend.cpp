#include "engine/llama/backend.h"

#include <dlfcn.h>

#include <mutex>
#include <string>
#include <string_view>

#include "base/log.h"
#include "ggml-backend.h"
#include "llama.h"

namespace perigee::llama {
namespace {

void forward_log(ggml_log_level, const char* text, void*) {
  std::string_view line{text};
  while (!line.empty() && (line.back() == '\n' || line.back() == '.')) line.remove_suffix(1);
  if (!line.empty()) log::debug("llama.cpp", {{"line", line}});
}

std::string library_folder() {
  Dl_info where{};
  void* symbol = dlsym(RTLD_DEFAULT, "llama_backend_init");
  if (symbol == nullptr || dladdr(symbol, &where) == 0) return {};
  std::string folder = where.dli_fname;
  const std::size_t slash = folder.rfind('/');
  folder.resize(slash == std::string::npos ? 0 : slash);
  return folder;
}

}  // namespace

void start_backend() {
  static std::once_flag once;
  std::call_once(once, [] {
    llama_log_set(forward_log, nullptr);
#if PERIGEE_LLAMA_DYNAMIC
    const std::string folder = library_folder();
    if (!folder.empty()) ggml_backend_load_all_from_path(folder.c_str());
#endif
    llama_backend_init();
  });
}

}  // namespace perigee::llama
