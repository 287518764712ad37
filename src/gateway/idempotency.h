// IdempotencyTable: one run for all requests that a tenant sends with the same `Idempotency-Key`.
//
// Who repeats a request while its first run goes on follows that run; after it has ended well, the
// answer is replayed from memory, never from disk. A run that failed is forgotten, so that the
// repetition runs again. The same key with another request is an error: one of the two is a
// mistake.
//
// A key counts within the account that sends it and at this ingress site. Elsewhere the request
// runs again, but its usage record has the same id (record_id), so that a store that sees both
// bills one of them.
//
// An answer is given again only where it might be made now: every site that it came from must stand
// under a law that its reader may use.
//
// Room is shared by tenants: one alone may have all of it, but who lacks room takes it from the
// tenant that holds the most, and so from nobody who holds less than an equal share.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/inference.h"
#include "directory/records.h"
#include "gateway/recording.h"
#include "ledger/ledger.h"

namespace perigee {

struct InferenceCall;

// Of all tenants together, but for those of one answer or key. Of what a tenant has to give up the
// oldest goes first.
struct IdempotencyLimits {
  std::size_t entries_max = 10'000;                             // keys remembered
  std::size_t bytes_max = std::size_t{64} * 1024 * 1024;        // of all answers held
  std::size_t answer_bytes_max = std::size_t{4} * 1024 * 1024;  // longer ones are not replayed
  std::size_t readers_max = 16;                                 // of one answer at once
  std::uint32_t runs_max = 8;              // of one key whose runs were cut off
  Duration age_max = seconds{3600};        // from an answer's end
  Duration reader_patience = seconds{10};  // how long a run goes on after its client has left
};

// What is asked: two requests with the same are the same.
Sha256 request_fingerprint(const InferenceCall& call);

// A request with a key, as the table knows it.
struct KeyedRequest {
  TenantId tenant;
  std::string account;  // whose answers it may be given: keys that were rotated share one
  std::string key;
  Sha256 fingerprint{};
  std::vector<JurisdictionId> law;  // where it may be served now; empty: anywhere
};
// Without its law.
KeyedRequest keyed_request(const InferenceCall& call, const DirectorySnapshot& directory);

// The usage record of a request with a key, the same at every ingress site on the same UTC day.
// Grows with time by days; within a day it is scattered, as only what the sites share can go in.
RecordId record_id(const KeyedRequest& request, WallTime now);

// IO thread. `clock` must outlive it; it must outlive its runs.
class IdempotencyTable {
 public:
  IdempotencyTable(const Clock& clock, IdempotencyLimits limits);

  // The right to answer a key, held while it is being answered.
  class Run {
   public:
    Run(IdempotencyTable& table, const Sha256& name, std::shared_ptr<Recording> recording)
        : table_(&table), name_(name), recording_(std::move(recording)) {}
    Run(Run&&) noexcept = default;
    Run& operator=(Run&&) = delete;
    ~Run() {
      if (recording_ != nullptr) table_->ended(name_, recording_);
    }
    const std::shared_ptr<Recording>& recording() const { return recording_; }
    // Makes room for `bytes` more; where that can't be, gives up what is held of this answer.
    void make_room(std::size_t bytes) { table_->make_room(name_, recording_, bytes); }
    // Nobody waits for it: who asks from now on starts a new run.
    void abandon() { table_->abandoned(name_, recording_); }
    // How long to go on without a reader.
    Duration patience() const {
      return table_->closed_ ? Duration{} : table_->limits_.reader_patience;
    }
    // Called when the site stops and patience is over; before the next call of this and ~Run.
    void on_closing(std::function<void()> closing) {
      table_->watch_closing(name_, recording_, std::move(closing));
    }

   private:
    IdempotencyTable* table_;
    Sha256 name_;
    std::shared_ptr<Recording> recording_;  // null once moved from
  };

  // Either a run to begin or one to follow.
  struct Entered {
    std::optional<Run> run;
    std::shared_ptr<Recording> followed;
  };
  // InvalidArgument: the key stands for another request, for an answer that was too long to keep,
  // or for too many runs that were cut off. DataResidency: what answers it came, or may come, from
  // where this request may not be served by what `directory` says. ResourceExhausted: too many
  // follow it, or run.
  Result<Entered> enter(const KeyedRequest& request, const DirectorySnapshot& directory);

  // The site stops: runs without a client are given up.
  void close();

  std::size_t entries() const { return entries_.size(); }
  std::size_t bytes() const { return held_->bytes; }
  std::uint64_t replays() const { return replays_; }  // requests that ran nothing

 private:
  struct Share;
  struct Entry;
  using Order = std::list<Entry*>;  // oldest first
  struct Entry {
    Sha256 name{};
    TenantId tenant;
    Share* share = nullptr;
    Sha256 fingerprint{};
    std::vector<JurisdictionId> law;       // that its run began under
    std::shared_ptr<Recording> recording;  // null: cut off
    std::uint32_t runs = 0;
    std::function<void()> closing;
    bool running = false;
    Order::iterator place;         // in its share's `running` or `ended`
    Order::iterator place_by_age;  // in ended_, unless running
    Instant ended{};
  };
  // What one tenant has of the table. It goes with the last that it has.
  struct Share {
    std::size_t entries() const { return running.size() + ended.size(); }
    Order running;
    Order ended;
    std::shared_ptr<HeldBytes> held;
  };

  Entry* find(const Sha256& name, const std::shared_ptr<Recording>& recording);
  Result<Entered> begin(Entry& entry, const KeyedRequest& request);
  Result<Entered> join(Entry& entry, const KeyedRequest& request,
                       const DirectorySnapshot& directory);
  Entry& add(const Sha256& name, const KeyedRequest& request);
  Result<> make_place(const TenantId& tenant);
  void make_room(const Sha256& name, const std::shared_ptr<Recording>& recording,
                 std::size_t bytes);
  Entry* next_to_give_up(Share& own, std::size_t bytes);
  static Entry* oldest_with_bytes(const Share& share, bool also_running);
  void give_up(Entry& entry);
  void ended(const Sha256& name, const std::shared_ptr<Recording>& recording);
  void abandoned(const Sha256& name, const std::shared_ptr<Recording>& recording);
  void watch_closing(const Sha256& name, const std::shared_ptr<Recording>& recording,
                     std::function<void()> closing);
  void rest(Entry& entry);  // it runs no more
  void forget(Entry& entry);
  void forget_old();

  const Clock& clock_;
  IdempotencyLimits limits_;
  std::shared_ptr<HeldBytes> held_ = std::make_shared<HeldBytes>();
  std::map<Sha256, Entry> entries_;
  std::map<TenantId, Share> shares_;  // of tenants with an entry, or with bytes that are still read
  Order ended_;
  std::uint64_t replays_ = 0;
  bool closed_ = false;
};

}  // namespace perigee
