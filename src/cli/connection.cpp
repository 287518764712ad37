#include "cli/connection.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "cli/environment.h"

namespace perigee::cli {
namespace {

constexpr std::size_t kStateBytesMax = std::size_t{1} * 1024 * 1024;
constexpr std::size_t kKeyBytesMax = 512;

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const Code code = errno == ENOENT ? Code::NotFound : Code::FailedPrecondition;
    return Error{code, fmt::format("can't read {}: {}", path, std::strerror(errno))};
  }
  std::string content;
  std::array<char, 4096> buffer{};
  ssize_t got = 0;
  while (content.size() <= bytes_max && (got = ::read(fd, buffer.data(), buffer.size())) > 0) {
    content.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  if (got < 0) return Error{Code::FailedPrecondition, fmt::format("can't read {}", path)};
  if (content.size() > bytes_max) {
    return Error{Code::PayloadTooLarge, fmt::format("{} is larger than expected", path)};
  }
  return content;
}

// The folder may be in /tmp, where anybody can make one with that name first.
Result<> check_private(const std::string& folder) {
  struct stat info{};
  if (::lstat(folder.c_str(), &info) != 0) return {};
  if (S_ISDIR(info.st_mode) && info.st_uid == ::getuid() && (info.st_mode & 077) == 0) return {};
  return Error{Code::FailedPrecondition,
               fmt::format("{} is not a private folder of yours (mode 0700); remove it", folder)};
}

std::string text_at(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string{value->as_string()} : "";
}

int pid_at(const boost::json::object& object) {
  const boost::json::value* value = object.if_contains("pid");
  return value != nullptr && value->is_int64() ? static_cast<int>(value->as_int64()) : 0;
}

DemoState parse_state(const boost::json::object& root) {
  DemoState state;
  state.pid = pid_at(root);
  state.key = text_at(root, "key");
  state.model = text_at(root, "model");
  state.socket = text_at(root, "socket");
  state.ca_file = text_at(root, "ca_file");
  if (const auto* control = root.if_contains("control"); control && control->is_object()) {
    state.control_url = text_at(control->get_object(), "url");
    state.operator_key_file = text_at(control->get_object(), "operator_key_file");
  }
  const auto* sites = root.if_contains("sites");
  if (sites == nullptr || !sites->is_array()) return state;
  for (const boost::json::value& entry : sites->get_array()) {
    if (!entry.is_object()) continue;
    const boost::json::object& site = entry.get_object();
    state.sites.push_back({text_at(site, "name"), text_at(site, "url"), text_at(site, "tier"),
                           text_at(site, "city"), text_at(site, "jurisdiction"), pid_at(site)});
  }
  return state;
}

bool alive(int pid) { return pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM); }

Error no_grid(std::string_view what, std::string_view flag, std::string_view variable) {
  return Error{Code::FailedPrecondition,
               fmt::format("don't know {}: start `perigee demo`, or give {} or set {}", what, flag,
                           variable)};
}

Result<std::string> key_of(const std::string& flag_file, const char* variable,
                           const char* file_variable, const std::string& demo_key) {
  if (!flag_file.empty()) return read_key_file(flag_file);
  if (variable != nullptr) {
    if (auto key = environment(variable)) return std::move(*key);
  }
  if (auto file = environment(file_variable)) return read_key_file(*file);
  return demo_key;
}

}  // namespace

Result<std::optional<DemoState>> read_demo_state() {
  const std::string folder = demo_runtime_dir();
  PERIGEE_CHECK(check_private(folder));
  auto content = read_file(folder + "/demo.json", kStateBytesMax);
  if (!content) {
    if (content.error().code == Code::NotFound) return std::optional<DemoState>{};
    return std::move(content).error();
  }
  boost::system::error_code failure;
  const boost::json::value json = boost::json::parse(*content, failure);
  if (failure || !json.is_object()) {
    return Error{Code::FailedPrecondition, folder + "/demo.json is damaged; remove it"};
  }
  DemoState state = parse_state(json.get_object());
  if (!alive(state.pid)) return std::optional<DemoState>{};
  return std::optional<DemoState>{std::move(state)};
}

