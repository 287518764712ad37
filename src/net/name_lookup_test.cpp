#include "net/name_lookup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "net/http_client.h"
#include "net/test_support.h"

namespace perigee::net {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr std::chrono::seconds kPatience{10};

// Stands for a DNS server: silent about each name until that is released, then 127.0.0.1.
class StubServer {
 public:
  Result<Addresses> ask(const std::string& name) {
    std::unique_lock lock{mutex_};
    asked_.push_back(name);
    ++waiting_;
    waiting_max_ = std::max(waiting_max_, waiting_);
    changed_.notify_all();
    changed_.wait(lock, [&] { return all_released_ || std::erase(released_, name) > 0; });
    --waiting_;
    const Endpoint there{"127.0.0.1", 0, {}};
    return Addresses{literal_address(there).value().value()};
  }
  void release(const std::string& name) {
    const std::scoped_lock lock{mutex_};
    released_.push_back(name);
    changed_.notify_all();
  }
  void release_all() {
    const std::scoped_lock lock{mutex_};
    all_released_ = true;
    changed_.notify_all();
  }
  // Waits until so many were asked, and gives their names in the order of asking.
  std::vector<std::string> asked(std::size_t count) {
    std::unique_lock lock{mutex_};
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return asked_.size() >= count; }));
    return asked_;
  }
  std::size_t waiting_max() {
    const std::scoped_lock lock{mutex_};
    return waiting_max_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> asked_;
  std::vector<std::string> released_;
  std::size_t waiting_ = 0;
  std::size_t waiting_max_ = 0;
  bool all_released_ = false;
};

// Its end shows that no thread is left that asks the server.
class OwnedServer {
 public:
  StubServer& operator*() const { return *server_; }
  StubServer* operator->() const { return server_.get(); }
  NameLookup::Ask ask() const {
    return [server = server_](const std::string& name) { return server->ask(name); };
  }
  // Forgets the server; true once nobody else knows it any more either.
  bool ends() {
    server_.reset();
    return ended_.wait_for(kPatience) == std::future_status::ready;
  }

 private:
  std::shared_ptr<std::promise<void>> end_ = std::make_shared<std::promise<void>>();
  std::future<void> ended_ = end_->get_future();
  std::shared_ptr<StubServer> server_{new StubServer, [end = end_](StubServer* server) {
                                        delete server;
                                        end->set_value();
                                      }};
};

bool readable(int fd, std::chrono::milliseconds patience) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, static_cast<int>(patience.count())) == 1;
}

// Waits for the answer without an event loop.
Result<Addresses> answer_of(const NameLookup::Wait& wait) {
  const int fd = wait.descriptor();
  EXPECT_TRUE(readable(fd, kPatience));
  ::close(fd);
  return wait.answer();
}

class NameLookupTest : public ::testing::Test {
 protected:
  NameLookupTest() : names_(asio::make_service<NameLookup>(*context_, server_.ask())) {}
  ~NameLookupTest() override { server_->release_all(); }
  NameLookup::Wait start(const std::string& name) { return names_.start(name).value(); }

  OwnedServer server_;
  std::unique_ptr<asio::io_context> context_ = std::make_unique<asio::io_context>(1);
  NameLookup& names_;
};

TEST_F(NameLookupTest, NamesAreAskedSideBySide) {
  const NameLookup::Wait one = start("one.test");
  const NameLookup::Wait two = start("two.test");
  EXPECT_THAT(server_->asked(2), UnorderedElementsAre("one.test", "two.test"));
  server_->release("two.test");  // the one begun later ends first
  EXPECT_EQ(answer_of(two).value().size(), 1U);
  const int fd = one.descriptor();
  EXPECT_FALSE(readable(fd, {}));
  ::close(fd);
  server_->release("one.test");
  EXPECT_EQ(answer_of(one).value().size(), 1U);
}

