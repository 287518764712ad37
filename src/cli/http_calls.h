// Requests to several targets at once (http_call.h has one at a time).
#pragma once

#include <boost/json/fwd.hpp>
#include <vector>

#include "cli/http_call.h"

namespace perigee::cli {

struct Request {
  Target target;
  Call call;
};
// Their JSON, as call_json() would give it, in the order of the requests.
std::vector<Result<boost::json::value>> call_all_json(const std::vector<Request>& requests);

}  // namespace perigee::cli
