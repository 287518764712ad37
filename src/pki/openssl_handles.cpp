#include "pki/openssl_handles.h"

#include <openssl/err.h>

#include "base/assert.h"

namespace perigee::pki {

BioPtr reader_of(std::string_view text) {
  BioPtr bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
  PERIGEE_ASSERT(bio != nullptr);
  return bio;
}

BioPtr writer() {
  BioPtr bio{BIO_new(BIO_s_mem())};
  PERIGEE_ASSERT(bio != nullptr);
  return bio;
}

std::string written(BIO& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(&bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

Error openssl_error(Code code, std::string_view doing) {
  const unsigned long number = ERR_get_error();
  ERR_clear_error();
  std::string message{doing};
  if (const char* reason = ERR_reason_error_string(number); reason != nullptr) {
    message.append(" (").append(reason).append(")");
  }
  return Error{code, std::move(message)};
}

}  // namespace perigee::pki
