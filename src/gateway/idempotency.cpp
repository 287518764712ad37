#include "gateway/idempotency.h"

#include <algorithm>
#include <utility>

#include "api/headers.h"
#include "gateway/inference.h"

namespace perigee {
namespace {

constexpr std::uint64_t kDayMicros = 24ULL * 3600 * 1'000'000;
constexpr std::int64_t kRetryAfterMs = 1000;

Error refused(std::string message) {
  return Error{Code::InvalidArgument, std::move(message),
               std::string{api::headers::kIdempotencyKey}};
}

std::uint64_t number_at(const Sha256& digest, std::size_t offset) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i) number = number << 8 | digest.at(offset + i);
  return number;
}

// The parts are told apart by a line break, which none of them has.
Sha256 name_of(const KeyedRequest& request) {
  return sha256(request.tenant.str() + "\n" + to_hex(sha256(request.account)) + "\n" + request.key);
}

bool allows(const std::vector<JurisdictionId>& law, const JurisdictionId& jurisdiction) {
  return law.empty() || std::ranges::find(law, jurisdiction) != law.end();
}

bool allows_all_of(const std::vector<JurisdictionId>& law,
                   const std::vector<JurisdictionId>& other) {
  if (law.empty()) return true;
  return !other.empty() && std::ranges::all_of(other, [&law](const JurisdictionId& each) {
    return allows(law, each);
  });
}

// A site that is not known any more stands under no law.
bool allows_sites(const std::vector<JurisdictionId>& law, const std::vector<SiteId>& sites,
                  const DirectorySnapshot& directory) {
  return law.empty() || std::ranges::all_of(sites, [&](const SiteId& site) {
           const auto known = directory.sites.find(site);
           return known != directory.sites.end() && allows(law, known->second.jurisdiction);
         });
}

}  // namespace

Sha256 request_fingerprint(const InferenceCall& call) {
  std::string all{to_string(call.operation)};
  for (const JurisdictionId& jurisdiction : call.hints.jurisdictions) {
    all += "\n" + jurisdiction.str();
  }
  return sha256(all + "\n\n" + to_hex(sha256(call.body)));
}

KeyedRequest keyed_request(const InferenceCall& call, const DirectorySnapshot& directory) {
  KeyedRequest request;
  request.tenant = call.caller.tenant;
  request.key = call.hints.idempotency_key;
  request.fingerprint = request_fingerprint(call);
  const auto key = directory.keys.find(call.caller.key_id);
  if (key != directory.keys.end()) request.account = key->second.account;
  if (request.account.empty()) request.account = call.caller.key_id;  // a token's is its account
  return request;
}

RecordId record_id(const KeyedRequest& request, WallTime now) {
  const Sha256 digest =
      sha256("usage\n" + to_hex(name_of(request)) + "\n" + to_hex(request.fingerprint));
  const auto micros = static_cast<std::uint64_t>(now.micros);
  return {micros - micros % kDayMicros + number_at(digest, 0) % kDayMicros, number_at(digest, 8)};
}

IdempotencyTable::IdempotencyTable(const Clock& clock, IdempotencyLimits limits)
    : clock_(clock), limits_(limits) {}

Result<IdempotencyTable::Entered> IdempotencyTable::enter(const KeyedRequest& request,
                                                          const DirectorySnapshot& directory) {
  forget_old();
  const Sha256 name = name_of(request);
  if (const auto known = entries_.find(name); known != entries_.end()) {
    Entry& entry = known->second;
    if (entry.fingerprint != request.fingerprint) {
      return refused(
          "This key was used with another request: repeat a request as it was, and choose a new "
          "key for a new one.");
    }
    return entry.recording != nullptr ? join(entry, request, directory) : begin(entry, request);
  }
  PERIGEE_CHECK(make_place(request.tenant));
  return begin(add(name, request), request);
}

