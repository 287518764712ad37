#include "proof/signed_head.h"

#include <algorithm>
#include <charconv>

#include "base/base64.h"

namespace perigee::proof {
namespace {

constexpr std::string_view kSignatureLine = "\xE2\x80\x94 ";  // an em dash and a blank
constexpr std::string_view kTime = "time-us ";
constexpr char kEd25519 = 0x01;
constexpr std::size_t kKeyHashBytes = 4;

std::string_view characters(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string body_of(std::string_view origin, const TreeHead& tree, WallTime time) {
  std::string body{origin};
  body += "\n" + std::to_string(tree.leaves) + "\n" + to_base64(characters(tree.root)) + "\n";
  body += std::string{kTime} + std::to_string(time.micros) + "\n";
  return body;
}

std::uint32_t key_hash_of(std::string_view name, const pki::PublicKey& key) {
  std::string text{name};
  text += '\n';
  text += kEd25519;
  text += characters(key);
  const Sha256 hash = sha256(text);
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < kKeyHashBytes; ++i) value = value << 8 | hash.at(i);
  return value;
}

std::string note_of(const SignedHead& head) {
  std::string bytes;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    bytes += static_cast<char>(head.key_hash >> shift & 0xFF);
  }
  bytes += characters(head.signature);
  return body_of(head.origin, head.tree, head.time) + "\n" + std::string{kSignatureLine} +
         head.origin + " " + to_base64(bytes) + "\n";
}

// Takes one line off `text`, which must end it by '\n'.
bool take_line(std::string_view& text, std::string_view& line) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return false;
  line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return true;
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

bool read_signature(std::string_view line, SignedHead& head) {
  if (!line.starts_with(kSignatureLine)) return false;
  line.remove_prefix(kSignatureLine.size());
  if (!line.starts_with(head.origin + " ")) return false;
  const auto bytes = from_base64(line.substr(head.origin.size() + 1));
  if (!bytes || bytes->size() != kKeyHashBytes + head.signature.size()) return false;
  for (std::size_t i = 0; i < kKeyHashBytes; ++i) {
    head.key_hash = head.key_hash << 8 | static_cast<std::uint8_t>((*bytes)[i]);
  }
  std::copy(bytes->begin() + kKeyHashBytes, bytes->end(), head.signature.begin());
  return true;
}

}  // namespace

std::string origin_of(std::string_view grid, std::string_view site, std::string_view log) {
  std::string origin{grid};
  origin.append("/").append(site).append("/").append(log);
  return origin;
}

std::string sign_head(std::string_view origin, const TreeHead& tree, WallTime time,
                      const pki::KeyPair& key) {
  SignedHead head{std::string{origin}, tree, time, {}, key_hash_of(origin, key.public_key())};
  head.signature = key.sign(body_of(origin, tree, time));
  return note_of(head);
}

Result<SignedHead> parse_head(std::string_view note) {
  SignedHead head;
  std::string_view rest = note;
  std::string_view origin;
  std::string_view leaves;
  std::string_view root;
  std::string_view time;
  std::string_view empty;
  std::string_view signature;
  const bool lines = note.size() <= kHeadBytesMax && take_line(rest, origin) &&
                     take_line(rest, leaves) && take_line(rest, root) && take_line(rest, time) &&
                     take_line(rest, empty) && take_line(rest, signature) && rest.empty();
  const auto root_bytes = lines ? from_base64(root) : std::nullopt;
  bool read = lines && !origin.empty() && root_bytes &&
              root_bytes->size() == head.tree.root.size() && time.starts_with(kTime);
  if (read) {
    head.origin = origin;
    std::ranges::copy(*root_bytes, head.tree.root.begin());
    read = read_number(leaves, head.tree.leaves) &&
           read_number(time.substr(kTime.size()), head.time.micros) &&
           read_signature(signature, head);
  }
  // One text for one head: what would be written otherwise is not taken.
  if (!read || note_of(head) != note) {
    return Error{Code::InvalidArgument, "not a signed head of a log", "signed_head"};
  }
  return head;
}

bool signed_by(const SignedHead& head, const pki::PublicKey& key) {
  return head.key_hash == key_hash_of(head.origin, key) &&
         pki::verify(key, body_of(head.origin, head.tree, head.time), head.signature);
}

}  // namespace perigee::proof
