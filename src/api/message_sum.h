// MessageSum: tells a site that what another sent it was damaged on its way. Without TLS only TCP's
// 16 bits look at that, and a flipped bit in a text, a token id or a header's value passes them.
//
// 32 bits of XXH3 over the parts of a message. It stands
//   request   header `perigee-sum`: over the values of the other `perigee-` headers, and the body
//   answer    header `perigee-sum`: over the value of `perigee-usage`, and the body
//   stream    header `perigee-sum: events`; each event's `perigee:` line ends with ` sum=`, over
//             the items before it, and the event's data (api/stream_field.h)
// It finds accidents, not attackers: whoever changes a message can make its sum. A site of the
// version before sends none, and is not asked for any; who has sent one is held to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace perigee::api {

inline constexpr std::string_view kSumOfEvents = "events";

// Parts are told apart: "ab" + "c" and "a" + "bc" have different sums.
class MessageSum {
 public:
  void add(std::string_view part);
  void add_header(std::string_view value);  // as a reader sees it: without blanks around it
  std::uint32_t value() const { return static_cast<std::uint32_t>(state_); }

 private:
  std::uint64_t state_ = 0;
};

std::uint32_t sum_of(std::string_view part, std::string_view rest);
// Whether a header's value counts in the sum of a request.
bool counts_in_sum(std::string_view header_name);
// `headers`: a range of things with `name` and `value`.
template <class Headers>
std::uint32_t sum_of_request(const Headers& headers, std::string_view body) {
  MessageSum sum;
  for (const auto& header : headers) {
    if (counts_in_sum(header.name)) sum.add_header(header.value);
  }
  sum.add(body);
  return sum.value();
}

// Eight hexadecimal digits.
void append_sum(std::string& out, std::uint32_t sum);
std::optional<std::uint32_t> parse_sum(std::string_view text);

}  // namespace perigee::api