IdempotencyTable::Entry& IdempotencyTable::add(const Sha256& name, const KeyedRequest& request) {
  Share& share = shares_[request.tenant];
  if (share.held == nullptr) share.held = std::make_shared<HeldBytes>(HeldBytes{0, held_});
  Entry& entry = entries_[name];
  entry.name = name;
  entry.tenant = request.tenant;
  entry.share = &share;
  entry.fingerprint = request.fingerprint;
  entry.place = share.ended.insert(share.ended.end(), &entry);
  entry.place_by_age = ended_.insert(ended_.end(), &entry);
  return entry;
}

Result<IdempotencyTable::Entered> IdempotencyTable::begin(Entry& entry,
                                                          const KeyedRequest& request) {
  if (entry.runs >= limits_.runs_max) {
    return refused("This key's request was begun and cut off too often; choose a new key.");
  }
  ++entry.runs;
  entry.running = true;
  entry.law = request.law;
  ended_.erase(entry.place_by_age);
  Share& share = *entry.share;
  share.running.splice(share.running.end(), share.ended, entry.place);
  entry.recording = std::make_shared<Recording>(limits_.answer_bytes_max, share.held);
  Entered entered;
  entered.run.emplace(*this, entry.name, entry.recording);
  return entered;
}

// What runs may go on at any site that its own law allows.
Result<IdempotencyTable::Entered> IdempotencyTable::join(Entry& entry, const KeyedRequest& request,
                                                         const DirectorySnapshot& directory) {
  const bool lawful = (!entry.running || allows_all_of(request.law, entry.law)) &&
                      allows_sites(request.law, entry.recording->sites(), directory);
  if (!lawful) {
    return Error{Code::DataResidency,
                 "What answers this key came, or may come, from a jurisdiction where this request "
                 "may not be served now. Choose a new key to run the request again.",
                 std::string{api::headers::kIdempotencyKey}};
  }
  if (entry.recording->state() == Recording::State::TooLong) {
    return refused(
        "This key's answer was too long to be kept: it can't be given twice. Choose a new key to "
        "run the request again.");
  }
  if (entry.recording->readers() >= limits_.readers_max) {
    return Error{Code::ResourceExhausted, "Too many requests with this key wait for its answer.",
                 std::string{api::headers::kIdempotencyKey}, kRetryAfterMs};
  }
  ++replays_;
  Entered entered;
  entered.followed = entry.recording;
  return entered;
}

// A tenant gives up what it has ended before what it runs; it loses that only to one that has less.
Result<> IdempotencyTable::make_place(const TenantId& tenant) {
  if (entries_.size() < limits_.entries_max) return {};
  const auto own = shares_.find(tenant);
  const std::size_t own_entries = own != shares_.end() ? own->second.entries() : 0;
  const auto most =
      std::ranges::max_element(shares_, {}, [](const auto& each) { return each.second.entries(); });
  const bool another = most != shares_.end() && most->second.entries() > own_entries;
  const auto from = another ? most : own;
  if (from != shares_.end() && !from->second.ended.empty()) {
    forget(*from->second.ended.front());
  } else if (another) {
    give_up(*from->second.running.front());
  } else {
    return Error{Code::ResourceExhausted,
                 "Too many requests with an 'idempotency-key' are running.",
                 std::string{api::headers::kIdempotencyKey}, kRetryAfterMs};
  }
  return {};
}

void IdempotencyTable::make_room(const Sha256& name, const std::shared_ptr<Recording>& recording,
                                 std::size_t bytes) {
  if (recording->state() != Recording::State::Running) return;
  const Entry* entry = find(name, recording);
  if (entry == nullptr) return recording->give_up_bytes();  // nobody can come to it
  while (held_->bytes + bytes > limits_.bytes_max) {
    Entry* const next = next_to_give_up(*entry->share, bytes);
    if (next == nullptr) return recording->give_up_bytes();
    give_up(*next);
  }
}

