#include "demo/demo_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace perigee::demo {
namespace {

struct Row {
  const char* name;
  Tier tier;
  const char* city;
  const char* law;
  GeoPoint place;
  std::uint32_t slots;
};

// In order of importance: a smaller grid is a shorter list, and still has to forward (Strasbourg).
constexpr std::array<Row, kSitesMax> kRows{{
    {"metro-berlin", Tier::Metro, "Berlin", "de", {52.5200, 13.4050}, 4},
    {"metro-paris", Tier::Metro, "Paris", "fr", {48.8566, 2.3522}, 4},
    {"cell-strasbourg", Tier::FarEdge, "Strasbourg", "fr", {48.5734, 7.7521}, 0},
    {"regional-frankfurt", Tier::Regional, "Frankfurt", "de", {50.1109, 8.6821}, 8},
    {"cell-potsdam", Tier::FarEdge, "Potsdam", "de", {52.3906, 13.0645}, 2},
    {"core-marseille", Tier::Core, "Marseille", "fr", {43.2965, 5.3698}, 16},
    {"cell-reims", Tier::FarEdge, "Reims", "fr", {49.2583, 4.0317}, 0},
    {"cell-leipzig", Tier::FarEdge, "Leipzig", "de", {51.3397, 12.3731}, 1},
    {"cell-nancy", Tier::FarEdge, "Nancy", "fr", {48.6921, 6.1844}, 0},
    {"cell-mainz", Tier::FarEdge, "Mainz", "de", {49.9929, 8.2473}, 1},
    {"cell-toulon", Tier::FarEdge, "Toulon", "fr", {43.1242, 5.9280}, 0},
    {"cell-cottbus", Tier::FarEdge, "Cottbus", "de", {51.7563, 14.3329}, 1},
    {"cell-lyon", Tier::FarEdge, "Lyon", "fr", {45.7640, 4.8357}, 0},
    {"cell-kassel", Tier::FarEdge, "Kassel", "de", {51.3127, 9.4797}, 1},
    {"cell-orleans", Tier::FarEdge, "Orléans", "fr", {47.9030, 1.9093}, 0},
    {"cell-hannover", Tier::FarEdge, "Hannover", "de", {52.3759, 9.7320}, 1},
    {"cell-dijon", Tier::FarEdge, "Dijon", "fr", {47.3220, 5.0415}, 0},
    {"cell-dresden", Tier::FarEdge, "Dresden", "de", {51.0504, 13.7373}, 1},
    {"cell-nice", Tier::FarEdge, "Nice", "fr", {43.7102, 7.2620}, 0},
    {"cell-erfurt", Tier::FarEdge, "Erfurt", "de", {50.9848, 11.0299}, 1},
    {"cell-lille", Tier::FarEdge, "Lille", "fr", {50.6292, 3.0573}, 0},
    {"cell-wuerzburg", Tier::FarEdge, "Würzburg", "de", {49.7913, 9.9534}, 1},
    {"cell-metz", Tier::FarEdge, "Metz", "fr", {49.1193, 6.1757}, 0},
    {"cell-rostock", Tier::FarEdge, "Rostock", "de", {54.0924, 12.0991}, 1},
}};

// A TOML basic string.
std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace

Result<std::vector<PlannedSite>> plan_sites(std::size_t count) {
  if (count < kSitesMin || count > kSitesMax) {
    return Error{Code::InvalidArgument,
                 fmt::format("a demo has {} to {} sites, not {}", kSitesMin, kSitesMax, count),
                 "--sites"};
  }
  std::vector<PlannedSite> sites;
  for (std::size_t i = 0; i < count; ++i) {
    const Row& row = kRows.at(i);
    sites.push_back(
        {SiteId{row.name}, row.tier, row.city, JurisdictionId{row.law}, row.place, row.slots});
  }
  std::ranges::sort(sites, {},
                    [](const PlannedSite& site) { return std::pair{site.tier, site.name}; });
  return sites;
}

std::string render_site_file(const SiteFile& file) {
  std::string text = fmt::format(
      "# Written by `perigee demo`.\n"
      "[site]\nname = {}\nlisten = {}\nstate_dir = {}\nmodels_dir = {}\n\n"
      "[control]\nurl = {}\nkey_file = {}\n\n"
      "[peers]\nneighbours_max = 8\nexchange_interval_ms = 250\n\n"
      "# Its usage is nobody's bill, and its folder may lie in memory.\n"
      "[limits]\nspare_disk_bytes = 0\n\n"
      "# The way to each peer leads through the emulated wide-area network.\n"
      "[peers.addresses]\n",
      toml_string(file.name.str()), toml_string(file.listen), toml_string(file.state_dir),
      toml_string(file.models_dir), toml_string(file.control_url), toml_string(file.key_file));
  for (const auto& [peer, address] : file.peer_addresses) {
    text += fmt::format("{} = {}\n", toml_string(peer.str()), toml_string(address));
  }
  if (file.tls) {
    const std::string folder = file.state_dir + "/tls/";
    text += fmt::format("\n[tls]\ncertificate = {}\nkey = {}\nauthorities = {}\n",
                        toml_string(folder + "certificate.pem"), toml_string(folder + "key.pem"),
                        toml_string(folder + "authorities.pem"));
  }
  return text;
}

}  // namespace perigee::demo
