// What `perigee lab` prints.
#pragma once

#include <boost/json/fwd.hpp>

#include "lab/lab_report.h"

namespace perigee::cli {

void print_lab(const lab::LabReport& report);
boost::json::object lab_json(const lab::LabReport& report);

}  // namespace perigee::cli
