// Control and an identity provider, both on loopback: how an issuer's keys are fetched.
#include "control/issuer_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <optional>

#include "control/control_client.h"
#include "control/control_server.h"
#include "control/control_test_grid.h"
#include "net/http_server.h"
#include "net/tls_test_support.h"

namespace perigee::control {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Timer = asio::steady_timer::rebind_executor<Executor>::other;

// The public key of RFC 8037, appendix A.2, under a name.
std::string keys_named(const std::string& kid, const std::string& more = "") {
  return R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":")" + kid +
         R"(","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")" + more + "}]}";
}

class IssuerKeysTest : public testing::Test {
 protected:
  IssuerKeysTest()
      : server_(std::make_unique<ControlServer>(
            io_.get_executor(), clock_,
            make_table(std::make_unique<MemoryDirectory>(), clock_, folder_.file("operator.key")))),
        provider_(std::make_unique<net::HttpServer>(
            io_.get_executor(), clock_, net::ServerLimits{},
            [this](net::Request& request, net::ResponseWriter& out) {
              return publish(request, out);
            })) {
    auto audit = AuditLog::open(folder_.file("audit.log"));
    EXPECT_TRUE(audit) << audit.error().message;
    server_->keep_audit(std::move(*audit));
    port_ = server_->listen({"127.0.0.1", 0, ""})->port;
    url_ = "http://127.0.0.1:" + std::to_string(provider_->listen({"127.0.0.1", 0, ""})->port) +
           "/keys";
    operator_key_ = first_line(folder_.file("operator.key"));
    put("PUT", "tenants/acme", "{}");
  }
  ~IssuerKeysTest() override {
    server_.reset();
    provider_.reset();
    io_.restart();
    io_.poll();
  }

  // Every path below /keys is a provider's, with keys of its own or those that all have.
  Task<> publish(net::Request& request, net::ResponseWriter& out) {
    const std::string path{request.path};
    EXPECT_TRUE(path.starts_with("/keys")) << path;
    ++asked_;
    ++asked_of_[path];
    if (path == held_path_) (void)co_await held_.async_wait(kAwait);
    if (slow_.count() > 0 && path != "/keys/z") {
      Timer answers{io_.get_executor(), slow_};
      (void)co_await answers.async_wait(kAwait);
    }
    const std::array<net::Header, 1> headers{net::Header{"location", url_}};
    const auto own = published_of_.find(path);
    const std::string body = own == published_of_.end() ? published_ : own->second;
    auto sent = co_await out.respond(status_, headers, body);
    static_cast<void>(sent);
  }
  void fetch_every(Duration interval, const std::string& authorities_pem = "") {
    auto client = JwksClient::make(io_.get_executor(), clock_, authorities_pem);
    ASSERT_TRUE(client) << client.error().message;
    server_->keep_issuer_keys(std::move(*client), interval);
  }
  template <class Condition>
  bool run_until(Condition condition) {
    bool late = false;
    asio::steady_timer deadline{io_, std::chrono::seconds{20}};
    deadline.async_wait([&late](const boost::system::error_code& status) { late = !status; });
    io_.restart();
    while (!condition() && !late) io_.run_one();
    EXPECT_FALSE(late) << "waited too long";
    deadline.cancel();
    io_.poll();
    return !late;
  }
  // A call under way.
  struct Call {
    ControlClient client;
    std::optional<Result<std::string>> outcome;
  };
  std::unique_ptr<Call> begin(const std::string& method, const std::string& path,
                              const std::string& body, const std::string& key) {
    auto begun = std::make_unique<Call>(
        Call{ControlClient{io_.get_executor(), clock_, {{"127.0.0.1", port_, ""}, ""}, key}, {}});
    asio::co_spawn(io_, begun->client.call({method, "/control/v1/" + path, body, ""}),
                   [call = begun.get()](const std::exception_ptr&, Result<std::string> result) {
                     call->outcome = std::move(result);
                   });
    return begun;
  }
  Result<std::string> end(Call& call) {
    run_until([&] { return call.outcome.has_value(); });
    return call.outcome ? std::move(*call.outcome) : Error{Code::Internal, "no outcome"};
  }
  Result<std::string> call(const std::string& method, const std::string& path,
                           const std::string& body = "") {
    return end(*begin(method, path, body, operator_key_));
  }
  void put(const std::string& method, const std::string& path, const std::string& body) {
    auto done = call(method, path, body);
    ASSERT_TRUE(done) << done.error().message;
  }
  static std::string issuer(const std::string& keys) {
    return R"({"issuer":"https://id.example","audience":"grid","algorithms":["EdDSA"],)"
           R"("tenant":"acme",)" +
           keys + "}";
  }
  Result<std::string> set_issuer(const std::string& url) {
    return call("PUT", "issuers/corp", issuer(R"("jwks_url":")" + url + R"(")"));
  }
  // Each at a provider of its own.
  void set_issuers(std::initializer_list<std::string> names) {
    for (const std::string& name : names) {
      put("PUT", "issuers/" + name,
          R"({"issuer":"https://)" + name +
              R"(","audience":"grid","algorithms":["EdDSA"],"tenant":"acme","jwks_url":")" + url_ +
              "/" + name + R"("})");
    }
  }
  std::string keys() { return server_->table().snapshot().issuers.at("corp").jwks; }

  TestFolder folder_;
  asio::io_context io_{1};
  SystemClock clock_;
  std::unique_ptr<ControlServer> server_;
  std::unique_ptr<net::HttpServer> provider_;
  std::uint16_t port_ = 0;
  std::string url_;
  std::string operator_key_;
  std::string published_ = keys_named("first", R"(,"x5c":["MIIB"])");
  int status_ = 200;
  int asked_ = 0;
  std::map<std::string, int> asked_of_;
  std::map<std::string, std::string> published_of_;
  std::string held_path_;  // whoever asks for it waits for held_
  Duration slow_{};        // all but /keys/z
  Timer held_{io_.get_executor(), Timer::time_point::max()};
};

