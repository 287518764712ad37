#include "proof/receipt.h"

#include <charconv>
#include <cstring>
#include <span>

#include "base/assert.h"

namespace perigee::proof {
namespace {

constexpr std::string_view kFirstLine = "perigee-receipt/1";
constexpr std::string_view kNone = "-";
constexpr std::size_t kMarkDigits = 8;
constexpr std::size_t kTraceDigits = 32;

constexpr std::array<char, 512> kHexPairs = [] {
  std::array<char, 512> pairs{};
  for (std::size_t byte = 0; byte < 256; ++byte) {
    pairs.at(2 * byte) = "0123456789abcdef"[byte >> 4];
    pairs.at(2 * byte + 1) = "0123456789abcdef"[byte & 15];
  }
  return pairs;
}();

// Into memory of a size that is known before, names as literals whose copies are compiled to a move
// or two: a site writes thousands of receipts a second.
class Writer {
 public:
  Writer(std::string& out, std::size_t bytes_max) : out_(out), begin_(out.size()) {
    out_.resize(begin_ + bytes_max);
    at_ = out_.data() + begin_;
    put(kFirstLine);
    *at_++ = '\n';
  }
  template <std::size_t size>
  Writer& add(const char (&name)[size], std::string_view value) {
    put_name(name);
    put(value.empty() ? kNone : value);
    *at_++ = '\n';
    return *this;
  }
  template <std::size_t size, std::integral Number>
  Writer& add(const char (&name)[size], Number value) {
    constexpr std::size_t kDigitsMax = 24;
    put_name(name);
    at_ = std::to_chars(at_, at_ + kDigitsMax, value).ptr;
    *at_++ = '\n';
    return *this;
  }
  template <std::size_t size>
  Writer& add(const char (&name)[size], std::span<const std::uint8_t> bytes) {
    put_name(name);
    for (const std::uint8_t byte : bytes) {
      std::memcpy(at_, kHexPairs.data() + 2 * std::size_t{byte}, 2);
      at_ += 2;
    }
    *at_++ = '\n';
    return *this;
  }
  void finish() {
    const auto size = static_cast<std::size_t>(at_ - out_.data());
    PERIGEE_ASSERT(size <= out_.size());
    out_.resize(size);
  }

 private:
  template <std::size_t size>
  void put_name(const char (&name)[size]) {
    std::memcpy(at_, name, size - 1);
    at_ += size - 1;
    std::memcpy(at_, ": ", 2);
    at_ += 2;
  }
  void put(std::string_view part) {
    std::memcpy(at_, part.data(), part.size());
    at_ += part.size();
  }
  std::string& out_;
  const std::size_t begin_;
  char* at_;
};

// Names of lines, numbers and hashes are less than the first part.
std::size_t text_bytes_max(const Receipt& receipt) {
  constexpr std::size_t kFixed = 1024;
  return kFixed + receipt.grid.size() + receipt.site.str().size() + receipt.log.size() +
         receipt.request_id.size() + receipt.trace.size() + receipt.tenant.str().size() +
         receipt.jurisdiction.str().size() + receipt.model.str().size();
}

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {
    good_ = text.size() <= kReceiptBytesMax && line() == kFirstLine;
  }
  std::string_view text(std::string_view name) {
    const std::string_view whole = line();
    const bool fits = whole.starts_with(name) && whole.substr(name.size()).starts_with(": ");
    if (!fits) return fail();
    const std::string_view value = whole.substr(name.size() + 2);
    return value == kNone ? std::string_view{} : value;
  }
  template <std::integral Number>
  void read(std::string_view name, Number& number) {
    const std::string_view digits = text(name);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc{} || end != digits.data() + digits.size()) fail();
  }
  void read(std::string_view name, std::span<std::uint8_t> bytes) {
    if (!from_hex(text(name), bytes)) fail();
  }
  template <class T>
  void read(std::string_view name, T& value, std::optional<T> (*parse)(std::string_view)) {
    if (const auto parsed = parse(text(name)))
      value = *parsed;
    else
      fail();
  }
  std::string_view fail() {
    good_ = false;
    return {};
  }
  bool finish() const { return good_ && rest_.empty(); }

 private:
  std::string_view line() {
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) return fail();
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return line;
  }
  std::string_view rest_;
  bool good_ = true;
};

void read_names(Reader& reader, Receipt& receipt) {
  receipt.grid = reader.text("grid");
  receipt.site = SiteId{std::string{reader.text("site")}};
  receipt.log = reader.text("log");
  reader.read("leaf", receipt.leaf);
  reader.read("nonce", receipt.nonce);
  receipt.request_id = reader.text("request-id");
  receipt.trace = reader.text("trace-id");
  receipt.tenant = TenantId{std::string{reader.text("tenant")}};
  receipt.jurisdiction = JurisdictionId{std::string{reader.text("jurisdiction")}};
  receipt.model = ModelId{std::string{reader.text("model")}};
  const std::string_view digest = reader.text("model-sha256");
  if (!digest.empty() && !from_hex(digest, receipt.model_digest.emplace())) reader.fail();
  reader.read("policy-revision", receipt.policy_revision);
}

