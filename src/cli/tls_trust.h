// TlsTrust: whom subcommands believe over https: the authorities in the file that PERIGEE_CA_FILE
// names (a grid's is `ca.pem` of control, or a site's tls/authorities.pem), else the running demo's
// authority, else the system's.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/tls.h"

namespace perigee::cli {

struct TlsTrust {
  std::shared_ptr<net::TlsClientSource> tls;
  std::string grid;  // whose authority is believed; empty: others, so host names count
};

// Read once per process. Errors name the file.
Result<TlsTrust> tls_trust();

}  // namespace perigee::cli
