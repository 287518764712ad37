// SiteFacts: what an operator or a joining site says of a site.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "directory/json_text.h"

namespace perigee::cli {

// Empty: not said.
struct SiteFacts {
  std::string url;
  std::string tier;
  std::string jurisdiction;
  std::optional<double> latitude;  // degrees, WGS 84
  std::optional<double> longitude;
  std::string city;
};

enum class FactsNeed : std::uint8_t { All, AsKnown };  // the city is never needed
// `--url`, `--tier`, `--jurisdiction`, `--latitude`, `--longitude`, `--city`. `facts` must outlive
// the parse.
void add_site_facts(CLI::App& command, SiteFacts& facts, FactsNeed need);
// The fields as the control API takes them, those that are said; more may be added.
JsonObject site_facts(const SiteFacts& facts);
// Takes from `other` what `facts` does not say.
void complete(SiteFacts& facts, const SiteFacts& other);

}  // namespace perigee::cli
