#include "proof/file/receipt_writer.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "proof/sha256_many.h"

namespace perigee::proof {
namespace {

constexpr std::int64_t kRetryAfterMs = 1000;
constexpr Duration kForgetInterval = seconds{3600};

Receipt receipt_of(std::string grid, SiteId site, std::string log) {
  Receipt receipt;
  receipt.grid = std::move(grid);
  receipt.site = std::move(site);
  receipt.log = std::move(log);
  return receipt;
}

// Of the client's bytes, when an ingress has added some, which are left out.
Sha256 hash_without(std::string_view body, const BodySpan& cut) {
  Sha256Stream stream;
  stream.update(body.substr(0, cut.offset));
  stream.update(body.substr(cut.offset + cut.size));
  return stream.finish();
}

}  // namespace

Result<std::unique_ptr<ReceiptWriter>> ReceiptWriter::open(std::string folder, std::string grid,
                                                           SiteId site, HeadSigner& signer,
                                                           const Clock& clock,
                                                           ReceiptWriterOptions options) {
  PERIGEE_TRY(log, ReceiptLog::open(std::move(folder), grid, site));
  const WallTime now = clock.wall();
  PERIGEE_CHECK(log->sign(signer, now));
  std::unique_ptr<ReceiptWriter> writer{
      new ReceiptWriter{std::move(log), std::move(grid), std::move(site), signer, clock, options}};
  std::int64_t never = 0;  // unless a batch was faster
  writer->head_us_.compare_exchange_strong(never, now.micros, std::memory_order_relaxed);
  return writer;
}

ReceiptWriter::ReceiptWriter(std::unique_ptr<ReceiptLog> log, std::string grid, SiteId site,
                             HeadSigner& signer, const Clock& clock, ReceiptWriterOptions options)
    : options_(options),
      site_(std::move(site)),
      recovered_(log->recovered()),
      signer_(signer),
      clock_(clock),
      next_leaf_(log->leaves()),
      log_(std::move(log)),
      receipt_(receipt_of(std::move(grid), site_, log_->log_id())),
      queue_(options.places + options.questions + 1),
      places_left_(static_cast<std::int64_t>(options.places)),
      questions_left_(static_cast<std::int64_t>(options.questions)),
      writer_([this] { run(); }) {}

ReceiptWriter::~ReceiptWriter() {
  queue_.close();
  writer_.join();
}

Result<> ReceiptWriter::reserve() {
  if (places_left_.fetch_sub(1, std::memory_order_relaxed) > 0) return {};
  places_left_.fetch_add(1, std::memory_order_relaxed);
  return Error{Code::ResourceExhausted,
               "This site can't give a receipt for the request now: its log of receipts is full.",
               "", kRetryAfterMs};
}

void ReceiptWriter::give_back() noexcept { places_left_.fetch_add(1, std::memory_order_relaxed); }

Nonce ReceiptWriter::next_nonce() {
  Nonce nonce{};
  if (random_used_ + nonce.size() > random_.size()) {
    random_bytes(random_);
    random_used_ = 0;
  }
  std::copy_n(random_.begin() + static_cast<std::ptrdiff_t>(random_used_), nonce.size(),
              nonce.begin());
  random_used_ += nonce.size();
  return nonce;
}

std::string ReceiptWriter::give(std::unique_ptr<ReceiptDraft> draft) noexcept {
  const Nonce nonce = next_nonce();
  const ReceiptId id{site_, next_leaf_++, mark_of(nonce)};
  const bool pushed = queue_.try_push(Entry{std::move(draft), id.leaf, nonce});
  PERIGEE_ASSERT(pushed);  // its place was reserved
  return to_string(id);
}

bool ReceiptWriter::ask(Work question) {
  if (questions_left_.fetch_sub(1, std::memory_order_relaxed) <= 0) {
    questions_left_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  const bool pushed = queue_.try_push(std::move(question));
  PERIGEE_ASSERT(pushed);
  return true;
}

bool ReceiptWriter::ask_receipt(const ReceiptId& id, OnReceipt answer) {
  return ask(ReceiptQuestion{id, std::move(answer)});
}

bool ReceiptWriter::ask_since(std::uint64_t since, OnLog answer) {
  return ask(LogQuestion{since, std::move(answer)});
}

void ReceiptWriter::sign_again() {
  if (new_key_.exchange(true, std::memory_order_acq_rel)) return;  // it is to come still
  const bool pushed = queue_.try_push(NewKey{});
  PERIGEE_ASSERT(pushed);
}

// Old texts make room; a failure makes none and is tried again.
void ReceiptWriter::forget_old() {
  if (options_.keep <= Duration::zero() || clock_.now() < forgets_next_) return;
  forgets_next_ = clock_.now() + kForgetInterval;
  const auto keep_us = std::chrono::duration_cast<std::chrono::microseconds>(options_.keep).count();
  const auto forgotten = log_->forget_before(WallTime{clock_.wall().micros - keep_us});
  if (!forgotten) {
    log::error("old receipts could not be removed", {{"error", forgotten.error().message}});
  } else if (*forgotten > 0) {
    log::info("old receipts are removed",
              {{"receipts", *forgotten}, {"first_kept", log_->first_kept()}});
  }
}

void ReceiptWriter::tell_figures() {
  leaves_.store(log_->signed_leaves(), std::memory_order_relaxed);
  first_kept_.store(log_->first_kept(), std::memory_order_relaxed);
  bytes_.store(log_->bytes(), std::memory_order_relaxed);
}

ReceiptFigures ReceiptWriter::figures() const {
  constexpr auto kAny = std::memory_order_relaxed;
  return {leaves_.load(kAny), first_kept_.load(kAny), bytes_.load(kAny), signatures_.load(kAny),
          WallTime{head_us_.load(kAny)}};
}

void ReceiptWriter::run() {
  bool closing = false;
  bool more = false;
  forget_old();
  tell_figures();
  while (more || queue_.wait_for_value()) {
    if (!more) closing = queue_.wait_for_close(options_.batch_time);
    more = take_batch();
    bool appended = texts_.empty();
    while (!texts_.empty() || unsigned_) {
      const Result<> stored = store(appended);
      if (stored) break;
      log::error("receipts could not be stored",
                 {{"receipts", static_cast<std::uint64_t>(texts_.size())},
                  {"error", stored.error().message}});
      if (closing) break;  // the log tells what is lost
      closing = queue_.wait_for_close(options_.retry_time);
    }
    places_left_.fetch_add(static_cast<std::int64_t>(texts_.size()), std::memory_order_relaxed);
    texts_.clear();
    forget_old();
    tell_figures();
    answer_questions();
  }
}

// True: it was full, and there may be more.
bool ReceiptWriter::take_batch() {
  bool more = true;
  while (entries_.size() < options_.batch) {
    std::optional<Work> work = queue_.try_pop();
    more = work.has_value();
    if (!more) break;
    if (auto* entry = std::get_if<Entry>(&*work)) {
      entries_.push_back(std::move(*entry));
    } else if (std::holds_alternative<NewKey>(*work)) {
      new_key_.store(false, std::memory_order_release);
      unsigned_ = true;
    } else {
      questions_.push_back(std::move(*work));
    }
  }
  write_texts();
  return more;
}

void ReceiptWriter::write_texts() {
  std::vector<std::string_view> bodies;  // of each its request, then its answer if it is here
  bodies.reserve(2 * entries_.size());
  for (const Entry& entry : entries_) {
    bodies.push_back(*entry.draft->body);
    bodies.push_back(entry.draft->whole);
  }
  std::vector<Sha256> digests(bodies.size());
  sha256_many({}, bodies, digests);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    ReceiptDraft& draft = *entries_[i].draft;
    BodyHashes hashes{digests[2 * i], digests[2 * i + 1]};
    const BodySpan& cut = draft.not_the_clients;
    if (cut.size > 0) hashes.request = hash_without(*draft.body, cut);
    if (draft.whole.empty()) hashes.response = draft.response.finish();
    write_text(entries_[i], hashes);
  }
  entries_.clear();
}

void ReceiptWriter::write_text(Entry& entry, const BodyHashes& hashes) {
  ReceiptDraft& draft = *entry.draft;
  receipt_.leaf = entry.leaf;
  receipt_.nonce = entry.nonce;
  receipt_.request_id = std::move(draft.request_id);
  receipt_.trace = std::move(draft.trace);
  receipt_.tenant = std::move(draft.tenant);
  receipt_.jurisdiction = draft.facts->jurisdiction;
  receipt_.model = draft.facts->model;
  receipt_.model_digest = draft.facts->model_digest;
  receipt_.policy_revision = draft.facts->policy_revision;
  receipt_.operation = draft.operation;
  receipt_.outcome = draft.outcome;
  receipt_.began = draft.began;
  receipt_.ended = draft.ended;
  receipt_.usage = draft.usage;
  receipt_.resumed_tokens = draft.resumed_tokens;
  receipt_.request = hashes.request;
  receipt_.response = hashes.response;
  texts_.add(receipt_);
}

Result<> ReceiptWriter::store(bool& appended) {
  if (!appended) PERIGEE_CHECK(log_->append(texts_));
  appended = true;
  const WallTime now = clock_.wall();
  PERIGEE_CHECK(log_->sign(signer_, now));
  head_us_.store(now.micros, std::memory_order_relaxed);
  signatures_.fetch_add(1, std::memory_order_relaxed);
  unsigned_ = false;
  return {};
}

Result<ReceiptEvidence> ReceiptWriter::find(const ReceiptId& id) const {
  const Error unknown{Code::NotFound,
                      "There is no such receipt: it was mistyped, lost in a crash of the site, or "
                      "is too old."};
  auto evidence = log_->evidence(id.leaf);
  if (!evidence && evidence.error().code == Code::NotFound) return unknown;
  if (!evidence) return evidence;
  PERIGEE_TRY(receipt, parse_receipt(evidence->receipt));
  if (id_of(receipt) != id) return unknown;
  return evidence;
}

void ReceiptWriter::answer_questions() {
  for (Work& work : questions_) {
    if (auto* const receipt = std::get_if<ReceiptQuestion>(&work)) {
      receipt->answer(find(receipt->id));
    } else if (auto* const log = std::get_if<LogQuestion>(&work)) {
      log->answer(log_->since(log->since));
    }
  }
  questions_left_.fetch_add(static_cast<std::int64_t>(questions_.size()),
                            std::memory_order_relaxed);
  questions_.clear();
}

}  // namespace perigee::proof