void add_site_options(CLI::App& app, SiteOptions& options) {
  app.add_option("--url", options.url,
                 "The site to ask, http://HOST:PORT (else PERIGEE_URL, else the running demo)")
      ->type_name("URL");
  app.add_option("--site", options.name, "This site of the running demo")->excludes("--url");
  app.add_option("--key-file", options.key_file,
                 "File with the API key (else PERIGEE_KEY or PERIGEE_KEY_FILE, else the demo's)")
      ->type_name("FILE");
}

void add_control_options(CLI::App& app, ControlOptions& options) {
  app.add_option("--control", options.url,
                 "Control's URL (else PERIGEE_CONTROL_URL, else the running demo)")
      ->type_name("URL");
  app.add_option("--operator-key-file", options.key_file,
                 "File with the operator key (else PERIGEE_OPERATOR_KEY_FILE, else the demo's)")
      ->type_name("FILE");
}

Result<Target> find_site(const SiteOptions& options) {
  PERIGEE_TRY(demo, read_demo_state());
  Target target;
  if (!options.name.empty()) {
    static const std::vector<DemoSite> kNone;
    const auto& sites = demo ? demo->sites : kNone;
    const auto named = std::ranges::find(sites, options.name, &DemoSite::name);
    if (named == sites.end()) {
      return Error{Code::NotFound,
                   "no running demo has a site " + options.name + "; name any site by --url"};
    }
    target.url = named->url;
    target.origin = "--site";
  } else if (!options.url.empty()) {
    target.url = options.url;
    target.origin = "--url";
  } else if (auto url = environment("PERIGEE_URL")) {
    target.url = std::move(*url);
    target.origin = "PERIGEE_URL";
  } else if (demo) {
    const auto live =
        std::ranges::find_if(demo->sites, [](const DemoSite& s) { return s.pid > 0; });
    if (live != demo->sites.end()) target.url = live->url;
    target.origin = "the running demo";
  }
  if (target.url.empty()) return no_grid("which site to ask", "--url URL", "PERIGEE_URL");
  PERIGEE_TRY(key, key_of(options.key_file, "PERIGEE_KEY", "PERIGEE_KEY_FILE",
                          demo ? demo->key : std::string{}));
  if (key.empty()) return no_grid("your API key", "--key-file FILE", "PERIGEE_KEY");
  target.key = key;
  return target;
}

Result<Target> find_control(const ControlOptions& options) {
  PERIGEE_TRY(demo, read_demo_state());
  Target target;
  target.control = true;
  if (!options.url.empty()) {
    target.url = options.url;
    target.origin = "--control";
  } else if (auto url = environment("PERIGEE_CONTROL_URL")) {
    target.url = std::move(*url);
    target.origin = "PERIGEE_CONTROL_URL";
  } else if (demo) {
    target.url = demo->control_url;
    target.origin = "the running demo";
  }
  if (target.url.empty())
    return no_grid("where control is", "--control URL", "PERIGEE_CONTROL_URL");
  PERIGEE_TRY(key, key_of(options.key_file, nullptr, "PERIGEE_OPERATOR_KEY_FILE", ""));
  target.key = key;
  if (target.key.empty() && demo && !demo->operator_key_file.empty()) {
    PERIGEE_TRY(demo_key, read_key_file(demo->operator_key_file));
    target.key = demo_key;
  }
  if (target.key.empty()) {
    return no_grid("the operator key", "--operator-key-file FILE", "PERIGEE_OPERATOR_KEY_FILE");
  }
  return target;
}

Result<std::string> read_key_file(const std::string& path) {
  PERIGEE_TRY(content, read_file(path, kKeyBytesMax));
  const std::size_t end = content.find_first_of(" \t\r\n");
  std::string key = content.substr(0, end);
  if (key.empty()) return Error{Code::InvalidArgument, fmt::format("{} holds no key", path)};
  return key;
}

}  // namespace perigee::cli
