// A real control server on loopback, and followers of it.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fstream>
#include <future>
#include <new>

#include "api/error_body.h"
#include "control/control_client.h"
#include "control/control_server.h"
#include "control/control_test_grid.h"
#include "control/directory_follower.h"
#include "control/snapshot_file.h"
#include "directory/records_json.h"
#include "directory/sqlite/sqlite_directory.h"
#include "net/http_server.h"

namespace perigee::control {
namespace {

class FollowerTest : public testing::Test {
 protected:
  FollowerTest() { start_control(); }
  ~FollowerTest() override {
    server_.reset();
    io_.restart();
    io_.poll();
  }
  Executor executor() { return io_.get_executor(); }

  void start_control(bool restored = false) {
    auto directory = SqliteDirectory::open(folder_.file("directory.db"), {.history_max = 64});
    ASSERT_TRUE(directory) << directory.error().message;
    ControlServerOptions options;
    options.heartbeat = milliseconds{50};
    server_ = std::make_unique<ControlServer>(
        executor(), clock_,
        make_table(std::move(*directory), clock_, folder_.file("operator.key"), restored), options);
    auto bound = server_->listen({"127.0.0.1", port_, ""});
    ASSERT_TRUE(bound) << bound.error().message;
    port_ = bound->port;
    key_ = first_line(folder_.file("operator.key"));
  }
  void stop_control() {
    server_.reset();
    io_.restart();
    io_.poll();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // Runs the event loop until the condition holds; fails the test after ten seconds.
  template <class Condition>
  bool run_until(Condition condition) {
    const auto late = std::make_shared<bool>(false);
    asio::steady_timer deadline{io_, std::chrono::seconds{10}};
    // Its handler runs after this returns, when cancelled: it owns what it writes.
    deadline.async_wait([late](const boost::system::error_code& status) { *late = !status; });
    io_.restart();
    while (!condition() && !*late) io_.run_one();
    EXPECT_FALSE(*late) << "waited too long";
    return !*late;
  }
  template <class T>
  Result<T> wait_for(Task<Result<T>> task) {
    std::optional<Result<T>> outcome;
    asio::co_spawn(io_, std::move(task), [&outcome](const std::exception_ptr&, Result<T> result) {
      outcome = std::move(result);
    });
    run_until([&outcome] { return outcome.has_value(); });
    return outcome ? std::move(*outcome) : Error{Code::Internal, "no outcome"};
  }
  Result<std::string> call(const std::string& method, const std::string& path,
                           const std::string& body = "", const std::string& key = "") {
    ControlClient client{
        executor(), clock_, {{"127.0.0.1", port_, ""}, ""}, key.empty() ? key_ : key};
    return wait_for(client.call({method, "/control/v1/" + path, body, ""}));
  }
  std::string join(const std::string& site) {
    auto made = call("POST", "join-tokens", R"({"site":")" + site + R"(","jurisdiction":"de"})");
    EXPECT_TRUE(made) << made.error().message;
    auto joined = call("POST", "join",
                       R"({"token":")" + json_text(*made, "token") + R"(","name":")" + site +
                           R"(","url":"http://127.0.0.1:8101","tier":"metro",)"
                           R"("jurisdiction":"de","latitude":1,"longitude":2})");
    EXPECT_TRUE(joined) << joined.error().message;
    return json_text(*joined, "key");
  }
  FollowerOptions options(const std::string& key) const {
    FollowerOptions chosen;
    chosen.url = url();
    chosen.key = key;
    chosen.file = folder_.file("snapshot");
    chosen.retry_min = milliseconds{10};
    chosen.retry_max = milliseconds{40};
    return chosen;
  }
  std::unique_ptr<DirectoryFollower> follow(const FollowerOptions& chosen) {
    auto follower = std::make_unique<DirectoryFollower>(
        executor(), clock_, chosen, [this](const DirectoryFollower::Snapshot& snapshot) {
          revisions_.push_back(snapshot->revision);
        });
    const auto started = follower->start();
    EXPECT_TRUE(started) << started.error().message;
    return follower;
  }

