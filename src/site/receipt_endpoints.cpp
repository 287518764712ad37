#include "site/receipt_endpoints.h"

#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "api/error_body.h"
#include "api/headers.h"
#include "base/log.h"
#include "gateway/http_answer.h"
#include "net/notifier.h"
#include "net/query.h"

namespace perigee {
namespace {

using Parts = std::shared_ptr<const ReceiptEndpoints::Parts>;
constexpr std::string_view kReceipts = "/v1/receipts/";
constexpr std::string_view kLog = "/v1/log";
constexpr std::string_view kPeerReceipts = "/grid/v1/receipts/";
constexpr std::string_view kPeerLog = "/grid/v1/log";
constexpr std::int64_t kRetryAfterMs = 1000;
constexpr Duration kWriterPatience = seconds{5};

using Timer = asio::steady_timer::rebind_executor<Executor>::other;

// Who wants to see something, here or through another site. No tenant: an operator.
TenantId reader_of(const GatewayCall& call) {
  if (call.caller.role != Role::Site) return call.caller.tenant;
  return TenantId{std::string{call.request.header(api::headers::kTenant)}};
}

// The writer answers on its own thread; the coroutine waits on this one's.
template <class Evidence>
struct Waiting {
  explicit Waiting(Executor on) : executor(on), notifier(on) {}
  static std::function<void(Result<Evidence>)> answer(std::shared_ptr<Waiting> waiting) {
    return [waiting = std::move(waiting)](Result<Evidence> found) {
      asio::post(waiting->executor, [waiting, found = std::move(found)]() mutable {
        waiting->found = std::move(found);
        waiting->notifier.notify();
      });
    };
  }
  Executor executor;
  net::Notifier notifier;
  std::optional<Result<Evidence>> found;
  bool late = false;
};

Error busy() {
  return {Code::ResourceExhausted, "Too many receipts are asked for at once.", "", kRetryAfterMs};
}
Error not_open() {
  return {Code::Unavailable, "This site's log of receipts is not open yet.", "", kRetryAfterMs};
}
// A writer whose disk stands still answers nobody until it moves again.
Error no_answer() {
  return {Code::Unavailable, "This site's log of receipts does not answer: repeat later.", "",
          kRetryAfterMs};
}
Error no_such_receipt() {
  return {Code::NotFound,
          "There is no such receipt of yours: it was mistyped, lost in a crash of the site, or is "
          "too old.",
          "id"};
}

template <class Evidence>
Task<Result<Evidence>> answer_of(std::shared_ptr<Waiting<Evidence>> waiting) {
  Timer timer{waiting->executor, kWriterPatience};
  timer.async_wait([waiting](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    waiting->late = true;
    waiting->notifier.notify();
  });
  while (!waiting->found && !waiting->late) co_await waiting->notifier.wait();
  if (!waiting->found) co_return no_answer();
  co_return std::move(*waiting->found);
}

Task<Result<std::string>> own_receipt(Parts parts, proof::ReceiptId id, TenantId reader) {
  proof::ReceiptWriter* const writer = parts->receipts.writer();
  if (writer == nullptr) co_return not_open();
  auto waiting = std::make_shared<Waiting<proof::ReceiptEvidence>>(parts->executor);
  if (!writer->ask_receipt(id, Waiting<proof::ReceiptEvidence>::answer(waiting))) {
    co_return busy();
  }
  const Result<proof::ReceiptEvidence> found = co_await answer_of(std::move(waiting));
  if (!found) co_return found.error().code == Code::NotFound ? no_such_receipt() : found.error();
  const auto receipt = proof::parse_receipt(found->receipt);
  if (!receipt) co_return receipt.error();
  // To others it is as if it did not exist.
  if (!reader.empty() && receipt->tenant != reader) co_return no_such_receipt();
  co_return to_json(*found);
}

Task<Result<std::string>> own_log(Parts parts, std::uint64_t since) {
  proof::ReceiptWriter* const writer = parts->receipts.writer();
  if (writer == nullptr) co_return not_open();
  auto waiting = std::make_shared<Waiting<proof::LogEvidence>>(parts->executor);
  if (!writer->ask_since(since, Waiting<proof::LogEvidence>::answer(waiting))) co_return busy();
  const Result<proof::LogEvidence> found = co_await answer_of(std::move(waiting));
  if (!found) co_return found.error();
  co_return to_json(*found);
}

Result<net::Endpoint> address_of(const ReceiptEndpoints::Parts& parts, const SiteId& site) {
  const auto directory = parts.directory();
  const auto known = directory->sites.find(site);
  if (known == directory->sites.end()) {
    return Error{Code::NotFound, "There is no such site in the grid.", "site"};
  }
  return parts.addresses.of(site, known->second);
}

// Nor what the directory has of its address.
Error error_of_address(const SiteId& site, const Error& error) {
  if (error.code != Code::InvalidArgument) return error;
  log::warning("a site can't be asked for receipts",
               {{"site", site.str()}, {"error", error.message}});
  return {Code::Unavailable,
          "Site " + site.str() + " can't be asked from here. Ask that site itself.", "",
          kRetryAfterMs};
}

// What a peer holds against this site's credential is nothing that the reader could mend.
Error error_of_peer(const SiteId& site, int status, std::string_view body) {
  Error error = api::parse_error_body(status, body);
  if (error.code != Code::Unauthenticated && error.code != Code::PermissionDenied) return error;
  return {
      Code::Unavailable,
      "Site " + site.str() +
          " does not let this site read its receipts now. Repeat later, or ask that site itself.",
      "", kRetryAfterMs};
}

Task<Result<std::string>> fetch(Parts parts, SiteId site, std::string target, TenantId reader) {
  auto endpoint = address_of(*parts, site);
  if (!endpoint) co_return error_of_address(site, endpoint.error());
  const std::array<net::Header, 2> headers{net::Header{"authorization", parts->authorization},
                                           net::Header{api::headers::kTenant, reader.str()}};
  net::ClientRequest request;
  request.method = "GET";
  request.target = target;
  request.headers = std::span{headers}.first(reader.empty() ? 1 : 2);
  auto response = co_await parts->client.send(*endpoint, request);
  if (!response) co_return std::move(response).error();
  auto body = co_await response->read_all(proof::kEvidenceBytesMax);
  if (!body) co_return std::move(body).error();
  if (response->status() != 200) co_return error_of_peer(site, response->status(), *body);
  co_return std::move(*body);
}

Task<> answer(GatewayCall call, Result<std::string> body) {
  if (body) {
    co_await respond_json(call.out, *body, call.request_id);
  } else {
    co_await respond_error(call.out, body.error(), call.request_id);
  }
}

Task<> show_receipt(Parts parts, GatewayCall call) {
  const bool from_site = call.caller.role == Role::Site;
  const std::string name{call.request.path.substr((from_site ? kPeerReceipts : kReceipts).size())};
  TenantId reader = reader_of(call);
  auto id = proof::parse_receipt_id(name);
  if (!id) {
    co_await respond_error(call.out, id.error(), call.request_id);
    co_return;
  }
  Result<std::string> body = no_such_receipt();
  if (id->site == parts->self) {
    body = co_await own_receipt(parts, *id, std::move(reader));
  } else if (!from_site) {
    std::string target = std::string{kPeerReceipts} + name;
    SiteId site = id->site;
    body = co_await fetch(parts, std::move(site), std::move(target), std::move(reader));
  }
  co_await answer(call, std::move(body));
}

struct LogQuestion {
  SiteId site;
  std::uint64_t since = 0;
};

Result<LogQuestion> read_question(std::string_view query, const SiteId& self) {
  LogQuestion question{self};
  while (!query.empty()) {
    const auto [name, value] = net::take_query_field(query);
    if (name == "site" && valid_name(value)) {
      question.site = SiteId{std::string{value}};
    } else if (name == "since") {
      const auto [end, error] =
          std::from_chars(value.data(), value.data() + value.size(), question.since);
      if (error != std::errc{} || end != value.data() + value.size()) {
        return Error{Code::InvalidArgument, "'since' must be a number of leaves", "since"};
      }
    } else {
      return Error{Code::InvalidArgument, "the query may have 'site' and 'since' only",
                   std::string{name.substr(0, kNameBytesMax)}};
    }
  }
  return question;
}

Task<> show_log(Parts parts, GatewayCall call) {
  const bool from_site = call.caller.role == Role::Site;
  auto question = read_question(call.request.query, parts->self);
  if (!question) {
    co_await respond_error(call.out, question.error(), call.request_id);
    co_return;
  }
  Result<std::string> body =
      Error{Code::NotFound, "There is no such site; `perigee sites list` shows them.", "site"};
  if (question->site == parts->self) {
    body = co_await own_log(parts, question->since);
  } else if (!from_site) {
    std::string target = std::string{kPeerLog} + "?since=" + std::to_string(question->since);
    SiteId site = question->site;
    body = co_await fetch(parts, std::move(site), std::move(target), TenantId{});
  }
  co_await answer(call, std::move(body));
}

}  // namespace

void add_receipt_endpoints(Gateway& gateway, ReceiptEndpoints::Parts given) {
  const Parts parts = std::make_shared<const ReceiptEndpoints::Parts>(std::move(given));
  const auto receipt = [parts](const GatewayCall& call) { return show_receipt(parts, call); };
  const auto log = [parts](const GatewayCall& call) { return show_log(parts, call); };
  gateway.add("GET", kReceipts, Access::TenantOrOperator, receipt);
  gateway.add("GET", kLog, Access::TenantOrOperator, log);
  gateway.add("GET", kPeerReceipts, Access::Site, receipt);
  gateway.add("GET", kPeerLog, Access::Site, log);
}

}  // namespace perigee
