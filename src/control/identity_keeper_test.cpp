#include "control/identity_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/private_file.h"
#include "control/grid_authority.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/tls_test_support.h"
#include "pki/authority.h"

namespace perigee::control {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

// A clock that is moved by hand, the calendar by itself; the timers' own clock runs on.
class MovedClock final : public Clock {
 public:
  Instant now() const override { return machine_.now() + passed; }
  WallTime wall() const override { return WallTime{machine_.wall().micros + ahead_us}; }
  std::int64_t ahead_us = 0;
  Duration passed{};

 private:
  SystemClock machine_;
};

Task<> say_nothing(net::Request&, net::ResponseWriter& out) {
  const auto sent = co_await out.respond(204, {}, "");
  static_cast<void>(sent);
}

Task<bool> ask(net::HttpClient& client, net::Endpoint endpoint) {
  net::ClientRequest request;
  request.method = "GET";
  auto answer = co_await client.send(std::move(endpoint), request);
  co_return answer.has_value();
}

class IdentityKeeperTest : public testing::Test {
 protected:
  IdentityKeeperTest() {
    std::string name = testing::TempDir() + "/identity.XXXXXX";
    folder_ = ::mkdtemp(name.data());
    fs::create_directory(folder_ + "/tls");
    EXPECT_TRUE(init_authority(folder_ + "/control", "acme", clock_.wall()));
    authority_ = *GridAuthority::open(folder_ + "/control", clock_);
    files_ = member_files_in(folder_);
    write(files_.key, key_.to_pem());
    write(files_.authorities, authority_->authorities_pem());
    write(files_.certificate, chain_for("metro"));
  }
  ~IdentityKeeperTest() override { fs::remove_all(folder_); }
  std::string chain_for(const std::string& site) {
    return authority_
        ->sign_site(pki::make_certificate_request(key_, site), SiteId{site}, "127.0.0.1")
        .value();
  }
  static void write(const std::string& path, const std::string& text) {
    EXPECT_TRUE(replace_private_file(path, text));
  }
  IdentityOptions options() {
    IdentityOptions wishes;
    wishes.member = files_;
    wishes.look = milliseconds{10};
    return wishes;
  }
  // Turns the loop until `condition` holds.
  template <class Condition>
  bool until(Condition condition) {
    const Instant limit = clock_.now() + seconds{10};
    while (!condition() && clock_.now() < limit) io_.run_one_for(milliseconds{50});
    return condition();
  }

  // Whether clients who believe these authorities alone take what is shown to them.
  bool clients_believe(const IdentityKeeper& keeper, const std::string& authorities_pem) {
    net::HttpServer server{io_.get_executor(), clock_, {}, say_nothing};
    server.use_tls(keeper.server());
    auto endpoint = *server.listen({"127.0.0.1", 0, ""});
    endpoint.tls_name = "localhost";
    net::HttpClient client{io_.get_executor(), clock_, {}, net::web_client(authorities_pem)};
    std::optional<bool> believed;
    asio::co_spawn(io_, ask(client, endpoint),
                   [&](const std::exception_ptr&, bool answered) { believed = answered; });
    EXPECT_TRUE(until([&] { return believed.has_value(); }));
    return believed.value_or(false);
  }