  TestFolder folder_;
  asio::io_context io_{1};
  SystemClock clock_;
  std::uint16_t port_ = 0;
  std::unique_ptr<ControlServer> server_;
  std::string key_;
  std::vector<std::uint64_t> revisions_;
};

TEST_F(FollowerTest, ASiteSeesEveryChangeInOrder) {
  auto follower = follow(options(join("a")));
  ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
  const std::uint64_t start = follower->snapshot()->revision;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(call("PUT", "tenants/t" + std::to_string(i), "{}"));
  }
  ASSERT_TRUE(run_until([&] { return follower->snapshot()->revision == start + 20; }));
  EXPECT_EQ(follower->snapshot()->tenants.size(), 20U);
  EXPECT_EQ(follower->snapshot()->grid, "test");
  EXPECT_TRUE(std::ranges::is_sorted(revisions_));
}

// A site that followed no longer would serve revoked keys, and nobody would know.
using FollowerDeathTest = FollowerTest;
TEST_F(FollowerDeathTest, AnExceptionInItEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const FollowerOptions chosen = options(join("a"));
  const auto follow_without_memory = [&] {
    DirectoryFollower follower{executor(), clock_, chosen, [this](const auto&) {
                                 std::error_code other_writer;  // the snapshot's, now and then
                                 std::filesystem::remove_all(folder_.file(""), other_writer);
                                 throw std::bad_alloc{};
                               }};
    EXPECT_TRUE(follower.start());
    run_until([] { return false; });
  };
  EXPECT_DEATH(follow_without_memory(), "this process ends.*following control.*bad_alloc");
}

TEST_F(FollowerTest, AsksAtOnceWhenTheNetworkIsBack) {
  FollowerOptions patient = options(join("a"));
  patient.retry_min = patient.retry_max = seconds{3600};
  auto follower = follow(patient);
  ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
  stop_control();
  ASSERT_TRUE(run_until([&] { return !follower->link().connected; }));
  start_control();
  follower->hurry();
  EXPECT_TRUE(run_until([&] { return follower->link().connected; }));
  follower->hurry();
  EXPECT_TRUE(follower->link().connected) << "there was nothing to hurry for";
}

// A listener that never answers stands for a network that loses everything.
TEST_F(FollowerTest, GivesUpATryThatBeganWhileNothingCameThrough) {
  const std::string site_key = join("a");
  stop_control();
  asio::ip::tcp::acceptor silent{io_, {asio::ip::address_v4::loopback(), port_}};
  FollowerOptions patient = options(site_key);
  patient.retry_max = seconds{3600};
  patient.hopeless_after = Duration{};
  auto follower = follow(patient);
  asio::ip::tcp::socket heard{io_};
  bool asked = false;
  silent.async_accept(heard, [&asked](boost::system::error_code status) { asked = !status; });
  ASSERT_TRUE(run_until([&] { return asked; }));
  silent.close();
  start_control();
  follower->hurry();
  EXPECT_TRUE(run_until([&] { return follower->link().connected; }));
}

TEST_F(FollowerTest, ComesBackAfterControlRestartsAndMissesNothing) {
  const std::string site_key = join("a");
  auto follower = follow(options(site_key));
  ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
  stop_control();
  ASSERT_TRUE(run_until([&] { return !follower->link().connected; }));
  EXPECT_FALSE(follower->link().error.empty());
  EXPECT_NE(follower->snapshot(), nullptr) << "an island carries on";
  start_control();
  ASSERT_TRUE(call("PUT", "tenants/late", "{}"));
  ASSERT_TRUE(run_until(
      [&] { return follower->link().connected && follower->snapshot()->tenants.size() == 1; }));
}

