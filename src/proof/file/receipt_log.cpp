#include "proof/file/receipt_log.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <utility>

#include "base/private_file.h"

namespace perigee::proof {
namespace {

constexpr std::uint64_t kEndBytes = 8;
constexpr std::uint64_t kHashBytes = std::tuple_size_v<Sha256>;

// As they lie in memory and in the file.
std::string_view characters(std::span<const Sha256> hashes) {
  static_assert(sizeof(Sha256) == kHashBytes);
  return {reinterpret_cast<const char*>(hashes.data()), hashes.size_bytes()};
}

void append_number(std::string& out, std::uint64_t number) {
  for (std::uint64_t i = 0; i < kEndBytes; ++i) out += static_cast<char>(number >> 8 * i & 0xFF);
}

std::uint64_t read_number(std::string_view bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    number = number << 8 | static_cast<std::uint8_t>(bytes[i]);
  }
  return number;
}

Error lost(const std::string& folder, std::string_view what) {
  return {Code::DataLoss,
          folder + ": " + std::string{what} +
              "; to go on would fork the log. Restore the newest copy, or move the folder away: "
              "then a new log is begun"};
}

Result<std::string> read_all(const std::string& path) {
  PERIGEE_TRY(file, LogFile::open_existing(path));
  PERIGEE_TRY(size, file.size());
  if (size > kEvidenceBytesMax) return Error{Code::DataLoss, path + " is too long"};
  return file.read_at(0, size);
}

std::string new_log_id() {
  std::array<std::uint8_t, kLogIdChars / 2> bytes{};
  random_bytes(bytes);
  return to_hex(bytes);
}

}  // namespace

ReceiptLog::ReceiptLog(std::string folder, LogFile hashes, LogFile ends, LogFile lock)
    : folder_(std::move(folder)),
      hashes_(std::move(hashes)),
      ends_(std::move(ends)),
      lock_(std::move(lock)) {}

ReceiptLog::~ReceiptLog() = default;

Result<std::unique_ptr<ReceiptLog>> ReceiptLog::open(std::string folder, std::string_view grid,
                                                     const SiteId& site) {
  PERIGEE_CHECK(make_private_folder(folder));
  PERIGEE_TRY(lock, LogFile::open(folder + "/lock"));
  PERIGEE_CHECK(lock.lock_file());
  PERIGEE_TRY(hashes, LogFile::open(folder + "/hashes"));
  PERIGEE_TRY(ends, LogFile::open(folder + "/ends"));
  std::unique_ptr<ReceiptLog> log{
      new ReceiptLog{std::move(folder), std::move(hashes), std::move(ends), std::move(lock)}};
  PERIGEE_CHECK(log->load_head(grid, site));
  PERIGEE_CHECK(log->recover(grid, site));
  PERIGEE_CHECK(log->measure());
  return log;
}

// The log's name stands in its own file, so that it is known before the first head.
Result<> ReceiptLog::load_head(std::string_view grid, const SiteId& site) {
  const std::string name_path = folder_ + "/name";
  auto name = read_all(name_path);
  if (!name && name.error().code != Code::NotFound) return std::move(name).error();
  if (!name) {
    PERIGEE_TRY(stored, ends_.size());
    if (stored > 0) return lost(folder_, "the file 'name' is missing");
    name = origin_of(grid, site.str(), new_log_id());
    PERIGEE_CHECK(replace_file(name_path, *name));
  }
  origin_ = *name;
  log_id_ = origin_.substr(std::min(origin_.rfind('/') + 1, origin_.size()));
  if (origin_of(grid, site.str(), log_id_) != origin_) {
    return Error{Code::FailedPrecondition,
                 folder_ + " is the log of " + origin_ + ", not of this site: move it away"};
  }
  auto stored = read_all(folder_ + "/head");
  if (!stored && stored.error().code == Code::NotFound) return {};
  PERIGEE_TRY(text, std::move(stored));
  auto evidence = parse_log_evidence(text);
  if (!evidence) return lost(folder_, "the file 'head' is damaged");
  PERIGEE_TRY(head, parse_head(evidence->head.note));
  if (head.origin != origin_) return lost(folder_, "the file 'head' is of another log");
  signed_leaves_ = head.tree.leaves;
  head_ = std::move(evidence->head);
  return {};
}

