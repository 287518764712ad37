// The shapes of POST /control/v1/rates (docs/control_api.md): what a site holds and wants of limits
// per minute, and what it is granted.
//   {"life":"00af...","number":7,"claims":[["key_1","requests",3,4],...]}
//   {"grants":[["key_1","requests",4,53],...]}      granted, then left for anybody
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/rate_book.h"

namespace perigee::control {

std::string rate_report_json(const RateReport& report);
// InvalidArgument names the field.
Result<RateReport> parse_rate_report(std::string_view json);
std::string rate_grants_json(const std::vector<RateGrant>& grants);
// Protocol: it is not what control answers.
Result<std::vector<RateGrant>> parse_rate_grants(std::string_view json);

}  // namespace perigee::control