TEST_F(NameLookupTest, ANameIsAskedOnceForAllWhoWaitForIt) {
  const NameLookup::Wait first = start("one.test");
  server_->asked(1);
  const NameLookup::Wait second = start("one.test");
  server_->release("one.test");
  EXPECT_TRUE(answer_of(first));
  EXPECT_TRUE(answer_of(second));
  EXPECT_THAT(server_->asked(1), ElementsAre("one.test"));
  const NameLookup::Wait later = start("one.test");  // not remembered
  EXPECT_THAT(server_->asked(2), ElementsAre("one.test", "one.test"));
}

TEST_F(NameLookupTest, WhoLeavesIsNotWaitedForAndWhoComesGetsTheSameAnswer) {
  {
    const NameLookup::Wait left = start("one.test");
  }
  {
    const NameLookup::Wait also_left = start("one.test");
    server_->asked(1);
  }
  const NameLookup::Wait stayed = start("one.test");
  server_->release("one.test");
  EXPECT_TRUE(answer_of(stayed));
  EXPECT_THAT(server_->asked(1), ElementsAre("one.test"));
}

TEST_F(NameLookupTest, ThreadsAndNamesAreBounded) {
  std::vector<NameLookup::Wait> waits;
  for (std::size_t i = 0; i < NameLookup::kNamesMax; ++i) {
    waits.push_back(start("name-" + std::to_string(i) + ".test"));
  }
  const auto refused = names_.start("one-more.test");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("one-more.test"));
  EXPECT_TRUE(names_.start("name-0.test"));  // costs no place
  server_->asked(NameLookup::kThreadsMax);
  waits.pop_back();  // nobody waits for the last name any more, and none has begun it
  const NameLookup::Wait fits = start("one-more.test");
  server_->release_all();
  for (const NameLookup::Wait& wait : waits) EXPECT_TRUE(answer_of(wait));
  EXPECT_TRUE(answer_of(fits));
  const std::vector<std::string> asked = server_->asked(NameLookup::kNamesMax);
  EXPECT_EQ(asked.size(), NameLookup::kNamesMax);
  EXPECT_THAT(asked, Not(Contains("name-255.test")));
  EXPECT_EQ(server_->waiting_max(), NameLookup::kThreadsMax);
}

TEST_F(NameLookupTest, TheContextEndsWhileANameHangsAndTheLateAnswerHarmsNothing) {
  const NameLookup::Wait outlives = start("one.test");
  {
    const NameLookup::Wait left = start("two.test");
    server_->asked(2);
  }
  context_.reset();  // returns, though neither was released yet
  server_->release("two.test");
  server_->release("one.test");
  EXPECT_TRUE(answer_of(outlives));
}

TEST(NameLookupThreads, EndWhenNoNameIsLeft) {
  OwnedServer server;
  {
    asio::io_context context{1};
    auto& names = asio::make_service<NameLookup>(context, server.ask());
    const auto wait = names.start("one.test");
    server->asked(1);
  }
  server->release("one.test");
  EXPECT_TRUE(server.ends());
}

TEST(NameLookupDeathTest, TheProcessEndsWhileANameHangs) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        OwnedServer server;
        asio::io_context context{1};
        auto& names = asio::make_service<NameLookup>(context, server.ask());
        const auto wait = names.start("one.test");
        server->asked(1);
        std::exit(wait ? 0 : 1);  // NOLINT(concurrency-mt-unsafe): what is tried here
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(AskSystem, GivesAddressesOrSaysWhyNot) {
  const auto found = ask_system("127.0.0.1");  // the same path, but nothing is sent
  ASSERT_EQ(found.value().size(), 1U);
  EXPECT_EQ(found.value()[0].storage.ss_family, AF_INET);
  EXPECT_TRUE(is_loopback(found.value()[0]));
  const auto none = ask_system(std::string(64, 'a'));  // no label is so long: nothing is sent
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::Unavailable);
  EXPECT_THAT(none.error().message, HasSubstr("can't resolve aaaa"));
}

