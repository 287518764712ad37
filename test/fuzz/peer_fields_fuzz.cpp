// What sites and engines say beside an answer: load, usage, and the line in a stream.
#include <string>

#include "api/load.h"
#include "api/stream_field.h"
#include "fuzz/fuzz.h"

namespace perigee::fuzz {

void take_input(std::string_view text) {
  const Piece piece = exact(text);
  if (const auto load = api::parse_load(piece.view())) {
    const std::string written = api::format_load(*load);
    const auto again = api::parse_load(written);
    PERIGEE_PROPERTY(again.has_value());
    PERIGEE_PROPERTY(api::format_load(*again) == written);
    PERIGEE_PROPERTY(load->slots == again->slots && load->queued_tokens == again->queued_tokens);
  }
  if (const auto usage = api::parse_usage(piece.view())) {
    PERIGEE_PROPERTY(usage->cached_tokens <= usage->prompt_tokens);
    const auto again = api::parse_usage(api::format_usage(*usage));
    PERIGEE_PROPERTY(again && again->prompt_tokens == usage->prompt_tokens &&
                     again->cached_tokens == usage->cached_tokens &&
                     again->completion_tokens == usage->completion_tokens);
  }
  if (const auto field = api::parse_stream_field(piece.view())) {
    PERIGEE_PROPERTY(field->tokens <= api::kTokenIdsMax);
    PERIGEE_PROPERTY(field->token_ids.empty() == (field->tokens == 0));
    PERIGEE_PROPERTY(field->choice < api::kChoicesMax);
    std::string event;
    api::append_event_line(event, *field);
    if (!event.empty()) {
      PERIGEE_PROPERTY(event.starts_with("perigee: ") && event.ends_with('\n'));
      const auto reread =
          api::parse_stream_field(std::string_view{event}.substr(9, event.size() - 10));
      PERIGEE_PROPERTY(reread && reread->choice == field->choice && reread->ends == field->ends &&
                       reread->more == field->more && reread->tokens == field->tokens &&
                       reread->token_ids == field->token_ids);
    }
    std::string summed;
    api::append_summed_event_line(summed, *field, text);
    const auto whole =
        api::parse_stream_field(std::string_view{summed}.substr(9, summed.size() - 10));
    PERIGEE_PROPERTY(whole && api::is_whole(*whole, text));
    if (!field->usage) return;
    std::string line;
    api::append_end_line(line, *field->usage, field->load ? &*field->load : nullptr);
    PERIGEE_PROPERTY(line.starts_with("perigee: ") && line.ends_with('\n'));
    const auto again = api::parse_stream_field(line.substr(9, line.size() - 10));
    PERIGEE_PROPERTY(again && again->usage && again->load.has_value() == field->load.has_value());
  }
}

}  // namespace perigee::fuzz
