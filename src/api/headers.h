// The HTTP headers of Perigee: names in one place, used by gateway, engines and peers alike.
#pragma once

#include <string_view>

namespace perigee::api::headers {

// Set by clients (all optional).
inline constexpr std::string_view kRequestId = "x-request-id";
inline constexpr std::string_view kClass = "perigee-class";
inline constexpr std::string_view kDeadlineMs = "perigee-deadline-ms";  // time left, not a date
inline constexpr std::string_view kJurisdictions = "perigee-jurisdictions";  // "de,fr"
inline constexpr std::string_view kSession = "perigee-session";
inline constexpr std::string_view kTraceparent = "traceparent";
inline constexpr std::string_view kIdempotencyKey = "idempotency-key";  // gateway/idempotency.h

// Set by a peer site (believed only from one), or by a site towards its own engines.
inline constexpr std::string_view kHop = "perigee-hop";  // "1"
inline constexpr std::string_view kTenant = "perigee-tenant";
inline constexpr std::string_view kCacheSalt = "perigee-cache-salt";  // hex
// The same at every engine that a request meets, so that an answer which goes on elsewhere stays
// one draw and one `created`.
inline constexpr std::string_view kSeed = "perigee-seed";        // used when the body names none
inline constexpr std::string_view kCreated = "perigee-created";  // seconds since 1970

// Answered.
inline constexpr std::string_view kSite = "perigee-site";    // the serving site
inline constexpr std::string_view kRoute = "perigee-route";  // short reason
inline constexpr std::string_view kLoad = "perigee-load";    // api/load.h; to sites only
inline constexpr std::string_view kUsage =
    "perigee-usage";  // "prompt=12,cached=0,completion=0"; to sites only
// The answer goes on after so many tokens made elsewhere; to sites only. An engine that does not
// know `perigee_resume` would begin anew: without this header its answer is not taken.
inline constexpr std::string_view kResumed = "perigee-resumed";
inline constexpr std::string_view kAllow = "allow";  // methods of the path; with 405
inline constexpr std::string_view kAuthenticate = "www-authenticate";  // with 401: kBearer
inline constexpr std::string_view kBearer = "Bearer";
inline constexpr std::string_view kRetryAfter = "retry-after";       // seconds
inline constexpr std::string_view kRetryAfterMs = "retry-after-ms";  // the same, finer
// Of a key with limits per minute; resets as Go writes durations: "1s", "6m0s", "120ms".
inline constexpr std::string_view kLimitRequests = "x-ratelimit-limit-requests";
inline constexpr std::string_view kLimitTokens = "x-ratelimit-limit-tokens";
inline constexpr std::string_view kRemainingRequests = "x-ratelimit-remaining-requests";
inline constexpr std::string_view kRemainingTokens = "x-ratelimit-remaining-tokens";
inline constexpr std::string_view kResetRequests = "x-ratelimit-reset-requests";
inline constexpr std::string_view kResetTokens = "x-ratelimit-reset-tokens";
inline constexpr std::string_view kRefused = "perigee-refused";  // why, when for load: Refused
inline constexpr std::string_view kSum =
    "perigee-sum";  // api/message_sum.h; between sites, both ways
inline constexpr std::string_view kReceipt = "perigee-receipt";       // its id: docs/receipts.md
inline constexpr std::string_view kReplayed = "idempotent-replayed";  // "true": not run again

}  // namespace perigee::api::headers

namespace perigee::api {

// In a stream between sites and engines an event may carry one more SSE field line beside `data:`
// (api/stream_field.h). A conforming SSE parser ignores unknown fields; an ingress removes it.
inline constexpr std::string_view kStreamField = "perigee";

}  // namespace perigee::api
