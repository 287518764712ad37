// Clients that mean harm, or are broken: each runs into a limit of site.toml, while an honest stream
// goes on and the site answers others.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from 'node:net';
import OpenAI from 'openai';
import { Grid } from './support/grid.js';
import { alive, until } from './support/process.js';
import { StubEngine, chunk, event, good } from './support/stub_engine.js';

const limits = {
  head_timeout_ms: 1000, body_timeout_ms: 1000, write_timeout_ms: 1000, idle_timeout_ms: 60_000,
  connections_max: 64, head_bytes_max: 8192, body_bytes_max: 1 << 20,
};
const messages = [{ role: 'user', content: 'Hi' }];
let stub;
let grid;
let site;
let client;
let honest; // a stream that lasts as long as the test

before(async () => {
  stub = await StubEngine.start();
  stub.on('good', good)
    .on('counting', (json, response, record) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      let number = 0;
      const timer = setInterval(() => response.write(event(chunk(`${number++} `))), 20);
      record.finish = () => {
        clearInterval(timer);
        response.write(event(chunk(null, 'stop')));
        response.end('data: [DONE]\n\n');
        return number;
      };
      record.left.then(() => clearInterval(timer));
    })
    .on('flooding', async (json, response, record) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      let gone = false;
      record.left.then(() => { gone = true; });
      while (!gone) {
        if (response.write(event(chunk('x'.repeat(32 * 1024))))) await new Promise(setImmediate);
        else await Promise.race([record.left, new Promise((resolve) => response.once('drain', resolve))]);
      }
    });
  grid = await Grid.start();
  site = await grid.addSite('metro', { engines: ['good', 'counting', 'flooding'].map((model) => stub.engine(model)), limits });
  client = new OpenAI({ baseURL: `${site.url}/v1`, apiKey: grid.key, maxRetries: 5 });
  honest = await follow(client, 'honest');
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

// Reads a stream of `counting` in the background; `finish()` ends it and checks that all came.
async function follow(from, name) {
  const stream = await from.chat.completions.create({ model: 'counting', messages: [{ role: 'user', content: name }], stream: true });
  let text = '';
  const read = (async () => {
    for await (const piece of stream) text += piece.choices[0]?.delta.content ?? '';
  })();
  const record = stub.of('counting').find(({ json }) => json.messages[0].content === name);
  return {
    get count() { return text.split(' ').length - 1; },
    async finish() {
      const sent = record.finish();
      await read;
      assert.equal(text, Array.from({ length: sent }, (_, number) => `${number} `).join(''));
    },
  };
}

// A raw connection that writes down what it is told.
function raw(url, bytes = '') {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const peer = { socket, text: '' };
  peer.closed = new Promise((resolve) => socket.on('close', resolve));
  socket.on('data', (data) => { peer.text += data; });
  socket.on('error', () => {});
  if (bytes) socket.write(bytes);
  return peer;
}

const head = (more, method = 'POST') => `${method} /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${grid.key}\r\n${more}`;

async function livesOn() {
  assert.ok(alive(site.child), 'the site died');
  const answer = await client.chat.completions.create({ model: 'good', messages });
  assert.equal(answer.choices[0].message.content, 'hello there');
  const before = honest.count;
  await until('the honest stream goes on', () => honest.count > before);
}

// Sends a byte of `bytes` every 50 ms until the other side closes.
async function drip(peer, bytes) {
  let at = 0;
  const timer = setInterval(() => {
    if (at < bytes.length && peer.socket.writable) peer.socket.write(bytes[at++]);
  }, 50);
  await peer.closed;
  clearInterval(timer);
}

async function expectStatus(status, bytes) {
  const peer = raw(site.url, bytes);
  await peer.closed;
  assert.ok(peer.text.startsWith(`HTTP/1.1 ${status} `), peer.text.slice(0, 200));
  return peer.text;
}

test('heads that come byte by byte end with 408', async () => {
  const peers = Array.from({ length: 20 }, () => raw(site.url));
  await Promise.all(peers.map((peer) => drip(peer, `GET / HTTP/1.1\r\nx: ${'y'.repeat(1000)}`)));
  for (const { text } of peers) assert.ok(text.startsWith('HTTP/1.1 408 '), text);
  await livesOn();
});

