// Loads the model named by the first argument and decodes one token: is this llama.cpp usable?
#include <dlfcn.h>

#include <cstdio>
#include <string>

#include "ggml-backend.h"
#include "llama.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  Dl_info where{};
  void* symbol = dlsym(RTLD_DEFAULT, "llama_backend_init");
  if (symbol != nullptr && dladdr(symbol, &where) != 0) {
    std::string folder = where.dli_fname;
    folder.resize(folder.rfind('/') == std::string::npos ? 0 : folder.rfind('/'));
    ggml_backend_load_all_from_path(folder.c_str());
  }
  llama_backend_init();
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (model == nullptr) return 1;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 64;
  params.n_threads = 1;
  llama_context* context = llama_init_from_model(model, params);
  llama_token token = 65;
  const bool decoded =
      context != nullptr && llama_decode(context, llama_batch_get_one(&token, 1)) == 0;
  std::printf("decoded: %d\n", decoded ? 1 : 0);
  llama_free(context);
  llama_model_free(model);
  return decoded ? 0 : 1;
}
