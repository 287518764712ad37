#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <iostream>
#include <memory>
#include <optional>

#include "api/error_body.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/json_fields.h"
#include "cli/output.h"
#include "demo/chat_reader.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kQuestionBytesMax = std::size_t{1} * 1024 * 1024;

struct Options {
  SiteOptions site;
  std::vector<std::string> question;
  std::string model;
  std::string system;
  std::string jurisdictions;
  std::uint32_t tokens_max = 0;
  double temperature = 0;
  OutputFormat format = OutputFormat::Table;
};

// One answer and how it went.
struct Turn {
  demo::ChatText text;
  std::string site;
  std::string route;
  double ttft_ms = 0;
  double total_ms = 0;
};

class Conversation {
 public:
  Conversation(const Options& options, Target target)
      : options_(options), target_(std::move(target)) {
    request_.model = options.model;
    request_.tokens_max = options.tokens_max;
    request_.temperature = options.temperature;
    if (!options.system.empty()) request_.messages.push_back({"system", options.system});
  }

  // Asks for the first model on offer when none was named.
  Result<> choose_model();
  // Streams the answer to `question` into `on_text`; the conversation keeps both.
  Result<Turn> ask(const std::string& question,
                   const std::function<void(std::string_view)>& on_text);
  const std::string& model() const { return request_.model; }
  const std::string& url() const { return target_.url; }
  // Forgets all but the system message.
  void clear() { request_.messages.resize(options_.system.empty() ? 0 : 1); }

 private:
  const Options& options_;
  Target target_;
  HttpCaller caller_;
  SystemClock clock_;
  demo::ChatRequest request_;
};

Result<> Conversation::choose_model() {
  if (!request_.model.empty()) return {};
  Call call;
  call.path = "/v1/models";
  PERIGEE_TRY(models, call_json(caller_, target_, call));
  const json::array& data = list_field(models, "data");
  if (data.empty()) {
    return Error{Code::FailedPrecondition, "the site offers no model yet; name one with --model"};
  }
  request_.model = text_field(data.front(), "id");
  return {};
}

Result<Turn> Conversation::ask(const std::string& question,
                               const std::function<void(std::string_view)>& on_text) {
  request_.messages.push_back({"user", question});
  Call call;
  call.method = "POST";
  call.path = "/v1/chat/completions";
  call.body = demo::chat_body(request_);
  if (!options_.jurisdictions.empty()) {
    call.headers.emplace_back("perigee-jurisdictions", options_.jurisdictions);
  }
  demo::ChatReader reader;
  std::optional<Error> broken;
  std::optional<Instant> first;
  const Instant started = clock_.now();
  const auto on_piece = [&](std::string_view bytes) {
    auto fed = reader.feed(bytes, [&](std::string_view text) {
      if (!first) first = clock_.now();
      on_text(text);
    });
    if (!fed) broken = std::move(fed).error();
    return !broken;
  };
  auto answer = caller_.stream(target_, call, on_piece);
  const Instant ended = clock_.now();
  Result<demo::ChatText> text = broken ? Result<demo::ChatText>{*broken} : reader.finish();
  if (!answer)
    text = std::move(answer).error();
  else if (answer->status >= 400)
    text = api::parse_error_body(answer->status, answer->body);
  if (!text) {
    request_.messages.pop_back();
    return std::move(text).error();
  }
  request_.messages.push_back({"assistant", text->text});
  return Turn{std::move(*text), answer->site, answer->route, to_ms(first.value_or(ended) - started),
              to_ms(ended - started)};
}

std::string footnote(const Turn& turn) {
  return fmt::format("{} ({}), first token after {}, {} tokens in {}", turn.site, turn.route,
                     format_ms(turn.ttft_ms), turn.text.completion_tokens,
                     format_ms(turn.total_ms));
}

json::value json_of(const Turn& turn) {
  return json::object{{"text", turn.text.text},
                      {"finish_reason", turn.text.finish_reason},
                      {"site", turn.site},
                      {"route", turn.route},
                      {"ttft_ms", turn.ttft_ms},
                      {"total_ms", turn.total_ms},
                      {"prompt_tokens", turn.text.prompt_tokens},
                      {"completion_tokens", turn.text.completion_tokens}};
}

int ask_once(Conversation& conversation, const std::string& question, OutputFormat format) {
  const bool table = format == OutputFormat::Table;
  const auto turn = conversation.ask(question, [table](std::string_view text) {
    if (table) print(printable(text, true));
  });
  if (!turn) {
    if (table) print("\n");
    return report(turn.error());
  }
  if (table) {
    print("\n");
    print_note(paint(footnote(*turn), Tone::Dim, false));
  } else {
    print(json_of(*turn));
  }
  return kExitOk;
}

int converse(Conversation& conversation, OutputFormat format) {
  const bool colour = use_colour(stdout);
  print(fmt::format("Talking to {} at {}. /new starts over, /quit or Ctrl-D ends.\n",
                    printable(conversation.model()), conversation.url()));
  std::string line;
  int outcome = kExitOk;
  for (;;) {
    print(paint("> ", Tone::Strong, colour));
    if (!std::getline(std::cin, line)) break;
    if (line == "/quit" || line == "/exit") return outcome;
    if (line == "/new") conversation.clear();
    if (line.empty() || line == "/new") continue;
    outcome = ask_once(conversation, line, format);
  }
  print("\n");
  return outcome;
}

Result<std::string> read_stdin() {
  std::string text(kQuestionBytesMax + 1, '\0');
  std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::cin.gcount()));
  if (text.size() > kQuestionBytesMax) {
    return Error{Code::PayloadTooLarge, "the question on standard input is larger than 1 MiB"};
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.empty()) {
    return Error{Code::InvalidArgument,
                 "standard input is empty; give the question there or as an argument"};
  }
  return text;
}

Result<int> chat(const Options& options) {
  PERIGEE_TRY(target, find_site(options.site));
  Conversation conversation{options, std::move(target)};
  std::string question;
  for (const std::string& word : options.question) {
    question += (question.empty() ? "" : " ") + word;
  }
  const bool from_stdin = question == "-" || (question.empty() && ::isatty(STDIN_FILENO) != 1);
  if (from_stdin) {
    PERIGEE_TRY(text, read_stdin());
    question = text;
  }
  PERIGEE_CHECK(conversation.choose_model());
  if (question.empty()) return converse(conversation, options.format);
  return ask_once(conversation, question, options.format);
}

}  // namespace

void add_chat_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("chat", "Talk to the grid");
  auto options = std::make_shared<Options>();
  command->add_option("question", options->question,
                      "Ask this and end; without it, hold a conversation (- or a pipe: standard "
                      "input)");
  add_site_options(*command, options->site);
  command->add_option("--model", options->model, "The model (default: the first on offer)");
  command->add_option("--system", options->system, "A system message to begin with");
  command->add_option("--jurisdictions", options->jurisdictions, "Laws allowed, as in de,fr");
  command->add_option("--max-tokens", options->tokens_max, "The longest answer, in tokens")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--temperature", options->temperature, "0 (default) gives one same answer")
      ->check(CLI::Range(0.0, 2.0));
  add_output_option(*command, options->format);
  command->footer(
      "Examples:\n"
      "  perigee chat\n"
      "  perigee chat \"What is an AI grid?\"\n"
      "  echo \"What is MQTT?\" | perigee chat -o json\n"
      "  perigee chat --jurisdictions fr \"What is edge inference?\"");
  command->callback([options, &exit_code] {
    const auto outcome = chat(*options);
    exit_code = outcome ? *outcome : report(outcome.error());
  });
}

}  // namespace perigee::cli
