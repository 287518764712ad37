#include "core/waiting_table.h"

#include <algorithm>

#include "base/assert.h"

namespace perigee {

WaitingTable::WaitingTable(std::uint32_t idle_tenants_max)
    : idle_tenants_max_(std::max(idle_tenants_max, 1U)) {}

std::uint32_t WaitingTable::tenant(const TenantId& id) {
  if (const auto found = names_.find(id.str()); found != names_.end()) return found->second;
  std::uint32_t slot = 0;
  const std::string* name = nullptr;
  if (idle_tenants_ >= idle_tenants_max_) {
    slot = idle_oldest_;
    unlink_idle(slot);
    auto node = names_.extract(names_.find(*tenants_[slot].name));
    node.key() = id.str();
    name = &names_.insert(std::move(node)).position->first;
  } else {
    slot = static_cast<std::uint32_t>(tenants_.size());
    tenants_.emplace_back();
    name = &names_.emplace(id.str(), slot).first->first;
  }
  tenants_[slot] = Tenant{};
  tenants_[slot].name = name;
  settle(slot);
  return slot;
}

void WaitingTable::settle(std::uint32_t slot) {
  Tenant& tenant = tenants_[slot];
  if (tenant.requests > 0) return;
  if (tenant.idle) unlink_idle(slot);
  tenant.idle = true;
  tenant.older = idle_newest_;
  tenant.newer = kNoTenant;
  (idle_newest_ != kNoTenant ? tenants_[idle_newest_].newer : idle_oldest_) = slot;
  idle_newest_ = slot;
  ++idle_tenants_;
}

void WaitingTable::unlink_idle(std::uint32_t slot) {
  Tenant& tenant = tenants_[slot];
  (tenant.older != kNoTenant ? tenants_[tenant.older].newer : idle_oldest_) = tenant.newer;
  (tenant.newer != kNoTenant ? tenants_[tenant.newer].older : idle_newest_) = tenant.older;
  tenant.idle = false;
  --idle_tenants_;
}

double WaitingTable::least_counter(std::uint8_t number) const {
  const Level& level = levels_[number];
  if (level.tenants.empty()) return level.last_left;
  double least = tenants_[level.tenants.front()].levels[number].counter;
  for (const std::uint32_t slot : level.tenants) {
    least = std::min(least, tenants_[slot].levels[number].counter);
  }
  return least;
}

double WaitingTable::counter(std::uint32_t slot, std::uint8_t level) const {
  const TenantLevel& own = tenants_[slot].levels[level];
  return own.requests > 0 ? own.counter : std::max(own.counter, least_counter(level));
}

std::uint32_t WaitingTable::add(const WaitingRequest& request, Place place) {
  if (free_ == kNone) {
    nodes_.emplace_back();
    free_ = static_cast<std::uint32_t>(nodes_.size());
  }
  const std::uint32_t position = free_;
  Node& node = nodes_[position - 1];
  free_ = node.next;
  const std::uint32_t generation = node.generation;
  node = Node{};
  node.generation = generation;
  node.request = request;
  node.place = place;
  Tenant& tenant = tenants_[request.tenant];
  if (tenant.idle) unlink_idle(request.tenant);
  ++tenant.requests;
  tenant.levels[request.level].counter = counter(request.tenant, request.level);
  return position;
}

std::uint32_t WaitingTable::add_waiting(const WaitingRequest& request) {
  const std::uint32_t position = add(request, Place::Waiting);
  if (request.begun) {
    link_oldest(position);
    join(position);
    return position;
  }
  Level& level = levels_[request.level];
  nodes_[position - 1].older = level.newest;
  (level.newest != kNone ? nodes_[level.newest - 1].newer : level.oldest) = position;
  level.newest = position;
  join(position);
  return position;
}

// Before all others of its level.
void WaitingTable::link_oldest(std::uint32_t position) {
  Node& node = nodes_[position - 1];
  Level& level = levels_[node.request.level];
  node.older = kNone;
  node.newer = level.oldest;
  (level.oldest != kNone ? nodes_[level.oldest - 1].older : level.newest) = position;
  level.oldest = position;
}

void WaitingTable::join(std::uint32_t position) {
  const WaitingRequest& request = nodes_[position - 1].request;
  Level& level = levels_[request.level];
  TenantLevel& own = tenants_[request.tenant].levels[request.level];
  if (own.requests == 0) {
    own.position = static_cast<std::uint32_t>(level.tenants.size());
    level.tenants.push_back(request.tenant);
  }
  link_due(position, own);
  ++own.requests;
  own.answers += request.choices;
  own.prompt_tokens += request.prompt_tokens;
  own.work += request.work;
  ++level.requests;
  level.answers += request.choices;
  level.prompt_tokens += request.prompt_tokens;
  ++waiting_;
  waiting_tokens_ += request.prompt_tokens;
}

void WaitingTable::requeue(std::uint32_t position) {
  unlink_running(position);
  Node& node = nodes_[position - 1];
  node.place = Place::Waiting;
  double& own = tenants_[node.request.tenant].levels[node.request.level].counter;
  own = counter(node.request.tenant, node.request.level);
  link_oldest(position);
  join(position);
}

void WaitingTable::link_running(std::uint32_t position) {
  Node& node = nodes_[position - 1];
  std::uint32_t& newest = levels_[node.request.level].newest_running;
  node.older = newest;
  node.newer = kNone;
  if (newest != kNone) nodes_[newest - 1].newer = position;
  newest = position;
  if (node.request.stoppable) levels_[node.request.level].stoppable += node.request.choices;
}

void WaitingTable::unlink_running(std::uint32_t position) {
  const Node& node = nodes_[position - 1];
  PERIGEE_ASSERT(node.place == Place::Running);
  if (node.older != kNone) nodes_[node.older - 1].newer = node.newer;
  std::uint32_t& newest = levels_[node.request.level].newest_running;
  (node.newer != kNone ? nodes_[node.newer - 1].older : newest) = node.older;
  if (node.request.stoppable) levels_[node.request.level].stoppable -= node.request.choices;
}

void WaitingTable::keep_running(std::uint32_t position) {
  WaitingRequest& request = nodes_[position - 1].request;
  if (request.stoppable) levels_[request.level].stoppable -= request.choices;
  request.stoppable = false;
}

std::uint32_t WaitingTable::add_running(const WaitingRequest& request) {
  const std::uint32_t position = add(request, Place::Running);
  link_running(position);
  charge(position, request.work);
  levels_[request.level].last_left = tenants_[request.tenant].levels[request.level].counter;
  return position;
}

// Due times mostly rise, so the place is looked for from the end.
void WaitingTable::link_due(std::uint32_t position, TenantLevel& own) {
  Node& node = nodes_[position - 1];
  std::uint32_t sooner = own.latest;
  while (sooner != kNone && nodes_[sooner - 1].request.due > node.request.due) {
    sooner = nodes_[sooner - 1].sooner;
  }
  node.sooner = sooner;
  node.later = sooner != kNone ? nodes_[sooner - 1].later : own.soonest;
  (sooner != kNone ? nodes_[sooner - 1].later : own.soonest) = position;
  (node.later != kNone ? nodes_[node.later - 1].sooner : own.latest) = position;
}

void WaitingTable::leave(std::uint32_t position) {
  Node& node = nodes_[position - 1];
  PERIGEE_ASSERT(node.place == Place::Waiting);
  Level& level = levels_[node.request.level];
  TenantLevel& own = tenants_[node.request.tenant].levels[node.request.level];
  (node.older != kNone ? nodes_[node.older - 1].newer : level.oldest) = node.newer;
  (node.newer != kNone ? nodes_[node.newer - 1].older : level.newest) = node.older;
  (node.sooner != kNone ? nodes_[node.sooner - 1].later : own.soonest) = node.later;
  (node.later != kNone ? nodes_[node.later - 1].sooner : own.latest) = node.sooner;
  --own.requests;
  own.answers -= node.request.choices;
  own.prompt_tokens -= node.request.prompt_tokens;
  own.work = own.requests == 0 ? 0 : own.work - node.request.work;
  if (own.requests == 0) {
    const std::uint32_t moved = level.tenants.back();
    level.tenants[own.position] = moved;
    tenants_[moved].levels[node.request.level].position = own.position;
    level.tenants.pop_back();
  }
  --level.requests;
  level.answers -= node.request.choices;
  level.prompt_tokens -= node.request.prompt_tokens;
  level.last_left = own.counter;
  --waiting_;
  waiting_tokens_ -= node.request.prompt_tokens;
}

void WaitingTable::release(std::uint32_t position) {
  leave(position);
  Node& node = nodes_[position - 1];
  node.place = Place::Running;
  link_running(position);
  charge(position, node.request.work);
  levels_[node.request.level].last_left =
      tenants_[node.request.tenant].levels[node.request.level].counter;
}

void WaitingTable::charge(std::uint32_t position, double work) {
  const WaitingRequest& request = nodes_[position - 1].request;
  double& counter = tenants_[request.tenant].levels[request.level].counter;
  counter = std::max(0.0, counter + work);
}

void WaitingTable::drop(std::uint32_t position) {
  leave(position);
  Node& node = nodes_[position - 1];
  node.place = Place::Dropped;
  node.next = kNone;
  (dropped_last_ != kNone ? nodes_[dropped_last_ - 1].next : dropped_) = position;
  dropped_last_ = position;
  ++dropped_count_;
}

void WaitingTable::erase(std::uint32_t position) {
  Node& node = nodes_[position - 1];
  if (node.place == Place::Waiting) leave(position);
  if (node.place == Place::Running) unlink_running(position);
  if (node.place == Place::Dropped) {
    PERIGEE_ASSERT(position == dropped_);
    dropped_ = node.next;
    if (dropped_ == kNone) dropped_last_ = kNone;
    --dropped_count_;
  }
  node.place = Place::Free;
  ++node.generation;
  node.next = free_;
  free_ = position;
  --tenants_[node.request.tenant].requests;
  settle(node.request.tenant);
}

AdmissionTicket WaitingTable::ticket(std::uint32_t position) const {
  return (AdmissionTicket{nodes_[position - 1].generation} << 32) | position;
}

std::uint32_t WaitingTable::find(AdmissionTicket ticket, Place place) const {
  const auto position = static_cast<std::uint32_t>(ticket & 0xffff'ffff);
  if (position == kNone || position > nodes_.size()) return kNone;
  const Node& node = nodes_[position - 1];
  return node.place == place && node.generation == ticket >> 32 ? position : kNone;
}

std::uint32_t WaitingTable::first(std::uint8_t number, double slack) const {
  const double least = least_counter(number);
  std::uint32_t found = kNone;
  for (const std::uint32_t slot : levels_[number].tenants) {
    const TenantLevel& own = tenants_[slot].levels[number];
    if (own.counter > least + std::min(slack, at(own.soonest).work)) continue;
    if (found == kNone) {
      found = own.soonest;
      continue;
    }
    const WaitingRequest& best = at(found);
    const WaitingRequest& other = at(own.soonest);
    if (other.due != best.due ? other.due < best.due : other.arrived < best.arrived) {
      found = own.soonest;
    }
  }
  return found;
}

WorkAhead WaitingTable::ahead_up_to(double counter, double slack, std::uint32_t tenant,
                                    std::uint8_t number) const {
  WorkAhead ahead;
  for (std::uint8_t above = 0; above < number; ++above) {
    ahead.answers += static_cast<double>(levels_[above].answers);
    ahead.prompt_tokens += static_cast<double>(levels_[above].prompt_tokens);
  }
  for (const std::uint32_t slot : levels_[number].tenants) {
    const TenantLevel& other = tenants_[slot].levels[number];
    const double one = other.work / other.requests;
    const double behind =
        slot == tenant ? other.work : counter + std::min(slack, one) - other.counter;
    if (behind <= 0) continue;
    const double share = other.work > 0 ? std::min(1.0, behind / other.work) : 1;
    ahead.answers += share * static_cast<double>(other.answers);
    ahead.prompt_tokens += share * static_cast<double>(other.prompt_tokens);
  }
  return ahead;
}

WorkAhead WaitingTable::ahead(std::uint32_t tenant, std::uint8_t level, double slack) const {
  return ahead_up_to(counter(tenant, level) + work(tenant, level), slack, tenant, level);
}

WorkAhead WaitingTable::ahead_of_stranger(std::uint8_t level, double slack) const {
  return ahead_up_to(least_counter(level), slack, kNoTenant, level);
}

std::uint32_t WaitingTable::heaviest(std::uint8_t level) const {
  std::uint32_t found = kNoTenant;
  for (const std::uint32_t slot : levels_[level].tenants) {
    if (found == kNoTenant || work(slot, level) > work(found, level)) found = slot;
  }
  return found;
}

}  // namespace perigee
