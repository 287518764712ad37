// ReceiptLog: a site's log of receipts in append-only files of one folder.
//
//   name            the log's origin (signed_head.h)
//   head            the newest signed head, and what it was signed with (evidence.h, as JSON)
//   hashes          32 bytes each, in the order of proof/merkle.h
//   ends            8 bytes for each leaf: where its text ends in its file (little-endian)
//   leaves-N        the texts of leaves [N, N + 65,536), one after the other
//   lock            held by the process that writes
//
// A crash at any moment leaves a log that never contradicts what it signed: texts and hashes are on
// the disk before a head over them is signed, and a head is on the disk before anybody is told it.
// What stands in the files beyond the newest head is taken over at the next start where it is
// whole, and cut off where it is torn. If less is there than was signed, the log does not open: to
// go on would be to fork it.
//
// One thread's. Reading an old leaf or hash may touch the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "pki/key_pair.h"
#include "proof/evidence.h"
#include "proof/file/log_file.h"
#include "proof/merkle.h"
#include "proof/receipt_texts.h"

namespace perigee::proof {

// With what a site signs its heads. May change from one signature to the next (certificates are
// renewed). Called on the log's thread.
class HeadSigner {
 public:
  virtual ~HeadSigner() = default;
  virtual PublishedHead sign(std::string_view origin, const TreeHead& tree, WallTime time) = 0;
};

class ReceiptLog final : public HashReader {
 public:
  static constexpr std::uint64_t kLeavesPerFile = 65'536;

  // Opens the log in `folder`, or begins one (0600). FailedPrecondition: another process writes it,
  // or it is another site's. DataLoss: less is there than was signed. Unavailable: the disk fails.
  static Result<std::unique_ptr<ReceiptLog>> open(std::string folder, std::string_view grid,
                                                  const SiteId& site);
  ~ReceiptLog() override;

  const std::string& log_id() const { return log_id_; }
  std::uint64_t leaves() const { return frontier_.leaves(); }
  // After a crash: of these, what was found beyond the newest head.
  std::uint64_t recovered() const { return recovered_; }

  // Appends leaves and makes them durable. On failure nothing was appended: it may be repeated.
  Result<> append(const ReceiptTexts& texts);
  // Signs what is appended, makes the head durable, and only then has it told by head().
  Result<> sign(HeadSigner& signer, WallTime now);
  // The newest head; its note is empty before the first sign().
  const PublishedHead& head() const { return head_; }
  std::uint64_t signed_leaves() const { return signed_leaves_; }

  // Removes the oldest texts, in whole files, as far as their receipts ended before `until`: a file
  // goes when its first and its last did. Never the one that is written. Hashes stay: what is kept
  // and every head ever signed can be proven as before. How many receipts went.
  Result<std::uint64_t> forget_before(WallTime until);
  std::uint64_t first_kept() const { return first_kept_; }  // leaves below have no text any more
  std::uint64_t bytes() const { return bytes_; }            // of texts, ends and hashes

  // NotFound: beyond the signed end, or its file was removed.
  Result<std::string> leaf(std::uint64_t index) const;
  // Of the newest head. NotFound as above.
  Result<ReceiptEvidence> evidence(std::uint64_t index) const;
  // InvalidArgument: `since` is beyond the signed end.
  Result<LogEvidence> since(std::uint64_t since) const;
  Result<Sha256> read(std::uint64_t position) const override;

 private:
  ReceiptLog(std::string folder, LogFile hashes, LogFile ends, LogFile lock);
  Result<> load_head(std::string_view grid, const SiteId& site);
  Result<> recover(std::string_view grid, const SiteId& site);
  Result<> sync();
  Result<> take_over(std::uint64_t index, std::string_view grid, const SiteId& site);
  Result<> open_leaves(std::uint64_t index);
  Result<std::uint64_t> end_of(std::uint64_t index) const;
  std::string leaves_path(std::uint64_t index) const;
  Result<> write_files(const ReceiptTexts& texts);
  Result<> write(const ReceiptTexts& texts, std::size_t begin, std::size_t count);
  Result<bool> ended_before(std::uint64_t index, WallTime until) const;
  Result<> measure();

  std::string folder_;
  std::string log_id_;
  std::string origin_;
  LogFile hashes_;
  LogFile ends_;
  LogFile lock_;
  LogFile texts_;                  // the newest one's
  std::uint64_t texts_first_ = 0;  // its first leaf
  std::uint64_t texts_bytes_ = 0;
  MerkleFrontier frontier_;
  PublishedHead head_;
  std::uint64_t signed_leaves_ = 0;
  std::uint64_t recovered_ = 0;
  std::uint64_t first_kept_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace perigee::proof
