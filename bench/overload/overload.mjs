// ./dev bench overload [--seconds N] [--times N] [-o table|json]; exit status 1: a target is missed.
import { parseArgs } from 'node:util';
import { OverloadedSite, kClasses } from '../../test/e2e/support/overload.js';

const { values } = parseArgs({ options: {
  seconds: { type: 'string', default: '60' },
  times: { type: 'string', default: '5' },
  output: { type: 'string', short: 'o', default: 'table' },
} });
const seconds = Number(values.seconds);
const times = Number(values.times);

const overloaded = await OverloadedSite.start({ queue_requests_max: 150 });
const samples = []; // [seconds, KiB]
const peak = await overloaded.offer({ times: 1, seconds: Math.max(5, seconds / 4) });
const flood = await overloaded.offer({ times, seconds, watch: (at) => {
  if (samples.length === 0 || at - samples.at(-1)[0] >= 1) samples.push([at, overloaded.memory_kib()]);
} });
const engines = await overloaded.engineStats();
await overloaded.stop();

// After a quarter of the time the queue is full and everything that is kept was allocated.
const settled = samples.find(([at]) => at >= seconds / 4)?.[1] ?? samples[0][1];
const result = {
  times, seconds, peak, flood,
  goodput_share: Math.round(flood.goodput_rps / peak.goodput_rps * 1000) / 1000,
  rss_kib: { first: samples[0][1], settled, last: samples.at(-1)[1] },
  engine_queue_most: Math.max(...engines.map(({ waiting_most }) => waiting_most)),
};
const met = {
  goodput: result.goodput_share >= 0.95,
  realtime: flood.classes.realtime.ttft_ms_p99 <= kClasses.realtime.ttft_ms,
  memory: result.rss_kib.last - settled < 4096,
  nothing_lost: flood.lost.length === 0 && flood.unsound === 0,
};

if (values.output === 'json') {
  console.log(JSON.stringify({ ...result, met }));
} else {
  const row = (...cells) => console.log(cells.map((cell, i) => String(cell ?? '-')[i ? 'padStart' : 'padEnd'](i ? 12 : 14)).join(''));
  console.log(`${times} times the capacity for ${seconds} s`);
  row('class', 'offered', 'served', 'refused', 'ttft p50 ms', 'ttft p99 ms', 'target ms');
  for (const [name, its] of Object.entries(flood.classes)) {
    row(name, its.offered, its.served, its.refused, its.ttft_ms_p50, its.ttft_ms_p99, kClasses[name].ttft_ms);
  }
  console.log(`goodput ${flood.goodput_rps}/s, at the peak ${peak.goodput_rps}/s: ${result.goodput_share}`);
  console.log(`refused in ${flood.refusal_ms_p99} ms (p99): ${JSON.stringify(flood.refusals)}; lost: ${flood.lost.length}`);
  console.log(`memory ${result.rss_kib.first} KiB, settled ${settled} KiB, at the end ${result.rss_kib.last} KiB`);
  console.log(`most that waited at an engine itself: ${result.engine_queue_most}`);
  for (const [name, ok] of Object.entries(met)) console.log(`${ok ? 'met   ' : 'MISSED'} ${name}`);
}
process.exitCode = Object.values(met).every(Boolean) ? 0 : 1;
