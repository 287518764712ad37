#include "cli/sim_json.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cmath>

namespace perigee::cli {
namespace {

namespace json = boost::json;

// JSON has no NaN.
json::value number(double value) { return std::isfinite(value) ? json::value(value) : nullptr; }

json::object quantiles(const sim::Quantiles& q) {
  return {{"p50", number(q.p50)}, {"p90", number(q.p90)}, {"p99", number(q.p99)}};
}

json::array numbers(const std::vector<float>& values) {
  json::array all;
  for (const float value : values) all.emplace_back(static_cast<double>(value));
  return all;
}

json::array classes(const sim::PolicyResult& policy) {
  json::array all;
  for (const sim::ClassResult& c : policy.classes) {
    json::object one;
    one["class"] = to_string(c.service_class);
    one["requests"] = c.requests;
    one["good"] = c.good;
    one["refused"] = c.refused;
    one["ttft_ms"] = quantiles(c.ttft_ms);
    one["tpot_ms"] = quantiles(c.tpot_ms);
    one["e2e_ms"] = quantiles(c.e2e_ms);
    all.push_back(std::move(one));
  }
  return all;
}

void add_series(json::object& out, const sim::PolicyResult& policy) {
  json::array timeline;
  for (const sim::TimelineStep& s : policy.timeline) {
    timeline.push_back(json::object{{"arrived", s.arrived},
                                    {"finished", s.finished},
                                    {"good", s.good},
                                    {"refused", s.refused},
                                    {"failed", s.failed},
                                    {"utilisation", s.utilisation},
                                    {"queued", s.queued},
                                    {"ttft_ms_p50", number(s.ttft_ms_p50)},
                                    {"ttft_ms_p99", number(s.ttft_ms_p99)}});
  }
  out["timeline_step_s"] = policy.timeline_step_s;
  out["timeline"] = std::move(timeline);
  json::array sites;
  for (const sim::SiteResult& s : policy.sites) {
    sites.push_back(json::object{{"site", s.site},
                                 {"arrived", s.arrived},
                                 {"good", s.good},
                                 {"served", s.served},
                                 {"served_own", s.served_own},
                                 {"utilisation", s.utilisation},
                                 {"preemptions", s.preemptions},
                                 {"ttft_ms_p50", number(s.ttft_ms_p50)},
                                 {"ttft_ms_p99", number(s.ttft_ms_p99)}});
  }
  out["sites"] = std::move(sites);
  json::array flows;
  for (const sim::FlowResult& f : policy.flows) {
    flows.push_back(json::object{{"from", f.from}, {"to", f.to}, {"requests", f.requests}});
  }
  out["flows"] = std::move(flows);
  out["ttft_ms_quantiles"] = numbers(policy.ttft_ms_quantiles);
  out["tpot_ms_quantiles"] = numbers(policy.tpot_ms_quantiles);
  out["e2e_ms_quantiles"] = numbers(policy.e2e_ms_quantiles);
}

}  // namespace

json::object policy_json(const sim::PolicyResult& policy, bool with_series) {
  json::object out;
  out["ttft_ms"] = quantiles(policy.ttft_ms);
  out["tpot_ms"] = quantiles(policy.tpot_ms);
  out["e2e_ms"] = quantiles(policy.e2e_ms);
  out["goodput_rps"] = policy.goodput_rps;
  out["attainment"] = policy.attainment;
  out["refused"] = policy.refused;
  out["utilisation"] = policy.utilisation;
  out["backbone_bytes"] = policy.backbone_bytes;
  out["cost_per_mtok"] = number(policy.cost_per_mtok);
  out["decisions_per_s"] = policy.decisions_per_s;
  out["requests"] = policy.requests;
  out["served"] = policy.served;
  out["failed"] = policy.failed;
  out["unlawful"] = policy.unlawful;
  out["unfinished"] = policy.unfinished;
  out["law_broken"] = policy.law_broken;
  out["attempts"] = policy.attempts;
  out["preemptions"] = policy.preemptions;
  out["prefix_hit"] = policy.prefix_hit;
  out["fairness"] = policy.fairness;
  out["wall_s"] = policy.wall_s;
  out["digest"] = fmt::format("{:016x}", policy.digest);
  out["classes"] = classes(policy);
  if (with_series) add_series(out, policy);
  return out;
}

json::object sim_json(const sim::RunResult& run, bool with_series) {
  json::object out;
  out["scenario"] = run.scenario;
  out["seed"] = run.seed;
  out["digest"] = fmt::format("{:016x}", run.digest);
  json::object policies;
  for (const sim::PolicyResult& policy : run.policies) {
    policies[policy.policy] = policy_json(policy, with_series);
  }
  out["policies"] = std::move(policies);
  if (!with_series) return out;
  out["duration_s"] = run.duration_s;
  json::array sites;
  for (const sim::SiteInfo& site : run.sites) {
    sites.push_back(json::object{{"name", site.name},
                                 {"latitude", site.latitude},
                                 {"longitude", site.longitude},
                                 {"engines", site.engines}});
  }
  out["sites"] = std::move(sites);
  return out;
}

}  // namespace perigee::cli