void read_facts(Reader& reader, Receipt& receipt) {
  reader.read("operation", receipt.operation, parse_operation);
  reader.read("outcome", receipt.outcome, parse_outcome);
  reader.read("began-us", receipt.began.micros);
  reader.read("ended-us", receipt.ended.micros);
  reader.read("prompt-tokens", receipt.usage.prompt_tokens);
  reader.read("cached-tokens", receipt.usage.cached_tokens);
  reader.read("completion-tokens", receipt.usage.completion_tokens);
  reader.read("resumed-tokens", receipt.resumed_tokens);
  reader.read("request-sha256", receipt.request);
  reader.read("response-sha256", receipt.response);
}

bool names_are_valid(const Receipt& receipt) {
  return valid_name(receipt.grid) && valid_name(receipt.site.str()) && !receipt.log.empty() &&
         !receipt.request_id.empty() && valid_name(receipt.tenant.str()) &&
         valid_name(receipt.jurisdiction.str()) && valid_model_name(receipt.model.str()) &&
         (receipt.trace.empty() || receipt.trace.size() == kTraceDigits);
}

}  // namespace

void append_text(const Receipt& receipt, std::string& out) {
  Writer writer{out, text_bytes_max(receipt)};
  writer.add("grid", receipt.grid)
      .add("site", receipt.site.str())
      .add("log", receipt.log)
      .add("leaf", receipt.leaf)
      .add("nonce", receipt.nonce)
      .add("request-id", receipt.request_id)
      .add("trace-id", receipt.trace)
      .add("tenant", receipt.tenant.str())
      .add("jurisdiction", receipt.jurisdiction.str())
      .add("model", receipt.model.str());
  if (receipt.model_digest)
    writer.add("model-sha256", *receipt.model_digest);
  else
    writer.add("model-sha256", kNone);
  writer.add("policy-revision", receipt.policy_revision)
      .add("operation", to_string(receipt.operation))
      .add("outcome", to_string(receipt.outcome))
      .add("began-us", receipt.began.micros)
      .add("ended-us", receipt.ended.micros)
      .add("prompt-tokens", receipt.usage.prompt_tokens)
      .add("cached-tokens", receipt.usage.cached_tokens)
      .add("completion-tokens", receipt.usage.completion_tokens)
      .add("resumed-tokens", receipt.resumed_tokens)
      .add("request-sha256", receipt.request)
      .add("response-sha256", receipt.response)
      .finish();
}

std::string receipt_text(const Receipt& receipt) {
  std::string text;
  append_text(receipt, text);
  return text;
}

Result<Receipt> parse_receipt(std::string_view text) {
  Receipt receipt;
  Reader reader{text};
  read_names(reader, receipt);
  read_facts(reader, receipt);
  // One text for one receipt: what would be written otherwise is not taken.
  if (!reader.finish() || !names_are_valid(receipt) || receipt_text(receipt) != text) {
    return Error{Code::InvalidArgument, "not a receipt (perigee-receipt/1)", "receipt"};
  }
  return receipt;
}

std::uint32_t mark_of(const Nonce& nonce) {
  std::uint32_t mark = 0;
  for (std::size_t i = 0; i < sizeof mark; ++i) mark = mark << 8 | nonce.at(i);
  return mark;
}

ReceiptId id_of(const Receipt& receipt) {
  return {receipt.site, receipt.leaf, mark_of(receipt.nonce)};
}

std::string to_string(const ReceiptId& id) {
  std::array<char, kMarkDigits> digits{};
  for (std::size_t i = 0; i < kMarkDigits; ++i) {
    digits.at(i) = "0123456789abcdef"[id.mark >> 4 * (kMarkDigits - 1 - i) & 15];
  }
  std::string text = id.site.str();
  text.append(".").append(std::to_string(id.leaf)).append(".");
  return text.append(digits.data(), digits.size());
}

// Names of sites may have dots: the last two parts are ours.
Result<ReceiptId> parse_receipt_id(std::string_view text) {
  ReceiptId id;
  const std::size_t second = text.rfind('.');
  const std::size_t first =
      second == std::string_view::npos || second == 0 ? second : text.rfind('.', second - 1);
  const bool parts = first != std::string_view::npos && second != first;
  if (parts) {
    id.site = SiteId{std::string{text.substr(0, first)}};
    const char* const leaf = text.data() + first + 1;
    const char* const mark = text.data() + second + 1;
    static_cast<void>(std::from_chars(leaf, text.data() + second, id.leaf));
    static_cast<void>(std::from_chars(mark, text.data() + text.size(), id.mark, 16));
  }
  if (!parts || !valid_name(id.site.str()) || to_string(id) != text) {
    return Error{Code::InvalidArgument,
                 "a receipt's id is SITE.LEAF.MARK, as 'perigee-receipt' names it", "id"};
  }
  return id;
}

}  // namespace perigee::proof
