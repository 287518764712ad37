// A request that is repeated with its `Idempotency-Key` runs once: the repetition is given the same
// answer, while it runs and after, and one usage record tells of both.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import OpenAI from 'openai';
import { Grid } from './support/grid.js';
import { stop, until } from './support/process.js';
import { StubEngine, chunk, completion, event, failing, good } from './support/stub_engine.js';

let stub;
let grid;
let site;
let other;
let client;
let open; // lets the engine `gated` go on
const messages = [{ role: 'user', content: 'Hi' }];
const keyed = (key, more = {}) => ({ headers: { 'Idempotency-Key': key }, ...more });

before(async () => {
  stub = await StubEngine.start();
  const gate = new Promise((resolve) => { open = resolve; });
  stub.on('good', good).on('other', good).on('down', failing(503, 1))
    .on('gated', async (json, response) => {
      await gate;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(completion('at last')));
    })
    .on('stream', async (json, response, record) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(event(chunk('one ')));
      await new Promise((resolve) => { record.goOn = resolve; });
      response.write(event(chunk('two')));
      response.write(event(chunk(null, 'stop')));
      response.end('data: [DONE]\n\n');
    })
    .on('endless', (json, response, record) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const timer = setInterval(() => response.write(event(chunk('more '))), 5);
      record.left.then(() => clearInterval(timer));
    });
  grid = await Grid.start();
  const engines = ['good', 'other', 'down', 'gated', 'stream', 'endless'].map((model) => stub.engine(model));
  site = await grid.addSite('metro', { engines, idempotency: { reader_patience_ms: 2000 } });
  other = await grid.addSite('core', { engines: [stub.engine('other')] });
  client = new OpenAI({ baseURL: `${site.url}/v1`, apiKey: grid.key, maxRetries: 0 });
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

