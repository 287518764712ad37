// The body of a request: what Perigee reads of it, and the edits for external engines.
#include <boost/json.hpp>
#include <string>

#include "api/body_edit.h"
#include "api/request_summary.h"
#include "fuzz/fuzz.h"

namespace perigee::fuzz {
namespace {

namespace json = boost::json;

// Whatever stands behind the body must not matter.
class Padded {
 public:
  Padded(std::string_view body, std::string_view behind) : size_(body.size()) {
    bytes_.reset(new char[size_ + 64]);
    body.copy(bytes_.get(), size_);
    for (std::size_t i = 0; i < 64; ++i) bytes_[size_ + i] = behind[i % behind.size()];
  }
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

std::string describe(const Result<api::RequestSummary>& read) {
  if (!read) return "refused " + read.error().param + ": " + read.error().message;
  std::string out = read->model.str() + "|" + read->session + "|" +
                    std::to_string(read->prompt_tokens) + "|" + std::to_string(read->n) + "|" +
                    std::to_string(read->output_tokens_max.value_or(0)) +
                    (read->stream ? "s" : "-") + (read->include_usage ? "u" : "-");
  for (const std::uint64_t block : read->prefix_blocks) out += "|" + std::to_string(block);
  return out;
}

json::value document_of(std::string_view text) {
  json::parse_options options;
  options.max_depth = 256;
  boost::system::error_code error;
  json::value value = json::parse(text, error, {}, options);
  if (error == json::error::exponent_overflow) return nullptr;  // a number beyond a double's
  PERIGEE_PROPERTY(!error);
  if (value != value) return nullptr;  // it reads 0e400, which is 0, as not-a-number
  return value;
}

// The edited body is the body with a few fields changed, as another reader of JSON sees it.
void check_edit(std::string_view body, const api::RequestSummary& summary, bool ask_usage,
                std::string_view resume) {
  json::value expected = document_of(body);
  api::BodyEdits edits;
  edits.model = "org/up:stream";
  edits.model_span = summary.model_span;
  edits.ask_usage = ask_usage;
  edits.stream_options_span = summary.stream_options_span;
  edits.resume = resume;
  edits.resume_span = summary.resume_span;
  const std::string edited = api::edit_body(body, edits);
  const json::value got = document_of(edited);
  if (!expected.is_object() || !got.is_object()) return;
  expected.as_object()["model"] = "org/up:stream";
  if (ask_usage) {
    json::value& options = expected.as_object()["stream_options"];
    if (!options.is_object()) options = json::object{};
    options.as_object()["include_usage"] = true;
  }
  if (!resume.empty()) expected.as_object()["perigee_resume"] = document_of(resume);
  PERIGEE_PROPERTY(got == expected);
  const Padded padded{edited, "}"};
  const auto again = api::summarize(summary.operation, padded.view(), "salt", {});
  PERIGEE_PROPERTY(again && again->model.str() == "org/up:stream");
  PERIGEE_PROPERTY(again->prefix_blocks == summary.prefix_blocks);
  PERIGEE_PROPERTY(again->stream == summary.stream);
  PERIGEE_PROPERTY(again->include_usage == (summary.include_usage || ask_usage));
}

}  // namespace

void take_input(std::string_view text) {
  for (const Operation operation : {Operation::Chat, Operation::Completion, Operation::Embedding}) {
    const Padded body{text, R"("}]}},"model":"other")"};
    const auto summary = api::summarize(operation, body.view(), "salt", {});
    const Padded other{text, std::string_view{"\0", 1}};
    PERIGEE_PROPERTY(describe(api::summarize(operation, other.view(), "salt", {})) ==
                     describe(summary));
    if (!summary) {
      PERIGEE_PROPERTY(summary.error().code == Code::InvalidArgument);
      PERIGEE_PROPERTY(!summary.error().message.empty() && summary.error().message.size() < 2048);
      continue;
    }
    const BodySpan model = summary->model_span;
    PERIGEE_PROPERTY(model.size >= 2 && model.offset + model.size <= text.size());
    PERIGEE_PROPERTY(text[model.offset] == '"' && text[model.offset + model.size - 1] == '"');
    PERIGEE_PROPERTY(summary->stream_options_span.offset + summary->stream_options_span.size <=
                     text.size());
    PERIGEE_PROPERTY(summary->prefix_blocks.size() <= api::SummaryLimits{}.prefix_blocks_max);
    for (const std::string_view resume :
         {"", R"([{"ids":"1,2"}])", R"([{"tokens":3,"end":true}])"}) {
      check_edit(body.view(), *summary, false, resume);
      if (summary->stream) check_edit(body.view(), *summary, true, resume);  // streams only have it
    }
  }
}

}  // namespace perigee::fuzz
