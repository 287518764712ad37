#include "demo/tour.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

namespace perigee::demo {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 6> kQuestions{
    "What is an AI grid?",  "What is edge inference?", "What is MQTT?",
    "What is a cell site?", "What is the KV cache?",   "What is data residency?",
};
constexpr std::string_view kQuestionAfterKill = "I keep hearing about failover, what does it do?";

std::string explain_body() {
  const json::array messages{json::object{{"role", "user"}, {"content", kQuestionAfterKill}}};
  return json::serialize(json::object{{"model", kDemoModel}, {"messages", messages}});
}

// The site of the first planned attempt.
std::string first_choice(const json::value& explained) {
  if (!explained.is_object()) return {};
  const json::value* plan = explained.get_object().if_contains("plan");
  if (plan == nullptr || !plan->is_array() || plan->get_array().empty()) return {};
  const json::value& first = plan->get_array().front();
  const json::value* site = first.is_object() ? first.get_object().if_contains("site") : nullptr;
  return site != nullptr && site->is_string() ? std::string{site->get_string()} : std::string{};
}

struct Tour {
  DemoGrid& grid;
  std::function<void(const std::string&)> tell;
  TourReport report;

  Task<> ask(DemoSiteView site, std::string text, std::string jurisdictions);
  Task<> ask_everywhere();
  Task<> respect_the_law();
  Task<> explain(DemoSiteView site);
  Task<> survive_a_death(DemoSiteView site);
};

Task<> Tour::ask(DemoSiteView site, std::string text, std::string jurisdictions) {
  const std::string name = site.plan->name.str();
  Question question;
  question.url = site.url;
  question.key = grid.key();
  question.model = kDemoModel;
  question.text = std::move(text);
  question.jurisdictions = std::move(jurisdictions);
  auto answer = co_await grid.client().ask(std::move(question));
  if (!answer) {
    report.faults.push_back(fmt::format("{} did not answer: {}", name, answer.error().message));
    co_return;
  }
  if (answer->text.empty() || answer->tokens == 0) {
    report.faults.push_back(fmt::format("{} gave an empty answer", name));
  }
  tell(fmt::format("asked at {}: answered by {}", name, answer->site));
  report.requests.push_back({name, std::move(*answer)});
}

Task<> Tour::ask_everywhere() {
  const std::string any_law;
  std::size_t next = 0;
  for (const DemoSiteView& site : grid.sites()) {
    std::string text{kQuestions.at(next++ % kQuestions.size())};
    co_await ask(site, std::move(text), any_law);
  }
}

// At every law's first site, only that law allowed.
Task<> Tour::respect_the_law() {
  std::vector<std::string> seen;
  for (const DemoSiteView& site : grid.sites()) {
    const std::string law = site.plan->jurisdiction.str();
    if (std::ranges::find(seen, law) != seen.end()) continue;
    seen.push_back(law);
    const std::size_t before = report.requests.size();
    std::string text{kQuestions.back()};
    co_await ask(site, std::move(text), law);
    if (report.requests.size() == before) continue;
    const std::string served_by = report.requests.back().answer.site;
    const auto server = grid.site(SiteId{served_by});
    if (!server || server->plan->jurisdiction.str() != law) {
      report.faults.push_back(
          fmt::format("a request bound to {} was served by {}", law, served_by));
    }
  }
}

Task<> Tour::explain(DemoSiteView site) {
  GridCall call;
  call.url = site.url;
  call.key = grid.key();
  call.method = "POST";
  call.path = "/v1/route/explain";
  call.body = explain_body();
  auto explained = co_await grid.client().call(std::move(call));
  if (!explained) {
    report.faults.push_back(fmt::format("{} did not explain its route: {}", site.plan->name.str(),
                                        explained.error().message));
    co_return;
  }
  report.explained_at = site.plan->name.str();
  report.explanation = json::serialize(*explained);
  report.killed = first_choice(*explained);
}

Task<> Tour::survive_a_death(DemoSiteView site) {
  co_await explain(site);
  const std::string ingress = site.plan->name.str();
  if (report.killed.empty() || report.killed == ingress) {
    report.faults.push_back(fmt::format("{} planned no other site to serve it", ingress));
    co_return;
  }
  tell(fmt::format("killing {}, which serves {}", report.killed, ingress));
  if (const auto killed = grid.kill(SiteId{report.killed}); !killed) {
    report.faults.push_back(killed.error().message);
    co_return;
  }
  const std::size_t before = report.requests.size();
  const std::string any_law;
  std::string text{kQuestionAfterKill};
  co_await ask(site, std::move(text), any_law);
  if (report.requests.size() == before) co_return;
  if (report.requests.back().answer.site == report.killed) {
    report.faults.push_back(fmt::format("{} answered although it was killed", report.killed));
  }
}

}  // namespace

Task<TourReport> take_tour(DemoGrid& grid, std::function<void(const std::string&)> tell) {
  Tour tour{grid, std::move(tell), {}};
  co_await tour.ask_everywhere();
  co_await tour.respect_the_law();
  const std::vector<DemoSiteView> sites = grid.sites();
  const auto without_engine =
      std::ranges::find(sites, 0U, [](const DemoSiteView& s) { return s.plan->slots; });
  if (without_engine != sites.end()) co_await tour.survive_a_death(*without_engine);
  co_return std::move(tour.report);
}

}  // namespace perigee::demo
