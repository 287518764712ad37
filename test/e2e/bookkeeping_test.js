// What an operator does by hand and control by itself: usage that was not believed, and the keys of
// an identity provider.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Grid } from './support/grid.js';
import { PERIGEE, stop, until } from './support/process.js';
import { StubEngine, good } from './support/stub_engine.js';

let stub;
let grid;
let site;
let provider;
let published = '';

before(async () => {
  stub = await StubEngine.start();
  stub.on('m', good);
  grid = await Grid.start();
  site = await grid.addSite('metro', { engines: [stub.engine('m')] });
  provider = createServer((request, response) => response.writeHead(published ? 200 : 500).end(published));
  await new Promise((listening) => provider.listen(0, '127.0.0.1', listening));
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
  provider?.close();
});

// A subcommand as an operator runs it; rejects with its stderr. Not waited for in place: the provider
// is in this process.
const perigee = async (...args) => (await promisify(execFile)(PERIGEE, args, { env: { ...process.env,
  PERIGEE_CONTROL_URL: grid.url, PERIGEE_OPERATOR_KEY_FILE: join(grid.folder, 'control', 'operator.key') } })).stdout;
const json = async (...args) => JSON.parse(await perigee(...args, '-o', 'json'));

async function refusedLine(...args) {
  try {
    await perigee(...args);
  } catch ({ code, stderr }) {
    assert.equal(code, 1, stderr);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    return stderr;
  }
  throw new Error('it was not refused');
}

async function deliver(records) {
  const response = await fetch(`${grid.url}/control/v1/usage`, { method: 'POST', body: JSON.stringify({ records }),
    headers: { authorization: `Bearer ${readFileSync(join(site.folder, 'site.key'), 'utf8').trim()}` } });
  return response.json();
}

let made = 0;
function record(changes = {}) {
  made += 1;
  const now = Date.now() * 1000;
  return { id: `${now.toString(16).padStart(16, '0')}${made.toString(16).padStart(16, '0')}`, tenant: 'acme', key: 'key_1',
    model: 'm', ingress_site: 'metro', serving_site: 'metro', operation: 'chat', class: 'standard', started_us: now - 2000,
    ended_us: now - 1000, prompt_tokens: 10, cached_tokens: 0, completion_tokens: 20, outcome: 'completed', ...changes };
}

test('usage that can\'t be believed is listed, billed once its tenant is there, or dropped', async () => {
  const told = await deliver([record(), record({ tenant: 'later' }), record({ tenant: 'later' }),
    record({ started_us: 1, ended_us: 2 }), record({ completion_tokens: 2_000_000_000 }), record({ ingress_site: 'other' })]);
  assert.deepEqual(told, { stored: 1, known: 0, aside: 5, refused: 0 });
  assert.equal((await json('usage', '--by', 'tenant')).aside, 5);
  const { data, total } = await json('usage', 'aside');
  assert.equal(total, 5);
  assert.deepEqual(data.map(({ reason }) => reason), ['unknown_tenant', 'unknown_tenant', 'time', 'counts', 'ingress_site']);
  assert.match(await perigee('usage', 'aside', '--reason', 'time'), /metro +time +acme .*began more than 90 days ago/);
  const scrape = await (await fetch(`${grid.url}/metrics`)).text();
  assert.match(scrape, /^perigee_usage_aside_records\{reason="unknown_tenant"\} 2$/m);
  assert.match(scrape, /^perigee_usage_records_total\{result="aside"\} 5$/m);
  assert.match(await refusedLine('usage', 'take-in'), /say which/);
  assert.deepEqual(await json('usage', 'take-in', '--tenant', 'later'), { taken: 0, unknown_tenant: 2, unreadable: 0 });
  await perigee('tenants', 'create', 'later');
  assert.match(await perigee('usage', 'take-in', '--tenant', 'later'), /Took in 2 records/);
  const { data: sums } = await json('usage', '--by', 'tenant');
  assert.deepEqual(sums.find(({ tenant }) => tenant === 'later').completion_tokens, 40);
  assert.deepEqual(sums.find(({ tenant }) => tenant === 'acme').completion_tokens, 20);
  assert.match(await perigee('usage', 'drop', String(data[2].number), '--site', 'metro'), /Dropped 1 records/);
  assert.deepEqual(await json('usage', 'drop', '--site', 'metro'), { dropped: 2 });
  assert.match(await perigee('usage', 'aside'), /Nothing is put aside/);
  const lines = (await perigee('audit', 'list', join(grid.folder, 'control', 'audit.log'), '-o', 'json')).trim().split('\n').map(JSON.parse);
  assert.deepEqual(lines.filter(({ action }) => /usage/.test(action)).map(({ action, write_count }) => [action, write_count]),
    [['take in usage', 2], ['drop usage', 1], ['drop usage', 2]]);
});

