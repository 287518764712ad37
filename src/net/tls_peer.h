// TlsPeer: the other end of a TLS connection.
#pragma once

#include <string>

namespace perigee::net {

struct TlsPeer {
  std::string spiffe_id;  // verified; of a member of the grid; empty: no member
  // "192.0.2.7:51234" or "[2001:db8::7]:51234": of whoever connected, a proxy's where one is
  // between.
  std::string address;
};

}  // namespace perigee::net