test('bodies that come byte by byte end with 408', async () => {
  const peers = Array.from({ length: 20 }, (_, i) => raw(site.url,
    head(i % 2 ? 'content-length: 1000\r\n\r\n' : 'transfer-encoding: chunked\r\n\r\n3e8\r\n')));
  await Promise.all(peers.map((peer) => drip(peer, 'y'.repeat(1000))));
  for (const { text } of peers) assert.ok(text.startsWith('HTTP/1.1 408 '), text);
  await livesOn();
});

test('heads that are too large, in one header or many, get 431', async () => {
  await expectStatus(431, head(`x: ${'y'.repeat(1 << 20)}\r\n\r\n`, 'GET'));
  await expectStatus(431, head(`${'x: y\r\n'.repeat(101)}\r\n`, 'GET'));
  await livesOn();
});

test('bodies that are too large, declared or not, get 413', async () => {
  await expectStatus(413, head('content-length: 99999999999\r\n\r\n'));
  const peer = raw(site.url, head('transfer-encoding: chunked\r\n\r\n'));
  // A quarter more than is taken, and no end: of that much what lingers at the site reads all before it
  // closes, so that no reset overtakes the answer.
  for (let i = 0; i < 20; ++i) peer.socket.write(`10000\r\n${'y'.repeat(65536)}\r\n`);
  await peer.closed;
  assert.ok(peer.text.startsWith('HTTP/1.1 413 '), peer.text.slice(0, 200));
  await livesOn();
});

test('JSON that nests without end is refused, whatever part of the body it is', async () => {
  const deep = '['.repeat(100_000);
  for (const body of [deep, `{"model":"good","messages":${deep}`, `{"model":"good","messages":[],"x":${deep}${']'.repeat(100_000)}}`]) {
    const text = await expectStatus(400, `${head(`connection: close\r\ncontent-length: ${body.length}\r\n\r\n`)}${body}`);
    assert.match(text, /invalid_request_error/);
  }
  await livesOn();
});

test('a client that takes nothing of its stream is cut, and its engine freed', async () => {
  const body = JSON.stringify({ model: 'flooding', messages, stream: true });
  const peer = raw(site.url, `${head(`content-length: ${body.length}\r\n\r\n`)}${body}`);
  peer.socket.pause();
  const record = await until('the engine has it', () => stub.of('flooding')[0]);
  assert.equal(await record.left, true);
  peer.socket.destroy();
  await livesOn();
});

test('connections that do nothing give way to those that do', async () => {
  const idle = [];
  for (let i = 0; i < 300; ++i) idle.push(raw(site.url));
  await livesOn();
  await until('the limit holds', async () => (await grid.status(site)).connections <= limits.connections_max + 1);
  for (const { socket } of idle) socket.destroy();
  await livesOn();
});

test('connections that all have begun a request fill the site, and it recovers', async () => {
  const begun = [];
  for (let i = 0; i < 100; ++i) begun.push(raw(site.url, 'GET / HTTP/1.1\r\n'));
  await Promise.all(begun.map(({ closed }) => closed));
  for (const { text } of begun) assert.match(text, /^(|HTTP\/1\.1 (408|503) [^]*)$/);
  await livesOn();
});

test('a site without descriptors refuses, keeps its streams and recovers', async () => {
  const poor = await grid.addSite('poor', { engines: [stub.engine('good'), stub.engine('counting')], descriptors: 80 });
  const own = new OpenAI({ baseURL: `${poor.url}/v1`, apiKey: grid.key, maxRetries: 5 });
  const stream = await follow(own, 'poor');
  const flood = [];
  for (let i = 0; i < 200; ++i) flood.push(raw(poor.url));
  await Promise.race(flood.map(({ closed }) => closed)); // there is no descriptor left
  const before = stream.count;
  await until('its stream goes on', () => stream.count > before + 5);
  for (const { socket } of flood) socket.destroy();
  const answer = await own.chat.completions.create({ model: 'good', messages });
  assert.equal(answer.choices[0].message.content, 'hello there');
  await stream.finish();
  assert.ok(alive(poor.child));
});

test('the honest stream was whole', async () => {
  await honest.finish();
});