  MovedClock clock_;
  asio::io_context io_{1};
  std::string folder_;
  std::unique_ptr<GridAuthority> authority_;
  const pki::KeyPair key_ = pki::KeyPair::generate();
  MemberFiles files_;
};

TEST_F(IdentityKeeperTest, KnowsWhoItsFilesSayItIs) {
  IdentityKeeper keeper{io_.get_executor(), clock_, options()};
  ASSERT_TRUE(keeper.load());
  EXPECT_EQ(keeper.grid(), "acme");
  EXPECT_EQ(keeper.member()->member.name, "metro");
  EXPECT_NE(keeper.server(), nullptr);
}

TEST_F(IdentityKeeperTest, WithoutFilesItIsNobody) {
  IdentityKeeper keeper{io_.get_executor(), clock_, {}};
  ASSERT_TRUE(keeper.load());
  EXPECT_EQ(keeper.grid(), "");
  EXPECT_EQ(keeper.server(), nullptr);
  EXPECT_NE(keeper.client(), nullptr);
}

TEST_F(IdentityKeeperTest, NamesTheFileThatIsWrong) {
  const auto trouble = [&] {
    IdentityKeeper keeper{io_.get_executor(), clock_, options()};
    auto loaded = keeper.load();
    return loaded ? std::string{} : loaded.error().message;
  };
  write(files_.key, pki::KeyPair::generate().to_pem());
  EXPECT_THAT(trouble(), HasSubstr("key.pem: the private key does not belong"));
  write(files_.key, key_.to_pem());
  write(files_.authorities, "nothing");
  EXPECT_THAT(trouble(), HasSubstr("authorities.pem: no certificate"));
  fs::remove(files_.certificate);
  EXPECT_THAT(trouble(), HasSubstr("can't read"));
}

TEST_F(IdentityKeeperTest, TakesChangedFilesAndKeepsTheFormerOnesWhenTheyAreBad) {
  IdentityKeeper keeper{io_.get_executor(), clock_, options()};
  ASSERT_TRUE(keeper.load());
  int changes = 0;
  keeper.watch([&] { ++changes; });
  const auto first = keeper.server();
  const std::string former = keeper.member()->certificate.serial();
  write(files_.certificate, "half a file");
  for (int i = 0; i < 10; ++i) io_.run_one_for(milliseconds{50});  // it looked several times
  EXPECT_EQ(changes, 0);
  EXPECT_EQ(keeper.server(), first);
  write(files_.certificate, chain_for("metro"));
  EXPECT_TRUE(until([&] { return changes == 1; }));
  EXPECT_NE(keeper.server(), first);
  EXPECT_NE(keeper.member()->certificate.serial(), former);
}

Task<Result<Renewed>> sign(GridAuthority& authority, int& asked, std::string request) {
  if (++asked == 1) co_return Error{Code::Unavailable, "control is away"};
  auto chain = authority.sign_site(request, SiteId{"metro"}, "127.0.0.1");
  if (!chain) co_return chain.error();
  co_return Renewed{*chain, authority.authorities_pem()};
}

TEST_F(IdentityKeeperTest, AsksForTheNextAtHalfLifeAndKeepsThisOneWhenControlIsAway) {
  IdentityOptions wishes = options();
  int asked = 0;
  wishes.renew = [&](std::string request) { return sign(*authority_, asked, std::move(request)); };
  IdentityKeeper keeper{io_.get_executor(), clock_, std::move(wishes)};
  ASSERT_TRUE(keeper.load());
  const std::string former = keeper.member()->certificate.serial();
  bool changed = false;
  keeper.watch([&] { changed = true; });
  for (int i = 0; i < 5; ++i) io_.run_one_for(milliseconds{50});
  EXPECT_EQ(asked, 0);
  clock_.ahead_us = std::int64_t{4} * 86'400 * 1'000'000;  // of seven days
  EXPECT_TRUE(until([&] { return asked == 1; }));
  EXPECT_EQ(keeper.member()->certificate.serial(), former);
  EXPECT_FALSE(changed);
}

TEST_F(IdentityKeeperTest, TheRenewedCertificateIsOfTheSameKey) {
  IdentityOptions wishes = options();
  int asked = 1;
  wishes.renew = [&](std::string request) { return sign(*authority_, asked, std::move(request)); };
  IdentityKeeper keeper{io_.get_executor(), clock_, std::move(wishes)};
  ASSERT_TRUE(keeper.load());
  bool changed = false;
  keeper.watch([&] { changed = true; });
  clock_.ahead_us = std::int64_t{4} * 86'400 * 1'000'000;
  ASSERT_TRUE(until([&] { return changed; }));
  EXPECT_EQ(keeper.member()->certificate.ed25519_key(), key_.public_key());
  EXPECT_GT(renewal_of(keeper.member()->certificate).micros, clock_.wall().micros);
  EXPECT_EQ(asked, 2);
}

// As certbot leaves it half-way, or without the right to read it.
TEST_F(IdentityKeeperTest, ABrokenPublicCertificateDoesNotKeepTheNextOneFromBeingUsed) {
  const net::TestGrid web{"web"};
  const net::TestGrid next_web{"next"};
  IdentityOptions wishes = options();
  wishes.public_certificate = folder_ + "/public.pem";
  wishes.public_key = folder_ + "/public.key";
  const auto publish = [&](const net::TlsCertificate& shown) {
    write(folder_ + "/public.pem", shown.chain_pem);
    write(folder_ + "/public.key", shown.key_pem);
  };
  publish(web.site("public").own);
  int asked = 1;
  wishes.renew = [&](std::string request) { return sign(*authority_, asked, std::move(request)); };
  IdentityKeeper keeper{io_.get_executor(), clock_, std::move(wishes)};
  ASSERT_TRUE(keeper.load());
  keeper.watch([] {});
  const std::string other_key = pki::KeyPair::generate().to_pem();
  for (const auto& [chain, key] : {std::pair{std::string{"half a file"}, other_key},
                                   std::pair{web.site("other").own.chain_pem, other_key}}) {
    const std::string former = keeper.member()->certificate.serial();
    publish({chain, key});
    clock_.ahead_us += std::int64_t{4} * 86'400 * 1'000'000;  // of seven days
    clock_.passed += std::chrono::minutes{6};
    ASSERT_TRUE(until([&] { return keeper.member()->certificate.serial() != former; }));
    EXPECT_TRUE(clients_believe(keeper, web.authorities_pem())) << "the former goes on";
  }
  EXPECT_EQ(asked, 3);
  publish(next_web.site("public").own);
  EXPECT_TRUE(until([&] { return clients_believe(keeper, next_web.authorities_pem()); }));
}

TEST_F(IdentityKeeperTest, ABrokenPublicCertificateIsBadSetupAtTheStart) {
  IdentityOptions wishes = options();
  wishes.public_certificate = wishes.public_key = folder_ + "/public.pem";
  write(wishes.public_certificate, "half a file");
  IdentityKeeper keeper{io_.get_executor(), clock_, std::move(wishes)};
  EXPECT_FALSE(keeper.load());
}

Task<Result<Renewed>> sign_for_nobody(GridAuthority& authority, int& asked, std::string request) {
  auto renewed = co_await sign(authority, asked, std::move(request));
  if (renewed) renewed->authorities_pem = "nothing";
  co_return renewed;
}

TEST_F(IdentityKeeperTest, ARenewalThatCantBeUsedIsRepeatedAfterAPause) {
  IdentityOptions wishes = options();
  int asked = 1;
  wishes.renew = [&](std::string request) {
    return sign_for_nobody(*authority_, asked, std::move(request));
  };
  IdentityKeeper keeper{io_.get_executor(), clock_, std::move(wishes)};
  ASSERT_TRUE(keeper.load());
  const std::string former = keeper.member()->certificate.serial();
  keeper.watch([] {});
  clock_.ahead_us = std::int64_t{4} * 86'400 * 1'000'000;
  ASSERT_TRUE(until([&] { return asked == 2; }));
  for (int i = 0; i < 10; ++i) io_.run_one_for(milliseconds{50});  // it looked several times
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(keeper.member()->certificate.serial(), former);
  clock_.passed = std::chrono::minutes{6};
  EXPECT_TRUE(until([&] { return asked == 3; }));
}

TEST_F(IdentityKeeperTest, AnAuthorityIsMadeOnce) {
  auto again = init_authority(folder_ + "/control", "acme", clock_.wall());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::AlreadyExists);
  EXPECT_EQ(*GridAuthority::open(folder_ + "/nowhere", clock_), nullptr);
}

}  // namespace
}  // namespace perigee::control