TEST_F(IssuerKeysTest, AnIssuerWithAUrlHasTheKeysThatItPublishes) {
  fetch_every(seconds{900});
  const auto set = set_issuer(url_);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_THAT(keys(), HasSubstr(R"("kid":"first")"));
  EXPECT_THAT(keys(), Not(HasSubstr("x5c")));
  const auto shown = call("GET", "issuers/corp");
  ASSERT_TRUE(shown);
  EXPECT_EQ(json_text(*shown, "jwks_url"), url_);
  EXPECT_THAT(*shown, HasSubstr(R"("keys_error":"")"));
  EXPECT_THAT(*shown, Not(HasSubstr(R"("keys_fetched_us":0)")));
}

TEST_F(IssuerKeysTest, NewKeysAreTakenWithoutAnybodyAskingAndTheSameOnesChangeNothing) {
  fetch_every(milliseconds{20});
  ASSERT_TRUE(set_issuer(url_));
  const std::uint64_t revision = server_->table().snapshot().revision;
  const int before = asked_;
  run_until([&] { return asked_ >= before + 3; });
  EXPECT_EQ(server_->table().snapshot().revision, revision);
  published_ = keys_named("second");
  run_until([&] { return keys().find("second") != std::string::npos; });
  EXPECT_EQ(server_->table().snapshot().revision, revision + 1);
  bool audited = false;
  EXPECT_TRUE(check_audit_file(folder_.file("audit.log"), [&](std::string_view line) {
    audited |= line.find(R"("actor":"control","from":")" + url_ +
                         R"(","action":"refresh issuer","name":"corp")") != std::string_view::npos;
  }));
  EXPECT_TRUE(audited);
}

TEST_F(IssuerKeysTest, AFetchThatFailsKeepsTheKeysAndSaysWhy) {
  fetch_every(seconds{900});
  ASSERT_TRUE(set_issuer(url_));
  const std::string good = keys();
  const auto fails = [&](int status, const std::string& body, const std::string& why) {
    status_ = status;
    published_ = body;
    const auto refreshed = call("POST", "issuers/corp/refresh");
    ASSERT_FALSE(refreshed) << body;
    EXPECT_THAT(refreshed.error().message, HasSubstr(why));
    EXPECT_EQ(keys(), good);
    EXPECT_THAT(*call("GET", "issuers/corp"), HasSubstr(why));
  };
  fails(500, "{}", "status 500");
  fails(302, "{}", "redirect");
  fails(200, "<html>", "JWK set");
  fails(200, R"({"keys":[]})", "none of its keys");
  fails(200, keys_named("stolen", R"(,"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")"),
        "private");
  fails(200, keys_named("long", R"(,"x5c":[")" + std::string(kJwksFetchedBytesMax, 'A') + R"("])"),
        "can't be fetched");
  published_ = keys_named("second");
  const auto refreshed = call("POST", "issuers/corp/refresh");
  ASSERT_TRUE(refreshed) << refreshed.error().message;
  EXPECT_THAT(keys(), HasSubstr("second"));
  EXPECT_THAT(*call("GET", "issuers/corp"), HasSubstr(R"("keys_error":"")"));
}

TEST_F(IssuerKeysTest, RefusesAUrlThatCantBeTrustedOrFetched) {
  fetch_every(seconds{900});
  for (const std::string& url :
       {std::string{"http://id.example/keys"}, std::string{"ftp://x/keys"},
        std::string{"unix:/keys"}, std::string{"http://127.0.0.1:1/keys"}}) {
    const auto set = set_issuer(url);
    ASSERT_FALSE(set) << url;
    EXPECT_EQ(set.error().param, "jwks_url") << set.error().message;
  }
  EXPECT_TRUE(server_->table().snapshot().issuers.empty());
  const std::string both = issuer(R"("jwks":"{}","jwks_url":")" + url_ + R"(")");
  EXPECT_EQ(call("PUT", "issuers/corp", both).error().param, "jwks");
  EXPECT_EQ(call("PUT", "issuers/corp", issuer(R"("jwks_url":"")")).error().param, "jwks");
  EXPECT_EQ(call("POST", "issuers/corp/refresh").error().code, Code::NotFound);
}

