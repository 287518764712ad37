// Tenants over six sites: what a key may, how often, and how soon that changes everywhere; tokens of
// an issuer; and the law, which two must agree on.
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Grid } from './support/grid.js';
import { stop, until } from './support/process.js';
import { StubEngine, chunk, event, good } from './support/stub_engine.js';

// A second is promised (docs/tenants.md), and printed is what it took; here others compute, too.
const kSoonMs = 3000;

let stub;
let grid;
const sites = [];

// Says a word every 20 ms until its caller leaves.
function endless(json, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const talk = setInterval(() => response.write(event(chunk('word '))), 20);
  response.on('close', () => clearInterval(talk));
}

before(async () => {
  stub = await StubEngine.start();
  stub.on('m', good).on('other', good).on('french', good).on('endless', endless);
  grid = await Grid.start();
  for (let i = 0; i < 6; ++i) {
    const french = i === 5;
    const engines = [stub.engine('m'), stub.engine('other'), stub.engine('endless'), ...(french ? [{ ...stub.engine('french'), slots: 4 }] : [])];
    sites.push(await grid.addSite(`s${i}`, { engines, jurisdiction: french ? 'fr' : 'de', law: french ? 'fr' : 'de' }));
  }
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

async function ask(site, key, { model = 'm', headers = {}, ...rest } = {}) {
  const response = await fetch(`${site.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hi' }], ...rest }),
  });
  const json = await response.json();
  return { status: response.status, error: json.error, headers: response.headers };
}

const makeKey = (scope = {}) => grid.admin('POST', '/keys', { tenant: 'acme', ...scope });
const everywhere = (what, holds) => until(what, async () => (await Promise.all(sites.map(holds))).every(Boolean));

test('a scope binds model, class and law, and says what it allows', async () => {
  const { key } = await makeKey({ models: ['m', 'french'], classes: ['batch'], jurisdictions: ['de'] });
  // Engines that do not tell their slots serve their own site only, and one of the sites is French.
  await everywhere('all sites know the key', async (site) => (await ask(site, key)).status === (site === sites[5] ? 403 : 200));
  const model = await ask(sites[0], key, { model: 'other' });
  assert.equal(model.status, 403);
  assert.equal(model.error.param, 'model');
  assert.match(model.error.message, /may use m, french/);
  const urgent = await ask(sites[0], key, { headers: { 'perigee-class': 'realtime' } });
  assert.equal(urgent.status, 403);
  assert.match(urgent.error.message, /may use batch/);
  const abroad = await ask(sites[0], key, { headers: { 'perigee-jurisdictions': 'fr' } });
  assert.equal(abroad.status, 403);
  assert.equal(abroad.error.code, 'data_residency_mismatch');
  const served = await ask(sites[5], key, { model: 'french' }); // served in France alone
  assert.equal(served.status, 403);
  assert.equal(served.error.code, 'data_residency_mismatch');
  const listed = await (await fetch(`${sites[0].url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).json();
  assert.deepEqual(listed.data.map(({ id }) => id).sort(), ['french', 'm']);
});

test('a revoked key and a suspended tenant are refused at all sites at once', async () => {
  const worst = { revoke: 0, suspend: 0 };
  const gone = (key, status) => (site) => ask(site, key).then((answer) => answer.status === status);
  for (let turn = 0; turn < 5; ++turn) {
    const { key, id } = await makeKey();
    await everywhere('all sites know the key', gone(key, 200));
    let began = performance.now();
    await grid.admin('POST', '/tenants/acme/suspend');
    await everywhere('the tenant is suspended', gone(key, 403));
    worst.suspend = Math.max(worst.suspend, performance.now() - began);
    await grid.admin('POST', '/tenants/acme/resume');
    await everywhere('the tenant is back', gone(key, 200));
    began = performance.now();
    await grid.admin('DELETE', `/keys/${id}`);
    await everywhere('the key is revoked', gone(key, 401));
    worst.revoke = Math.max(worst.revoke, performance.now() - began);
  }
  console.log('# ms until all six sites refuse, the worst of five:', JSON.stringify(worst));
  assert.ok(worst.revoke < kSoonMs && worst.suspend < kSoonMs, JSON.stringify(worst));
});

// A stream of `model` with `key`: gives `ended`, which resolves to all that came.
async function streamed(site, key) {
  const response = await fetch(`${site.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'endless', stream: true, messages: [{ role: 'user', content: 'Hi' }] }),
  });
  assert.equal(response.status, 200);
  const reader = response.body.getReader();
  const first = Buffer.from((await reader.read()).value).toString();
  const ended = (async () => {
    let text = first;
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) text += Buffer.from(piece.value).toString();
    return text;
  })();
  return { ended, cancel: () => reader.cancel().catch(() => {}) };
}

test('what runs for a revoked key or a suspended tenant ends at all sites at once, with an error', async () => {
  await grid.admin('PUT', '/tenants/watched', {});
  const ends = async (key, end, code) => {
    const running = await Promise.all(sites.map((site) => streamed(site, key)));
    const began = performance.now();
    await end();
    const texts = await Promise.all(running.map(({ ended }) => ended));
    const took = performance.now() - began;
    for (const text of texts) {
      assert.ok(!text.includes('[DONE]'), text);
      const { error } = JSON.parse(text.trim().split('data: ').at(-1));
      assert.equal(error.code, code, JSON.stringify(error));
    }
    assert.ok(took < kSoonMs, `${took} ms`);
    return Math.round(took);
  };
  const refusal = async (key) => (await ask(sites[0], key)).error?.code;
  const made = () => grid.admin('POST', '/keys', { tenant: 'watched' });
  const known = (key) => everywhere('all sites know the key', async (site) => (await ask(site, key)).status === 200);
  const [kept, stolen] = [await made(), await made()];
  await known(kept.key);
  await known(stolen.key);
  const other = await streamed(sites[0], grid.key);
  const revoke = await ends(stolen.key, () => grid.admin('DELETE', `/keys/${stolen.id}`), 'invalid_api_key');
  assert.equal(await refusal(stolen.key), 'invalid_api_key');
  const suspend = await ends(kept.key, () => grid.admin('POST', '/tenants/watched/suspend'), 'permission_denied');
  assert.equal(await refusal(kept.key), 'permission_denied');
  console.log('# ms until all streams had ended: revoked', revoke, 'suspended', suspend);
  let mine = false;
  other.ended.then(() => { mine = true; });
  assert.equal((await ask(sites[0], grid.key)).status, 200);
  assert.ok(!mine, "another tenant's stream goes on");
  await other.cancel();
  await Promise.all(stub.of('endless').map(({ left }) => left));
});

test('both keys of a rotation work, then the old one ends; last use becomes known', async () => {
  const old = await makeKey({ label: 'rotated' });
  const next = await grid.admin('POST', `/keys/${old.id}/rotate`, { overlap_s: 2 });
  assert.equal(next.label, 'rotated');
  await everywhere('the new key works', async (site) => (await ask(site, next.key)).status === 200);
  await until('the old key ends', async () => {
    const { status, error } = await ask(sites[1], old.key);
    return status === 401 && /rotated/.test(error.message);
  });
  await until('its last use is known', async () => {
    const { last_used_us } = await grid.admin('GET', `/keys/${next.id}`);
    return Math.abs(last_used_us / 1000 - Date.now()) < 60_000;
  });
});

test('a thousand requests at once over six sites pass as often as the key may, and no oftener', { timeout: 120_000 }, async () => {
  const limit = 150;
  const { key } = await makeKey({ requests_per_minute: limit });
  await everywhere('all sites know the key', async (site) => {
    const { status } = await fetch(`${site.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    return status === 200;
  });
  const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => ask(sites[i % 6], key)));
  const passed = answers.filter(({ status }) => status === 200);
  assert.equal(passed.length, limit);
  const refused = answers.filter(({ status }) => status === 429);
  assert.equal(refused.length, 1000 - limit);
  for (const { error, headers } of refused) {
    assert.equal(error.code, 'rate_limit_exceeded');
    assert.match(error.message, /150 requests per minute/);
    assert.ok(Number(headers.get('retry-after')) >= 1);
    assert.equal(headers.get('x-ratelimit-limit-requests'), String(limit));
    assert.equal(headers.get('perigee-refused'), null, 'the site is not full');
  }
  assert.equal(passed[0].headers.get('x-ratelimit-limit-requests'), String(limit));
  assert.match(passed[0].headers.get('x-ratelimit-reset-requests'), /^(\d+m)?\d+(s|ms)$/);
});

