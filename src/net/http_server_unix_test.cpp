#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <filesystem>

#include "net/http_server.h"
#include "net/test_support.h"

namespace perigee::net {
namespace {

using ::testing::HasSubstr;

class UnixSocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/perigee-net-XXXXXX";
    folder_ = ::mkdtemp(name);
    endpoint_.path = folder_ + "/s";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
  Endpoint endpoint_;
};

TEST_F(UnixSocketTest, ServesAndProtectsAndRemovesItsFile) {
  {
    TestServer server{echo, {}, endpoint_};
    EXPECT_THAT(server.talk(get("/u")), HasSubstr("GET /u? []"));
    EXPECT_EQ(std::filesystem::status(endpoint_.path).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  EXPECT_FALSE(std::filesystem::exists(endpoint_.path));
}

TEST_F(UnixSocketTest, ReplacesAStaleFile) {
  const auto address = literal_address(endpoint_).value().value();
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, address.get(), address.size), 0);
  ::close(fd);
  TestServer server{echo, {}, endpoint_};
  EXPECT_THAT(server.talk(get("/u")), HasSubstr("GET /u? []"));
}

TEST_F(UnixSocketTest, RefusesAnAddressInUse) {
  TestServer server{echo, {}, endpoint_};
  SystemClock clock;
  asio::io_context context;
  HttpServer second{context.get_executor(), clock, {}, echo};
  EXPECT_EQ(second.listen(endpoint_).error().code, Code::FailedPrecondition);
  EXPECT_THAT(server.talk(get("/u")), HasSubstr("GET /u? []"));
  std::filesystem::create_directory(endpoint_.path + "d");
  EXPECT_EQ(second.listen({"", 0, endpoint_.path + "d"}).error().code, Code::FailedPrecondition);
}

}  // namespace
}  // namespace perigee::net
