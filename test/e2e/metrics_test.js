// Who may read /metrics: everybody on loopback, and nobody without a credential elsewhere.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PERIGEE, freePort, start, stop, until } from './support/process.js';
import { StubEngine, good } from './support/stub_engine.js';
import { TlsGrid } from './support/tls_grid.js';

const kToken = '3f0c9a7be1d24586aa10ce84c95b7d20';
let stub;
let grid;
let site;

before(async () => {
  stub = await StubEngine.start();
  stub.on('good', good);
  grid = await TlsGrid.start();
  site = await grid.addSite('metro', { engines: [stub.engine('good')] });
  await until('it is ready', async () => (await fetch(`${site.url}/readyz`)).ok, { child: site.child });
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

async function scrape(url, credential) {
  const response = await fetch(`${url}/metrics`, { headers: credential && { authorization: `Bearer ${credential}` } });
  return { status: response.status, text: await response.text() };
}

function assertRefused({ status, text }, expected, said) {
  assert.equal(status, expected, text);
  const { message } = JSON.parse(text).error;
  assert.match(message, said);
  assert.equal(message.split('\n').length, 1);
}

// A second site like `site`, at another address, with more lines in its section.
async function another(listen, more = '') {
  const folder = join(grid.folder, `other-${listen.replaceAll(/\W/g, '-')}`);
  mkdirSync(folder, { mode: 0o700 });
  const port = await freePort();
  const file = join(site.folder, 'site.toml');
  const text = readFileSync(file, 'utf8').replace(/listen = .*/, `listen = "${listen}:${port}"\n${more}`)
    .replace(/state_dir = .*/, `state_dir = "${folder}"`);
  const copy = join(site.folder, `site-${port}.toml`);
  writeFileSync(copy, text);
  const child = start(PERIGEE, ['site', '--config', copy], join(folder, 'log'));
  const url = `http://127.0.0.1:${port}`;
  await until('it answers', async () => (await fetch(`${url}/healthz`)).ok, { child });
  return { url, child, copy };
}

test('on loopback metrics are open, of a site and of control', async () => {
  await until('the site says that it follows control', async () => {
    const { status, text } = await scrape(site.url);
    assert.equal(status, 200);
    return /^perigee_control_connected 1$/m.test(text);
  }, { child: site.child });
  const ofControl = await scrape(`http://127.0.0.1:${grid.port}`);
  assert.equal(ofControl.status, 200, ofControl.text);
  assert.match(ofControl.text, /^perigee_directory_rows\{kind="site"\} 1$/m);
  assert.match(ofControl.text, /^perigee_control_watches 1$/m);
});

test('beyond loopback a site shows metrics to operators and to who has the token, and its health to all', async () => {
  const tokenFile = join(grid.folder, 'metrics.token');
  writeFileSync(tokenFile, `${kToken}\n`, { mode: 0o600 });
  const viewer = JSON.parse(grid.perigee('keys', 'create', '--operator', 'viewer', '-o', 'json')).key;
  const open = await another('0.0.0.0', `metrics_token_file = "${tokenFile}"`);
  try {
    await until('it knows the viewer', async () => (await scrape(open.url, viewer)).status === 200, { child: open.child });
    assertRefused(await scrape(open.url), 401, /send `Authorization: Bearer`/);
    assertRefused(await scrape(open.url, `${kToken}0`), 401, /send `Authorization: Bearer`/);
    assertRefused(await scrape(open.url, grid.key), 403, /an operator's key/);
    const scraped = await scrape(open.url, kToken);
    assert.equal(scraped.status, 200);
    assert.match(scraped.text, /^perigee_build_info\{/m);
    for (const path of ['/healthz', '/readyz']) assert.notEqual((await fetch(`${open.url}${path}`)).status, 401);
    const status = await fetch(`${open.url}/grid/v1/status`, { headers: { authorization: `Bearer ${kToken}` } });
    assert.equal(status.status, 401, 'the token is good for metrics alone');
  } finally {
    await stop(open.child);
  }
});

test('a token file is asked for on loopback too, and control has one like a site', async () => {
  const tokenFile = join(grid.folder, 'metrics.token');
  const port = await freePort();
  const state = join(grid.folder, 'second-control');
  const child = start(PERIGEE, ['control', '--listen', `127.0.0.1:${port}`, '--state-dir', state,
    '--metrics-token-file', tokenFile], join(grid.folder, 'second-control.log'));
  const url = `http://127.0.0.1:${port}`;
  try {
    await until('control answers', async () => (await fetch(`${url}/healthz`)).ok, { child });
    assertRefused(await scrape(url), 401, /metrics_token_file/);
    assert.equal((await scrape(url, kToken)).status, 200);
    assert.equal((await scrape(url, readFileSync(join(state, 'operator.key'), 'utf8').trim())).status, 200);
  } finally {
    await stop(child);
  }
});

test('a token file that holds none ends the start, and `--check` says so before', () => {
  const bad = join(grid.folder, 'bad.token');
  writeFileSync(bad, 'short\n', { mode: 0o600 });
  const file = join(site.folder, 'checked.toml');
  writeFileSync(file, readFileSync(join(site.folder, 'site.toml'), 'utf8')
    .replace(/listen = .*/, (line) => `${line}\nmetrics_token_file = "${bad}"`));
  for (const more of [['--check'], []]) {
    assert.throws(() => grid.perigee('site', '--config', file, ...more), ({ status, stderr }) => {
      assert.equal(status, 1);
      assert.match(stderr, /must hold one scrape token of 16 to 256 characters/);
      return true;
    });
  }
});
