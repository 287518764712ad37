// SiteFacts: what an operator or a joining site says of a site.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "directory/json_text.h"

namespace perigee::cli {

struct SiteFacts {
  std::string url;
  std::string tier;
  std::string jurisdiction;
  double latitude = 0;
  double longitude = 0;
  std::string city;
};
// `--url`, `--tier`, `--jurisdiction`, `--latitude`, `--longitude`, `--city`. `facts` must outlive
// the parse.
void add_site_facts(CLI::App& command, SiteFacts& facts);
// The fields as the control API takes them; more may be added.
JsonObject site_facts(const SiteFacts& facts);

}  // namespace perigee::cli