// Of the tenant that holds the most bytes, the asking one's to come included; what the asking
// tenant runs is not given up for another of its own.
IdempotencyTable::Entry* IdempotencyTable::next_to_give_up(Share& own, std::size_t bytes) {
  Entry* next = nullptr;
  std::size_t most = own.held->bytes + bytes;
  for (auto& [tenant, share] : shares_) {
    if (&share == &own || share.held->bytes < most) continue;
    Entry* const oldest = oldest_with_bytes(share, true);
    if (oldest == nullptr) continue;
    next = oldest;
    most = share.held->bytes;
  }
  return next != nullptr ? next : oldest_with_bytes(own, false);
}

// Rather one that nobody reads.
IdempotencyTable::Entry* IdempotencyTable::oldest_with_bytes(const Share& share,
                                                             bool also_running) {
  const auto holds = [](const Entry* each) {
    return each->recording != nullptr && !each->recording->bytes().empty();
  };
  const auto unread = [&holds](const Entry* each) {
    return holds(each) && each->recording->readers() == 0;
  };
  auto found = std::ranges::find_if(share.ended, unread);
  if (found == share.ended.end()) found = std::ranges::find_if(share.ended, holds);
  if (found != share.ended.end()) return *found;
  if (!also_running) return nullptr;
  found = std::ranges::find_if(share.running, holds);
  return found != share.running.end() ? *found : nullptr;
}

// Who is being given it is told; the client of a run gets all of its answer.
void IdempotencyTable::give_up(Entry& entry) {
  if (entry.recording != nullptr) entry.recording->give_up_bytes();
  forget(entry);
}

IdempotencyTable::Entry* IdempotencyTable::find(const Sha256& name,
                                                const std::shared_ptr<Recording>& recording) {
  const auto known = entries_.find(name);
  return known != entries_.end() && known->second.recording == recording ? &known->second : nullptr;
}

void IdempotencyTable::ended(const Sha256& name, const std::shared_ptr<Recording>& recording) {
  Entry* entry = find(name, recording);
  if (entry == nullptr) return;
  rest(*entry);
  if (recording->complete()) return;
  entry->recording.reset();
  if (!recording->began()) forget(*entry);  // else its runs are counted
}

void IdempotencyTable::abandoned(const Sha256& name, const std::shared_ptr<Recording>& recording) {
  Entry* entry = find(name, recording);
  if (entry == nullptr) return;
  rest(*entry);
  entry->recording.reset();
}

void IdempotencyTable::rest(Entry& entry) {
  if (!entry.running) return;
  entry.running = false;
  entry.closing = nullptr;
  entry.ended = clock_.now();
  Share& share = *entry.share;
  share.ended.splice(share.ended.end(), share.running, entry.place);
  entry.place_by_age = ended_.insert(ended_.end(), &entry);
}

void IdempotencyTable::watch_closing(const Sha256& name,
                                     const std::shared_ptr<Recording>& recording,
                                     std::function<void()> closing) {
  if (Entry* entry = find(name, recording)) entry->closing = std::move(closing);
}

void IdempotencyTable::close() {
  closed_ = true;
  for (auto& [name, entry] : entries_) {
    if (entry.running && entry.closing) entry.closing();
  }
}

void IdempotencyTable::forget(Entry& entry) {
  Share& share = *entry.share;
  if (!entry.running) ended_.erase(entry.place_by_age);
  (entry.running ? share.running : share.ended).erase(entry.place);
  const TenantId tenant = std::move(entry.tenant);
  const Sha256 name = entry.name;
  entries_.erase(name);
  if (share.entries() == 0 && share.held->bytes == 0) shares_.erase(tenant);
}

void IdempotencyTable::forget_old() {
  const Instant now = clock_.now();
  while (!ended_.empty() && now - ended_.front()->ended > limits_.age_max) {
    forget(*ended_.front());
  }
}

}  // namespace perigee
