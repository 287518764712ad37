// WaitingTable: the requests at one admission queue, and the orders they stand in. It keeps the
// tenants' virtual counters; what may run, and when, is AdmissionQueue's. Intrusive lists in flat
// tables: nothing is allocated once these have grown.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/id.h"
#include "base/instant.h"
#include "core/admission.h"

namespace perigee {

inline constexpr std::size_t kAdmissionLevels = AdmissionStats::kLevels;

struct WaitingRequest {
  std::uint32_t tenant = 0;  // slot
  std::uint8_t level = 0;
  bool has_deadline = false;
  bool prefilled = false;           // released, and its first token is out
  bool begun = false;               // it ran before: its client has a part of the answer
  bool stoppable = true;            // it can go on later where it was stopped
  std::uint32_t engine = 0;         // where it is being prefilled
  std::uint32_t prompt_tokens = 0;  // to prefill
  std::uint32_t output_tokens = 0;  // expected, of one answer
  std::uint32_t choices = 1;        // answers
  double work = 0;                  // weighted tokens, charged as it is released
  double charged = 0;               // of those, for runs that were broken off
  double wait_predicted_ms = 0;     // as it came
  double tokens_ahead = 0;          // left at that engine as it came
  Instant arrived{};
  Instant due{};             // first token wanted by then
  Instant overdue{};         // from then on it may go out of the strict order
  Instant released{};        // meaningful while it runs
  Instant first_token{};     // meaningful once prefilled
  AdmissionRefusal refusal;  // meaningful once dropped
};

// What stands before a request. Not whole numbers: a part of another tenant's queue.
struct WorkAhead {
  double answers = 0;
  double prompt_tokens = 0;
};

class WaitingTable {
 public:
  enum class Place : std::uint8_t { Free, Waiting, Running, Dropped };
  static constexpr std::uint32_t kNone = 0;  // positions of requests count from 1

  explicit WaitingTable(std::uint32_t idle_tenants_max);

  std::uint32_t tenant(const TenantId& id);                        // its slot, found or made
  double counter(std::uint32_t tenant, std::uint8_t level) const;  // as if it joined now

  std::uint32_t add_waiting(const WaitingRequest& request);
  std::uint32_t add_running(const WaitingRequest& request);
  void release(std::uint32_t position);              // Waiting -> Running, charged
  void requeue(std::uint32_t position);              // Running -> Waiting, before all of its level
  void keep_running(std::uint32_t position);         // it is not stoppable any more
  void drop(std::uint32_t position);                 // Waiting -> Dropped
  void erase(std::uint32_t position);                // any -> Free
  void charge(std::uint32_t position, double work);  // the correction at its end

  WaitingRequest& at(std::uint32_t position) { return nodes_[position - 1].request; }
  const WaitingRequest& at(std::uint32_t position) const { return nodes_[position - 1].request; }
  AdmissionTicket ticket(std::uint32_t position) const;
  std::uint32_t find(AdmissionTicket ticket, Place place) const;  // kNone when it is not there

  // First of `level` in the order of counters and due times. A tenant stands among those whose due
  // times count while its counter is ahead of the least by at most its next request, and `slack`.
  std::uint32_t first(std::uint8_t level, double slack) const;
  std::uint32_t oldest(std::uint8_t level) const { return levels_[level].oldest; }
  std::uint32_t newest(std::uint8_t level) const { return levels_[level].newest; }
  // Older by arrival, or by release while it runs.
  std::uint32_t before(std::uint32_t position) const { return nodes_[position - 1].older; }
  std::uint32_t newest_running(std::uint8_t level) const { return levels_[level].newest_running; }
  std::uint32_t first_dropped() const { return dropped_; }

  // Before a request that `tenant` would add to `level` now.
  WorkAhead ahead(std::uint32_t tenant, std::uint8_t level, double slack) const;
  // The same for a tenant with nothing here.
  WorkAhead ahead_of_stranger(std::uint8_t level, double slack) const;
  // The tenant with the most waiting work in `level`; kNoTenant when none waits there.
  std::uint32_t heaviest(std::uint8_t level) const;
  double work(std::uint32_t tenant, std::uint8_t level) const {
    return tenants_[tenant].levels[level].work;
  }

  static constexpr std::uint32_t kNoTenant = 0xffff'ffff;
  struct Level {
    std::uint32_t requests = 0;
    std::uint64_t answers = 0;  // to these
    std::uint64_t prompt_tokens = 0;
    double last_left = 0;  // counter of the tenant who last had something leave
    std::uint32_t oldest = kNone;
    std::uint32_t newest = kNone;
    std::uint32_t newest_running = kNone;
    std::uint64_t stoppable = 0;         // answers that run
    std::vector<std::uint32_t> tenants;  // with something waiting here, in no order
  };
  const Level& level(std::uint8_t number) const { return levels_[number]; }
  std::uint32_t waiting() const { return waiting_; }
  std::uint64_t waiting_tokens() const { return waiting_tokens_; }
  std::uint32_t dropped() const { return dropped_count_; }

 private:
  struct Node {
    WaitingRequest request;
    Place place = Place::Free;
    std::uint32_t generation = 0;
    std::uint32_t older = kNone;  // by arrival in its level; while it runs, by release
    std::uint32_t newer = kNone;
    std::uint32_t sooner = kNone;  // by due time, of its tenant in its level
    std::uint32_t later = kNone;
    std::uint32_t next = kNone;  // free or dropped
  };
  struct TenantLevel {
    double counter = 0;
    double work = 0;  // waiting
    std::uint32_t requests = 0;
    std::uint64_t answers = 0;
    std::uint64_t prompt_tokens = 0;
    std::uint32_t soonest = kNone;
    std::uint32_t latest = kNone;
    std::uint32_t position = 0;  // in Level::tenants, while requests > 0
  };
  using Names = std::unordered_map<std::string, std::uint32_t>;  // looked up, never iterated
  struct Tenant {
    std::uint32_t requests = 0;       // nodes of any place
    std::uint32_t older = kNoTenant;  // in the list of idle ones
    std::uint32_t newer = kNoTenant;
    bool idle = false;
    const std::string* name = nullptr;  // its key in names_
    std::array<TenantLevel, kAdmissionLevels> levels{};
  };

  std::uint32_t add(const WaitingRequest& request, Place place);
  void link_oldest(std::uint32_t position);
  void join(std::uint32_t position);   // into the sums and the order of those that wait
  void leave(std::uint32_t position);  // out of the lists of those that wait
  void link_running(std::uint32_t position);
  void unlink_running(std::uint32_t position);
  void settle(std::uint32_t tenant);  // into the list of idle ones, if it is
  void link_due(std::uint32_t position, TenantLevel& own);
  void unlink_idle(std::uint32_t tenant);
  double least_counter(std::uint8_t level) const;
  WorkAhead ahead_up_to(double counter, double slack, std::uint32_t tenant,
                        std::uint8_t level) const;

  std::uint32_t idle_tenants_max_;
  std::vector<Node> nodes_;
  std::vector<Tenant> tenants_;
  std::array<Level, kAdmissionLevels> levels_;
  Names names_;
  std::uint32_t idle_tenants_ = 0;
  std::uint32_t idle_oldest_ = kNoTenant;
  std::uint32_t idle_newest_ = kNoTenant;
  std::uint32_t free_ = kNone;
  std::uint32_t dropped_ = kNone;  // first in, first out
  std::uint32_t dropped_last_ = kNone;
  std::uint32_t dropped_count_ = 0;
  std::uint32_t waiting_ = 0;
  std::uint64_t waiting_tokens_ = 0;
};

}  // namespace perigee
