// Engines that break HTTP, JSON or event streams: the client gets an error of the right shape (or,
// once bytes have flowed, a stream that does not pretend to be whole), and the site lives on.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { Grid } from './support/grid.js';
import { alive, until } from './support/process.js';
import { StubEngine, body, chunk, completion, event, good, raw } from './support/stub_engine.js';

const whole = JSON.stringify(completion('hi'));
const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
const sse = (bytes) => body('text/event-stream', bytes);
const json = (bytes) => body('application/json', bytes);

// Broken before anything can have been relayed: an error status is due, streaming or not.
const early = {
  'not-http': raw('SSH-2.0-OpenSSH_9.2\r\n'),
  'closes-at-once': raw(''),
  'no-colon': raw('HTTP/1.1 200 OK\r\nno colon here\r\n\r\n{}'),
  'two-lengths': raw(`${head}content-length: 2\r\ncontent-length: 3\r\n\r\n{} `),
  'length-and-chunks': raw(`${head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`),
  'folded-header': raw(`${head}x: a\r\n b\r\ncontent-length: 2\r\n\r\n{}`),
  'bad-chunk-size': raw(`${head}transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`),
  'huge-head': raw(`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(1 << 20)}\r\n\r\n{}`),
  'cut-off-body': raw(`${head}content-length: 5000\r\n\r\n${whole}`),
  'negative-length': raw(`${head}content-length: -1\r\n\r\n${whole}`),
  'html': body('text/html', '<html>gateway login</html>'),
};
// Wrong JSON in a sound HTTP answer.
const wrongJson = {
  'empty-answer': json(''),
  'cut-off-json': json(whole.slice(0, -20)),
  'not-an-object': json('[1,2]'),
  'not-utf8': json(Buffer.from(whole.replace('hi', '\xff\xfe'), 'latin1')),
  'json-bomb': json(`{"a":${'['.repeat(100000)}`),
};
// Wrong events; the first one may already have been relayed.
const wrongEvents = {
  'event-not-json': sse(`${event(chunk('a'))}data: {oops\n\ndata: [DONE]\n\n`),
  'event-error': sse(`${event(chunk('a'))}data: {"error":{"message":"out of memory","type":"x"}}\n\ndata: [DONE]\n\n`),
  'no-done': sse(event(chunk('a'))),
  'endless-line': sse(`${event(chunk('a'))}data: ${'x'.repeat(6 << 20)}`),
  'not-events': sse('\0\u0001\u0002 binary \xff'.repeat(1000)),
  'cut-off-chunks': raw(`HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n40\r\n${event(chunk('a')).slice(0, 30)}`),
  'event-of-array': sse('data: [1,2,3]\n\ndata: [DONE]\n\n'),
};

let stub;
let grid;
let site;
let client;
const messages = [{ role: 'user', content: 'Hi' }];

before(async () => {
  stub = await StubEngine.start();
  stub.on('good', good);
  const faults = { ...early, ...wrongJson, ...wrongEvents };
  for (const [name, answer] of Object.entries(faults)) stub.on(name, answer);
  grid = await Grid.start();
  site = await grid.addSite('metro', { engines: ['good', ...Object.keys(faults)].map((name) => stub.engine(name)) });
  client = new OpenAI({ baseURL: `${site.url}/v1`, apiKey: grid.key, maxRetries: 0 });
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

async function livesOn() {
  assert.ok(alive(site.child), 'the site died');
  const answer = await client.chat.completions.create({ model: 'good', messages });
  assert.equal(answer.choices[0].message.content, 'hello there');
}

async function refused(model, stream) {
  const response = await fetch(`${site.url}/v1/chat/completions`, {
    method: 'POST', body: JSON.stringify({ model, messages, stream }),
    headers: { authorization: `Bearer ${grid.key}` } });
  const text = await response.text();
  assert.ok([500, 502, 503].includes(response.status), `${response.status} ${text}`);
  const { error } = JSON.parse(text);
  assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
  assert.equal(error.type, 'server_error');
  assert.ok(error.message.length > 5);
}

for (const name of Object.keys(early)) {
  for (const stream of [false, true]) {
    test(`an engine that breaks HTTP: ${name}, ${stream ? 'streaming' : 'not streaming'}`, async () => {
      await refused(name, stream);
      await livesOn();
    });
  }
}

for (const name of Object.keys(wrongJson)) {
  test(`an engine that breaks JSON: ${name}`, async () => {
    await refused(name, false);
    await livesOn();
  });
}

for (const name of Object.keys(wrongEvents)) {
  test(`an engine that breaks its stream: ${name}`, async () => {
    await assert.rejects(async () => {
      let finished = false;
      for await (const piece of await client.chat.completions.create({ model: name, messages, stream: true })) {
        finished ||= Boolean(piece.choices[0]?.finish_reason);
      }
      assert.ok(finished, 'the stream ended without an end');
    });
    await livesOn();
  });
}

test('an engine that takes connections and says nothing is found out, though nobody asks it anything', async () => {
  const stateOf = async () => (await grid.status(site)).engines.find(({ name }) => name === 'good').state;
  await until('it is ready', async () => (await stateOf()) === 'ready');
  stub.silent.add('good');
  await until('it is not any more', async () => (await stateOf()) === 'failed', { seconds: 30 });
  stub.silent.delete('good');
  await until('it is again', async () => (await stateOf()) === 'ready');
  await livesOn();
});

test('an engine that is not there', async () => {
  const nowhere = await grid.addSite('nowhere', { engines: [stub.engine('good')] });
  await stub.stop();
  const other = new OpenAI({ baseURL: `${nowhere.url}/v1`, apiKey: grid.key, maxRetries: 0 });
  await assert.rejects(other.chat.completions.create({ model: 'good', messages }), OpenAI.InternalServerError);
  assert.ok(alive(nowhere.child));
});
