#include <boost/json.hpp>
#include <optional>

#include "base/base64.h"
#include "pki/any_key.h"
#include "proof/evidence.h"

namespace perigee::proof {
namespace {

namespace json = boost::json;

constexpr int kVersion = 1;

json::array to_array(const std::vector<Sha256>& hashes) {
  json::array array;
  for (const Sha256& hash : hashes) array.emplace_back(to_hex(hash));
  return array;
}

void add(json::object& object, const PublishedHead& head) {
  object["signed_head"] = head.note;
  object["public_key"] = to_hex(head.key);
  json::array& certificates = object["certificates"].emplace_array();
  for (const std::string& certificate : head.certificates) certificates.emplace_back(certificate);
  if (!head.key_signature.empty()) object["key_signature"] = to_base64(head.key_signature);
}

// Reads fields and keeps the first that is wrong.
class Fields {
 public:
  Fields(const json::object& object, std::string_view kind) : object_(object) {
    const json::value* version = object.if_contains("version");
    if (text("object") != kind) fail("object", kind);
    if (version == nullptr || !version->is_int64() || version->get_int64() != kVersion) {
      fail("version", "1; a newer perigee can read it");
    }
  }
  std::string text(std::string_view name) {
    const json::value* value = object_.if_contains(name);
    if (value == nullptr || !value->is_string()) return fail(name, "a text");
    return std::string{value->get_string()};
  }
  Sha256 hash(std::string_view name) {
    Sha256 hash{};
    if (!from_hex(text(name), hash)) fail(name, "64 hexadecimal digits");
    return hash;
  }
  std::uint64_t number(std::string_view name) {
    const json::value* value = object_.if_contains(name);
    if (value == nullptr || !value->is_int64() || value->get_int64() < 0) {
      fail(name, "a number from 0");
      return 0;
    }
    return static_cast<std::uint64_t>(value->get_int64());
  }
  std::vector<std::string> texts(std::string_view name, std::size_t count_max) {
    std::vector<std::string> all;
    const json::value* value = object_.if_contains(name);
    if (value == nullptr || !value->is_array() || value->get_array().size() > count_max) {
      fail(name, "a list of " + std::to_string(count_max) + " texts at most");
      return all;
    }
    for (const json::value& each : value->get_array()) {
      if (!each.is_string()) fail(name, "a list of texts");
      if (each.is_string()) all.emplace_back(each.get_string());
    }
    return all;
  }
  std::string signature(std::string_view name) {
    std::optional<std::string> bytes = from_base64(text(name));
    if (!bytes || bytes->empty() || bytes->size() > pki::kAnySignatureBytesMax) {
      return fail(name, "a signature in base64");
    }
    return std::move(*bytes);
  }
  std::vector<Sha256> hashes(std::string_view name) {
    std::vector<Sha256> all;
    for (const std::string& each : texts(name, kProofHashesMax)) {
      if (!from_hex(each, all.emplace_back())) fail(name, "a list of 64 hexadecimal digits each");
    }
    return all;
  }
  PublishedHead head() {
    PublishedHead head;
    head.note = text("signed_head");
    if (!from_hex(text("public_key"), head.key)) fail("public_key", "64 hexadecimal digits");
    head.certificates = texts("certificates", kCertificatesMax);
    if (object_.contains("key_signature")) head.key_signature = signature("key_signature");
    return head;
  }
  Result<> finish() {
    if (first_.message.empty()) return {};
    return first_;
  }

 private:
  std::string fail(std::string_view name, std::string_view expected) {
    if (!first_.message.empty()) return {};
    first_ = {Code::InvalidArgument, "`" + std::string{name} + "` must be " + std::string{expected},
              std::string{name}};
    return {};
  }
  const json::object& object_;
  Error first_;
};

Result<json::object> parse_object(std::string_view text) {
  boost::system::error_code error;
  json::value value;
  if (text.size() <= kEvidenceBytesMax) value = json::parse(text, error);
  if (error || !value.is_object()) {
    return Error{Code::InvalidArgument, "not a receipt as `perigee receipt get` prints it"};
  }
  return std::move(value.get_object());
}

}  // namespace

std::string to_json(const ReceiptEvidence& evidence) {
  json::object object;
  object["object"] = "receipt";
  object["version"] = kVersion;
  if (const auto receipt = parse_receipt(evidence.receipt))
    object["id"] = to_string(id_of(*receipt));
  object["receipt"] = evidence.receipt;
  object["leaf_hash"] = to_hex(evidence.leaf);
  object["inclusion_proof"] = to_array(evidence.inclusion);
  add(object, evidence.head);
  return json::serialize(object);
}

std::string to_json(const LogEvidence& evidence) {
  json::object object;
  object["object"] = "log";
  object["version"] = kVersion;
  object["since"] = evidence.since;
  object["consistency_proof"] = to_array(evidence.consistency);
  add(object, evidence.head);
  return json::serialize(object);
}

Result<ReceiptEvidence> parse_receipt_evidence(std::string_view text) {
  PERIGEE_TRY(object, parse_object(text));
  Fields fields{object, "receipt"};
  ReceiptEvidence evidence;
  evidence.receipt = fields.text("receipt");
  evidence.leaf = fields.hash("leaf_hash");
  evidence.inclusion = fields.hashes("inclusion_proof");
  evidence.head = fields.head();
  PERIGEE_CHECK(fields.finish());
  return evidence;
}

Result<LogEvidence> parse_log_evidence(std::string_view text) {
  PERIGEE_TRY(object, parse_object(text));
  Fields fields{object, "log"};
  LogEvidence evidence;
  evidence.since = fields.number("since");
  evidence.consistency = fields.hashes("consistency_proof");
  evidence.head = fields.head();
  PERIGEE_CHECK(fields.finish());
  return evidence;
}

}  // namespace perigee::proof
