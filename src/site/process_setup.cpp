#include "site/process_setup.h"

#include <sys/resource.h>

#include <fstream>

#include "base/log.h"

namespace perigee {

Result<std::string> read_key(const std::string& path) {
  std::ifstream in{path};
  std::string key;
  if (!(in >> key)) {
    return Error{Code::FailedPrecondition,
                 "can't read the site's key " + path +
                     "; join the grid first: perigee site join TOKEN --url URL"};
  }
  return key;
}

void raise_descriptor_limit(std::size_t connections_max) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max >= 2 * connections_max) return;
  log::warning(
      "fewer descriptors than limits.connections_max may need: raise the limit (ulimit -n)",
      {{"descriptors", std::uint64_t{limit.rlim_max}},
       {"connections_max", static_cast<std::uint64_t>(connections_max)}});
}

}  // namespace perigee
