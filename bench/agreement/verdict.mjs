// The comparison, its verdict, and how both are printed.
import { quantile } from './fit.mjs';

export const BOUND = 0.25;
// Others' share of the processors with which a disagreement proves nothing: then programs wait for
// each other, which no engine's profile holds.
export const OTHERS_MOST = 0.2;
const JUDGED = ['ttft_ms_p50', 'e2e_ms_p50'];
export const EXIT = { agree: 0, disagree: 1, void: 3 };

// Of answers {site, ttftMs, totalMs}.
export function figuresOf(answers) {
  const served = {};
  for (const { site } of answers) served[site] = (served[site] ?? 0) + 1;
  const ttft = answers.map(({ ttftMs }) => ttftMs);
  const e2e = answers.map(({ totalMs }) => totalMs);
  return {
    ttft_ms: { p50: quantile(ttft, 0.5), p90: quantile(ttft, 0.9) },
    e2e_ms: { p50: quantile(e2e, 0.5), p90: quantile(e2e, 0.9) },
    served,
  };
}

// What a profile takes for one question to an idle engine: {ttft, e2e}.
export function predict(profile, { inTokens, outTokens }) {
  const ttft = profile.overhead_ms + profile.prefill_base_ms + profile.prefill_ms_per_1k * inTokens / 1000 +
    profile.prefill_ms_per_1k_squared * (inTokens / 1000) ** 2;
  const step = profile.decode_base_ms + profile.decode_ms_per_sequence + profile.decode_ms_per_1k_kv * inTokens / 1000;
  return { ttft, e2e: ttft + step * (outTokens - 1) };
}

// How far two profiles of one machine are apart, as a share of the smaller: in the figures that
// are judged, for a question of usual length.
export function drift(before, after, question) {
  const a = predict(before, question);
  const b = predict(after, question);
  return Math.max(...['ttft', 'e2e'].map((key) => Math.max(a[key], b[key]) / Math.min(a[key], b[key]) - 1));
}

// `real` and `simulated` as figuresOf() makes them; `drift` as above and `others` as othersShare().
export function compare(real, simulated, { drift: driftShare, others }) {
  const ratio = {};
  for (const figure of ['ttft_ms', 'e2e_ms']) {
    for (const share of ['p50', 'p90']) ratio[`${figure}_${share}`] = simulated[figure][share] / real[figure][share];
  }
  const inside = JUDGED.every((figure) => Math.abs(ratio[figure] - 1) <= BOUND);
  if (driftShare > BOUND || (!inside && others > OTHERS_MOST)) return { ratio, verdict: 'void' };
  return { ratio, verdict: inside ? 'agree' : 'disagree' };
}

export function table(report) {
  const lines = [`${'figure'.padEnd(28)} ${'real'.padStart(9)} ${'simulated'.padStart(10)} ${'ratio'.padStart(7)}`];
  const row = (name, real, simulated, ratio) => lines.push(
    `${name.padEnd(28)} ${real.padStart(9)} ${simulated.padStart(10)} ${ratio.padStart(7)}`);
  for (const [figure, title] of [['ttft_ms', 'time to first token'], ['e2e_ms', 'end to end']]) {
    for (const share of ['p50', 'p90']) {
      row(`${title} ${share}, ms`, report.real[figure][share].toFixed(1), report.simulated[figure][share].toFixed(1),
        report.ratio[`${figure}_${share}`].toFixed(2));
    }
  }
  const percent = (figures, site) => `${(100 * (figures.served[site] ?? 0) / report.requests).toFixed(1)} %`;
  for (const site of report.sites) {
    row(`served by ${site}`, percent(report.real, site), percent(report.simulated, site), '');
  }
  const share = (value) => `${(100 * value).toFixed(0)} %`;
  lines.push('', {
    agree: `They agree: the medians are within ${share(BOUND)}.`,
    disagree: `They do not agree: a median is off by more than ${share(BOUND)}.`,
    void: 'No verdict: this machine does other things as well.',
  }[report.verdict]);
  lines.push(`Engine's speed, first half against second: ${share(report.drift)} apart. ` +
    `Other programs used ${share(report.others)} of the processors.`);
  return lines.join('\n');
}
