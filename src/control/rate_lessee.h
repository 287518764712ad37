// RateLessee: a site's line to control for limits per minute. Reports what the site holds and needs
// as soon as a request waits for it, every second while the site holds anything, and once whenever
// control is reached again; hands the grants on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "core/rate_book.h"
#include "net/task.h"
#include "net/tls.h"

namespace perigee::control {

struct RateLesseeOptions {
  std::string url;        // of control
  std::string key;        // the site's
  std::string grid = {};  // this process's, when it is a member with certificates
  std::shared_ptr<net::TlsClientSource> tls = nullptr;
  Duration interval = seconds{1};
  // For control's answer: little more than requests wait for, so that they are soon told that their
  // limits can't be checked, and not that these are reached.
  Duration patience = seconds{3};
};

// Whose line it is; all are called on the IO thread and must outlive the lessee.
struct RateHolder {
  std::function<RateReport()> report;
  std::function<void(const RateReport&, const std::vector<RateGrant>&)> granted;
  std::function<void(const RateReport&)> failed;
  std::function<bool()> has_claims;
  std::function<Instant()> linked_since;  // changes when control is reached again
};

class RateLessee {
 public:
  // InvalidArgument: the URL. `clock` must outlive it.
  static Result<std::unique_ptr<RateLessee>> start(Executor executor, const Clock& clock,
                                                   RateLesseeOptions options, RateHolder holder);
  ~RateLessee();  // at once; what the site holds is free for others when its term has ended
  RateLessee(const RateLessee&) = delete;
  RateLessee& operator=(const RateLessee&) = delete;
  void wake();  // a request waits

 private:
  struct State;
  explicit RateLessee(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace perigee::control
