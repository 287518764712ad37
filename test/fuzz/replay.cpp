// Brings inputs to a fuzz target without libFuzzer: every file of its corpus, then so many
// mutations of them, the same ones in every run. An input that ends the process is left in the
// working folder as TARGET.finding.
//
//   fuzz_TARGET CORPUS_FOLDER MUTATIONS [DICTIONARY]
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kInputBytesMax = 4096;  // of a mutation
using perigee::Random;

std::string finding_path;
const char* input_bytes = nullptr;
std::size_t input_size = 0;

void leave_finding(int signal) {
  const int fd = ::open(finding_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd >= 0 && ::write(fd, input_bytes, input_size) >= 0) ::close(fd);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void bring(const std::string& input) {
  input_bytes = input.data();
  input_size = input.size();
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::vector<std::string> read_corpus(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator{folder})
    paths.push_back(entry.path());
  std::ranges::sort(paths);
  std::vector<std::string> all;
  for (const auto& path : paths) {
    std::ifstream file{path, std::ios::binary};
    all.emplace_back(std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{});
  }
  return all;
}

// The words between quotes, one a line, with libFuzzer's escapes: \\, \" and \xAB.
std::vector<std::string> read_dictionary(const std::string& path) {
  std::vector<std::string> words;
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find('"');
    const std::size_t last = line.rfind('"');
    if (line.starts_with('#') || first == last) continue;
    std::string word;
    for (std::size_t i = first + 1; i < last; ++i) {
      if (line[i] == '\\' && line[i + 1] == 'x') {
        word += static_cast<char>(std::stoi(line.substr(i + 2, 2), nullptr, 16));
        i += 3;
      } else {
        word += line[line[i] == '\\' ? ++i : i];
      }
    }
    words.push_back(word);
  }
  return words;
}

class Mutator {
 public:
  Mutator(std::vector<std::string> corpus, std::vector<std::string> words)
      : corpus_(std::move(corpus)), words_(std::move(words)) {}

  std::string next() {
    std::string input = pick(corpus_).substr(0, kInputBytesMax);
    for (auto changes = 1 + random_.below(6); changes > 0; --changes) change(input);
    return input.substr(0, kInputBytesMax);
  }

 private:
  const std::string& pick(const std::vector<std::string>& from) {
    return from[static_cast<std::size_t>(random_.below(from.size()))];
  }
  std::size_t place(const std::string& input) {
    return static_cast<std::size_t>(random_.below(input.size() + 1));
  }
  std::size_t length() { return 1 + static_cast<std::size_t>(random_.below(32)); }
  void change(std::string& input) {
    const std::size_t at = place(input);
    switch (random_.below(words_.empty() ? 6 : 7)) {
      case 0: input.insert(at, 1, static_cast<char>(random_.below(256))); break;
      case 1: input.erase(at, length()); break;
      case 2:
        if (at < input.size()) input[at] = static_cast<char>(random_.below(256));
        break;
      case 3:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << random_.below(8)));
        break;
      case 4: input.insert(at, input.substr(place(input), length())); break;  // repeats
      case 5: {
        const std::string& other = pick(corpus_);
        input = input.substr(0, at) + other.substr(place(other));
        break;
      }
      default: input.insert(at, pick(words_)); break;
    }
  }
  std::vector<std::string> corpus_;
  std::vector<std::string> words_;
  Random random_{1};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER MUTATIONS [DICTIONARY]\n", argv[0]);
    return 2;
  }
  finding_path = std::filesystem::path{argv[0]}.filename().string() + ".finding";
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    std::signal(signal, leave_finding);
  }
  const std::vector<std::string> corpus = read_corpus(argv[1]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: the corpus %s is empty\n", argv[0], argv[1]);
    return 2;
  }
  for (const std::string& input : corpus) bring(input);
  Mutator mutator{corpus, argc > 3 ? read_dictionary(argv[3]) : std::vector<std::string>{}};
  const long mutations = std::strtol(argv[2], nullptr, 10);
  for (long i = 0; i < mutations; ++i) bring(mutator.next());
  std::printf("%zu inputs of the corpus and %ld mutations: nothing found\n", corpus.size(),
              mutations);
  return 0;
}
