#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace perigee::detail {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "perigee: broken invariant: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace perigee::detail
