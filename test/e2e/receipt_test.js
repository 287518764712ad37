// Every answer has a receipt from the site that served it: fetched through any site, verified
// without a network, and of no use to whoever changes a letter of it.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { Grid } from './support/grid.js';
import { PERIGEE, stop, until } from './support/process.js';
import { StubEngine, chunk, event, good } from './support/stub_engine.js';

let stub;
let grid;
let metro;
let core;
const messages = [{ role: 'user', content: 'a secret question' }];
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

before(async () => {
  stub = await StubEngine.start();
  stub.on('near', good).on('far', good)
    .on('endless', (json, response, record) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const timer = setInterval(() => response.write(event(chunk('more '))), 5);
      record.left.then(() => clearInterval(timer));
    });
  grid = await Grid.start();
  metro = await grid.addSite('metro', { engines: [stub.engine('near'), stub.engine('endless')] });
  core = await grid.addSite('core', { engines: [stub.engine('far')], jurisdiction: 'fr' });
  await grid.admin('PUT', '/placements/core/far', {}); // sites with none are nobody's neighbours
  await until('metro knows what core can run', async () => (await ask(metro, 'far')).response.ok);
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

async function ask(site, model, more = {}) {
  const body = JSON.stringify({ model, messages, ...more });
  const response = await fetch(`${site.url}/v1/chat/completions`, {
    method: 'POST', body, headers: { authorization: `Bearer ${grid.key}`, 'content-type': 'application/json' },
  });
  return { body, response, text: await response.text() };
}

async function get(site, path, key = grid.key) {
  const response = await fetch(`${site.url}${path}`, { headers: { authorization: `Bearer ${key}` } });
  return { status: response.status, json: await response.json() };
}

const fetched = async (site, id) => {
  const { status, json } = await get(site, `/v1/receipts/${id}`);
  assert.equal(status, 200, JSON.stringify(json));
  return json;
};
const fields = (evidence) => Object.fromEntries(evidence.receipt.trim().split('\n').slice(1)
  .map((line) => line.split(': ')));

let files = 0;
function stored(json) {
  files += 1;
  const file = join(grid.folder, `evidence-${files}.json`);
  writeFileSync(file, typeof json === 'string' ? json : JSON.stringify(json));
  return file;
}
// {status, error} of `perigee receipt ...`, with the key that the evidence shows.
function perigee(args, key) {
  const { status, stderr } = spawnSync(PERIGEE, ['receipt', ...args, '--key', key], { encoding: 'utf8' });
  return { status, error: stderr.trim() };
}

test('an answer names its receipt, which says where it was made and of what', async () => {
  const { body, response, text } = await ask(metro, 'near');
  const evidence = await fetched(metro, response.headers.get('perigee-receipt'));
  const receipt = fields(evidence);
  assert.equal(receipt.site, 'metro');
  assert.equal(receipt.jurisdiction, 'de');
  assert.equal(receipt.tenant, 'acme');
  assert.equal(receipt.outcome, 'completed');
  assert.equal(receipt['request-id'], response.headers.get('x-request-id'));
  assert.equal(receipt['request-sha256'], sha256(body));
  assert.equal(receipt['response-sha256'], sha256(text));
  assert.equal(receipt['completion-tokens'], '2');
  const verified = perigee(['verify', stored(evidence), '--request', stored(body), '--response', stored(text)],
    evidence.public_key);
  assert.deepEqual(verified.status, 0, verified.error);
  const other = perigee(['verify', stored(evidence), '--request', stored('{}')], evidence.public_key);
  assert.equal(other.status, 1);
});

test('an ingress passes on the receipt of the site that served, and fetches it from there', async () => {
  const { body, response, text } = await ask(metro, 'far');
  assert.equal(response.headers.get('perigee-site'), 'core');
  const id = response.headers.get('perigee-receipt');
  assert.match(id, /^core\./);
  for (const site of [metro, core]) {
    const receipt = fields(await fetched(site, id));
    assert.equal(receipt.jurisdiction, 'fr');
    assert.equal(receipt['request-sha256'], sha256(body));
    assert.equal(receipt['response-sha256'], sha256(text));
  }
});

test('a receipt that lies at a site which stands still is not waited for, and is there later', { timeout: 120_000 }, async () => {
  const { response } = await ask(metro, 'far');
  const id = response.headers.get('perigee-receipt');
  core.child.kill('SIGSTOP');
  try {
    const { status, json } = await get(metro, `/v1/receipts/${id}`);
    assert.ok(status >= 500, JSON.stringify(json));
  } finally {
    core.child.kill('SIGCONT');
  }
  await until('core answers again', async () => (await get(metro, `/v1/receipts/${id}`)).status === 200);
  await until('metro sends core requests again', async () => (await ask(metro, 'far')).response.ok);
});

test('a stream names its receipt in a comment, which the official client skips', async () => {
  for (const [model, site] of [['near', 'metro'], ['far', 'core']]) {
    const { text } = await ask(metro, model, { stream: true });
    const id = text.match(/^: perigee-receipt (\S+)\n\ndata: \[DONE\]\n\n$/m)[1];
    const events = [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data).filter((data) => data !== '[DONE]');
    const receipt = fields(await fetched(metro, id));
    assert.equal(receipt.site, site);
    assert.equal(receipt['response-sha256'], sha256(events.map((data) => `${data}\n`).join('')));
    const client = new OpenAI({ baseURL: `${metro.url}/v1`, apiKey: grid.key, maxRetries: 0 });
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    let said = '';
    for await (const part of stream) said += part.choices[0]?.delta?.content ?? '';
    assert.equal(said, 'hello there');
  }
});

test('a receipt is shown to its tenant and to operators, to nobody else', async () => {
  const { response } = await ask(metro, 'near');
  const far = (await ask(metro, 'far')).response.headers.get('perigee-receipt');
  await grid.admin('PUT', '/tenants/rival', {});
  const { key: rival } = await grid.admin('POST', '/keys', { tenant: 'rival' });
  const unknown = await get(metro, '/v1/receipts/metro.999999.00000000');
  assert.equal(unknown.status, 404);
  for (const id of [response.headers.get('perigee-receipt'), far]) {
    // Until the key has reached the site, it is not known there.
    let theirs;
    do theirs = await get(metro, `/v1/receipts/${id}`, rival); while (theirs.status === 401);
    assert.equal(theirs.status, 404);
    assert.deepEqual(theirs.json.error.message, unknown.json.error.message);
    assert.equal((await get(metro, `/v1/receipts/${id}`, grid.operatorKey)).status, 200);
    assert.equal((await get(metro, `/v1/receipts/${id}`, 'none')).status, 401);
  }
  for (const bad of ['nonsense', 'metro.1', 'metro.01.00000000', '..%2f..%2fetc']) {
    assert.ok([400, 404].includes((await get(metro, `/v1/receipts/${bad}`)).status), bad);
  }
});

test('what was changed is told in one line', async () => {
  const { response } = await ask(metro, 'near');
  const evidence = await fetched(metro, response.headers.get('perigee-receipt'));
  const key = evidence.public_key;
  const refused = (changed, said, with_key = key) => {
    const { status, error } = perigee(['verify', stored(changed)], with_key);
    assert.equal(status, 1);
    assert.match(error, said);
    assert.equal(error.split('\n').length, 1);
  };
  refused({ ...evidence, receipt: evidence.receipt.replace('jurisdiction: de', 'jurisdiction: fr') }, /tampered receipt/);
  const proof = [...evidence.inclusion_proof];
  proof[0] = proof[0].replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
  refused({ ...evidence, inclusion_proof: proof }, /tampered proof/);
  refused({ ...evidence, signed_head: evidence.signed_head.replace(/^time-us \d/m, 'time-us 9') }, /tampered head/);
  refused(evidence, /wrong key/, '00'.repeat(32));
  refused('{"object":"receipt"}', /version/);
});

test('a log goes on after a restart, and a fork of it is told', async () => {
  const { response } = await ask(metro, 'near');
  const evidence = await fetched(metro, response.headers.get('perigee-receipt'));
  await stop(metro.child, 'SIGKILL');
  metro = await grid.restart(metro);
  await ask(metro, 'near');
  const older = stored(evidence);
  const environment = { ...process.env, PERIGEE_KEY: grid.key };
  const newer = stored(execFileSync(PERIGEE, ['receipt', 'log', '--after', older, '--url', metro.url],
    { encoding: 'utf8', env: environment }));
  const consistent = perigee(['consistency', older, newer], evidence.public_key);
  assert.equal(consistent.status, 0, consistent.error);
  const log = JSON.parse(readFileSync(newer, 'utf8'));
  const forked = perigee(['consistency', older, stored({ ...log, consistency_proof: log.consistency_proof.slice(1) })],
    evidence.public_key);
  assert.equal(forked.status, 1);
  assert.match(forked.error, /forked log/);
  await fetched(metro, response.headers.get('perigee-receipt'));
});

test('a client that leaves leaves a receipt of what was made for it', async () => {
  const before = (await get(metro, '/v1/log')).json.since;
  const leaves = async () => Number((await get(metro, '/v1/log')).json.signed_head.split('\n')[1]);
  const was = await leaves();
  const cut = new AbortController();
  const response = await fetch(`${metro.url}/v1/chat/completions`, {
    method: 'POST', signal: cut.signal, body: JSON.stringify({ model: 'endless', messages, stream: true }),
    headers: { authorization: `Bearer ${grid.key}`, 'content-type': 'application/json' },
  });
  await response.body.getReader().read();
  cut.abort();
  assert.equal(before, 0);
  while (await leaves() === was); // each asks after the next signature
});

test("what a peer holds against a site's credential is no fault of the reader's", async () => {
  const { response } = await ask(metro, 'far');
  const id = response.headers.get('perigee-receipt');
  await stop(core.child);
  for (const [status, code] of [[401, 'invalid_api_key'], [403, 'permission_denied']]) {
    const peer = createServer((request, out) => {
      out.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
      out.end(JSON.stringify({ error: { message: "This path needs a site's credential.", type: 'x', code } }));
    });
    await new Promise((resolve) => peer.listen(Number(new URL(core.url).port), '127.0.0.1', resolve));
    let told;
    await until('metro has reached it', async () => {
      told = await get(metro, `/v1/receipts/${id}`);
      return /does not let this site/.test(told.json?.error?.message);
    });
    assert.equal(told.status, 503);
    assert.doesNotMatch(told.json.error.message, /credential/);
    peer.closeAllConnections();
    await new Promise((resolve) => peer.close(resolve));
  }
});
