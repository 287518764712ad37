// A stream never drops: engines and serving sites are killed (SIGKILL) while streams run, and every
// stream goes on as it would have. The real grid, the real model; the ingress is left alone.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { Demo } from './support/grid.js';
import { PERIGEE, childrenOf, until } from './support/process.js';

const kIngress = 'cell-strasbourg'; // a tower without an engine
const kRounds = 5;

const schema = {
  type: 'object', required: ['name', 'reachable'], additionalProperties: false,
  properties: { name: { type: 'string', maxLength: 40 }, reachable: { type: 'boolean' } },
};
// What is asked, and what is to hold of it.
const kinds = [
  { name: 'greedy', request: { temperature: 0, max_tokens: 90, logprobs: true, top_logprobs: 3 } },
  { name: 'seeded', request: { temperature: 0.8, seed: 7, max_tokens: 90, logprobs: true, top_logprobs: 3 } },
  { name: 'choices', request: { n: 2, temperature: 0.9, seed: 11, max_tokens: 60 } },
  { name: 'guided', request: { temperature: 0, max_tokens: 120,
    response_format: { type: 'json_schema', json_schema: { name: 'site', strict: true, schema } } } },
  { name: 'stop', request: { temperature: 0, max_tokens: 90, stop: ['. ', 'grid of'] } },
];
const questions = ['What is an AI grid?', 'Explain data residency.', 'Tell me a story about a drone.'];

let demo;
let client;
let refused = 0;
before(async () => {
  demo = await Demo.start();
  client = new OpenAI({ baseURL: `${demo.site(kIngress).url}/v1`, apiKey: demo.key, maxRetries: 0 });
});
after(() => demo?.stop());

// Half the grid may be dead, and the rest full: a refusal (429) says when to come back, and is obeyed.
// Any other failure is one.
async function admitted(request) {
  for (;;) {
    try {
      return await client.chat.completions.create(request);
    } catch (error) {
      if (error.status !== 429) throw error;
      refused += 1;
      await new Promise((resolve) => setTimeout(resolve, Number(error.headers.get('retry-after-ms')) || 1000));
    }
  }
}

async function ask(kind, question) {
  const stream = await admitted({
    model: demo.model, stream: true, stream_options: { include_usage: true },
    messages: [{ role: 'user', content: question }], ...kind.request });
  const answer = { texts: [], finishes: [], roles: [], tokens: [], tops: [], ids: new Set(), usage: null };
  for await (const { id, created, choices, usage } of stream) {
    answer.ids.add(`${id} ${created}`);
    if (usage) answer.usage = usage;
    for (const { index, delta, finish_reason: finish, logprobs } of choices) {
      answer.texts[index] = (answer.texts[index] ?? '') + (delta.content ?? '');
      if (delta.role) answer.roles[index] = (answer.roles[index] ?? 0) + 1;
      if (finish) answer.finishes[index] = finish;
      for (const one of logprobs?.content ?? []) {
        answer.tokens.push(one.token);
        answer.tops.push(one.top_logprobs);
      }
    }
  }
  return answer;
}

// Whether the texts part only where two tokens are as likely as each other, to within what another
// batch shape changes (docs/engine.md). Only greedy answers tell: where one is drawn, noise decides.
function partsAtANearTie(one, other) {
  const at = one.tokens.findIndex((token, i) => token !== other.tokens[i]);
  if (at < 0) return true; // one is the beginning of the other
  const probability = (token) => one.tops[at].find((top) => top.token === token)?.logprob ?? -Infinity;
  return Math.abs(probability(one.tokens[at]) - probability(other.tokens[at])) < 0.1;
}

function check(kind, answer, expected) {
  const n = kind.request.n ?? 1;
  assert.deepEqual(answer.roles, Array(n).fill(1), 'each role is said once');
  assert.equal(answer.finishes.length, n);
  assert.equal(answer.ids.size, 1, `one id and one date: ${[...answer.ids]}`);
  assert.equal(answer.usage.prompt_tokens, expected.usage.prompt_tokens, 'the prompt counts once');
  assert.ok(answer.usage.completion_tokens <= n * kind.request.max_tokens);
  if (kind.request.logprobs) {
    assert.equal(answer.usage.completion_tokens, answer.tokens.length, 'every token counts once');
    assert.equal(answer.tokens.join(''), answer.texts[0], 'no token is lost or repeated');
  }
  if (kind.name === 'guided' && answer.finishes[0] === 'stop') {
    assert.deepEqual(Object.keys(JSON.parse(answer.texts[0])), ['name', 'reachable']);
  }
  if (kind.name === 'stop') assert.ok(kind.request.stop.every((stop) => !answer.texts[0].includes(stop)));
}

const perigee = (...args) =>
  promisify(execFile)(PERIGEE, args, { env: { ...process.env, XDG_RUNTIME_DIR: demo.folder } });

// Kills an engine or a whole site, one after the other, until stopped; whoever dies comes back.
async function havoc(going) {
  const names = ['regional-frankfurt', 'metro-paris', 'core-marseille', 'metro-berlin'];
  let kills = 0;
  for (let i = 0; going(); ++i) {
    const name = names[i % names.length];
    const { pid } = demo.site(name);
    if (i % 3 === 2) {
      process.kill(pid, 'SIGKILL');
      ++kills;
      await until(`${name} has gone`, () => { try { process.kill(pid, 0); return false; } catch { return true; } });
      await perigee('demo', '--start', name);
    } else {
      for (const engine of childrenOf(pid, 'engine')) {
        process.kill(engine, 'SIGKILL');
        ++kills;
      }
    }
    await until(`${name} serves again`, async () => {
      const { engines } = await demo.status(name);
      return engines.length > 0 && engines.every(({ state }) => state === 'ready');
    }, { seconds: 60 });
  }
  return kills;
}