test('a viewer sees what is aside and settles nothing', async () => {
  const viewer = (await json('keys', 'create', '--operator', 'viewer')).key;
  const call = (method, path) => fetch(`${grid.url}/control/v1/${path}`, { method, body: method === 'POST' ? '{"site":"metro"}' : undefined,
    headers: { authorization: `Bearer ${viewer}` } });
  assert.equal((await call('GET', 'usage-aside')).status, 200);
  for (const path of ['usage-take-in', 'usage-drop']) assert.equal((await call('POST', path)).status, 403);
});

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function signer(kid) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return {
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' },
    token() {
      const claims = { iss: 'https://id.example', sub: 'alice', aud: 'grid', exp: Date.now() / 1000 + 60, org: 'acme' };
      const text = `${base64url({ alg: 'EdDSA', kid })}.${base64url(claims)}`;
      return `${text}.${sign(null, Buffer.from(text), privateKey).toString('base64url')}`;
    },
  };
}

const models = (token) => fetch(`${site.url}/v1/models`, { headers: { authorization: `Bearer ${token}` } });

test('control fetches an issuer\'s keys, and a site takes its tokens without knowing it', async () => {
  const first = signer('k1');
  const second = signer('k2');
  const url = `http://127.0.0.1:${provider.address().port}/keys`;
  const set = ['issuers', 'set', 'corp', '--issuer', 'https://id.example', '--audience', 'grid', '--algorithm', 'EdDSA',
    '--tenant-claim', 'org'];
  assert.match(await refusedLine(...set), /--jwks FILE or --jwks-url URL/);
  assert.match(await refusedLine(...set, '--jwks-url', url), /can't be fetched: it answers with status 500/);
  assert.match(await refusedLine(...set, '--jwks-url', 'http://id.example/keys'), /must begin with https/);
  published = JSON.stringify({ keys: [first.jwk] });
  await perigee(...set, '--jwks-url', url);
  await until('the first key counts', async () => (await models(first.token())).ok);
  assert.equal((await models(second.token())).status, 401);
  published = JSON.stringify({ keys: [first.jwk, second.jwk] });
  await perigee('issuers', 'refresh', 'corp');
  await until('the second key counts', async () => (await models(second.token())).ok);
  published = '';
  assert.match(await refusedLine('issuers', 'refresh', 'corp'), /status 500/);
  assert.match(await perigee('issuers', 'list'), /corp .*fetched 20.*status 500/);
  assert.match(await (await fetch(`${grid.url}/metrics`)).text(), /^perigee_issuer_keys_failures\{issuer="corp"\} 1$/m);
  assert.equal((await models(first.token())).status, 200, 'the keys that were there go on to count');
  const file = join(grid.folder, 'keys.json');
  writeFileSync(file, JSON.stringify({ keys: [first.jwk] }));
  assert.match(await refusedLine('issuers', 'keys', 'corp', '--jwks', file), /are fetched from http:/);
});

test('a start after a restore is a line of the audit log, which still verifies', async () => {
  const file = join(grid.folder, 'control', 'audit.log');
  const before = JSON.parse(await perigee('audit', 'verify', file, '-o', 'json'));
  await stop(grid.control);
  await grid.startControl('--restored');
  const after = JSON.parse(await perigee('audit', 'verify', file, '--hash', before.hash, '-o', 'json'));
  assert.equal(after.lines, before.lines + 1);
  const last = JSON.parse((await perigee('audit', 'list', file, '-o', 'json')).trim().split('\n').at(-1));
  assert.deepEqual([last.actor, last.from, last.action], ['control', '--restored', 'restore directory']);
  assert.match(await perigee('audit', 'list', file), /control +--restored +restore directory/);
});

test('control that is to keep two grids at once ends before it changes anything', async () => {
  const state = join(grid.folder, 'control');
  await stop(grid.control);
  const refusal = (...more) => assert.rejects(
    perigee('control', '--listen', new URL(grid.url).host, '--state-dir', state, '--restored', ...more),
    ({ code, stderr }) => code === 1 && /is of grid north|belongs to grid perigee/.test(stderr));
  const written = () => ['audit.log', 'directory.db'].map((file) => readFileSync(join(state, file)).toString('base64'));
  const before = written();
  await refusal('--grid', 'north');
  await perigee('ca', 'init', '--state-dir', state, '--grid', 'north');
  await refusal();
  await refusal('--grid', 'perigee');
  assert.deepEqual(written(), before);
});
