// What the benchmark reckons with: the fit, the workload, the scenario, the verdict.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/e2e/support/process.js';
import { fit, quantile } from './fit.mjs';
import { fitProfile } from './profile.mjs';
import { rttMs } from './links.mjs';
import { othersShare, processorUse } from './processor_use.mjs';
import { scenarioFiles, simulate } from './simulate.mjs';
import { EXIT, compare, drift, figuresOf, predict, table } from './verdict.mjs';
import { Prompts, makeTrace } from './workload.mjs';

const profile = {
  decode_base_ms: 0.8, decode_ms_per_sequence: 0.3, decode_ms_per_1k_kv: 1.5, prefill_base_ms: 1.1,
  prefill_ms_per_1k: 300, prefill_ms_per_1k_squared: 40, overhead_ms: 2, site_ms: 0.5, hop_ms: 1,
};
const close = (a, b) => assert.ok(Math.abs(a - b) < 1e-6 * Math.max(1, Math.abs(b)), `${a} is not ${b}`);

test('finds the profile again that made the figures', () => {
  const points = [40, 80, 160, 320, 480].map((tokens) =>
    ({ tokens, ms: predict(profile, { inTokens: tokens, outTokens: 1 }).ttft }));
  const batches = [[1, 100], [1, 900], [2, 100], [4, 900], [8, 100]].map(([streams, held]) =>
    ({ streams, held, ms: 0.8 + 0.3 * streams + 1.5 * held / 1000 }));
  const found = fitProfile(points, batches);
  for (const [key, value] of Object.entries(found)) close(value, profile[key]);
});

test('leaves out what would be negative', () => {
  const [base, slope] = fit([1, 2, 3, 4].map((x) => ({ x: [1, x], y: 10 - x })));
  assert.equal(slope, 0);
  assert.ok(base > 6 && base < 9);
});

test('reckons quantiles as the simulator does', () => {
  close(quantile([4, 1, 3, 2], 0.5), 2.5);
  close(quantile([10, 20], 0.9), 19);
});

test('draws the same workload from the same seed', () => {
  const wishes = { seed: 7, requests: 500, rate: 2, weights: { a: 3, b: 1 } };
  const trace = makeTrace(wishes);
  assert.deepEqual(trace, makeTrace(wishes));
  assert.notDeepEqual(trace, makeTrace({ ...wishes, seed: 8 }));
  assert.ok(trace.every(({ ms }, i) => i === 0 || ms >= trace[i - 1].ms));
  assert.ok(Math.abs(trace.at(-1).ms / 1000 - 250) < 60, 'two a second');
  const ofA = trace.filter(({ site }) => site === 'a').length;
  assert.ok(ofA > 300 && ofA < 440);
});

test('writes prompts of the length that was asked for', () => {
  const { messages, max_tokens: most } = new Prompts('m', 1, 12).body(50, 9);
  assert.equal(messages[0].content.trim().split(' ').length, 38);
  assert.equal(most, 9);
});

test('judges both medians, and nothing when the machine changed', () => {
  const figures = (ttft, e2e) => ({ ttft_ms: { p50: ttft, p90: 2 * ttft }, e2e_ms: { p50: e2e, p90: 2 * e2e } });
  const verdict = (real, simulated, driftShare = 0.1, others = 0.1) =>
    compare(real, simulated, { drift: driftShare, others }).verdict;
  assert.equal(verdict(figures(100, 200), figures(80, 240)), 'agree');
  assert.equal(verdict(figures(100, 200), figures(74, 200)), 'disagree');
  assert.equal(verdict(figures(100, 200), figures(100, 251)), 'disagree');
  assert.equal(verdict(figures(100, 200), figures(100, 200), 0.26), 'void');
  assert.equal(verdict(figures(100, 200), figures(50, 200), 0.1, 0.3), 'void');
  assert.equal(verdict(figures(100, 200), figures(100, 200), 0.1, 0.3), 'agree');
  assert.deepEqual(EXIT, { agree: 0, disagree: 1, void: 3 });
  const question = { inTokens: 100, outTokens: 40 };
  close(drift(profile, profile, question), 0);
  const slower = { ...profile, prefill_ms_per_1k: 450 };
  assert.ok(drift(profile, slower, question) > 0.25 && drift(profile, slower, question) === drift(slower, profile, question));
});

test('tells its own work from that of others', () => {
  const from = { all: 1000, busy: 500, own: 100 };
  close(othersShare(from, { all: 1200, busy: 600, own: 150 }), 0.25);
  // The machine's time is sampled at clock ticks and a process's is summed: over a few ticks they differ.
  const before = processorUse();
  let after = before;
  while (after.own - before.own < 30) after = processorUse();
  assert.ok(after.busy - before.busy >= (after.own - before.own) / 2);
  const share = othersShare(before, after);
  assert.ok(share >= 0 && share < 1, `${share}`);
});

test('the simulator takes its scenario, and answers as an idle grid does', async () => {
  const sites = [
    { name: 'metro-berlin', latitude: 52.52, longitude: 13.405, jurisdiction: 'de', slots: 4 },
    { name: 'cell-strasbourg', latitude: 48.5734, longitude: 7.7521, jurisdiction: 'fr', slots: 0 },
  ];
  const question = { inTokens: 100, outTokens: 40 };
  const trace = Array.from({ length: 40 }, (_, i) => ({ ms: 1000 * i, site: sites[i % 2].name, ...question }));
  const simulated = await simulate(scenarioFiles({ sites, trace, profile, seconds: 40 }), temporaryFolder(), 1);
  assert.equal(simulated.answered, 40);
  assert.deepEqual(simulated.served, { 'metro-berlin': 40 });
  // Half of the answers come without a link, half over one: the quantiles stand in either half.
  const { ttft, e2e } = predict(profile, question);
  const near = ttft + profile.site_ms;
  const far = near + rttMs(...sites) + profile.hop_ms;
  assert.ok(simulated.ttft_ms.p50 > near - 0.1 && simulated.ttft_ms.p50 < far * 1.1);
  assert.ok(Math.abs(simulated.ttft_ms.p90 / far - 1) < 0.1);
  assert.ok(Math.abs(simulated.e2e_ms.p90 / (e2e + far - ttft) - 1) < 0.1);
  const real = figuresOf(trace.map(() => ({ site: 'metro-berlin', ttftMs: 40, totalMs: 100 })));
  const machine = { drift: 0, others: 0 };
  const compared = compare(real, simulated, machine);
  const report = { requests: 40, sites: ['metro-berlin'], real, simulated, ...machine, ...compared };
  assert.match(table(report), /served by metro-berlin +100\.0 % +100\.0 %/);
});
