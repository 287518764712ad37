// A member's identity on the disk: who this process is in the grid, as three PEM files. They are
// written by `perigee site join` and renewed by control, or put there by an operator's own PKI.
#pragma once

#include <string>

#include "base/instant.h"
#include "base/result.h"
#include "net/tls.h"
#include "pki/certificate.h"
#include "pki/spiffe_id.h"

namespace perigee::control {

struct MemberFiles {
  std::string certificate;  // the own one first, then what signed it
  std::string key;          // mode 0600
  std::string authorities;  // whom to believe; two while an authority is being replaced
};

// What stands where `perigee site join` and control write it, in a state folder.
MemberFiles member_files_in(const std::string& state_dir);

struct MemberIdentity {
  pki::GridMember member;
  pki::Certificate certificate;
  net::TlsMember tls;
};

// Reads and checks all three. InvalidArgument or FailedPrecondition names the file and what is
// wrong with it; an expired certificate is no error here (see `still_valid`).
Result<MemberIdentity> load_member(const MemberFiles& files);
// PermissionDenied: expired, not yet valid, or not of the authorities in its own files.
Result<> still_valid(const MemberIdentity& identity, WallTime now);
// The whole file as PEM text; errors name it.
Result<std::string> read_pem_file(const std::string& path);

// When to ask for the next certificate: half of its life is over.
WallTime renewal_of(const pki::Certificate& certificate);

}  // namespace perigee::control
