#include "demo/port_lease.h"

#include <gtest/gtest.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <set>

namespace perigee::demo {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

TEST(PortLease, LetsAListenerUseTheLeasedPortAgainAndAgain) {
  const PortLease lease = PortLease::take(0).value();
  asio::io_context context;
  for (int round = 0; round < 2; ++round) {
    const tcp::endpoint address{asio::ip::address_v4::loopback(), lease.port()};
    tcp::acceptor acceptor{context, address};  // with SO_REUSEADDR, as servers do
    EXPECT_TRUE(acceptor.is_open());
  }
}

TEST(PortLease, RefusesAPortThatSomebodyListensOn) {
  asio::io_context context;
  const tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
  const auto lease = PortLease::take(acceptor.local_endpoint().port());
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().code, Code::FailedPrecondition);
  EXPECT_NE(lease.error().message.find("--ports"), std::string::npos);
}

TEST(PortLease, GivesDistinctPorts) {
  std::vector<PortLease> leases;
  std::set<std::uint16_t> ports;
  for (int i = 0; i < 50; ++i) {
    leases.push_back(PortLease::take(0).value());
    ports.insert(leases.back().port());
  }
  EXPECT_EQ(ports.size(), leases.size());
}

}  // namespace
}  // namespace perigee::demo