TEST_F(FollowerTest, CatchesUpOverManyPagesWithoutAWholeSnapshot) {
  constexpr std::size_t kTenants = 40;
  const std::string site_key = join("a");
  auto follower = follow(options(site_key));
  ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
  follower.reset();
  const std::string unknown = R"(,"unknown":")" + std::string(std::size_t{8} * 1024, 'x') + R"("})";
  for (std::size_t i = 0; i < kTenants; ++i) {
    TenantRecord tenant;
    tenant.id = TenantId{"t" + std::to_string(i)};
    std::string row = to_row(tenant);
    row.replace(row.size() - 1, 1, unknown);
    ASSERT_TRUE(server_->table().apply(
        {{std::string{row_kind::kTenant}, tenant.id.str(), std::move(row), 0}}));
  }
  stop_control();  // the next one has no events at hand
  start_control();
  follower = follow(options(site_key));
  revisions_.clear();
  ASSERT_TRUE(run_until([&] { return follower->snapshot()->tenants.size() == kTenants; }));
  EXPECT_GT(revisions_.size(), 2U) << "a whole snapshot is one step";
  EXPECT_TRUE(std::ranges::is_sorted(revisions_));
}

TEST_F(FollowerTest, StartsFromDiskWhenControlIsGone) {
  const std::string site_key = join("a");
  {
    auto follower = follow(options(site_key));
    ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
    ASSERT_TRUE(call("PUT", "tenants/acme", "{}"));
    ASSERT_TRUE(run_until([&] { return follower->snapshot()->tenants.size() == 1; }));
  }
  stop_control();
  auto island = follow(options(site_key));
  ASSERT_NE(island->snapshot(), nullptr);
  EXPECT_EQ(island->snapshot()->tenants.size(), 1U);
  EXPECT_FALSE(island->link().connected);
  start_control();
  ASSERT_TRUE(run_until([&] { return island->link().connected; }));
}

TEST_F(FollowerTest, IgnoresADamagedSnapshotFile) {
  const FollowerOptions chosen = options(join("a"));
  for (const char* damage : {"", "garbage", "perigee-snapshot 1 00\n{}"}) {
    std::ofstream{chosen.file} << damage;
    auto follower = follow(chosen);
    EXPECT_EQ(follower->snapshot(), nullptr);
    ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
    EXPECT_NE(follower->snapshot(), nullptr);
  }
  std::vector<std::string> skipped;
  auto stored = load_snapshot(chosen.file, skipped);
  ASSERT_TRUE(stored) << "a good one has replaced it: " << stored.error().message;
  auto content = read_private_file(chosen.file, 1 << 20);
  content->at(content->size() / 2) ^= 1;
  ASSERT_TRUE(replace_private_file(chosen.file, *content));
  EXPECT_EQ(load_snapshot(chosen.file, skipped).error().code, Code::DataLoss) << "one wrong bit";
}

TEST_F(FollowerTest, TakesAWholeSnapshotWhenTheHistoryIsForgottenOrOfAnotherLife) {
  const std::string site_key = join("a");
  auto follower = follow(options(site_key));
  ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
  follower.reset();
  for (int i = 0; i < 80; ++i) ASSERT_TRUE(call("PUT", "tenants/t" + std::to_string(i), "{}"));
  stop_control();
  start_control();
  follower = follow(options(site_key));
  ASSERT_TRUE(run_until([&] { return follower->snapshot()->tenants.size() == 80; }));
  follower.reset();

  stop_control();
  std::filesystem::remove(folder_.file("directory.db"));
  std::filesystem::remove(folder_.file("directory.db-wal"));
  start_control();
  follower = follow(options(key_));
  ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
  EXPECT_TRUE(follower->snapshot()->tenants.empty()) << "a new directory, lower revisions";
}

