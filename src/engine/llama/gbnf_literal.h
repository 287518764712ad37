// Literals of GBNF, the language of llama.cpp's grammars.
#pragma once

#include <string>
#include <string_view>

namespace perigee::llama {

// The literal, in quotes, for exactly this text.
std::string gbnf_literal(std::string_view text);

}  // namespace perigee::llama
