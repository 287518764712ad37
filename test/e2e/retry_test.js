// The official openai client through one site to an engine that others run: retries, aborts, long
// prompts, and fields that pass through unchanged.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Grid } from './support/grid.js';
import { alive, stop, until } from './support/process.js';
import { StubEngine, chunk, event, failing, good } from './support/stub_engine.js';

let stub;
let grid;
let site;
let client;
const messages = [{ role: 'user', content: 'Hi' }];

function endless(json, response, record) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const timer = setInterval(() => response.write(event(chunk('more '))), 5);
  record.left.then(() => clearInterval(timer));
}

// What a site has billed last.
function lastRecord(name) {
  const ledger = new DatabaseSync(join(grid.folder, name, 'state', 'usage.db'), { readOnly: true });
  const [last] = ledger.prepare('SELECT * FROM usage ORDER BY id DESC LIMIT 1').all();
  ledger.close();
  return last;
}

before(async () => {
  stub = await StubEngine.start();
  stub.on('good', good)
    .on('busy', failing(429, 2, { 'retry-after': '1' }))
    .on('down', failing(503, 1))
    .on('always-busy', failing(429, 1e9, { 'retry-after': '1' }))
    .on('endless', endless)
    .on('lasting', endless)
    .on('silent', () => {});
  grid = await Grid.start();
  const models = ['good', 'busy', 'down', 'always-busy', 'endless', 'silent'];
  site = await grid.addSite('metro', { engines: models.map((model) => stub.engine(model)), limits: { drain_grace_ms: 500 } });
  client = new OpenAI({ baseURL: `${site.url}/v1`, apiKey: grid.key, maxRetries: 0 });
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

test('the client retries through 429 until the engine has room', async () => {
  const answer = await client.chat.completions.create({ model: 'busy', messages }, { maxRetries: 5 });
  assert.equal(answer.choices[0].message.content, 'hello there');
  assert.ok(stub.of('busy').length >= 3);
});

test('the client retries through 503', async () => {
  const answer = await client.chat.completions.create({ model: 'down', messages }, { maxRetries: 5 });
  assert.equal(answer.choices[0].message.content, 'hello there');
});

test('a client that does not retry gets RateLimitError and when to come back', async () => {
  await assert.rejects(client.chat.completions.create({ model: 'always-busy', messages }), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError, String(error));
    assert.equal(error.code, 'rate_limit_exceeded');
    assert.ok(Number(error.headers.get('retry-after')) >= 1);
    return true;
  });
});

test('an aborted stream ends at the engine too', async () => {
  const stream = await client.chat.completions.create({ model: 'endless', messages, stream: true });
  let seen = 0;
  for await (const piece of stream) {
    assert.equal(piece.choices[0].delta.content, 'more ');
    if (++seen === 3) break; // leaving the loop aborts
  }
  const [record] = stub.of('endless');
  let left;
  record.left.then((value) => { left = value; });
  await until('it ends at the engine', () => left !== undefined, { seconds: 10 });
  assert.equal(left, true);
  await until('the site counts no stream', async () => (await grid.status(site)).streams === 0, { seconds: 5 });
});

test('a request that is aborted before its first byte ends at the engine too', async () => {
  const abort = new AbortController();
  const pending = client.chat.completions.create({ model: 'silent', messages, stream: true }, { signal: abort.signal });
  pending.catch(() => {});
  const record = await until('the engine has it', () => stub.of('silent')[0]);
  abort.abort();
  await assert.rejects(pending, OpenAI.APIUserAbortError);
  assert.equal(await record.left, true);
});

test('a prompt of 220 KB reaches the engine byte for byte, with fields that nobody knows', async () => {
  const content = 'Grüße an alle 😀, \\ "quoted"\n'.repeat(7000);
  assert.ok(Buffer.byteLength(content) > 220 * 1024);
  const body = JSON.stringify({ model: 'good', messages: [{ role: 'user', content }], x_unknown: { deep: [[1.0, 'a']] } });
  const response = await fetch(`${site.url}/v1/chat/completions`, {
    method: 'POST', body, headers: { authorization: `Bearer ${grid.key}`, 'content-type': 'application/json' } });
  assert.equal(response.status, 200);
  await response.text();
  assert.equal(stub.of('good').at(-1).sha256, createHash('sha256').update(body).digest('hex'));
  const answer = await client.chat.completions.create({ model: 'good', messages: [{ role: 'user', content }] });
  assert.equal(answer.choices[0].message.content, 'hello there');
});

test('the engine is asked for usage, and the client gets it only if it asked too', async () => {
  for (const asked of [false, true]) {
    const stream = await client.chat.completions.create({
      model: 'good', messages, stream: true, ...(asked && { stream_options: { include_usage: true } }) });
    const pieces = [];
    for await (const piece of stream) pieces.push(piece);
    assert.equal(pieces.filter(({ usage }) => usage).length, asked ? 1 : 0);
    assert.equal(stub.of('good').at(-1).json.stream_options.include_usage, true);
  }
});

test('an engine that others run gets none of the grid\'s headers, nor the tenant\'s key', async () => {
  await client.chat.completions.create({ model: 'good', messages });
  const { headers } = stub.of('good').at(-1);
  assert.deepEqual(Object.keys(headers).filter((name) => name.startsWith('perigee-')), []);
  assert.ok(!JSON.stringify(headers).includes(grid.key));
});

test('a site that is asked twice to stop cuts its streams at once and bills what they delivered', async () => {
  const limits = { drain_grace_ms: 60_000, stop_grace_ms: 60_000 };
  const edge = await grid.addSite('edge', { engines: [stub.engine('lasting')], limits });
  const impatient = new OpenAI({ baseURL: `${edge.url}/v1`, apiKey: grid.key, maxRetries: 0 });
  const stream = await impatient.chat.completions.create({ model: 'lasting', messages, stream: true });
  let seen = 0;
  const cut = assert.rejects(async () => {
    for await (const piece of stream) if (piece) ++seen;
  });
  await until('the stream is under way', () => seen > 0);
  edge.child.kill('SIGTERM');
  await until('the site stops', () => readFileSync(edge.child.log, 'utf8').includes('site stopping'));
  const asked = seen;
  await until('the stream goes on all the same', () => seen > asked + 20);
  assert.ok(alive(edge.child));
  edge.child.kill('SIGTERM');
  await until('the site has ended', () => edge.child.exitCode === 0, { seconds: 15 }); // not the minute of its grace
  await cut;
  const last = lastRecord('edge');
  assert.equal(last.model, 'lasting');
  assert.notEqual(last.outcome, 'completed');
  assert.ok(last.completion_tokens >= seen, `${last.completion_tokens} billed, ${seen} delivered`);
});

test('a site that stops cuts its last streams with an error and bills what they delivered', async () => {
  const stream = await client.chat.completions.create({ model: 'endless', messages, stream: true });
  let seen = 0;
  await assert.rejects(async () => {
    for await (const piece of stream) {
      if (piece && ++seen === 1) stop(site.child);
    }
  });
  await until('the site has ended', () => site.child.exitCode === 0);
  const last = lastRecord('metro');
  assert.equal(last.model, 'endless');
  assert.notEqual(last.outcome, 'completed');
  assert.ok(last.completion_tokens >= seen, `${last.completion_tokens} billed, ${seen} delivered`);
});