// An older copy of the directory has keys that were revoked since, and makes the same revisions
// again with other content: nothing of it may reach a site unless an operator says so.
TEST_F(FollowerTest, KeepsWhatItHasWhenControlWasRestoredFromABackup) {
  const std::string site_key = join("a");
  ASSERT_TRUE(call("PUT", "tenants/acme", "{}"));
  auto made = call("POST", "keys", R"({"tenant":"acme"})");
  ASSERT_TRUE(made);
  const std::string id = json_text(*made, "id");
  stop_control();
  std::filesystem::copy_file(folder_.file("directory.db"), folder_.file("backup.db"));
  start_control();
  auto follower = follow(options(site_key));
  ASSERT_TRUE(call("DELETE", "keys/" + id, ""));
  const auto revoked = [&] {
    return follower->snapshot() && follower->snapshot()->keys.contains(id) &&
           follower->snapshot()->keys.at(id).revoked;
  };
  ASSERT_TRUE(run_until(revoked));

  stop_control();
  const auto restore = [&] {
    std::filesystem::remove(folder_.file("directory.db-wal"));
    std::filesystem::remove(folder_.file("directory.db-shm"));
    std::filesystem::copy_file(folder_.file("backup.db"), folder_.file("directory.db"),
                               std::filesystem::copy_options::overwrite_existing);
  };
  restore();
  start_control();
  ASSERT_TRUE(run_until([&] {
    return follower->link().error.find("older copy") != std::string::npos;
  })) << follower->link().error;
  EXPECT_TRUE(revoked()) << "nothing is un-revoked";
  for (int i = 0; i < 9; ++i) ASSERT_TRUE(call("PUT", "tenants/t" + std::to_string(i), "{}"));
  const std::size_t seen = revisions_.size();
  follower.reset();
  follower = follow(options(site_key));  // now this control has revisions beyond the site's
  ASSERT_TRUE(
      run_until([&] { return follower->link().error.find("older copy") != std::string::npos; }));
  EXPECT_TRUE(revoked());
  EXPECT_EQ(revisions_.size(), seen + 1) << "its own file, and nothing of control";

  stop_control();
  start_control(true);
  ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
  EXPECT_EQ(follower->snapshot()->tenants.size(), 10U) << "the operator has decided";
}

// A control that a disk was restored to between its two answers: it has forgotten the changes that
// are asked for, and `offered` is the directory that it then has.
class ReplacedControl {
 public:
  ReplacedControl(Executor executor, const Clock& clock)
      : server_(executor, clock, net::ServerLimits{},
                [this](net::Request& request, net::ResponseWriter& out) {
                  return answer(request, out);
                }) {}
  std::string listen() {
    return "http://127.0.0.1:" + std::to_string(server_.listen({"127.0.0.1", 0, ""})->port);
  }

  DirectorySnapshot offered;
  int taken = 0;
  bool fails = false;  // it can't give a whole snapshot
  std::string asked;   // for: 'w' a watch, 's' a snapshot

 private:
  Task<> answer(net::Request& request, net::ResponseWriter& out) {
    const bool whole = request.path == "/control/v1/snapshot";
    asked += whole ? 's' : 'w';
    int status = 200;
    std::string body = to_json(offered);
    if (!whole) {
      status = 412;
      body = api::error_body({Code::FailedPrecondition, "forgotten: take a whole snapshot"});
    } else if (fails) {
      status = 503;
      body = api::error_body({Code::Unavailable, "being restored"});
    } else {
      ++taken;
    }
    const auto sent = co_await out.respond(status, {}, body);
    static_cast<void>(sent);
  }
  net::HttpServer server_;
};

DirectorySnapshot directory_at(std::uint64_t revision, const std::string& epoch) {
  DirectorySnapshot directory;
  directory.revision = revision;
  directory.epoch = epoch;
  directory.grid = "test";
  return directory;
}

TEST_F(FollowerTest, TakesNoOlderCopyAsAWholeSnapshotEither) {
  ReplacedControl control{executor(), clock_};
  FollowerOptions chosen = options("any");
  chosen.url = control.listen();
  ASSERT_TRUE(save_snapshot(chosen.file, directory_at(10, "life/second")));
  control.offered = directory_at(9, "life/first");
  auto follower = follow(chosen);
  ASSERT_TRUE(run_until([&] { return control.taken >= 3; })) << "it is tried again";
  EXPECT_EQ(follower->snapshot()->revision, 10U);
  EXPECT_FALSE(follower->link().connected);
  ASSERT_TRUE(run_until([&] {
    return follower->link().error.find("older copy") != std::string::npos;
  })) << follower->link().error;

  control.offered = directory_at(11, "life/third");
  ASSERT_TRUE(run_until([&] { return follower->snapshot()->revision == 11; }));
  control.offered = directory_at(1, "another life/first");
  ASSERT_TRUE(run_until([&] { return follower->snapshot()->revision == 1; }))
      << "revisions of two epochs do not compare";
}

