#include "directory/json_fields.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <utility>

namespace perigee {
namespace {

bool printable(std::string_view text) {
  return std::ranges::none_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string at_most(std::size_t bytes_max) {
  return "a string of at most " + std::to_string(bytes_max) + " printable bytes";
}

}  // namespace

Result<boost::json::object> parse_json_object(std::string_view text) {
  boost::system::error_code status;
  boost::json::value value = boost::json::parse({text.data(), text.size()}, status);
  if (status) return Error{Code::InvalidArgument, "not valid JSON: " + status.message()};
  if (!value.is_object()) return Error{Code::InvalidArgument, "expected a JSON object"};
  return std::move(value.get_object());
}

const boost::json::value* JsonFields::find(std::string_view name, Need need) {
  known_.push_back(name);
  const boost::json::value* value = object_.if_contains(name);
  if (value != nullptr && value->is_null()) value = nullptr;
  if (value == nullptr && need == Need::Required) {
    fail(name, "`" + std::string{name} + "` is missing");
  }
  return value;
}

void JsonFields::fail(std::string_view name, std::string message) {
  if (std::exchange(failed_, true)) return;
  error_ = Error{Code::InvalidArgument, std::move(message), std::string{name}};
}

void JsonFields::refuse(std::string_view name, std::string_view expected) {
  fail(name, "`" + std::string{name} + "` must be " + std::string{expected});
}

std::string JsonFields::text(std::string_view name, Need need, std::size_t bytes_max) {
  const boost::json::value* value = find(name, need);
  if (value == nullptr) return {};
  const boost::json::string* found = value->if_string();
  if (found == nullptr || found->size() > bytes_max || !printable({found->data(), found->size()})) {
    refuse(name, at_most(bytes_max));
    return {};
  }
  return {found->data(), found->size()};
}

std::string JsonFields::lines(std::string_view name, Need need, std::size_t bytes_max) {
  const boost::json::value* value = find(name, need);
  if (value == nullptr) return {};
  const boost::json::string* found = value->if_string();
  std::string flat = found == nullptr ? std::string{} : std::string{found->data(), found->size()};
  std::erase(flat, '\n');
  if (found == nullptr || found->size() > bytes_max || !printable(flat)) {
    refuse(name, at_most(bytes_max));
    return {};
  }
  return {found->data(), found->size()};
}

std::int64_t JsonFields::integer(std::string_view name, Need need, std::int64_t least,
                                 std::int64_t most, std::int64_t absent) {
  const boost::json::value* value = find(name, need);
  if (value == nullptr) return absent;
  const std::int64_t* found = value->if_int64();
  if (found == nullptr || *found < least || *found > most) {
    refuse(name, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return absent;
  }
  return *found;
}

double JsonFields::number(std::string_view name, Need need, double least, double most) {
  const boost::json::value* value = find(name, need);
  if (value == nullptr) return 0;
  boost::system::error_code status;
  const auto found = value->to_number<double>(status);
  if (status || !(found >= least && found <= most)) {
    refuse(name, "a number from " + std::to_string(static_cast<int>(least)) + " to " +
                     std::to_string(static_cast<int>(most)));
    return 0;
  }
  return found;
}

bool JsonFields::flag(std::string_view name, bool absent) {
  const boost::json::value* value = find(name, Need::Optional);
  if (value == nullptr) return absent;
  const bool* found = value->if_bool();
  if (found == nullptr) {
    refuse(name, "true or false");
    return absent;
  }
  return *found;
}

std::vector<std::string> JsonFields::texts(std::string_view name, std::size_t count_max,
                                           std::size_t bytes_max) {
  const boost::json::value* value = find(name, Need::Optional);
  std::vector<std::string> found;
  if (value == nullptr) return found;
  const boost::json::array* array = value->if_array();
  if (array == nullptr || array->size() > count_max) {
    refuse(name, "an array of at most " + std::to_string(count_max) + " strings");
    return found;
  }
  for (const boost::json::value& element : *array) {
    const boost::json::string* text = element.if_string();
    if (text == nullptr || text->size() > bytes_max || !printable({text->data(), text->size()})) {
      refuse(name, "an array in which each element is " + at_most(bytes_max));
      return {};
    }
    found.emplace_back(text->data(), text->size());
  }
  return found;
}

Sha256 JsonFields::digest(std::string_view name, Need need) {
  const std::string hex = text(name, need, 2 * Sha256{}.size());
  Sha256 digest{};
  if (!hex.empty() && !from_hex(hex, digest)) refuse(name, "a SHA-256: 64 lower-case hex digits");
  return digest;
}

Result<> JsonFields::finish(UnknownFields unknown) {
  if (unknown == UnknownFields::Refuse) {
    for (const auto& field : object_) {
      const std::string_view name{field.key().data(), field.key().size()};
      if (std::ranges::find(known_, name) == known_.end()) {
        fail(name, "unknown field `" + std::string{name.substr(0, 64)} + "`: remove it");
      }
    }
  }
  if (failed_) return error_;
  return {};
}

}  // namespace perigee