Task<void> answer_ok(Request&, ResponseWriter& out) {
  auto sent = co_await out.respond(200, {}, "ok");
  static_cast<void>(sent);
}

// A client whose names the stub knows, and what its exchanges came to.
class ResolvingClientTest : public ::testing::Test {
 protected:
  ResolvingClientTest() : context_(std::in_place, 1) {
    asio::make_service<NameLookup>(*context_, server_.ask());
  }
  ~ResolvingClientTest() override {
    client_.reset();
    context_.reset();
    server_->release_all();
    EXPECT_TRUE(server_.ends());
  }

  Task<void> fetch(Endpoint endpoint, Abort* abort, std::optional<Result<int>>& out) {
    ClientRequest request;
    request.method = "GET";
    auto response = co_await client_->send(endpoint, request, abort);
    if (!response) {
      out.emplace(response.error());
    } else {
      out.emplace(response->status());
    }
  }
  void begin(std::string host, std::optional<Result<int>>& out, Abort* abort = nullptr,
             ClientLimits limits = {}) {
    if (!client_) client_.emplace(context_->get_executor(), clock_, limits);
    const Endpoint endpoint{std::move(host), peer_.endpoint().port, {}};
    asio::co_spawn(*context_, fetch(endpoint, abort, out), asio::detached);
    context_->restart();
    context_->poll();  // up to its wait
  }
  void run_until(const std::function<bool()>& done) {
    context_->restart();
    while (!done()) ASSERT_NE(context_->run_one(), 0U);
  }

  SystemClock clock_;
  TestServer peer_{answer_ok};
  OwnedServer server_;
  std::optional<asio::io_context> context_;
  std::optional<HttpClient> client_;
};

TEST_F(ResolvingClientTest, ASilentNameHoldsUpNoOther) {
  std::optional<Result<int>> silent;
  std::optional<Result<int>> known;
  ClientLimits limits;
  limits.connect_timeout = seconds{60};
  begin("silent.test", silent, nullptr, limits);
  begin("known.test", known);
  server_->release("known.test");
  run_until([&] { return known.has_value(); });
  EXPECT_EQ(known->value(), 200);
  EXPECT_FALSE(silent);
  server_->release("silent.test");
  run_until([&] { return silent.has_value(); });
  EXPECT_EQ(silent->value(), 200);
}

TEST_F(ResolvingClientTest, AnAbortEndsTheWaitForAName) {
  std::optional<Result<int>> outcome;
  Abort abort;
  begin("silent.test", outcome, &abort);
  server_->asked(1);
  abort.abort();
  run_until([&] { return outcome.has_value(); });
  EXPECT_EQ(outcome->error().code, Code::Cancelled);
}

TEST_F(ResolvingClientTest, TheConnectTimeoutEndsTheWaitForAName) {
  std::optional<Result<int>> outcome;
  ClientLimits limits;
  limits.connect_timeout = milliseconds{10};
  begin("silent.test", outcome, nullptr, limits);
  run_until([&] { return outcome.has_value(); });
  EXPECT_EQ(outcome->error().code, Code::DeadlineExceeded);
  EXPECT_THAT(outcome->error().message, HasSubstr("resolving its name"));
}

TEST_F(ResolvingClientTest, TheContextEndsWithAWaitingExchange) {
  std::optional<Result<int>> outcome;
  begin("silent.test", outcome);
  server_->asked(1);
  client_.reset();
  context_.reset();
  EXPECT_FALSE(outcome);
}

TEST_F(ResolvingClientTest, LiteralAddressesAndLocalhostAskNobody) {
  for (const char* host : {"127.0.0.1", "localhost"}) {
    std::optional<Result<int>> outcome;
    begin(host, outcome);
    run_until([&] { return outcome.has_value(); });
    EXPECT_EQ(outcome->value(), 200);
  }
  EXPECT_TRUE(server_->asked(0).empty());
}

}  // namespace
}  // namespace perigee::net