// Else the provider that an admin has just replaced would have the last word, for an interval.
TEST_F(IssuerKeysTest, KeysOfAUrlThatWasReplacedWhileTheyWereFetchedAreNotTaken) {
  fetch_every(seconds{900});
  ASSERT_TRUE(set_issuer(url_));
  published_of_["/keys/new"] = keys_named("second");
  held_path_ = "/keys";
  const auto refresh = begin("POST", "issuers/corp/refresh", "", operator_key_);
  run_until([&] { return asked_of_["/keys"] == 2; });
  ASSERT_TRUE(set_issuer(url_ + "/new"));
  held_.cancel();
  const auto refreshed = end(*refresh);
  ASSERT_FALSE(refreshed);
  EXPECT_EQ(refreshed.error().code, Code::FailedPrecondition);
  EXPECT_THAT(refreshed.error().message, HasSubstr("was changed while its keys were fetched"));
  EXPECT_THAT(keys(), HasSubstr("second"));
  EXPECT_THAT(*call("GET", "issuers/corp"), HasSubstr(R"("keys_error":"")"));
}

TEST_F(IssuerKeysTest, WhoLostTheRightMeanwhileChangesNothing) {
  fetch_every(seconds{900});
  const auto made = call("POST", "keys", R"({"role":"operator"})");
  ASSERT_TRUE(made) << made.error().message;
  held_path_ = "/keys";
  const auto set = begin("PUT", "issuers/corp", issuer(R"("jwks_url":")" + url_ + R"(")"),
                         json_text(*made, "key"));
  run_until([&] { return asked_ == 1; });
  ASSERT_TRUE(call("DELETE", "keys/" + json_text(*made, "id")));
  held_.cancel();
  EXPECT_EQ(end(*set).error().code, Code::Unauthenticated);
  EXPECT_TRUE(server_->table().snapshot().issuers.empty());
}

// Where two take longer than the interval, each is due again before the other has ended.
TEST_F(IssuerKeysTest, NoIssuerTakesTheTurnOfAnother) {
  fetch_every(milliseconds{10});
  slow_ = milliseconds{20};
  set_issuers({"a", "b", "z"});
  run_until([&] { return asked_of_["/keys/z"] >= 4; });
}

// Not even for as long as a provider has to answer.
TEST_F(IssuerKeysTest, AProviderThatNeverAnswersDelaysNoOthersKeys) {
  fetch_every(milliseconds{20});
  set_issuers({"a", "z"});
  held_path_ = "/keys/a";
  const int before = asked_of_["/keys/a"];
  run_until([&] { return asked_of_["/keys/a"] > before; });
  published_of_["/keys/z"] = keys_named("second");
  const int seen = asked_of_["/keys/z"];
  run_until([&] { return asked_of_["/keys/z"] >= seen + 3; });
  EXPECT_THAT(server_->table().snapshot().issuers.at("z").jwks, HasSubstr("second"));
  EXPECT_EQ(asked_of_["/keys/a"], before + 1) << "it is asked once at a time";
  EXPECT_THAT(*call("GET", "issuers/a"), HasSubstr(R"("keys_error":"")"));
  held_.cancel();
  held_path_.clear();
  run_until([&] { return asked_of_["/keys/a"] >= before + 2; });
}

TEST_F(IssuerKeysTest, TheProvidersCertificateIsChecked) {
  const net::TestGrid pki{"pki"};
  const auto shown = pki.site("provider").own;
  provider_->use_tls(net::TlsServer::make({std::nullopt, shown}).value());
  const std::string url = "https://localhost" + url_.substr(url_.rfind(':'));
  const net::TestGrid other{"other"};
  fetch_every(seconds{900}, other.authorities_pem());
  const auto refused = set_issuer(url);
  ASSERT_FALSE(refused);
  EXPECT_EQ(asked_, 0);
  EXPECT_THAT(refused.error().message, HasSubstr("can't be fetched"));
}

TEST_F(IssuerKeysTest, AProviderOfAGivenAuthorityIsBelieved) {
  const net::TestGrid pki{"pki"};
  provider_->use_tls(net::TlsServer::make({std::nullopt, pki.site("provider").own}).value());
  fetch_every(seconds{900}, pki.authorities_pem());
  const auto set = set_issuer("https://localhost" + url_.substr(url_.rfind(':')));
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_THAT(keys(), HasSubstr("first"));
}

}  // namespace
}  // namespace perigee::control