Result<> ReceiptLog::recover(std::string_view grid, const SiteId& site) {
  PERIGEE_TRY(ends_size, ends_.size());
  PERIGEE_TRY(hashes_size, hashes_.size());
  const std::uint64_t there = ends_size / kEndBytes;
  if (there < signed_leaves_ || hashes_size < hash_count(signed_leaves_) * kHashBytes) {
    return lost(folder_, "the log is shorter than the site signed");
  }
  PERIGEE_TRY(frontier, MerkleFrontier::load(signed_leaves_, *this));
  frontier_ = std::move(frontier);
  if (signed_leaves_ > 0) {
    PERIGEE_TRY(head, parse_head(head_.note));
    if (frontier_.root() != head.tree.root) return lost(folder_, "the log is not what was signed");
  }
  PERIGEE_CHECK(hashes_.cut(hash_count(signed_leaves_) * kHashBytes));
  PERIGEE_CHECK(open_leaves(signed_leaves_));
  for (std::uint64_t index = signed_leaves_; index < there; ++index) {
    const auto taken = take_over(index, grid, site);
    const bool torn = !taken && (taken.error().code == Code::DataLoss ||
                                 taken.error().code == Code::InvalidArgument);
    if (torn) break;
    if (!taken) return taken;  // the disk fails: what is whole must not be cut off for that
    ++recovered_;
  }
  PERIGEE_CHECK(ends_.cut(leaves() * kEndBytes));
  PERIGEE_CHECK(texts_.cut(texts_bytes_));
  // What a killed process wrote may be in memory only, and a head over it is signed next.
  return recovered_ > 0 ? sync() : Result<>{};
}

Result<> ReceiptLog::sync() {
  PERIGEE_CHECK(texts_.sync());
  PERIGEE_CHECK(hashes_.sync());
  return ends_.sync();
}

// A leaf beyond the newest head counts if it is a whole receipt of its place in this log.
Result<> ReceiptLog::take_over(std::uint64_t index, std::string_view grid, const SiteId& site) {
  PERIGEE_CHECK(open_leaves(index));
  PERIGEE_TRY(end, end_of(index));
  if (end <= texts_bytes_ || end - texts_bytes_ > kReceiptBytesMax) {
    return Error{Code::DataLoss, "torn"};
  }
  PERIGEE_TRY(text, texts_.read_at(texts_bytes_, end - texts_bytes_));
  PERIGEE_TRY(receipt, parse_receipt(text));
  if (receipt.leaf != index || receipt.grid != grid || receipt.site != site ||
      receipt.log != log_id_) {
    return Error{Code::DataLoss, "of another place"};
  }
  std::vector<Sha256> stored;
  frontier_.append(leaf_hash(text), stored);
  texts_bytes_ = end;
  return hashes_.write_at(hash_count(index) * kHashBytes, characters(stored));
}

std::string ReceiptLog::leaves_path(std::uint64_t index) const {
  return folder_ + "/leaves-" + std::to_string(index / kLeavesPerFile * kLeavesPerFile);
}

// The file into which leaf `index` goes, and where in it.
Result<> ReceiptLog::open_leaves(std::uint64_t index) {
  const std::uint64_t first = index / kLeavesPerFile * kLeavesPerFile;
  if (texts_.is_open() && texts_first_ == first) return {};
  PERIGEE_TRY(file, LogFile::open(leaves_path(index)));
  std::uint64_t bytes = 0;
  if (index > first) {
    PERIGEE_TRY(end, end_of(index - 1));
    bytes = end;
    PERIGEE_TRY(size, file.size());
    if (size < bytes) return lost(folder_, "texts of receipts are missing");
  }
  PERIGEE_CHECK(sync_folder(folder_));
  texts_ = std::move(file);
  texts_first_ = first;
  texts_bytes_ = bytes;
  return {};
}

Result<std::uint64_t> ReceiptLog::end_of(std::uint64_t index) const {
  PERIGEE_TRY(bytes, ends_.read_at(index * kEndBytes, kEndBytes));
  return read_number(bytes);
}

Result<> ReceiptLog::append(const ReceiptTexts& texts) {
  const MerkleFrontier before = frontier_;
  const std::uint64_t bytes_before = bytes_;
  auto written = write_files(texts);
  if (written) return {};
  // Also what went whole into a file that it filled.
  frontier_ = before;
  bytes_ = bytes_before;
  texts_ = LogFile{};  // opened again, where it ends, by the next try
  return written;
}

// Each text into the file of its leaf.
Result<> ReceiptLog::write_files(const ReceiptTexts& texts) {
  for (std::size_t written = 0; written < texts.size();) {
    PERIGEE_CHECK(open_leaves(leaves()));
    const std::uint64_t room = texts_first_ + kLeavesPerFile - leaves();
    const std::size_t count = std::min<std::size_t>(texts.size() - written, room);
    PERIGEE_CHECK(write(texts, written, count));
    written += count;
  }
  return {};
}

