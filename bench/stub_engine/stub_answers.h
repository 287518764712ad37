// What the stub engine says: requests read, answers made. The stub is independent of src/net on
// purpose, so that a defect there does not hide here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace perigee::stub {

enum class Fault : std::uint8_t {
  None,
  BadJson,      // 200 with a body that is no JSON
  BadSse,       // a stream whose events are no JSON
  EndlessLine,  // a stream with one line that never ends
  ResetMidway,  // half an answer, then a TCP reset
  CloseMidway,  // half an answer, then a close
  Garbage,      // no HTTP at all
  NeverAnswers,
  CloseAtOnce,  // closes instead of an answer
  Status500,
  Status429,
};
std::optional<Fault> parse_fault(std::string_view name);
// "bad-json, bad-sse, ..." for help texts.
std::string fault_names();

struct Settings {
  std::uint32_t chunks = 32;      // of a stream
  std::uint32_t interval_ms = 0;  // between chunks; 0: as fast as they are taken
  std::uint32_t tokens = 32;      // said in usage
  std::uint32_t delay_ms = 0;     // before any answer
  std::uint32_t slots = 0;        // answers at once, of the program; 0: any number
  bool hold = false;              // a stream stays open after its first chunk
  Fault fault = Fault::None;
  std::string model = "stub";
};

// One request, whole. `settings` are the program's with the request's x-stub-* headers applied.
struct StubRequest {
  std::string_view method;
  std::string_view path;
  std::string_view body;
  std::size_t size = 0;  // of head and body
  Settings settings;
};
enum class ReadState : std::uint8_t { NeedMore, Whole, Bad };
ReadState read_request(std::string_view bytes, const Settings& defaults, StubRequest& out);

// What the JSON body asks for; nullopt when it is not one whole JSON object.
struct Wanted {
  bool stream = false;
  bool include_usage = false;
};
std::optional<Wanted> read_body(const std::string& padded, std::size_t offset, std::size_t size);

std::string json_answer(int status, std::string_view body);
std::string completion(const Settings& settings, bool chat);
std::string embedding(const Settings& settings);
std::string models(const Settings& settings);
std::string stream_head();
// Chunk `index` of the stream, framed; its text is " t<index>", so that a reader can tell a loss.
std::string stream_chunk(const Settings& settings, std::uint32_t index, bool chat);
std::string stream_end(const Settings& settings, bool include_usage, bool chat);

}  // namespace perigee::stub
