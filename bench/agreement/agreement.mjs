// Replays one small workload on a real demo grid and in the simulator and says whether they agree.
// Exit status: 0 they do, 1 they don't (or a request failed), 2 wrong arguments, 3 no verdict, since
// the machine's speed changed meanwhile or others used it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Demo } from '../../test/e2e/support/grid.js';
import { temporaryFolder } from '../../test/e2e/support/process.js';
import { chat } from './chat.mjs';
import { median } from './fit.mjs';
import { Engine, measure, profileOf } from './profile.mjs';
import { othersShare, processorUse } from './processor_use.mjs';
import { scenarioFiles, simulate } from './simulate.mjs';
import { BOUND, EXIT, compare, drift, figuresOf, table } from './verdict.mjs';
import { Prompts, makeTrace } from './workload.mjs';

const USAGE = 'usage: run [-o table|json] [--seed N] [--requests N] [--rate PER_S] [--keep FOLDER]';
// Whose users ask how often. Strasbourg has no engine, so all of its questions are forwarded.
const WEIGHTS = {
  'cell-strasbourg': 4, 'cell-potsdam': 2, 'metro-berlin': 2, 'metro-paris': 2, 'regional-frankfurt': 1, 'core-marseille': 1,
};
const PARTS = 3;  // of the trace
// Few enough that two engines seldom run at once: all of a demo share the cores of one machine, which
// a grid's do not, and neither do the simulator's.
const RATE = 1.5;
const say = (text) => process.stderr.write(`${text}\n`);

function options() {
  const number = (text, name, least, most) => {
    const value = Number(text);
    if (!(value >= least && value <= most)) throw new Error(`--${name}: expected ${least} to ${most}, not '${text}'`);
    return value;
  };
  try {
    const { values } = parseArgs({ options: {
      output: { type: 'string', short: 'o', default: 'table' },
      seed: { type: 'string', default: '1' },
      requests: { type: 'string', default: '160' },
      rate: { type: 'string', default: String(RATE) },
      keep: { type: 'string' },
    } });
    if (!['table', 'json'].includes(values.output)) throw new Error(`-o: expected table or json, not '${values.output}'`);
    return {
      output: values.output,
      keep: values.keep,
      seed: number(values.seed, 'seed', 0, 4294967295),
      requests: number(values.requests, 'requests', 20, 100000),
      rate: number(values.rate, 'rate', 0.1, 1000),
    };
  } catch (error) {
    say(`agreement: ${error.message}\n${USAGE}`);
    process.exit(2);
  }
}

// What the directory says of the grid's sites.
async function sitesOf(demo) {
  const get = async (path) => {
    const headers = { authorization: `Bearer ${demo.operatorKey}` };
    const response = await fetch(`${demo.control.url}/control/v1${path}`, { headers });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()).data;
  };
  const placements = await get('/placements');
  return (await get('/sites')).map(({ name, latitude, longitude, jurisdiction }) => ({
    name, latitude, longitude, jurisdiction, url: demo.site(name).url,
    slots: placements.find(({ site }) => site === name)?.slots ?? 0,
  }));
}

// Asks at the times of the trace, whatever is still under way, as users do.
async function replay(trace, prompts, sites, key) {
  const urls = new Map(sites.map(({ name, url }) => [name, url]));
  const questions = trace.map(({ ms, site, inTokens, outTokens }) =>
    ({ ms, url: urls.get(site), inTokens, outTokens, body: prompts.body(inTokens, outTokens) }));
  const begun = performance.now() - trace[0].ms;
  return Promise.all(questions.map(async ({ ms, url, inTokens, outTokens, body }) => {
    await new Promise((resolve) => setTimeout(resolve, begun + ms - performance.now()));
    const answer = await chat(url, body, { authorization: `Bearer ${key}` });
    if (answer.promptTokens !== inTokens || answer.answerTokens !== outTokens) {
      throw new Error(`an answer had ${answer.promptTokens} + ${answer.answerTokens} tokens, not ${inTokens} + ${outTokens}`);
    }
    return answer;
  }));
}

// What came of each request of the trace, for who wants to look closer.
function answersCsv(trace, answers) {
  return ['t_ms,ingress,in_tokens,out_tokens,site,cached_tokens,ttft_ms,e2e_ms', ...answers.map((answer, i) => {
    const { ms, site, inTokens, outTokens } = trace[i];
    const took = [answer.ttftMs, answer.totalMs].map((time) => time.toFixed(3));
    return [ms, site, inTokens, outTokens, answer.site, answer.cached, ...took].join();
  }), ''].join('\n');
}

// Measures and replays by turns, so that both see the same machine.
async function measureAndReplay({ engine, prompts, sites, trace, key }) {
  const grid = { sites, forwarding: sites.find(({ slots }) => slots === 0), key };
  const measurements = [];
  const answers = [];
  for (let part = 0; part <= PARTS; ++part) {
    say(`measuring the engine and the way to it (${part + 1} of ${PARTS + 1})`);
    measurements.push(await measure(engine, prompts, grid));
    const [from, to] = [part, part + 1].map((i) => Math.round(i / PARTS * trace.length));
    const questions = trace.slice(from, to);
    if (questions.length === 0) continue;
    say(`replaying ${questions.length} requests over ${((questions.at(-1).ms - questions[0].ms) / 1000).toFixed(0)} s`);
    answers.push(...await replay(questions, prompts, sites, key));
  }
  return { measurements, answers };
}

async function main() {
  const { output, seed, requests, rate, keep } = options();
  const folder = keep ?? temporaryFolder();
  mkdirSync(folder, { recursive: true });
  say('starting the demo grid and an engine');
  const demo = await Demo.start();
  let engine;
  try {
    engine = await Engine.start(demo.folder);
    const sites = await sitesOf(demo);
    const trace = makeTrace({ seed, requests, rate, weights: WEIGHTS });
    const prompts = await Prompts.calibrated(demo.model, seed, (body) => engine.ask(body));
    const usual = (key) => median(trace.map((request) => request[key]));
    const usedBefore = processorUse();
    const { measurements, answers } = await measureAndReplay({ engine, prompts, sites, trace, key: demo.key });
    const others = othersShare(usedBefore, processorUse());
    if (keep) writeFileSync(join(keep, 'answers.csv'), answersCsv(trace, answers));
    const profile = profileOf(measurements);
    const half = measurements.length / 2;
    const [before, after] = [profileOf(measurements.slice(0, half)), profileOf(measurements.slice(half))];
    const files = scenarioFiles({ sites, trace, profile, seconds: Math.ceil(trace.at(-1).ms / 1000) + 1 });
    const simulated = await simulate(files, folder, seed);
    const machine = { drift: drift(before, after, { inTokens: usual('inTokens'), outTokens: usual('outTokens') }), others };
    const real = figuresOf(answers);
    const report = {
      bench: 'agreement', bound: BOUND, seed, requests, rate, sites: sites.map(({ name }) => name),
      profile, ...machine, real, simulated, ...compare(real, simulated, machine),
    };
    process.stdout.write(`${output === 'json' ? JSON.stringify(report) : table(report)}\n`);
    process.exitCode = EXIT[report.verdict];
  } finally {
    await engine?.stop();
    await demo.stop();
  }
}

main().catch((error) => {
  say(`agreement: ${error.message}`);
  process.exit(1);
});
