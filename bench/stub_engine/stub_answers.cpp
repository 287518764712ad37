#include "stub_answers.h"

#include <simdjson.h>
#include <strings.h>

#include <array>
#include <charconv>
#include <utility>

namespace perigee::stub {
namespace {

constexpr std::array<std::pair<std::string_view, Fault>, 10> kFaults = {{
    {"bad-json", Fault::BadJson},
    {"bad-sse", Fault::BadSse},
    {"endless-line", Fault::EndlessLine},
    {"reset-midway", Fault::ResetMidway},
    {"close-midway", Fault::CloseMidway},
    {"garbage", Fault::Garbage},
    {"never-answers", Fault::NeverAnswers},
    {"close-at-once", Fault::CloseAtOnce},
    {"status-500", Fault::Status500},
    {"status-429", Fault::Status429},
}};

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

template <class T>
bool read_number(std::string_view text, T& out) {
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && at == text.data() + text.size();
}

bool read_header(std::string_view name, std::string_view value, std::size_t& length,
                 Settings& settings) {
  if (same(name, "content-length")) return read_number(value, length);
  if (same(name, "transfer-encoding")) return false;
  if (!name.starts_with("x-stub-") && !name.starts_with("X-Stub-")) return true;
  const std::string_view what = name.substr(7);
  if (same(what, "chunks")) return read_number(value, settings.chunks);
  if (same(what, "interval-ms")) return read_number(value, settings.interval_ms);
  if (same(what, "delay-ms")) return read_number(value, settings.delay_ms);
  if (same(what, "tokens")) return read_number(value, settings.tokens);
  if (!same(what, "fault")) return true;
  const std::optional<Fault> fault = parse_fault(value);
  if (fault) settings.fault = *fault;
  return fault.has_value();
}

std::string framed(std::string_view event) {
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), event.size(), 16).ptr;
  std::string out{size.data(), static_cast<std::size_t>(end - size.data())};
  out.append("\r\n").append(event).append("\r\n");
  return out;
}

std::string usage(const Settings& settings) {
  return R"("usage":{"prompt_tokens":64,"completion_tokens":)" + std::to_string(settings.tokens) +
         R"(,"total_tokens":)" + std::to_string(64 + settings.tokens) + "}";
}

std::string chunk_start(const Settings& settings, bool chat) {
  return std::string{R"({"id":")"} + (chat ? "chatcmpl" : "cmpl") + R"(-0123456789","object":")" +
         (chat ? "chat.completion.chunk" : "text_completion") +
         R"(","created":1700000000,"model":")" + settings.model + R"(",)";
}

}  // namespace

std::optional<Fault> parse_fault(std::string_view name) {
  if (name == "none") return Fault::None;
  for (const auto& [known, fault] : kFaults) {
    if (known == name) return fault;
  }
  return std::nullopt;
}

std::string fault_names() {
  std::string out = "none";
  for (const auto& [name, fault] : kFaults) out.append(", ").append(name);
  return out;
}

ReadState read_request(std::string_view bytes, const Settings& defaults, StubRequest& out) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos)
    return bytes.size() > 65'536 ? ReadState::Bad : ReadState::NeedMore;
  std::string_view head = bytes.substr(0, end + 2);
  const auto take_line = [&] {
    const std::size_t line_end = head.find("\r\n");
    const std::string_view line = head.substr(0, line_end);
    head.remove_prefix(line_end + 2);
    return line;
  };
  const std::string_view first = take_line();
  const std::size_t space = first.find(' ');
  const std::size_t last = first.rfind(' ');
  if (space == std::string_view::npos || last == space || first.substr(last) != " HTTP/1.1") {
    return ReadState::Bad;
  }
  out.method = first.substr(0, space);
  out.path = first.substr(space + 1, last - space - 1);
  out.settings = defaults;
  std::size_t length = 0;
  while (!head.empty()) {
    const std::string_view line = take_line();
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return ReadState::Bad;
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    if (!read_header(line.substr(0, colon), value, length, out.settings)) return ReadState::Bad;
  }
  out.size = end + 4 + length;
  if (bytes.size() < out.size) return ReadState::NeedMore;
  out.body = bytes.substr(end + 4, length);
  return ReadState::Whole;
}

