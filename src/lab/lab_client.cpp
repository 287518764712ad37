#include "lab/lab_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <charconv>
#include <chrono>
#include <utility>

#include "api/error_body.h"
#include "api/headers.h"
#include "net/notifier.h"
#include "net/vital_task.h"

namespace perigee::lab {
namespace {

constexpr std::size_t kBodyBytesMax = std::size_t{4} * 1024 * 1024;
constexpr std::uint32_t kMovesMax = 8;
constexpr Duration kMovePause = milliseconds{50};
constexpr Duration kRetryAfterMax = seconds{60};  // as the official clients
// Heartbeats come every 15 s: a stream that says nothing for so long has hung.
constexpr Duration kSilentMax = seconds{60};
constexpr Duration kHeadMax = seconds{180};

using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;

net::ClientLimits limits(std::size_t at_once) {
  net::ClientLimits limits;
  limits.head_timeout = kHeadMax;
  limits.read_timeout = kSilentMax;
  limits.connect_timeout = seconds{5};
  limits.idle_connections_max = std::max<std::size_t>(at_once, 16);
  return limits;
}

}  // namespace

struct LabClient::Load {
  Load(Executor executor, std::span<const LabRequest> all) : requests(all), ended(executor) {}
  std::span<const LabRequest> requests;
  std::vector<LabAnswer> answers;
  std::function<void(std::size_t)> progress;
  std::size_t next = 0;
  std::size_t answered = 0;
  std::size_t workers = 0;
  Instant began{};
  net::Notifier ended;
};

LabClient::LabClient(Executor executor, const Clock& clock, LabClientOptions options)
    : executor_(executor),
      clock_(clock),
      options_(std::move(options)),
      client_(executor, clock, limits(options_.at_once)) {}

Task<std::vector<LabAnswer>> LabClient::run(std::span<const LabRequest> requests,
                                            std::function<void(std::size_t)> progress) {
  auto load = std::make_shared<Load>(executor_, requests);
  load->answers.resize(requests.size());
  load->progress = std::move(progress);
  load->began = clock_.now();
  load->workers = std::min<std::size_t>(options_.at_once, requests.size());
  const std::size_t workers = load->workers;
  for (std::size_t i = 0; i < workers; ++i) {
    asio::co_spawn(executor_, work(load), net::VitalTask{"a lab's client"});
  }
  while (load->workers > 0) co_await load->ended.wait();
  load->answers.resize(load->next);  // fewer when it was stopped early
  co_return std::move(load->answers);
}

Task<> LabClient::work(std::shared_ptr<Load> load) {
  while (load->next < load->requests.size() && !stopped_) {
    const std::size_t number = load->next++;
    if (options_.rate > 0) co_await wait_for_turn(*load, number);
    ++open_;
    LabAnswer answer = co_await ask(load->requests[number]);
    --open_;
    load->answers[number] = std::move(answer);
    load->progress(++load->answered);
  }
  --load->workers;
  load->ended.notify();
}

Task<> LabClient::wait_for_turn(const Load& load, std::size_t number) {
  const Instant due = load.began + from_ms(static_cast<double>(number) / options_.rate * 1000);
  const Instant now = clock_.now();
  if (due <= now) co_return;
  Timer timer{executor_};
  timer.expires_after(due - now);
  co_await timer.async_wait(kAwait);
}

Task<LabAnswer> LabClient::ask(const LabRequest& request) {
  LabAnswer answer;
  answer.sent = clock_.now();
  for (std::uint32_t move = 0;; ++move) {
    const LabIngress& ingress = options_.ingress[(request.number + move) % options_.ingress.size()];
    const Instant sent = answer.sent;
    answer = LabAnswer{};
    answer.number = request.number;
    answer.ingress = ingress.name.str();
    answer.moves = move;
    answer.sent = sent;
    auto asked = co_await ask_at(ingress, request, answer);
    answer.complete = asked.has_value();
    if (answer.complete) break;
    answer.fault = asked.error().message;
    // As the official clients do: no answer, 429 and 503 are asked again, after the time told. Only
    // what no byte was read of may be, without harm to a reader.
    const bool unread = answer.status == 0 || answer.status == 429 || answer.status == 503;
    const bool may_move = options_.move_on && unread && move < kMovesMax;
    if (!may_move) break;
    Timer pause{executor_};
    pause.expires_after(std::max(kMovePause, answer.retry_after));
    co_await pause.async_wait(kAwait);
  }
  answer.ended = clock_.now();
  co_return answer;
}

Task<Result<>> LabClient::ask_at(const LabIngress& ingress, const LabRequest& request,
                                 LabAnswer& answer) {
  PERIGEE_CO_TRY(url, net::parse_url(ingress.url));
  const std::string id = fmt::format("lab-{}-{}", options_.run, request.number);
  const std::string authorization = "Bearer " + options_.key;
  const std::string_view service_class = perigee::to_string(request.service_class);
  std::vector<net::Header> headers = {{"authorization", authorization},
                                      {"content-type", "application/json"},
                                      {api::headers::kRequestId, id},
                                      {api::headers::kClass, service_class}};
  if (options_.move_on) headers.push_back({"idempotency-key", id});
  net::ClientRequest call;
  call.target = request.path;
  call.headers = headers;
  call.body = request.body;
  auto sent = co_await client_.send(url.endpoint, call);
  if (!sent) co_return std::move(sent).error();
  net::ClientResponse response = std::move(*sent);
  co_return co_await read(request, std::move(response), answer);
}

Task<Result<>> LabClient::read(const LabRequest& request, net::ClientResponse response,
                               LabAnswer& answer) {
  answer.status = response.status();
  answer.site = response.header(api::headers::kSite);
  AnswerReader reader{answer, request.choices};
  if (answer.status != 200) {
    const std::string_view after = response.header(api::headers::kRetryAfterMs);
    std::uint32_t after_ms = 0;
    std::from_chars(after.data(), after.data() + after.size(), after_ms);
    answer.retry_after = std::min<Duration>(milliseconds{after_ms}, kRetryAfterMax);
    const bool told_when = !response.header(api::headers::kRetryAfter).empty();
    answer.refused = (answer.status == 429 || answer.status == 503) && told_when;
    auto body = co_await response.read_all(kBodyBytesMax);
    Error error = api::parse_error_body(answer.status, body ? *body : std::string{});
    error.message = fmt::format("status {}: {}", answer.status, error.message);
    co_return error;
  }
  if (!request.stream) {
    auto body = co_await response.read_all(kBodyBytesMax);
    if (!body) co_return std::move(body).error();
    co_return reader.read_whole(*body);
  }
  for (;;) {
    auto piece = co_await response.read_some();
    if (!piece) co_return std::move(piece).error();
    if (piece->empty()) co_return reader.finish();
    PERIGEE_CO_CHECK(reader.feed(*piece, clock_.now()));
  }
}

}  // namespace perigee::lab
