#include "base/log.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.h"

namespace perigee::log {
namespace {

constexpr std::size_t kQueueBytesMax = std::size_t{4} * 1024 * 1024;

// The process's one log: lines are appended under a short lock, one thread writes them out.
class Writer {
 public:
  Writer() : thread_([this] { run(); }) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    {
      const std::scoped_lock lock{mutex_};
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void append(std::string_view line) {
    {
      const std::scoped_lock lock{mutex_};
      if (queue_.size() + line.size() > kQueueBytesMax) {
        ++dropped_;
        return;
      }
      queue_.append(line);
    }
    wake_.notify_one();
  }

  void flush() {
    std::unique_lock lock{mutex_};
    drained_.wait(lock, [this] { return queue_.empty() && !writing_; });
  }

 private:
  void run() {
    std::unique_lock lock{mutex_};
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      std::string lines = std::exchange(queue_, {});
      const std::uint64_t dropped = std::exchange(dropped_, 0);
      writing_ = true;
      lock.unlock();
      if (dropped > 0) lines += "log lines dropped: " + std::to_string(dropped) + "\n";
      write_all(lines);
      lock.lock();
      writing_ = false;
      drained_.notify_all();
    }
  }

  static void write_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(STDERR_FILENO, bytes.data(), bytes.size());
      if (written <= 0) return;  // nowhere to complain
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable drained_;
  std::string queue_;
  std::uint64_t dropped_ = 0;
  bool stopping_ = false;
  bool writing_ = false;
  std::thread thread_;  // last: starts when all else is ready
};

struct Settings {
  Level level = Level::Info;
  Format format = Format::Text;
  std::string source;
};

Settings& settings() {
  static Settings instance;
  return instance;
}

Writer& writer() {
  static Writer instance;
  return instance;
}

std::string_view name_of(Level level) {
  constexpr std::array<std::string_view, 5> names{"debug", "info", "warning", "error", "off"};
  return names.at(static_cast<std::size_t>(level));
}

std::string timestamp() {
  const std::int64_t micros = SystemClock{}.wall().micros;
  const std::time_t whole = static_cast<std::time_t>(micros / 1'000'000);
  std::tm calendar{};
  ::gmtime_r(&whole, &calendar);
  std::array<char, 40> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &calendar);
  std::array<char, 12> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(micros / 1000 % 1000));
  return std::string{text.data(), size} + fraction.data();
}

void append_quoted(std::string& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(c));
      out += escaped.data();
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

std::string text_line(Level level, std::string_view message, Fields fields) {
  std::string line = timestamp();
  line += ' ';
  line += name_of(level);
  if (!settings().source.empty()) line += " " + settings().source;
  line += ": ";
  line += message;
  for (const Field& field : fields) {
    line += ' ';
    line += field.name;
    line += '=';
    const bool plain = field.value.find_first_of(" \"\\=\n\r\t") == std::string::npos;
    if (field.quoted && (!plain || field.value.empty()))
      append_quoted(line, field.value);
    else
      line += field.value;
  }
  line += '\n';
  return line;
}

std::string json_line(Level level, std::string_view message, Fields fields) {
  std::string line = R"({"time":")" + timestamp() + R"(","level":")";
  line += name_of(level);
  line += R"(","source":)";
  append_quoted(line, settings().source);
  line += R"(,"message":)";
  append_quoted(line, message);
  for (const Field& field : fields) {
    line += ',';
    append_quoted(line, field.name);
    line += ':';
    if (field.quoted)
      append_quoted(line, field.value);
    else
      line += field.value;
  }
  line += "}\n";
  return line;
}

}  // namespace

Field::Field(std::string_view field_name, double number) : name(field_name), quoted(false) {
  std::array<char, 32> text{};
  const int size = std::snprintf(text.data(), text.size(), "%.6g", number);
  value.assign(text.data(), static_cast<std::size_t>(size));
}

void configure(Level level, Format format, std::string_view source) {
  settings() = Settings{level, format, std::string{source}};
}

bool parse_level(std::string_view text, Level& level) {
  for (const Level candidate :
       {Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Off}) {
    if (name_of(candidate) == text) {
      level = candidate;
      return true;
    }
  }
  return false;
}

void write(Level level, std::string_view message, Fields fields) {
  if (level < settings().level || settings().level == Level::Off) return;
  writer().append(settings().format == Format::Json ? json_line(level, message, fields)
                                                    : text_line(level, message, fields));
}

void flush() { writer().flush(); }

}  // namespace perigee::log
