// The demo's wide-area links (docs/demo.md), as a scenario's [network].

// One way 0.5 ms + 1.7 times the great circle at 200 km/ms; jitter is even up to 5 %: 2.5 % in the
// mean.
export const LINKS = { rtt_base_ms: 1, rtt_ms_per_km: 2 * 1.7 / 200, jitter: 0.025, uplink_mbps: 1000, access_ms: 0 };
const EARTH_KM = 6371;

// A round trip between two sites over the demo's links, without jitter.
export function rttMs(a, b) {
  const radians = (degrees) => degrees * Math.PI / 180;
  const h = Math.sin(radians(b.latitude - a.latitude) / 2) ** 2 +
    Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * Math.sin(radians(b.longitude - a.longitude) / 2) ** 2;
  return LINKS.rtt_base_ms + LINKS.rtt_ms_per_km * 2 * EARTH_KM * Math.asin(Math.sqrt(h));
}
