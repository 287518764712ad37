// The trial of a seed: which sites there are, who asks for what, and what breaks when.
#include <algorithm>
#include <array>

#include "base/random.h"
#include "sim/sampler.h"
#include "sim/trial/trial.h"

namespace perigee::sim {
namespace {

constexpr std::array<const char*, 6> kNames{"berlin", "paris",  "rome",
                                            "madrid", "vienna", "prague"};
constexpr std::array<double, 6> kLatitudes{52.5, 48.9, 41.9, 40.4, 48.2, 50.1};
constexpr std::array<double, 6> kLongitudes{13.4, 2.4, 12.5, -3.7, 16.4, 14.4};
constexpr std::array<const char*, 3> kLaws{"de", "fr", "it"};

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(mix64(seed ^ 0x9e11)) {}

  TrialSpec run() {
    Scenario& s = spec_.scenario;
    s.name = "trial";
    s.duration_s = range(12, 30);
    s.prefix_block_tokens = 64;
    add_kinds();
    add_sites();
    add_tenants();
    add_network();
    add_workloads();
    add_faults();
    spec_.keyed_share = one_in(4) ? 1 : range(0.5, 1);
    spec_.leave_share = one_in(3) ? 0 : range(0, 0.15);
    spec_.admission.requests_max = one_in(3) ? 4 : 64;
    spec_.admission.tokens_max = one_in(4) ? 4'096 : 1'000'000;
    spec_.admission.running_max = 1'024;
    spec_.admission.idle_tenants_max = 2;
    spec_.requests_max = one_in(6) ? 16 : 512;
    spec_.ledger_places = one_in(4) ? 24 : 512;
    spec_.answers_max = one_in(4) ? 8 : 256;
    return std::move(spec_);
  }

 private:
  double range(double least, double most) { return least + random_.uniform() * (most - least); }
  std::uint32_t whole(std::uint32_t least, std::uint32_t most) {
    return least + static_cast<std::uint32_t>(random_.below(most - least + 1));
  }
  bool one_in(std::uint32_t n) { return random_.below(n) == 0; }

  void add_kinds() {
    for (std::uint32_t k = 0; k < 2; ++k) {
      EngineProfile profile;
      profile.name = k == 0 ? "small" : "large";
      profile.decode_base_ms = range(15, 40);
      profile.decode_ms_per_sequence = range(0, 1);
      profile.prefill_base_ms = profile.decode_base_ms;
      profile.prefill_ms_per_1k = range(20, 300);
      profile.batch_max = k == 0 ? whole(1, 4) : whole(4, 16);
      profile.batch_tokens_max = 512;
      profile.kv_tokens = 1'000'000;
      profile.queue_max = whole(1, 16);
      spec_.scenario.kinds.push_back(profile);
    }
  }

  void add_sites() {
    const std::uint32_t count = whole(2, 6);
    const bool one_law = one_in(4);
    for (std::uint32_t i = 0; i < count; ++i) {
      SiteSpec site;
      site.name = kNames[i];
      site.latitude = kLatitudes[i];
      site.longitude = kLongitudes[i];
      site.jurisdiction = one_law ? kLaws[0] : kLaws[random_.below(kLaws.size())];
      site.population = range(0.2, 1);
      if (i == 0 || !one_in(3)) {
        site.engines.push_back({.kind = whole(0, 1), .count = whole(1, 2)});
      }
      spec_.scenario.sites.push_back(std::move(site));
    }
  }

  void add_tenants() {
    const std::uint32_t count = whole(1, 4);
    for (std::uint32_t i = 0; i < count; ++i) {
      TenantSpec tenant;
      tenant.name = "tenant-" + std::to_string(i);
      tenant.weight = range(0.2, 1);
      if (one_in(2)) {
        for (const char* law : kLaws) {
          if (one_in(2)) tenant.jurisdictions.emplace_back(law);
        }
      }
      spec_.scenario.tenants.push_back(std::move(tenant));
    }
  }

  void add_network() {
    NetworkSpec& network = spec_.scenario.network;
    network.jitter = range(0, 0.3);
    network.loss = one_in(3) ? range(0, 0.02) : 0;
    network.access_ms = 0;
  }