// The usage records of the ingress.
function records() {
  const ledger = new DatabaseSync(join(demo.read().folder, kIngress, 'usage.db'), { readOnly: true });
  const rows = ledger.prepare('SELECT * FROM usage').all();
  ledger.close();
  return rows;
}

// The lines of a metric at the ingress: [labels, value].
async function metric(name) {
  const text = await (await fetch(`${demo.site(kIngress).url}/metrics`)).text();
  return text.split('\n').filter((line) => line.startsWith(`${name}{`)).map((line) => {
    const space = line.lastIndexOf(' ');
    return [line.slice(name.length, space), Number(line.slice(space + 1))];
  });
}
const total = (lines) => lines.reduce((sum, [, value]) => sum + value, 0);

// The bound of a histogram below which the share of its values lies, in seconds.
function quantile(buckets, share) {
  const count = Math.max(...buckets.map(([, value]) => value));
  const [labels] = buckets.find(([, value]) => value >= share * count);
  return /le="([^"]+)"/.exec(labels)[1];
}

test('streams go on while engines and serving sites are killed', async (t) => {
  const before = records().length; // the demo has asked whether all is ready
  const cases = kinds.flatMap((kind) => questions.map((question) => ({ kind, question })));
  const expected = [];
  for (const { kind, question } of cases) expected.push(await ask(kind, question));
  expected.forEach((answer, i) => check(cases[i].kind, answer, answer));

  const switches = async () => total(await metric('perigee_stream_resumes_total'));
  let going = true;
  const killing = havoc(() => going);
  const tally = { streams: 0, equal: 0, near: 0 };
  const parted = [];
  let rounds = 0;
  try {
    for (; rounds < kRounds || (await switches()) === 0; ++rounds) {
      assert.ok(rounds < 5 * kRounds, 'nothing was cut: the test shows nothing');
      await Promise.all(cases.map(async ({ kind, question }, i) => {
        const answer = await ask(kind, question);
        ++tally.streams;
        check(kind, answer, expected[i]);
        if (answer.texts.join('\0') === expected[i].texts.join('\0')) ++tally.equal;
        else if (kind.name !== 'greedy') parted.push(kind.name);
        else if (partsAtANearTie(expected[i], answer)) ++tally.near;
        else assert.fail(`greedy, and not at a near tie:\n${expected[i].texts[0]}\n${answer.texts[0]}`);
      }));
    }
  } finally {
    going = false;
  }
  const kills = await killing;
  const resumed = await switches();
  const gaps = await metric('perigee_stream_gap_seconds_bucket');
  t.diagnostic(`${tally.streams} streams, ${kills} kills, ${resumed} switches: ${tally.equal} as undisturbed, ` +
    `${tally.near} parted at a near tie, ${parted.length} others (${[...new Set(parted)]})`);
  t.diagnostic(`gap at a switch: p50 <= ${quantile(gaps, 0.5)} s, p99 <= ${quantile(gaps, 0.99)} s`);
  // Texts that part do so at near ties of batch shapes, which also happens without any fault.
  assert.ok(tally.equal + tally.near >= 0.8 * tally.streams);

  const wanted = before + cases.length * (rounds + 1);
  const completed = () => records().filter(({ outcome }) => outcome === 'completed').length;
  await until('all are in the ledger', () => completed() >= wanted);
  assert.equal(completed(), wanted, 'one record each');
  // A refusal that was obeyed has a record, too, of nothing that ran.
  const others = records().filter(({ outcome }) => outcome !== 'completed');
  assert.ok(others.length <= refused, `${others.length} did not complete, ${refused} were refused`);
  for (const { outcome, prompt_tokens, completion_tokens } of others) {
    assert.deepEqual([outcome, prompt_tokens, completion_tokens], ['failed', 0, 0]);
  }
});

test('a stream whose engine stands still goes on elsewhere', async (t) => {
  // Long enough to be met alive; guided, so that its length is known.
  const request = {
    model: demo.model, stream: true, temperature: 0, max_tokens: 900, grammar: 'root ::= [a-z ,.]{1500}',
    messages: [{ role: 'user', content: 'Tell me a story about a drone.' }] };
  const before = total(await metric('perigee_stream_resumes_total'));
  const engines = new Map(demo.read().sites.map(({ name, pid }) => [name, childrenOf(pid, 'engine')]));
  const { data, response } = await client.chat.completions.create(request).withResponse();
  const name = response.headers.get('perigee-site');
  const stopped = engines.get(name);
  let text = '';
  const begun = Date.now();
  try {
    for await (const { choices } of data) {
      if (text === '') for (const engine of stopped) process.kill(engine, 'SIGSTOP');
      text += choices[0]?.delta.content ?? '';
    }
  } finally {
    for (const engine of stopped) {
      try {
        process.kill(engine, 'SIGCONT');
      } catch { /* it stood still for so long that its site has killed it */ }
    }
  }
  t.diagnostic(`${name} stood still: ${text.length} characters in ${Date.now() - begun} ms`);
  assert.match(text, /^[a-z ,.]{1500}$/, 'whole, and nothing twice');
  assert.ok(total(await metric('perigee_stream_resumes_total')) > before, 'it had ended before the stop');
});
