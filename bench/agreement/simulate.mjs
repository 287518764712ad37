// The same workload and grid in `perigee sim`.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PERIGEE } from '../../test/e2e/support/process.js';
import { LINKS } from './links.mjs';

const EXCHANGE_MS = 250;  // the demo's peers tell each other so often
const CONTEXT = 1024;     // tokens of the demo model
const QUEUE_MAX = 256;    // of an engine
const BATCH_TOKENS = 512; // in one of its iterations, and ...
const PIECE_MS = 100;     // ... so much of prompts as takes so long (docs/engine.md)

const section = (title, keys) => [title, ...Object.entries(keys).map(([key, value]) =>
  `${key} = ${JSON.stringify(value)}`), ''].join('\n');

// `sites`: [{name, latitude, longitude, jurisdiction, slots}]. Every site has a trace of its own,
// since it is known whose users ask.
export function scenarioFiles({ sites, trace, profile, seconds }) {
  const files = new Map();
  const { site_ms, hop_ms, ...engine } = profile;
  engine.overhead_ms += site_ms;
  const pieceTokens = Math.max(16, Math.min(BATCH_TOKENS, Math.round(PIECE_MS / profile.prefill_ms_per_1k * 1000)));
  const kinds = [...new Set(sites.map(({ slots }) => slots))].filter((slots) => slots > 0);
  const text = [
    section('# Written by bench/agreement.', {
      title: 'What was replayed on the demo grid', duration_s: seconds, policies: ['perigee'],
    }),
    ...kinds.map((slots) => section('[[engine]]', {
      name: `slots-${slots}`, gpu: 'custom', ...engine,
      batch_max: slots, batch_tokens_max: pieceTokens, kv_tokens: slots * CONTEXT, queue_max: QUEUE_MAX,
    })),
    ...sites.map(({ name, latitude, longitude, jurisdiction, slots }) => section('[[site]]', {
      name, latitude, longitude, jurisdiction, engines: slots > 0 ? [`slots-${slots}`] : [],
    })),
    section('[network]', { ...LINKS, rtt_base_ms: LINKS.rtt_base_ms + hop_ms }),
    section('[digests]', { interval_ms: EXCHANGE_MS }),
  ];
  for (const { name } of sites) {
    const own = trace.filter(({ site }) => site === name);
    if (own.length === 0) continue;
    files.set(`${name}.csv`, ['t_ms,in_tokens,out_tokens',
      ...own.map(({ ms, inTokens, outTokens }) => `${ms},${inTokens},${outTokens}`), ''].join('\n'));
    text.push(section('[[workload]]', { arrivals: 'trace', trace: `${name}.csv`, sites: [name] }));
  }
  return files.set('agreement.toml', text.join('\n'));
}

// Runs the files in `folder`; answers {ttft_ms, e2e_ms, served, digest}, `served` by name of site.
export async function simulate(files, folder, seed) {
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
  const { stdout } = await promisify(execFile)(PERIGEE, ['sim', join(folder, 'agreement.toml'), '--policy', 'perigee',
    '--seed', String(seed), '--series', '-o', 'json'], { maxBuffer: 1 << 26 });
  const run = JSON.parse(stdout);
  const { perigee } = run.policies;
  const served = perigee.sites.filter((site) => site.served > 0).map((site) => [run.sites[site.site].name, site.served]);
  return {
    requests: perigee.requests, answered: perigee.served, ttft_ms: perigee.ttft_ms, e2e_ms: perigee.e2e_ms,
    served: Object.fromEntries(served), digest: perigee.digest,
  };
}