  // So many requests as keep the engines busy for 0.2 to 1.6 of the time.
  void add_workloads() {
    const Scenario& s = spec_.scenario;
    WorkloadSpec w;
    w.lengths.kind = LengthSpec::Kind::Lognormal;
    w.lengths.in_mean = range(50, 800);
    w.lengths.out_mean = range(5, 40);
    w.lengths.in_sigma = range(0.2, 1);
    w.lengths.out_sigma = range(0.2, 0.8);
    w.lengths.in_max = 4'000;
    w.lengths.out_max = 120;
    double rate = 0;
    for (const SiteSpec& site : s.sites) {
      for (const EngineGroup& group : site.engines) {
        const EngineProfile& kind = s.kinds[group.kind];
        const double prefill_ms = w.lengths.in_mean * kind.prefill_ms_per_1k / 1000;
        const double seconds =
            (w.lengths.out_mean * kind.decode_base_ms / kind.batch_max + prefill_ms) * 1e-3;
        rate += group.count / seconds;
      }
    }
    w.rate = std::min(30.0, rate * range(0.2, 1.6));
    w.realtime = range(0, 0.3);
    w.interactive = range(0, 0.3);
    w.batch = range(0, 0.3);
    if (one_in(4)) w.deadline_s = range(0.5, 10);
    if (one_in(2)) {
      w.turns = range(1, 4);
      w.think_s = range(0.2, 3);
      w.rate /= w.turns;
      w.system_prompt_tokens = whole(0, 256);
      w.moves_per_minute = range(0, 5);
    }
    if (one_in(3)) {
      const double start = range(1, s.duration_s - 4);
      w.bursts.push_back(
          {.start_s = start, .end_s = start + 3, .factor = range(2, 6), .sites = {}});
    }
    spec_.scenario.workloads.push_back(std::move(w));
  }

  void add_faults() {
    const std::uint32_t count = one_in(12) ? 0 : whole(1, 7);
    for (std::uint32_t i = 0; i < count; ++i) add_fault();
  }

  void add_fault() {
    const Scenario& s = spec_.scenario;
    constexpr std::array kOften{FaultKind::Kill,     FaultKind::Kill, FaultKind::Stop,
                                FaultKind::Cut,      FaultKind::Kill, FaultKind::Slow,
                                FaultKind::CutOneWay};
    FaultRule rule;
    Fault& f = rule.first;
    f.kind = one_in(3) ? static_cast<FaultKind>(random_.below(kFaultKinds))
                       : kOften.at(random_.below(kOften.size()));
    // Some time is left at the end in which nothing is broken.
    f.at_s = range(0.5, s.duration_s * 0.6);
    f.end_s = f.at_s + (one_in(4) ? range(0.05, 0.5) : range(0.5, s.duration_s * 0.3));
    rule.until_s = s.duration_s * 0.6;
    if (one_in(4)) rule.every_s = range(1, 4);
    const auto site = static_cast<std::uint32_t>(random_.below(s.sites.size()));
    const bool link_kind = f.kind == FaultKind::Cut || f.kind == FaultKind::CutOneWay ||
                           f.kind == FaultKind::Corrupt || (f.kind == FaultKind::Slow && one_in(2));
    if (f.kind != FaultKind::ControlDown) f.site = s.sites[site].name;
    if (link_kind) {
      f.link = true;
      const std::size_t other = (site + 1 + random_.below(s.sites.size() - 1)) % s.sites.size();
      if (!one_in(3)) f.other = s.sites[other].name;
      f.share = range(0.001, 0.2);
      f.added_ms = range(10, 500);
    } else if (f.kind == FaultKind::Kill || f.kind == FaultKind::Stop ||
               f.kind == FaultKind::Slow) {
      if (!s.sites[site].engines.empty() && one_in(2)) {
        f.engine = whole(0, s.sites[site].engines[0].count - 1);
      }
      if (!f.engine && one_in(4)) {
        for (const SiteSpec& any : s.sites) rule.sites.push_back(any.name);
      }
      f.factor = range(2, 60);
    }
    f.jump_s = range(-7200, 7200);
    spec_.scenario.faults.push_back(std::move(rule));
  }

  Random random_;
  TrialSpec spec_;
};

}  // namespace

TrialSpec random_trial(std::uint64_t seed) { return Maker{seed}.run(); }

}  // namespace perigee::sim
