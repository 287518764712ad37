// Whether a model's file is the one that was meant, before a byte of it is parsed: by its SHA-256,
// and by the signature of whoever makes or approves the operator's models.
//
// The signature is Ed25519 over the 64 lower-case hexadecimal digits of the file's SHA-256, and
// nothing else: 64 bytes, in a file. So it is made without reading the weights into memory:
//
//   sha256sum model.gguf | head -c 64 >digest
//   openssl pkeyutl -sign -rawin -inkey private.pem -in digest -out model.gguf.sig
#pragma once

#include <atomic>
#include <string>

#include "base/result.h"

namespace perigee::engine_server {

struct WeightsTrust {
  std::string sha256;      // hex: another file is not loaded; empty: any is
  std::string public_key;  // a PEM file: what that key did not sign is not loaded; empty: all is
  std::string signature;   // a file; empty: the model's with ".sig" after it
};

// Reads the file once, if there is anything to check. FailedPrecondition: it is not what was meant,
// or its signature is missing. InvalidArgument: a digest or a key that is none. Cancelled.
Result<> check_weights(const std::string& path, const WeightsTrust& trust,
                       const std::atomic<bool>* cancelled = nullptr);

}  // namespace perigee::engine_server
