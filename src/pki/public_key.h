// Public keys as operators keep them in files.
#pragma once

#include <string_view>

#include "base/result.h"
#include "pki/key_pair.h"

namespace perigee::pki {

// "-----BEGIN PUBLIC KEY-----". InvalidArgument: none, or one that is not Ed25519.
Result<PublicKey> public_key_from_pem(std::string_view pem);

}  // namespace perigee::pki
