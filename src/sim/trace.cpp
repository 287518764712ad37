#include "sim/trace.h"

#include <charconv>
#include <utility>

#include "sim/csv.h"

namespace perigee::sim {
namespace {

constexpr std::size_t kRequestsMax = 16'000'000;
constexpr std::size_t kBlocksMax = 256'000'000;
constexpr std::uint32_t kTokensMax = 16'000'000;

class TraceReader {
 public:
  TraceReader(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

  Result<std::shared_ptr<const Trace>> run() {
    if (!next_line() || !line_.starts_with("t_ms,in_tokens,out_tokens")) {
      return problem("expected the titles t_ms,in_tokens,out_tokens[,block_ids]");
    }
    auto trace = std::make_shared<Trace>();
    while (next_line()) {
      if (line_.empty()) continue;
      TraceRecord record;
      std::uint64_t value = 0;
      if (!number(value)) return problem("t_ms: expected milliseconds since the start");
      record.t_ms = static_cast<std::int64_t>(value);
      if (!trace->records.empty() && record.t_ms < trace->records.back().t_ms) {
        return problem("t_ms: is before that of the line above; sort the trace by time");
      }
      if (!comma() || !number(value) || value < 1 || value > kTokensMax) {
        return problem("in_tokens: expected 1 to 16000000");
      }
      record.in_tokens = static_cast<std::uint32_t>(value);
      if (!comma() || !number(value) || value > kTokensMax) {
        return problem("out_tokens: expected 0 to 16000000");
      }
      record.out_tokens = static_cast<std::uint32_t>(value);
      record.first_block = static_cast<std::uint32_t>(trace->blocks.size());
      if (comma() && !blocks(trace->blocks)) return problem("block_ids: expected ids or runs a-b");
      record.block_count = static_cast<std::uint32_t>(trace->blocks.size()) - record.first_block;
      if (!line_.empty()) return problem("expected the end of the line after block_ids");
      trace->records.push_back(record);
      if (trace->records.size() > kRequestsMax || trace->blocks.size() > kBlocksMax) {
        return problem("more requests or blocks than a trace may have");
      }
    }
    if (trace->records.empty()) return problem("the trace has no requests");
    return std::shared_ptr<const Trace>{std::move(trace)};
  }

 private:
  bool next_line() {
    if (rest_.empty()) return false;
    const std::size_t end = std::min(rest_.find('\n'), rest_.size());
    line_ = rest_.substr(0, end);
    if (line_.ends_with('\r')) line_.remove_suffix(1);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    ++number_;
    return true;
  }
  bool number(std::uint64_t& value) {
    const auto [end, failed] = std::from_chars(line_.data(), line_.data() + line_.size(), value);
    if (failed != std::errc{}) return false;
    line_.remove_prefix(static_cast<std::size_t>(end - line_.data()));
    return true;
  }
  bool take(char c) {
    if (!line_.starts_with(c)) return false;
    line_.remove_prefix(1);
    return true;
  }
  bool comma() { return take(','); }
  bool blocks(std::vector<std::uint64_t>& all) {
    while (!line_.empty()) {
      std::uint64_t first = 0;
      if (!number(first)) return false;
      std::uint64_t last = first;
      if (take('-') && (!number(last) || last < first || last - first > kTokensMax)) return false;
      for (std::uint64_t id = first; id <= last; ++id) all.push_back(id);
      if (!line_.empty() && !take(' ')) return false;
    }
    return true;
  }
  Error problem(std::string_view what) const {
    return Error{Code::InvalidArgument,
                 name_ + ":" + std::to_string(number_) + ": " + std::string{what}};
  }

  std::string_view rest_;
  std::string_view line_;
  std::string name_;
  std::size_t number_ = 0;
};

}  // namespace

Result<std::shared_ptr<const Trace>> parse_trace(std::string_view text, const std::string& name) {
  return TraceReader{text, name}.run();
}

Result<std::shared_ptr<const Trace>> read_trace(const std::string& path) {
  PERIGEE_TRY(text, read_file(path));
  return parse_trace(text, path);
}

}  // namespace perigee::sim
