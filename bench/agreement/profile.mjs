// How fast a real `perigee engine` is on this machine, in the form of the simulator's EngineProfile.
import { join } from 'node:path';
import { PERIGEE, SOURCE, freePort, start, stop, until } from '../../test/e2e/support/process.js';
import { chat } from './chat.mjs';
import { fit, median } from './fit.mjs';
import { rttMs } from './links.mjs';

const MODEL = 'perigee-demo';
const SLOTS = 8;
const PROMPTS = [40, 80, 160, 320, 480];  // tokens
const PROMPT_ROUNDS = 7;
const ANSWER_TOKENS = 48;
const BATCHES = [[1, 40], [1, 400], [2, 40], [4, 40], [4, 200], [8, 40]];  // streams, tokens of each prompt
const BATCH_ROUNDS = 2;
const SITE_PROMPT = 60;
const SITE_ROUNDS = 7;
// Between questions, as in the workload: an engine that has slept is slower than one that runs hot.
const IDLE_MS = 60;

const idle = () => new Promise((resolve) => setTimeout(resolve, IDLE_MS));

// An engine process of its own.
export class Engine {
  static async start(folder) {
    const engine = new Engine();
    const address = `127.0.0.1:${await freePort()}`;
    engine.url = `http://${address}`;
    engine.child = start(PERIGEE, ['engine', '--model', join(SOURCE, 'models', `${MODEL}.gguf`), '--name', MODEL,
      '--listen', address, '--slots', String(SLOTS)], join(folder, 'engine.log'));
    await until('the engine answers', async () => (await fetch(`${engine.url}/healthz`)).ok, { child: engine.child });
    return engine;
  }

  // As a site asks: prefixes are reused under one salt.
  ask(body) {
    return chat(this.url, body, { 'perigee-cache-salt': 'agreement' });
  }

  stop() {
    return stop(this.child);
  }
}

// Times to first token, by size of prompt.
async function measurePrompts(engine, prompts, took) {
  for (let round = 0; round < PROMPT_ROUNDS; ++round) {
    for (const [i, tokens] of PROMPTS.entries()) {
      await idle();
      took[i].push((await engine.ask(prompts.body(tokens, 4))).ttftMs);
    }
  }
}

// The time of one iteration while all streams of a batch run.
async function measureBatch(engine, prompts, streams, promptTokens) {
  await idle();
  const answers = await Promise.all(Array.from({ length: streams }, () =>
    engine.ask(prompts.body(promptTokens, ANSWER_TOKENS))));
  const from = Math.max(...answers.map(({ events }) => events[0]));
  const to = Math.min(...answers.map(({ events }) => events.at(-1)));
  return median(answers.map(({ events, answerTokens }) => {
    const inside = events.filter((at) => at >= from && at <= to);
    const tokensPerEvent = (answerTokens - 1) / (events.length - 1);
    return (inside.at(-1) - inside[0]) / ((inside.length - 1) * tokensPerEvent);
  }));
}

async function measureBatches(engine, prompts, took) {
  for (let round = 0; round < BATCH_ROUNDS; ++round) {
    for (const [i, [streams, tokens]] of BATCHES.entries()) {
      took[i].push(await measureBatch(engine, prompts, streams, tokens));
    }
  }
}

// What a site adds to the time to first token when it runs a question itself (`site_ms`), and when
// another forwards it there, beyond the link's round trip (`hop_ms`). The three questions of a round
// follow each other, and their differences count: so noise hits all alike.
async function measureSites(engine, prompts, { sites, forwarding, key }, { site, hop }) {
  const headers = { authorization: `Bearer ${key}` };
  const body = () => prompts.body(SITE_PROMPT, 4);
  for (let round = 0; round < SITE_ROUNDS; ++round) {
    await idle();
    const forwarded = await chat(forwarding.url, body(), headers);
    const server = sites.find(({ name }) => name === forwarded.site);
    await idle();
    const local = await chat(server.url, body(), headers);
    await idle();
    const direct = await engine.ask(body());
    if (local.site !== server.name) continue;  // it found a quicker one
    site.push(local.ttftMs - direct.ttftMs);
    hop.push(forwarded.ttftMs - local.ttftMs - rttMs(forwarding, server));
  }
}

// One round of all measurements: times in ms that pool() takes together.
export async function measure(engine, prompts, grid) {
  const took = { prompts: PROMPTS.map(() => []), batches: BATCHES.map(() => []), site: [], hop: [] };
  await measurePrompts(engine, prompts, took.prompts);
  await measureSites(engine, prompts, grid, took);
  await measureBatches(engine, prompts, took.batches);
  return took;
}

// The keys of a scenario's [[engine]], and `overhead_ms`, which is what a question takes on its way
// to the engine's queue and back.
export function fitProfile(points, batches) {
  const [decodeBase, perSequence, perHeld] = fit(batches.map(({ streams, held, ms }) =>
    ({ x: [1, streams, held / 1000], y: ms })));
  const [intercept, per1k, per1kSquared] = fit(points.map(({ tokens, ms }) =>
    ({ x: [1, tokens / 1000, (tokens / 1000) ** 2], y: ms })));
  // An iteration that computes next to nothing: one token behind nothing.
  const prefillBase = Math.min(intercept, decodeBase + perSequence);
  return {
    decode_base_ms: decodeBase,
    decode_ms_per_sequence: perSequence,
    decode_ms_per_1k_kv: perHeld,
    prefill_base_ms: prefillBase,
    prefill_ms_per_1k: per1k,
    prefill_ms_per_1k_squared: per1kSquared,
    overhead_ms: intercept - prefillBase,
  };
}

// The profile that several measurements give together, with `site_ms` and `hop_ms`.
export function profileOf(measurements) {
  const together = (pick) => {
    const all = measurements.flatMap(pick);
    if (all.length === 0) throw new Error('the sites run too few of their own questions to measure them');
    return median(all);
  };
  const points = PROMPTS.map((tokens, i) => ({ tokens, ms: together(({ prompts }) => prompts[i]) }));
  const batches = BATCHES.map(([streams, tokens], i) =>
    ({ streams, held: streams * (tokens + ANSWER_TOKENS / 2), ms: together(({ batches: all }) => all[i]) }));
  return {
    ...fitProfile(points, batches),
    site_ms: Math.max(0, together(({ site }) => site)),
    hop_ms: Math.max(0, together(({ hop }) => hop)),
  };
}