// Control may be another by then: only the watch tells whether it knows what this site has.
TEST_F(FollowerTest, AsksForAWatchAgainWhenItGotNoWholeSnapshot) {
  ReplacedControl control{executor(), clock_};
  FollowerOptions chosen = options("any");
  chosen.url = control.listen();
  ASSERT_TRUE(save_snapshot(chosen.file, directory_at(10, "life/second")));
  control.fails = true;
  auto follower = follow(chosen);
  ASSERT_TRUE(run_until([&] { return control.asked.size() >= 4; }));
  EXPECT_EQ(control.asked.substr(0, 4), "wsws");
}

TEST_F(FollowerTest, GoesOnWithoutAWholeSnapshotWhenControlRestarts) {
  const std::string site_key = join("a");
  auto follower = follow(options(site_key));
  ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
  const std::string epoch = follower->snapshot()->epoch;
  stop_control();
  ASSERT_TRUE(run_until([&] { return !follower->link().connected; }));
  start_control();
  ASSERT_TRUE(run_until([&] { return follower->snapshot()->epoch != epoch; }));
  EXPECT_TRUE(follower->link().connected);
  EXPECT_EQ(follower->snapshot()->epoch.substr(0, 16), epoch.substr(0, 16)) << "the same life";
}

TEST_F(FollowerTest, ARevokedKeyIsKnownToAFollowerAtOnce) {
  ASSERT_TRUE(call("PUT", "tenants/acme", "{}"));
  auto made = call("POST", "keys", R"({"tenant":"acme"})");
  const std::string text = json_text(*made, "key");
  auto follower = follow(options(join("a")));
  ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
  ApiKeys keys{clock_};
  keys.update(*follower->snapshot());
  ASSERT_TRUE(keys.authenticate("Bearer " + text));
  ASSERT_TRUE(call("DELETE", "keys/" + json_text(*made, "id")));
  ASSERT_TRUE(run_until([&] {
    keys.update(*follower->snapshot());
    return !keys.authenticate("Bearer " + text).has_value();
  }));
}

TEST_F(FollowerTest, ARemovedSiteIsCutOffFromTheWatch) {
  const std::string site_key = join("a");
  auto follower = follow(options(site_key));
  ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
  ASSERT_TRUE(call("DELETE", "sites/a"));
  ASSERT_TRUE(run_until([&] { return !follower->link().connected; }));
  EXPECT_TRUE(follower->snapshot()->sites.contains(SiteId{"a"}))
      << "the change was not shown to it";
  EXPECT_EQ(call("GET", "snapshot", "", site_key).error().code, Code::Unauthenticated);
}

TEST_F(FollowerTest, ASiteKeyCannotWrite) {
  const std::string site_key = join("a");
  EXPECT_EQ(call("PUT", "tenants/t", "{}", site_key).error().code, Code::PermissionDenied);
  EXPECT_EQ(call("GET", "watch", "", site_key).error().param, "from");
  EXPECT_EQ(call("GET", "watch?from=999999", "", site_key).error().code, Code::FailedPrecondition);
}

TEST_F(FollowerTest, ListensOnLoopbackOnly) {
  const auto refused = server_->listen({"0.0.0.0", 0, ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  EXPECT_NE(refused.error().message.find("loopback"), std::string::npos);
}

TEST_F(FollowerTest, ShutsDownWhileWatched) {
  auto follower = follow(options(join("a")));
  ASSERT_TRUE(run_until([&] { return follower->link().connected; }));
  bool done = false;
  asio::co_spawn(io_, server_->shut_down(seconds{5}),
                 [&done](const std::exception_ptr&) { done = true; });
  ASSERT_TRUE(run_until([&] { return done && !follower->link().connected; }));
}

}  // namespace
}  // namespace perigee::control
