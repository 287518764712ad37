// The endpoints of a site that are not inference: models, health, metrics, status, route explain,
// and the digest exchange.
#pragma once

#include <functional>
#include <memory>

#include "gateway/gateway.h"
#include "identity/scrape_check.h"
#include "peer/digest.h"
#include "site/site_metrics.h"
#include "site/status_page.h"

namespace perigee {

struct SiteEndpoints {
  // What they show; all must outlive the gateway.
  struct Parts {
    const Clock& clock;
    Router& router;
    Inference& inference;
    SiteMetrics& metrics;
    const Identity& identity;
    ScrapeCheck scrape;  // who may read the metrics
    std::function<std::shared_ptr<const DirectorySnapshot>()> directory;
    std::function<SiteStatus()> status;
    std::function<Digest(const Digest& heard)> digest;  // in answer to one
    std::function<void(const Digest&)> heard;
  };
};

void add_site_endpoints(Gateway& gateway, SiteEndpoints::Parts parts);

}  // namespace perigee
