// CPU time of receipts, through the engine that gives them and the writer that stores and signs
// them, less what the same requests cost without. Hashing bodies is what grows with them: the rows
// differ in their sizes only.
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/fake/fake_engine.h"
#include "engine/receipted/receipted_engine.h"
#include "proof/file/receipt_writer.h"

namespace perigee {
namespace {

constexpr std::size_t kRound = 30'000;  // fewer than a writer has places
constexpr int kRounds = 5;
constexpr double kTargetUs = 5;

class Signer final : public proof::HeadSigner {
 public:
  proof::PublishedHead sign(std::string_view origin, const proof::TreeHead& tree,
                            WallTime time) override {
    return {proof::sign_head(origin, tree, time, key_), key_.public_key(), {}};
  }

 private:
  pki::KeyPair key_ = pki::KeyPair::generate();
};

class NoSink final : public EventSink {
 public:
  void on_head(const Head& /*head*/) override {}
  bool on_chunk(const Chunk& /*chunk*/) override { return true; }
  void on_finished(Finished /*finished*/) override {}
  void on_error(Error error) override {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    std::exit(1);
  }
};

double cpu_us(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  const auto us = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

Job make_job(std::size_t bytes) {
  Job job;
  job.model = ModelId{"perigee-demo"};
  job.body = std::make_shared<const std::string>(bytes, 'x');
  job.prompt_tokens = 100;
  job.context.request_id = "req_0123456789abcdef0123456789abcdef";
  job.context.tenant = TenantId{"acme"};
  job.context.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  return job;
}

struct Cost {
  double io_us = 0;
  double writer_us = 0;
};

// Per request.
Cost serve(Engine& engine, proof::ReceiptWriter* writer, const Job& job) {
  NoSink sink;
  const double io = cpu_us(RUSAGE_THREAD);
  const double all = cpu_us(RUSAGE_SELF);
  double io_used = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double began = cpu_us(RUSAGE_THREAD);
    for (std::size_t i = 0; i < kRound; ++i) {
      engine.start(job, sink);  // it has ended when it returns
    }
    io_used += cpu_us(RUSAGE_THREAD) - began;
    if (writer == nullptr) continue;
    std::promise<void> stored;
    writer->ask_since(0, [&stored](const Result<proof::LogEvidence>&) { stored.set_value(); });
    stored.get_future().wait();
  }
  const double requests = static_cast<double>(kRound) * kRounds;
  const double others = cpu_us(RUSAGE_SELF) - all - (cpu_us(RUSAGE_THREAD) - io);
  return {io_used / requests, others / requests};
}

Cost measure(std::size_t request_bytes, std::size_t answer_bytes) {
  std::string pattern = (std::filesystem::temp_directory_path() / "receipts-XXXXXX").string();
  const std::string folder = ::mkdtemp(pattern.data());
  Signer signer;
  const SystemClock clock;
  const Job job = make_job(request_bytes);
  Finished finished{std::string(answer_bytes, 'y'), Usage{100, 50, 0}, {}};
  const auto inner = std::make_shared<FakeEngine>(
      std::vector<FakeEngine::Step>{FakeEngine::Finish{std::move(finished)}});
  Cost cost;
  {
    auto writer =
        proof::ReceiptWriter::open(folder, "acme", SiteId{"metro-berlin"}, signer, clock).value();
    const auto facts = std::make_shared<const proof::ReceiptFacts>(
        proof::ReceiptFacts{JurisdictionId{"de"}, job.model, sha256("weights"), 17});
    ReceiptedEngine engine{inner, *writer, clock, [facts] { return facts; }};
    const Cost without = serve(*inner, nullptr, job);
    inner->jobs.clear();
    cost = serve(engine, writer.get(), job);
    cost.io_us -= without.io_us;
  }
  std::filesystem::remove_all(folder);
  return cost;
}

int run(bool json) {
  struct Row {
    const char* name;
    std::size_t request_bytes;
    std::size_t answer_bytes;
  };
  bool good = true;
  std::printf(json ? "{\"rows\": [" : "%-24s %12s %12s %12s\n", "request+answer", "IO us",
              "writer us", "all us");
  const char* separator = "";
  for (const Row& row :
       {Row{"0+0", 0, 0}, Row{"1KiB+1KiB", 1024, 1024}, Row{"16KiB+4KiB", 16 * 1024, 4 * 1024}}) {
    const Cost cost = measure(row.request_bytes, row.answer_bytes);
    if (json) {
      std::printf("%s{\"name\": \"%s\", \"io_us\": %.3f, \"writer_us\": %.3f}", separator, row.name,
                  cost.io_us, cost.writer_us);
    } else {
      std::printf("%-24s %12.2f %12.2f %12.2f\n", row.name, cost.io_us, cost.writer_us,
                  cost.io_us + cost.writer_us);
    }
    separator = ", ";
    if (row.request_bytes == 0) good = cost.io_us + cost.writer_us < kTargetUs;
  }
  if (json) std::printf("], \"target_us\": %.0f}\n", kTargetUs);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace perigee

int main(int argc, char** argv) {
  const bool json =
      argc > 2 && std::string_view{argv[1]} == "-o" && std::string_view{argv[2]} == "json";
  return perigee::run(json);
}