// What an earlier, failed try has written is written over.
Result<> ReceiptLog::write(const ReceiptTexts& texts, std::size_t begin, std::size_t count) {
  const std::uint64_t first = leaves();
  const std::uint64_t offset = texts_bytes_;
  std::vector<std::string_view> parts;
  parts.reserve(count);
  std::string ends;
  ends.reserve(count * kEndBytes);
  for (std::size_t i = begin; i < begin + count; ++i) {
    parts.push_back(texts[i]);
    texts_bytes_ += parts.back().size();
    append_number(ends, texts_bytes_);
  }
  std::vector<Sha256> hashes;
  hashes.reserve(2 * count);  // amortised as many as this
  frontier_.append(leaf_hashes(parts), hashes);
  const std::string_view bytes = texts.range(begin, count);
  const std::string_view hash_bytes = characters(hashes);
  PERIGEE_CHECK(texts_.write_at(offset, bytes));
  PERIGEE_CHECK(hashes_.write_at(hash_count(first) * kHashBytes, hash_bytes));
  PERIGEE_CHECK(ends_.write_at(first * kEndBytes, ends));
  PERIGEE_CHECK(sync());
  bytes_ += bytes.size() + hash_bytes.size() + ends.size();
  return {};
}

// What there is on the disk, and from which leaf on texts are kept.
Result<> ReceiptLog::measure() {
  constexpr std::string_view kTexts = "leaves-";
  first_kept_ = texts_first_;
  bytes_ = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator file{folder_, error}, end; !error && file != end;
       file.increment(error)) {
    const std::string name = file->path().filename().string();
    const bool texts = name.starts_with(kTexts);
    std::error_code unreadable;
    const std::uintmax_t size = file->file_size(unreadable);
    if (!unreadable && (texts || name == "hashes" || name == "ends")) bytes_ += size;
    std::uint64_t first = 0;
    if (!texts) continue;
    const char* const digits = name.data() + kTexts.size();
    const char* const last = name.data() + name.size();
    const auto read = std::from_chars(digits, last, first);
    if (read.ec == std::errc{} && read.ptr == last) first_kept_ = std::min(first_kept_, first);
  }
  if (!error) return {};
  return Error{Code::Unavailable, folder_ + ": " + error.message()};
}

Result<bool> ReceiptLog::ended_before(std::uint64_t index, WallTime until) const {
  PERIGEE_TRY(text, leaf(index));
  PERIGEE_TRY(receipt, parse_receipt(text));
  return receipt.ended < until;
}

Result<std::uint64_t> ReceiptLog::forget_before(WallTime until) {
  std::uint64_t forgotten = 0;
  while (first_kept_ < texts_first_ && first_kept_ + kLeavesPerFile <= signed_leaves_) {
    const std::string path = leaves_path(first_kept_);
    std::error_code missing;
    const std::uintmax_t size = std::filesystem::file_size(path, missing);
    if (!missing) {
      for (const std::uint64_t index : {first_kept_, first_kept_ + kLeavesPerFile - 1}) {
        PERIGEE_TRY(old, ended_before(index, until));
        if (!old) return forgotten;
      }
      std::error_code error;
      std::filesystem::remove(path, error);
      if (error) return Error{Code::Unavailable, path + ": " + error.message()};
      PERIGEE_CHECK(sync_folder(folder_));
      bytes_ -= std::min<std::uint64_t>(bytes_, size);
      forgotten += kLeavesPerFile;
    }
    first_kept_ += kLeavesPerFile;
  }
  return forgotten;
}

Result<> ReceiptLog::sign(HeadSigner& signer, WallTime now) {
  PublishedHead head = signer.sign(origin_, {leaves(), frontier_.root()}, now);
  PERIGEE_CHECK(replace_file(folder_ + "/head", to_json(LogEvidence{leaves(), {}, head})));
  head_ = std::move(head);
  signed_leaves_ = leaves();
  return {};
}

Result<std::string> ReceiptLog::leaf(std::uint64_t index) const {
  if (index >= signed_leaves_) {
    return Error{Code::NotFound, "the log has no leaf " + std::to_string(index)};
  }
  std::uint64_t begin = 0;
  if (index % kLeavesPerFile > 0) {
    PERIGEE_TRY(end, end_of(index - 1));
    begin = end;
  }
  PERIGEE_TRY(end, end_of(index));
  if (end < begin || end - begin > kReceiptBytesMax) {
    return Error{Code::DataLoss, folder_ + "/ends is damaged: restore it"};
  }
  PERIGEE_TRY(file, LogFile::open_existing(leaves_path(index)));
  return file.read_at(begin, end - begin);
}

Result<ReceiptEvidence> ReceiptLog::evidence(std::uint64_t index) const {
  PERIGEE_TRY(text, leaf(index));
  PERIGEE_TRY(proof, inclusion_proof(index, signed_leaves_, *this));
  const Sha256 hash = leaf_hash(text);
  return ReceiptEvidence{std::move(text), hash, std::move(proof), head_};
}

Result<LogEvidence> ReceiptLog::since(std::uint64_t since) const {
  PERIGEE_TRY(proof, consistency_proof(since, signed_leaves_, *this));
  return LogEvidence{since, std::move(proof), head_};
}

Result<Sha256> ReceiptLog::read(std::uint64_t position) const {
  PERIGEE_TRY(bytes, hashes_.read_at(position * kHashBytes, kHashBytes));
  Sha256 hash{};
  std::ranges::copy(bytes, hash.begin());
  return hash;
}

}  // namespace perigee::proof
