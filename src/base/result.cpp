#include "base/result.h"

#include <stdexcept>

namespace perigee {

void throw_exception_from_error(const Error& error, const boost::source_location& /*location*/) {
  throw std::logic_error("unchecked Result: " + error.message);
}

}  // namespace perigee
