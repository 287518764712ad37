// The `perigee:` line beside `data:` in a stream between sites and engines: what a resumer needs to
// know of an event, and with the last event the usage and the engine's load. A conforming SSE
// reader ignores it; an ingress site removes it.
//
//   perigee: choice=1 ids=12,345 more=1
//   perigee: choice=1 end=1
//   perigee: usage=prompt=12,cached=3,completion=40 load=slots=8,busy=1,...
//   perigee: ids=12 sum=0123abcd
//   perigee: refused=draining
//
//   choice  the choice that the rest of the line is about; left out when it is 0
//   ids     the tokens whose text the event completes
//   end     the event has the choice's finish reason: nothing of it follows
//   text    the event is text of an answer that can go on by its text: its engine tells no tokens
//   receipt the receipt of the whole answer (docs/receipts.md), with its end
//   more    the event and the next one belong together: who can't hand on both hands on none. So a
//           role, the first text, the last text and the finish reason are never torn apart
//   refused with an error: why it was refused for load, as `perigee-refused` would say
//   sum     of the items before it and of the event's data: between sites (api/message_sum.h)
//
// Items are separated by one space; the first '=' of an item separates its name and its value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/inference.h"

namespace perigee::api {

struct StreamField {
  std::uint32_t choice = 0;
  std::string_view token_ids;  // "12,345": points into the parsed text
  std::uint32_t tokens = 0;    // how many
  bool ends = false;           // the choice has finished
  bool more = false;           // belongs together with the next event
  std::optional<Usage> usage;
  std::optional<EngineLoad> load;
  std::string_view refused = {};          // "draining"; empty: not said
  std::optional<std::uint32_t> sum = {};  // always the last item
  std::string_view summed = {};           // what stands before it
  std::string_view receipt = {};          // points into the parsed text
  bool text = false;                      // can go on by its text
};

inline constexpr std::uint32_t kTokenIdsMax = 4096;  // in one event
inline constexpr std::uint32_t kChoicesMax = 4096;   // of one request: prompts times n

// Parses a line's value. Unknown items are ignored (a newer peer); nullopt when a known one is
// malformed or given twice, or something follows the sum.
std::optional<StreamField> parse_stream_field(std::string_view value);

// Append a whole line, "perigee: ...\n"; nothing when there is nothing to say.
// Of `field`: choice, token_ids, ends, more and text.
void append_event_line(std::string& out, const StreamField& field);
void append_end_line(std::string& out, const Usage& usage, const EngineLoad* load);

// How a client of a stream is told its receipt: an SSE comment, which every client skips. Nothing
// when `receipt` is empty.
void append_receipt_comment(std::string& out, std::string_view receipt);
// What a peer calls a receipt is passed on only if it is a plain word of 128 characters at most.
bool plain_receipt(std::string_view receipt);

// The same for a site, with the sum over the line and the event's `data`; there is always a line.
void append_summed_event_line(std::string& out, const StreamField& field, std::string_view data);
// `receipt` may be empty.
void append_summed_end_line(std::string& out, const Usage& usage, const EngineLoad* load,
                            std::string_view receipt, std::string_view data);
void append_summed_error_line(std::string& out, std::string_view refused, std::string_view data);
// Whether `data` is what the line was made for.
bool is_whole(const StreamField& field, std::string_view data);

}  // namespace perigee::api