test('tokens per minute hold over the sites, too, and are told', { timeout: 120_000 }, async () => {
  const { key } = await makeKey({ tokens_per_minute: 900 });
  await everywhere('all sites know the key', async (site) => {
    const { status } = await fetch(`${site.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    return status === 200;
  });
  const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => ask(sites[i % 6], key, { max_tokens: 20 })));
  const passed = answers.filter(({ status }) => status === 200);
  assert.ok(passed.length * 9 <= 900, `${passed.length} of 9 tokens each`); // 7 and 2, as the stub counts
  assert.ok(passed.length >= 20, String(passed.length));
  assert.ok(passed.every(({ headers }) => headers.get('x-ratelimit-limit-tokens') === '900'));
  const large = await ask(sites[0], key, { max_tokens: 5000 });
  assert.equal(large.status, 413);
  assert.match(large.error.message, /lower max_tokens/);
  const prompts = await fetch(`${sites[0].url}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', prompt: Array(60).fill('Hi'), max_tokens: 20 }),
  });
  assert.equal(prompts.status, 413, 'an answer to each prompt counts');
});

test('a site that control does not answer spends its share and no more; a revocation waits for its return', { timeout: 120_000 }, async () => {
  const { key, id } = await makeKey({ requests_per_minute: 40 });
  await until('the site knows the key', async () => (await ask(sites[0], key)).status === 200);
  const until_held = await Promise.all(Array.from({ length: 9 }, () => ask(sites[0], key)));
  assert.deepEqual(until_held.map(({ status }) => status), Array(9).fill(200), JSON.stringify(until_held.map(({ error }) => error)));
  await stop(grid.control, 'SIGKILL');
  let passed = 0;
  let last;
  for (let i = 0; i < 60; ++i) {
    last = await ask(sites[i % 2], key);
    if (last.status === 200) ++passed;
  }
  assert.ok(passed + 10 <= 40, String(passed));
  assert.equal(last.status, 429);
  assert.match(last.error.message, /can't reach control|is reached/);
  const free = await ask(sites[0], grid.key);
  assert.equal(free.status, 200, 'keys without limits go on at an island');
  await grid.startControl();
  await grid.admin('DELETE', `/keys/${id}`);
  await everywhere('the key is revoked', async (site) => (await ask(site, key)).status === 401);
});

const base64url = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

test('tokens of an issuer are taken as it was set up, and forged ones are not', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig' };
  await grid.admin('PUT', '/issuers/corp', {
    issuer: 'https://id.example', audience: 'grid', algorithms: ['EdDSA'], tenant_claim: 'org', jwks: JSON.stringify({ keys: [jwk] }),
  });
  const claims = { iss: 'https://id.example', sub: 'alice', aud: 'grid', exp: Date.now() / 1000 + 60, org: 'acme' };
  const token = (changes = {}, header = { alg: 'EdDSA', kid: 'k1' }, signer = (text) => sign(null, Buffer.from(text), privateKey)) => {
    const text = `${base64url(header)}.${base64url({ ...claims, ...changes })}`;
    return `${text}.${signer(text).toString('base64url')}`;
  };
  await everywhere('all sites take the token', async (site) => (await ask(site, token())).status === 200);
  const refused = async (forged, why) => {
    const { status, error } = await ask(sites[2], forged);
    assert.ok(status === 401 || status === 403, String(status));
    assert.match(error.message, why);
    assert.ok(!error.message.includes('\n'));
  };
  await refused(token({}, { alg: 'none' }, () => Buffer.alloc(0)), /algorithm/);
  const pem = publicKey.export({ format: 'pem', type: 'spki' });
  await refused(token({}, { alg: 'HS256', kid: 'k1' }, (text) => createHmac('sha256', pem).update(text).digest()), /algorithm/);
  await refused(token({ aud: 'elsewhere' }), /audience/);
  await refused(token({ iss: 'https://evil.example' }), /issuer/);
  await refused(token({ exp: Date.now() / 1000 - 120 }), /expired/);
  await refused(token({ org: 'nobody' }), /does not exist/);
  await refused(token({}, { alg: 'EdDSA', kid: 'k2' }), /kid/);
  await refused(token({}, { alg: 'EdDSA', kid: 'k1' }, () => Buffer.alloc(64)), /signature/);
  await grid.admin('DELETE', '/issuers/corp');
  await everywhere('no site takes the token', async (site) => (await ask(site, token())).status === 401);
});

test('a site that is said to stand under another law than its own file runs nothing that is bound to one', async () => {
  const { revision, joined, name, ...facts } = await grid.admin('GET', '/sites/s5');
  await grid.admin('PUT', '/sites/s5', { ...facts, jurisdiction: 'de' }); // a directory that lies
  const bound = { model: 'french', headers: { 'perigee-jurisdictions': 'de' } };
  await until('the site refuses', async () => {
    const { status, error } = await ask(sites[5], grid.key, bound);
    return status === 403 && error.code === 'data_residency_mismatch';
  });
  for (const site of sites) { // also where peers believe the directory: the serving site has the last word
    assert.notEqual((await ask(site, grid.key, bound)).status, 200, site.name);
  }
  assert.equal(stub.of('french').length, 0, 'no prompt came to an engine under another law');
  await grid.admin('PUT', '/sites/s5', { ...facts, jurisdiction: 'fr' });
  await until('the site serves again', async () => {
    return (await ask(sites[5], grid.key, { model: 'french', headers: { 'perigee-jurisdictions': 'fr' } })).status === 200;
  });
});