std::optional<Wanted> read_body(const std::string& padded, std::size_t offset, std::size_t size) {
  static simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(padded.data() + offset, size,
                   padded.capacity() - offset < size + simdjson::SIMDJSON_PADDING)
              .get(root) != simdjson::SUCCESS ||
      !root.is_object()) {
    return std::nullopt;
  }
  Wanted wanted;
  if (root["stream"].get(wanted.stream) != simdjson::SUCCESS) wanted.stream = false;
  if (root["stream_options"]["include_usage"].get(wanted.include_usage) != simdjson::SUCCESS) {
    wanted.include_usage = false;
  }
  return wanted;
}

std::string json_answer(int status, std::string_view body) {
  const char* reason = status == 200 ? "OK" : status == 429 ? "Too Many Requests" : "Error";
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + reason +
                    "\r\nServer: stub\r\nContent-Type: application/json\r\nContent-Length: " +
                    std::to_string(body.size()) + "\r\n\r\n";
  return out.append(body);
}

std::string completion(const Settings& settings, bool chat) {
  const std::string text =
      "The nearest site with room to spare is in the northern district; the request was routed "
      "there because "
      "its round trip is under ten milliseconds.";
  std::string out =
      std::string{R"({"id":")"} + (chat ? "chatcmpl" : "cmpl") +
      R"(-0123456789abcdef","object":")" + (chat ? "chat.completion" : "text_completion") +
      R"(","created":1700000000,"model":")" + settings.model + R"(","choices":[{"index":0,)";
  out += chat ? R"("message":{"role":"assistant","content":")" + text + R"("},)"
              : R"("text":")" + text + R"(",)";
  out += R"("logprobs":null,"finish_reason":"stop"}],)" + usage(settings) +
         R"(,"system_fingerprint":"stub-engine-for-tests-and-benchmarks"})";
  return out;
}

std::string embedding(const Settings& settings) {
  return R"({"object":"list","data":[{"object":"embedding","index":0,)"
         R"("embedding":[0.1,0.2,0.3,0.4]}],"model":")" +
         settings.model + R"(","usage":{"prompt_tokens":8,"total_tokens":8}})";
}

std::string models(const Settings& settings) {
  return R"({"object":"list","data":[{"id":")" + settings.model +
         R"(","object":"model","created":1700000000,"owned_by":"stub"}]})";
}

std::string stream_head() {
  return "HTTP/1.1 200 OK\r\nServer: stub\r\nContent-Type: text/event-stream\r\nCache-Control: "
         "no-cache\r\n"
         "Transfer-Encoding: chunked\r\n\r\n";
}

std::string stream_chunk(const Settings& settings, std::uint32_t index, bool chat) {
  const std::string text = " t" + std::to_string(index);
  return framed("data: " + chunk_start(settings, chat) + R"("choices":[{"index":0,)" +
                (chat ? R"("delta":{"content":")" + text + R"("})" : R"("text":")" + text + "\"") +
                R"(,"finish_reason":null}]})" + "\n\n");
}

std::string stream_end(const Settings& settings, bool include_usage, bool chat) {
  std::string out =
      framed("data: " + chunk_start(settings, chat) + R"("choices":[{"index":0,)" +
             (chat ? R"("delta":{})" : R"("text":"")") + R"(,"finish_reason":"stop"}]})" + "\n\n");
  if (include_usage) {
    out += framed("data: " + chunk_start(settings, chat) + R"("choices":[],)" + usage(settings) +
                  "}\n\n");
  }
  return out + framed("data: [DONE]\n\n") + "0\r\n\r\n";
}

}  // namespace perigee::stub
