// IdempotencyTable: one run for all requests that a tenant sends with the same `Idempotency-Key`.
//
// Who repeats a request while its first run goes on follows that run; after it has ended well, the
// answer is replayed from memory, never from disk. A run that failed is forgotten, so that the
// repetition runs again. The same key with another request is an error: one of the two is a
// mistake.
//
// A key counts within its tenant and at this ingress site. Elsewhere the request runs again, but
// its usage record has the same id (record_id), so that a store that sees both bills one of them.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/inference.h"
#include "gateway/recording.h"
#include "ledger/ledger.h"

namespace perigee {

struct InferenceCall;

struct IdempotencyLimits {
  std::size_t entries_max = 10'000;                       // keys remembered; the oldest go first
  std::size_t bytes_max = std::size_t{64} * 1024 * 1024;  // of all answers held
  std::size_t answer_bytes_max = std::size_t{4} * 1024 * 1024;  // longer ones are not replayed
  std::size_t readers_max = 16;                                 // of one answer at once
  std::uint32_t runs_max = 8;              // of one key whose runs were cut off
  Duration age_max = seconds{3600};        // from an answer's end
  Duration reader_patience = seconds{10};  // how long a run goes on after its client has left
};

// What is asked: two requests with the same are the same.
Sha256 request_fingerprint(const InferenceCall& call);
// The usage record of a request with a key, the same at every ingress site on the same UTC day.
// Grows with time by days; within a day it is scattered, as only what the sites share can go in.
RecordId record_id(const TenantId& tenant, std::string_view key, const Sha256& fingerprint,
                   WallTime now);

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
    // Forgets older answers for `bytes` more; where that is not enough, gives up this one's.
    void make_room(std::size_t bytes) { table_->make_room(*recording_, bytes); }
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
  // or for too many runs that were cut off. ResourceExhausted: too many follow it, or run.
  Result<Entered> enter(const TenantId& tenant, std::string_view key, const Sha256& fingerprint);

  // The site stops: runs without a client are given up.
  void close();

  std::size_t entries() const { return entries_.size(); }
  std::size_t bytes() const { return *bytes_; }
  std::uint64_t replays() const { return replays_; }  // requests that ran nothing

 private:
  using Names = std::list<Sha256>;
  struct Entry {
    Sha256 fingerprint{};
    std::shared_ptr<Recording> recording;  // null: cut off
    std::uint32_t runs = 0;
    std::function<void()> closing;
    bool running = false;
    Names::iterator place;  // in ended_, unless running
    Instant ended{};
  };
  using Entries = std::map<Sha256, Entry>;

  Entry* find(const Sha256& name, const std::shared_ptr<Recording>& recording);
  Result<Entered> begin(const Sha256& name, Entry& entry);
  Result<Entered> join(Entry& entry);
  Result<> make_place();
  void make_room(Recording& recording, std::size_t bytes);
  void ended(const Sha256& name, const std::shared_ptr<Recording>& recording);
  void abandoned(const Sha256& name, const std::shared_ptr<Recording>& recording);
  void watch_closing(const Sha256& name, const std::shared_ptr<Recording>& recording,
                     std::function<void()> closing);
  void rest(const Sha256& name, Entry& entry);  // it runs no more
  void forget_oldest();
  void forget_old();

  const Clock& clock_;
  IdempotencyLimits limits_;
  std::shared_ptr<std::size_t> bytes_ = std::make_shared<std::size_t>(0);
  Entries entries_;
  Names ended_;  // oldest first
  std::uint64_t replays_ = 0;
  bool closed_ = false;
};

}  // namespace perigee
