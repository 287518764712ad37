// UsageShipper: brings a site's settled usage records to control: at least once, oldest settlement
// first, in bounded batches, moving the cursor in usage.db only when control has acknowledged. A
// record's id makes a repeated delivery count once. When control is out of reach the records wait
// in usage.db, for as long as it takes.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "net/tls.h"

namespace perigee::control {

struct ShipperOptions {
  std::string file;       // the site's usage.db; made by its ledger
  std::string url;        // of control
  std::string key;        // the site's
  std::string grid = {};  // this process's, when it is a member with certificates
  std::shared_ptr<net::TlsClientSource> tls = nullptr;
  std::uint64_t seed = 0;
  Duration interval = seconds{1};          // between two looks, unless a batch was full
  Duration retry_min = milliseconds{500};  // doubles, with jitter
  Duration retry_max = seconds{30};
};

struct ShippingStatus {
  std::uint64_t waiting = 0;  // settled, not acknowledged; as of the last look
  std::uint64_t shipped = 0;  // since start
  std::string error;          // why the last delivery failed; empty: it did not
};

// Works on a thread of its own; these calls are the IO thread's.
class UsageShipper {
 public:
  // `clock` must outlive it. Errors: the URL, the file.
  static Result<std::unique_ptr<UsageShipper>> start(ShipperOptions options, const Clock& clock);
  ~UsageShipper();  // at once; what is not acknowledged goes with the next start
  UsageShipper(const UsageShipper&) = delete;
  UsageShipper& operator=(const UsageShipper&) = delete;
  // Delivers what is left, for at most that long; waits. True when nothing is left.
  bool finish(Duration at_most);
  ShippingStatus status() const;

 private:
  struct State;
  explicit UsageShipper(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace perigee::control
