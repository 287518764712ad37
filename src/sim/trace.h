// Request traces as text: `t_ms,in_tokens,out_tokens[,block_ids]`, in the order of time. Block ids
// are numbers, or runs of them written `a-b`, with blanks between.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sim/scenario.h"

namespace perigee::sim {

// InvalidArgument "NAME:LINE: WHAT". At most 16 million requests and 256 million blocks.
Result<std::shared_ptr<const Trace>> parse_trace(std::string_view text, const std::string& name);
Result<std::shared_ptr<const Trace>> read_trace(const std::string& path);

}  // namespace perigee::sim
