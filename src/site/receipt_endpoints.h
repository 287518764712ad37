// GET /v1/receipts/ID and GET /v1/log: what this site's log shows, or another site's, fetched from
// there. A receipt is shown to the tenant whose request it was, and to operators.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "gateway/gateway.h"
#include "net/http_client.h"
#include "peer/peer_address.h"
#include "site/site_receipts.h"

namespace perigee {

struct ReceiptEndpoints {
  // All must outlive the gateway.
  struct Parts {
    Executor executor;
    SiteId self;
    SiteReceipts& receipts;
    net::HttpClient& client;  // gives up after some seconds: nobody should wait long for a receipt
    std::string authorization;  // of this site, towards others
    PeerAddresses addresses;
    std::function<std::shared_ptr<const DirectorySnapshot>()> directory;
  };
};

void add_receipt_endpoints(Gateway& gateway, ReceiptEndpoints::Parts parts);

}  // namespace perigee