// A way to the site that cuts the first connections as soon as an answer comes back on them.
async function cutting(times) {
  let left = times;
  const { hostname, port } = new URL(site.url);
  const server = createServer((socket) => {
    const upstream = connect(Number(port), hostname);
    socket.on('error', () => upstream.destroy());
    upstream.on('error', () => socket.destroy());
    socket.pipe(upstream);
    upstream.on('data', (bytes) => {
      if (left > 0) {
        left -= 1;
        socket.destroy();
        upstream.destroy();
      } else {
        socket.write(bytes);
      }
    });
    upstream.on('end', () => socket.end());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}/v1`, close: () => server.close() };
}

const recordsOf = (folder) => {
  const database = new DatabaseSync(join(grid.folder, folder, 'state', 'usage.db'), { readOnly: true });
  const rows = database.prepare('SELECT * FROM usage').all();
  database.close();
  return rows;
};

test("the official client's own retry after a lost answer is given that answer", async () => {
  const way = await cutting(1);
  const retrying = new OpenAI({ baseURL: way.url, apiKey: grid.key, maxRetries: 3 });
  const { data, response } = await retrying.chat.completions.create({ model: 'good', messages }, keyed('lost')).withResponse();
  way.close();
  assert.equal(data.choices[0].message.content, 'hello there');
  assert.equal(response.headers.get('idempotent-replayed'), 'true');
  assert.equal(stub.of('good').length, 1);
  await until('its record is stored', () => recordsOf('metro').filter((row) => row.model === 'good').length === 1);
  const [record] = recordsOf('metro').filter((row) => row.model === 'good');
  assert.equal(record.outcome, 'completed');
});

test('who repeats a request while it runs waits for the same answer', async () => {
  const first = client.chat.completions.create({ model: 'gated', messages }, keyed('twice'));
  await until('the engine has it', () => stub.of('gated').length === 1);
  const second = client.chat.completions.create({ model: 'gated', messages }, keyed('twice')).withResponse();
  open();
  const { data, response } = await second;
  assert.deepEqual(data, await first);
  assert.equal(response.headers.get('idempotent-replayed'), 'true');
  assert.equal(response.headers.get('x-request-id').length > 4, true);
  assert.equal(stub.of('gated').length, 1);
});

test('a stream that lost its client goes on for the client that comes back', async () => {
  const begun = await client.chat.completions.create({ model: 'stream', messages, stream: true }, keyed('stream'));
  const record = await until('the engine has it', () => stub.of('stream')[0]);
  for await (const piece of begun) {
    assert.equal(piece.choices[0].delta.content, 'one ');
    break; // leaving the loop drops the connection
  }
  const again = await client.chat.completions.create({ model: 'stream', messages, stream: true }, keyed('stream'));
  let text = '';
  let pieces = 0;
  for await (const piece of again) {
    text += piece.choices[0].delta.content ?? '';
    if (++pieces === 1) record.goOn();
  }
  assert.equal(text, 'one two');
  assert.equal(stub.of('stream').length, 1);
});

test('a stream whose client does not come back ends at the engine', async () => {
  const begun = await client.chat.completions.create({ model: 'endless', messages, stream: true }, keyed('gone'));
  for await (const piece of begun) {
    assert.ok(piece.choices);
    break;
  }
  assert.equal(await stub.of('endless')[0].left, true);
  await until('the site counts no stream', async () => (await grid.status(site)).streams === 0);
});

test('the same key with another request is refused', async () => {
  await client.chat.completions.create({ model: 'good', messages }, keyed('mistaken'));
  const changed = [{ role: 'user', content: 'Bye' }];
  await assert.rejects(client.chat.completions.create({ model: 'good', messages: changed }, keyed('mistaken')), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError, String(error));
    assert.equal(error.param, 'idempotency-key');
    return true;
  });
});

test('a try that failed is run again, and billed once', async () => {
  const answer = await client.chat.completions.create({ model: 'down', messages }, keyed('failed', { maxRetries: 3 }));
  assert.equal(answer.choices[0].message.content, 'hello there');
  assert.ok(stub.of('down').length >= 2);
  await until('its record is stored', () => recordsOf('metro').some((row) => row.model === 'down' && row.outcome === 'completed'));
  const ids = recordsOf('metro').filter((row) => row.model === 'down').map((row) => row.id);
  assert.equal(new Set(ids).size, 1);
  await until('control has the one that counts', async () => {
    const { data } = await grid.admin('GET', '/usage?by=model');
    return data.some((row) => JSON.stringify(row).includes('down') && row.requests === 1 && row.completed === 1);
  });
});

// What an answer is replayed to is what might be served it now.
test('an answer is given again only to whom, and where, it may be served', async () => {
  const makeKey = async (scope = {}) => grid.admin('POST', '/keys', { tenant: 'acme', ...scope });
  const ask = async (key, model = 'good') => {
    const response = await fetch(`${site.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': 'law' },
      body: JSON.stringify({ model, messages }),
    });
    const { error } = await response.json();
    return { status: response.status, code: error?.code, replayed: response.headers.get('idempotent-replayed') };
  };
  const home = await makeKey({ jurisdictions: ['de'] });
  const abroad = await makeKey({ jurisdictions: ['fr'] });
  const narrow = await makeKey({ models: ['other'] });
  const counted = await makeKey({ requests_per_minute: 2 });
  const known = async ({ key }) => (await fetch(`${site.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).ok;
  await until('the site knows the keys', async () => (await Promise.all([home, abroad, narrow, counted].map(known))).every(Boolean));

  assert.deepEqual(await ask(home.key), { status: 200, code: undefined, replayed: null });
  assert.deepEqual(await ask(home.key), { status: 200, code: undefined, replayed: 'true' });
  assert.deepEqual(await ask(abroad.key), { status: 403, code: 'data_residency_mismatch', replayed: null });
  assert.equal((await ask(narrow.key)).status, 403);
  assert.deepEqual(await ask(grid.key), { status: 200, code: undefined, replayed: null }, 'another account');
  assert.deepEqual([(await ask(counted.key)).status, (await ask(counted.key)).replayed, (await ask(counted.key)).status],
    [200, 'true', 429], 'a replay counts as a request');

  const next = await grid.admin('POST', `/keys/${home.id}/rotate`, { overlap_s: 600 });
  await until('the site knows the next key', () => known(next));
  assert.deepEqual(await ask(next.key), { status: 200, code: undefined, replayed: 'true' }, 'after rotation');

  await grid.admin('PUT', '/tenants/acme', { jurisdictions: ['fr'] });
  await until('the site knows the law', async () => (await ask(home.key)).status === 403);
  for (const key of [home.key, grid.key]) {
    assert.deepEqual(await ask(key), { status: 403, code: 'data_residency_mismatch', replayed: null });
  }
  await grid.admin('PUT', '/tenants/acme', {});
  await until('the site knows that there is none', async () => (await ask(home.key)).replayed === 'true');
});

test('an ingress that died has billed under the id that the next one bills under', async () => {
  await client.chat.completions.create({ model: 'other', messages }, keyed('moved'));
  await stop(site.child);
  const elsewhere = new OpenAI({ baseURL: `${other.url}/v1`, apiKey: grid.key, maxRetries: 0 });
  await elsewhere.chat.completions.create({ model: 'other', messages }, keyed('moved'));
  await stop(other.child);
  const ids = ['metro', 'core'].map((name) => recordsOf(name).filter((row) => row.model === 'other').map((row) => row.id));
  assert.equal(ids[0].length, 1);
  assert.deepEqual(ids[0], ids[1]);
});
