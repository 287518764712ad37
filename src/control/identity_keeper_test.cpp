#include "control/identity_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>

#include "base/private_file.h"
#include "control/grid_authority.h"
#include "pki/authority.h"

namespace perigee::control {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

// A clock whose calendar is moved by hand; the timers' own clock runs on.
class MovedClock final : public Clock {
 public:
  Instant now() const override { return machine_.now(); }
  WallTime wall() const override { return WallTime{machine_.wall().micros + ahead_us}; }
  std::int64_t ahead_us = 0;

 private:
  SystemClock machine_;
};

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

TEST_F(IdentityKeeperTest, AnAuthorityIsMadeOnce) {
  auto again = init_authority(folder_ + "/control", "acme", clock_.wall());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::AlreadyExists);
  EXPECT_EQ(*GridAuthority::open(folder_ + "/nowhere", clock_), nullptr);
}

}  // namespace
}  // namespace perigee::control
