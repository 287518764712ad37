#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <thread>

#include "base/id.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/output.h"

#if PERIGEE_HAS_ENGINE
#include "engine/server/run_engine.h"
#endif

namespace perigee::cli {
namespace {

struct EngineFlags {
  std::string model;
  std::string sha256;
  std::string public_key;
  std::string signature;
  std::string name;
  std::string listen;
  std::string log_level = "info";
  std::string log_format = "text";
  std::uint32_t slots = 8;
  std::int64_t cached_prefixes = -1;
  std::uint32_t waiting = 256;
  std::uint32_t threads = 1;
  std::uint32_t context = 0;
  std::uint32_t batch = 512;
  std::int32_t gpu_layers = 0;
};

void add_flags(CLI::App& command, EngineFlags& flags) {
  command.add_option("--model", flags.model, "GGUF file to serve")->required();
  command
      .add_option("--sha256", flags.sha256, "Digest that the file must have, else it is not loaded")
      ->type_name("HEX");
  auto* key = command.add_option("--public-key", flags.public_key,
                                 "Ed25519 key (PEM) that must have signed the file, else it is not "
                                 "loaded");
  key->type_name("FILE");
  command
      .add_option("--signature", flags.signature, "Its signature (default: the file's, with .sig)")
      ->type_name("FILE")
      ->needs(key);
  command.add_option("--name", flags.name, "Model id that requests name")->required();
  command.add_option("--listen", flags.listen, "unix:PATH or a loopback HOST:PORT")->required();
  command.add_option("--slots", flags.slots, "Answers made at the same time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command
      .add_option("--cached-prefixes", flags.cached_prefixes,
                  "Prompts kept for reuse; each takes the memory of a slot (default: as --slots)")
      ->check(CLI::Range(0, 255));
  command.add_option("--waiting", flags.waiting, "Requests that may wait for a slot")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  command
      .add_option("--threads", flags.threads,
                  "CPU threads; more than one only on cores that nothing else uses")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      .add_option("--context", flags.context, "Tokens of prompt and answer (0: the model's own)")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command
      .add_option("--batch", flags.batch, "Tokens computed in one step at most; at least --slots")
      ->check(CLI::Range(16, 65536))
      ->capture_default_str();
  command.add_option("--gpu-layers", flags.gpu_layers, "Layers to keep on a GPU (-1: all)")
      ->check(CLI::Range(-1, 100000))
      ->capture_default_str();
  command.add_option("--log-level", flags.log_level, "What to log")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  command.add_option("--log-format", flags.log_format, "How to log")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

#if PERIGEE_HAS_ENGINE
// More threads than free cores would wait for each other: see BatcherOptions::threads.
std::uint32_t threads_for(std::uint32_t asked) {
  const std::uint32_t cores = std::max(std::thread::hardware_concurrency(), 1U);
  const std::uint32_t most = std::max(cores - 1, 1U);
  if (asked <= most) return asked;
  log::warning("--threads lowered: a core must stay free", {{"asked", asked}, {"threads", most}});
  return most;
}

Result<engine_server::EngineOptions> engine_options(const EngineFlags& flags) {
  engine_server::EngineOptions options;
  if (!valid_model_name(flags.name)) {
    return Error{
        Code::InvalidArgument,
        fmt::format("'{}' is no model id: letters, digits and ._:/@- are allowed", flags.name)};
  }
  PERIGEE_TRY(endpoint, net::parse_endpoint(flags.listen));
  options.listen = endpoint;
  options.name = flags.name;
  options.model.path = flags.model;
  options.trust = {flags.sha256, flags.public_key, flags.signature};
  options.model.gpu_layers = flags.gpu_layers;
  options.batcher.slots = flags.slots;
  options.batcher.cached_prefixes =
      flags.cached_prefixes >= 0 ? static_cast<std::uint32_t>(flags.cached_prefixes)
                                 : std::min(flags.slots, llama::Batcher::kStreamsMax - flags.slots);
  options.batcher.waiting_max = flags.waiting;
  options.batcher.threads = threads_for(flags.threads);
  options.batcher.context = flags.context;
  options.batcher.batch = flags.batch;
  if (flags.batch < flags.slots) {
    return Error{Code::InvalidArgument,
                 fmt::format("--batch {} is less than --slots {}: a step computes a token of every "
                             "answer; raise --batch or lower --slots",
                             flags.batch, flags.slots)};
  }
  return options;
}

int run(const EngineFlags& flags) {
  log::Level level = log::Level::Info;
  log::parse_level(flags.log_level, level);
  log::configure(level, flags.log_format == "json" ? log::Format::Json : log::Format::Text,
                 "engine " + flags.name);
  const auto options = engine_options(flags);
  if (!options) {
    report(options.error());
    return kExitUsage;
  }
  const auto ran = engine_server::run_engine(*options);
  log::flush();
  return ran ? kExitOk : report(ran.error());
}
#else
int run(const EngineFlags&) {
  return report(Error{Code::FailedPrecondition,
                      "this perigee was built without llama.cpp; build it with "
                      "-DPERIGEE_LLAMA=prebuilt"});
}
#endif

}  // namespace

void add_engine_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("engine", "Serve one model on a socket");
  auto flags = std::make_shared<EngineFlags>();
  add_flags(*command, *flags);
  command->footer(
      "A site starts its engines by itself; this is how to run one by hand:\n"
      "  perigee engine --model models/perigee-demo.gguf --name perigee-demo \\\n"
      "      --listen 127.0.0.1:8200\n"
      "  curl 127.0.0.1:8200/v1/chat/completions -d '{\"model\":\"perigee-demo\",\n"
      "      \"messages\":[{\"role\":\"user\",\"content\":\"What is an AI grid?\"}]}'");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace perigee::cli
