// ReceiptWriter: gives receipts, and answers questions about the log, on a thread of its own.
//
// The IO thread takes a place, fills a draft and gets the receipt's id at once; the writer hashes
// the request, writes the text, appends it to the log and signs: once every 100 ms, or every 1,000
// receipts when more come. When the disk fails, the writer keeps its batch and tries again, the
// places fill, and reserve() refuses new work: nothing is served that can't be shown.
//
// What a crash loses: the receipts of the last batch. Their ids are then not found (never found as
// somebody else's).
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "proof/file/receipt_log.h"
#include "proof/receipt_book.h"

namespace perigee::proof {

struct ReceiptWriterOptions {
  std::size_t places = 32'768;  // receipts promised or not yet stored
  std::size_t questions = 256;
  std::size_t batch = 1'000;  // receipts under one signature
  Duration batch_time = milliseconds{100};
  Duration retry_time = seconds{1};  // between two tries on a failing disk
  // How long texts of receipts are kept at least, by the site's clock; zero: for good. What is
  // older goes in files of ReceiptLog::kLeavesPerFile, when the log is opened and with new
  // receipts, once an hour.
  Duration keep{};
};

// How the log stands, as of the last batch.
struct ReceiptFigures {
  std::uint64_t leaves = 0;      // signed
  std::uint64_t first_kept = 0;  // the first one whose text is kept
  std::uint64_t bytes = 0;       // on the disk
  std::uint64_t heads = 0;       // signed since the log was opened
  WallTime head_time;            // when the newest one was signed
};

class ReceiptWriter final : public ReceiptBook {
 public:
  // Opens the log in `folder` as ReceiptLog::open, and signs it as it is. `signer` and `clock` are
  // used by the writer's thread and must outlive it.
  static Result<std::unique_ptr<ReceiptWriter>> open(std::string folder, std::string grid,
                                                     SiteId site, HeadSigner& signer,
                                                     const Clock& clock,
                                                     ReceiptWriterOptions options = {});
  ~ReceiptWriter() override;  // stores and signs what it was given

  // IO thread.
  Result<> reserve() override;
  void give_back() noexcept override;
  std::string give(std::unique_ptr<ReceiptDraft> draft) noexcept override;

  // Answers come on the writer's thread, after everything given before is stored and signed.
  // False: too many questions are waiting.
  using OnReceipt = std::function<void(Result<ReceiptEvidence>)>;
  using OnLog = std::function<void(Result<LogEvidence>)>;
  bool ask_receipt(const ReceiptId& id, OnReceipt answer);
  bool ask_since(std::uint64_t since, OnLog answer);
  // The signer signs with another key: signs what is there once more, so that old receipts are
  // shown under a head of that key although no new ones come.
  void sign_again();

  std::uint64_t recovered() const { return recovered_; }
  std::uint64_t given() const { return next_leaf_; }  // IO thread
  std::uint64_t signatures() const { return signatures_.load(std::memory_order_relaxed); }
  ReceiptFigures figures() const;  // any thread; each number by itself

 private:
  struct Entry {
    std::unique_ptr<ReceiptDraft> draft;
    std::uint64_t leaf = 0;
    Nonce nonce{};
  };
  struct BodyHashes {
    Sha256 request{};
    Sha256 response{};
  };
  struct ReceiptQuestion {
    ReceiptId id;
    OnReceipt answer;
  };
  struct LogQuestion {
    std::uint64_t since = 0;
    OnLog answer;
  };
  struct NewKey {};
  using Work = std::variant<Entry, ReceiptQuestion, LogQuestion, NewKey>;

  ReceiptWriter(std::unique_ptr<ReceiptLog> log, std::string grid, SiteId site, HeadSigner& signer,
                const Clock& clock, ReceiptWriterOptions options);
  Nonce next_nonce();
  bool ask(Work question);
  void run();
  bool take_batch();
  void write_texts();
  void write_text(Entry& entry, const BodyHashes& hashes);
  Result<> store(bool& appended);
  void forget_old();
  void tell_figures();
  void answer_questions();
  Result<ReceiptEvidence> find(const ReceiptId& id) const;

  const ReceiptWriterOptions options_;
  const SiteId site_;
  const std::uint64_t recovered_;
  HeadSigner& signer_;
  const Clock& clock_;
  // The IO thread's.
  std::uint64_t next_leaf_;
  std::array<std::uint8_t, 4096> random_{};
  std::size_t random_used_ = sizeof random_;
  // The writer's.
  std::unique_ptr<ReceiptLog> log_;
  std::vector<Entry> entries_;
  Receipt receipt_;     // what is the same in all, and memory for the rest
  ReceiptTexts texts_;  // theirs
  std::vector<Work> questions_;
  bool unsigned_ = false;  // signs although there is nothing to append
  Instant forgets_next_ = Instant::min();

  BoundedQueue<Work> queue_;
  std::atomic<std::int64_t> places_left_;
  std::atomic<std::int64_t> questions_left_;
  std::atomic<bool> new_key_{false};  // its place in the queue is taken
  std::atomic<std::uint64_t> signatures_{0};
  std::atomic<std::uint64_t> leaves_{0};
  std::atomic<std::uint64_t> first_kept_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::int64_t> head_us_{0};
  std::thread writer_;  // last: starts when all else is ready
};

}  // namespace perigee::proof
