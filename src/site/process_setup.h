// What a site needs of its machine before it starts: its key, descriptors.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace perigee {

// The site's own key, from the file that joining wrote. FailedPrecondition says how to join.
Result<std::string> read_key(const std::string& path);
// As many as the system allows; warns when they may not do for so many connections, each of which
// needs a descriptor, and one more while an engine or a peer answers it.
void raise_descriptor_limit(std::size_t connections_max);

}  // namespace perigee
