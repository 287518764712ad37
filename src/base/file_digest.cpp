#include "base/file_digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "base/assert.h"

namespace perigee {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1024} * 1024;

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

Error failure(const std::string& path) {
  const Code code = errno == ENOENT ? Code::NotFound : Code::Unavailable;
  return {code, "can't read " + path + ": " + std::strerror(errno)};
}

}  // namespace

Result<Sha256> sha256_of_file(const std::string& path, const std::atomic<bool>* cancelled) {
  const File file{path};
  if (file.fd() < 0) return failure(path);
  const std::unique_ptr<EVP_MD_CTX, ContextDeleter> context{EVP_MD_CTX_new()};
  bool good = EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  std::vector<char> piece(kPieceBytes);
  for (;;) {
    if (cancelled != nullptr && cancelled->load()) return Error{Code::Cancelled, "cancelled"};
    const ssize_t got = ::read(file.fd(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failure(path);
    if (got == 0) break;
    good =
        good && EVP_DigestUpdate(context.get(), piece.data(), static_cast<std::size_t>(got)) == 1;
  }
  Sha256 digest{};
  good = good && EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  PERIGEE_ASSERT(good);
  return digest;
}

namespace {

Result<Sha256> parse_digest(const std::string& hex) {
  Sha256 digest{};
  if (from_hex(hex, digest)) return digest;
  return Error{Code::InvalidArgument, "a digest is 64 hexadecimal digits"};
}

}  // namespace

Result<> check_digest(const std::string& path, const Sha256& digest, const std::string& expected) {
  PERIGEE_TRY(wanted, parse_digest(expected));
  if (digest == wanted) return {};
  return Error{Code::FailedPrecondition, path + " is not the file that was meant: its SHA-256 is " +
                                             to_hex(digest) + ", not " + expected +
                                             "; copy it again, or correct the model's entry"};
}

Result<> check_file_digest(const std::string& path, const std::string& expected,
                           const std::atomic<bool>* cancelled) {
  PERIGEE_CHECK(parse_digest(expected));  // before minutes of reading
  PERIGEE_TRY(digest, sha256_of_file(path, cancelled));
  return check_digest(path, digest, expected);
}

}  // namespace perigee
