// A grid in which everything between members is TLS: who is let in, who is refused and with which
// line, and what certificates do to streams when they change.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate, generateKeyPairSync, sign } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PERIGEE, SOURCE, alive, freePort, start, stop, until } from './support/process.js';
import { StubEngine, chunk, event, good } from './support/stub_engine.js';
import { TlsGrid, callSecurely, kMemberServerName } from './support/tls_grid.js';

const messages = [{ role: 'user', content: 'Hi' }];
let stub;
let grid;
let edge;
let metro;

before(async () => {
  stub = await StubEngine.start();
  stub.on('good', good);
  grid = await TlsGrid.start();
  metro = await grid.addSite('metro', { engines: [stub.engine('good')] });
  edge = await grid.addSite('edge');
  await until('edge knows metro', async () => (await fetch(`${edge.url}/readyz`)).ok);
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

const chat = (url, model = 'good', headers = {}) => fetch(`${url}/v1/chat/completions`, {
  method: 'POST', body: JSON.stringify({ model, messages }),
  headers: { authorization: `Bearer ${grid.key}`, 'content-type': 'application/json', ...headers } });
const digest = (site) => JSON.stringify({ site, revision: 1, drained: false, models: [] });

const bearer = (key) => ({ headers: { authorization: `Bearer ${key}` } });

async function receipt(site, id) {
  const response = await fetch(`${site.url}/v1/receipts/${id}`, bearer(grid.key));
  const json = await response.json();
  assert.equal(response.status, 200, JSON.stringify(json));
  return json;
}

async function chatWhenReady(site, model, key) {
  let answer;
  await until(`${site.name} serves ${model}`, async () => {
    answer = await chat(site.url, model, { authorization: `Bearer ${key}` });
    return answer.ok;
  });
  return answer;
}

let files = 0;
function stored(json) {
  files += 1;
  const file = join(grid.folder, `evidence-${files}.json`);
  writeFileSync(file, JSON.stringify(json));
  return file;
}

function refusedLine(run) {
  try {
    run();
  } catch (error) {
    const line = error.stderr.trim();
    assert.equal(error.status, 1, line);
    assert.equal(line.split('\n').length, 1, line);
    return line;
  }
  throw new Error('it was not refused');
}

test('a question asked at one site runs at another, by TLS', async () => {
  const answer = await chat(edge.url);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('perigee-site'), 'metro');
});

test('an ingress fetches the receipt of the site that served, by TLS', async () => {
  const answer = await chat(edge.url);
  const id = answer.headers.get('perigee-receipt');
  assert.match(id, /^metro\./);
  const evidence = await receipt(edge, id);
  assert.deepEqual(evidence.receipt, (await receipt(metro, id)).receipt);
  const file = stored(evidence);
  const verified = grid.perigee('receipt', 'verify', file, '--ca', grid.caFile, '-o', 'json');
  assert.equal(JSON.parse(verified).id, id);
  assert.equal(evidence.certificates[0], metro.certificate().cert);
  // What is not there is refused by the far site in the words of the near one.
  const missing = await fetch(`${edge.url}/v1/receipts/metro.999999.00000000`, bearer(grid.key));
  assert.equal(missing.status, 404);
  const asClient = await fetch(`${metro.url}/grid/v1/receipts/${id}`, bearer(edge.credential));
  assert.equal(asClient.status, 403, await asClient.text());
});

test('a receipt is believed by the certificate of its own site alone, of an authority that is trusted', async () => {
  const answer = await chat(edge.url);
  const evidence = await receipt(edge, answer.headers.get('perigee-receipt'));
  const refused = (json, said, ca = grid.caFile) => {
    const line = refusedLine(() => grid.perigee('receipt', 'verify', stored(json), '--ca', ca));
    assert.match(line, said);
  };
  const stranger = join(grid.folder, 'stranger');
  grid.perigee('ca', 'init', '--state-dir', stranger, '--grid', 'acme');
  refused(evidence, /wrong certificate: .*not of an authority that is trusted here/, join(stranger, 'ca.pem'));
  refused({ ...evidence, certificates: [edge.certificate().cert] },
    /wrong certificate: the certificate names spiffe:\/\/acme\/site\/edge, expected spiffe:\/\/acme\/site\/metro/);
  refused({ ...evidence, certificates: [] }, /wrong certificate: the site told none/);
  // The time is signed, and decides which certificate is good.
  const moved = evidence.signed_head.replace(/^time-us \d/m, 'time-us 9');
  refused({ ...evidence, signed_head: moved }, /wrong certificate: .*expired/);
  refused({ ...evidence, receipt: evidence.receipt.replace('tenant: acme', 'tenant: rival') }, /tampered receipt/);
});

test('a certificate of an operator\'s own PKI, with an ECDSA key, vouches for the key of the heads', async () => {
  stub.on('elsewhere', good);
  const site = await grid.addSite('elsewhere', { engines: [stub.engine('elsewhere')] });
  const served = await chatWhenReady(site, 'elsewhere', grid.key);
  const id = served.headers.get('perigee-receipt');
  const before = await receipt(site, id);
  const folder = join(grid.folder, 'pki');
  execFileSync('mkdir', [folder]);
  const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem', '-out', 'request',
    '-subj', '/CN=elsewhere');
  writeFileSync(join(folder, 'extensions'), ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature',
    'extendedKeyUsage=serverAuth,clientAuth', 'subjectAltName=URI:spiffe://acme/site/elsewhere,IP:127.0.0.1', ''].join('\n'));
  openssl('x509', '-req', '-in', 'request', '-CA', grid.caFile, '-CAkey', join(grid.state, 'ca.key'), '-CAcreateserial',
    '-days', '2', '-extfile', 'extensions', '-out', 'certificate.pem');
  for (const file of ['key.pem', 'certificate.pem']) renameSync(join(folder, file), join(site.folder, 'tls', file));
  let evidence;
  await until('a head is signed for the new certificate', async () => {
    evidence = await receipt(site, id);
    return evidence.certificates[0] !== before.certificates[0];
  });
  assert.notEqual(evidence.public_key, before.public_key);
  assert.equal(evidence.certificates[0], site.certificate().cert);
  const older = stored(before);
  for (const file of [older, stored(evidence)]) grid.perigee('receipt', 'verify', file, '--ca', grid.caFile);
  const leaves = before.signed_head.split('\n')[1];
  const log = await (await fetch(`${site.url}/v1/log?since=${leaves}`, bearer(grid.key))).json();
  assert.match(grid.perigee('receipt', 'consistency', older, stored(log), '--ca', grid.caFile), /goes on from the older head/);
  const { key_signature, ...alone } = evidence;
  assert.ok(key_signature);
  assert.match(refusedLine(() => grid.perigee('receipt', 'verify', stored(alone), '--ca', grid.caFile)), /vouches for no key/);
});

test('a client that checks the host name is served, with TLS 1.2 and 1.3', async () => {
  const { ca } = edge.certificate();
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const answer = await callSecurely(`${metro.secure}/healthz`, { ca, minVersion: version, maxVersion: version })
      .catch((error) => error);
    // An Ed25519 certificate under TLS 1.2 is beyond some clients; what they get is no downgrade.
    if (version === 'TLSv1.3') assert.equal(answer.status, 200);
  }
});

test('the private key of a site never left it and is its own alone', () => {
  const file = join(metro.folder, 'tls/key.pem');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const secret = readFileSync(file, 'utf8').split('\n')[1];
  const elsewhere = execFileSync('grep', ['-rlF', secret, grid.folder], { encoding: 'utf8' }).trim();
  assert.equal(elsewhere, file);
});

test('a join token works once', async () => {
  const token = grid.token('third');
  grid.join('third', token, { port: await freePort() });
  const line = refusedLine(() => grid.join('third', token, { port: 1, more: ['--replace'] }));
  assert.match(line, /this join token was already used: ask the operator for a new one/);
});

test('a control that is not the one of the join command gets no token', async () => {
  const token = grid.token('fourth');
  const line = refusedLine(() => grid.join('fourth', token, { port: 1, pin: 'ab'.repeat(32) }));
  assert.match(line, /not the one that the join command names/);
  grid.join('fourth', token, { port: await freePort() }); // it was not used up
});

test('a join that can not keep its key says so in one line', async () => {
  mkdirSync(join(grid.folder, 'sixth', 'tls', 'key.pem'), { recursive: true, mode: 0o700 });
  const line = refusedLine(() => grid.join('sixth', grid.token('sixth'), { port: 1 }));
  assert.match(line, /tls\/key\.pem: /);
});

test('a site that would speak in the clear does not join', () => {
  const line = refusedLine(() => grid.join('fifth', grid.token('fifth'), { port: 1, url: 'http://127.0.0.1:1' }));
  assert.match(line, /must begin with https:\/\//);
});

test('a site\'s credential without its certificate is refused: downgrade to HTTP, a client\'s TLS, another\'s certificate', async () => {
  const post = { method: 'POST', body: digest('edge'), key: edge.credential };
  const headers = { authorization: `Bearer ${edge.credential}`, 'content-type': 'application/json' };
  const plain = await fetch(`${metro.url}/grid/v1/digest`, { method: 'POST', body: post.body, headers });
  const asClient = await callSecurely(`${metro.secure}/grid/v1/digest`, { ...post, ca: edge.certificate().ca });
  const asAnother = await callSecurely(`${edge.secure}/grid/v1/digest`, { ...post, as: metro.certificate() });
  const right = await callSecurely(`${metro.secure}/grid/v1/digest`, { ...post, as: edge.certificate() });
  assert.equal(right.status, 200, right.body);
  for (const { status, body } of [{ status: plain.status, body: await plain.text() }, asClient, asAnother]) {
    assert.equal(status, 403, body);
    assert.match(JSON.parse(body).error.message, /counts only with its certificate: expected spiffe:\/\/acme\/site\/edge, got/);
  }
  const atControl = await fetch(`http://127.0.0.1:${grid.port}/control/v1/snapshot`, { headers });
  assert.equal(atControl.status, 403);
});

test('a hop header from outside is refused, also with a stolen credential', async () => {
  const forged = { 'perigee-hop': '1', 'perigee-tenant': 'acme' };
  const outside = await chat(edge.url, 'good', forged);
  assert.equal(outside.status, 400);
  assert.match((await outside.json()).error.message, /perigee-hop.*only sites send it/);
  const stolen = await chat(metro.url, 'good', { ...forged, authorization: `Bearer ${edge.credential}` });
  assert.equal(stolen.status, 403);
  assert.match((await stolen.json()).error.message, /counts only with its certificate/);
});

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

test('by TLS, too, forged tokens and another tenant\'s key are refused, each with one line', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const keys = join(grid.folder, 'keys.json');
  writeFileSync(keys, JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig' }] }));
  grid.perigee('issuers', 'set', 'corp', '--issuer', 'https://id.example', '--audience', 'grid', '--algorithm', 'EdDSA',
    '--tenant', 'acme', '--jwks', keys);
  grid.perigee('tenants', 'create', 'rival');
  const rival = JSON.parse(grid.perigee('keys', 'create', '--tenant', 'rival', '-o', 'json')).key;
  const { ca } = edge.certificate();
  const get = (path, key) => callSecurely(`${edge.secure}${path}`, { ca, key });
  const token = (changes = {}, alg = 'EdDSA') => {
    const claims = { iss: 'https://id.example', sub: 'alice', aud: 'grid', exp: Math.floor(Date.now() / 1000) + 60, ...changes };
    const text = `${base64url({ alg, kid: 'k1' })}.${base64url(claims)}`;
    return `${text}.${alg === 'none' ? '' : sign(null, Buffer.from(text), privateKey).toString('base64url')}`;
  };
  await until('the token counts', async () => (await get('/v1/models', token())).status === 200);
  await until('the rival is known', async () => (await get('/v1/models', rival)).status === 200);
  const id = (await chat(edge.url)).headers.get('perigee-receipt');
  assert.equal((await get(`/v1/receipts/${id}`, token())).status, 200, 'of its own tenant');
  for (const [path, key, status, said] of [
    ['/v1/models', token({}, 'none'), 401, /algorithm/],
    ['/v1/models', token({ aud: 'elsewhere' }), 401, /audience/],
    ['/v1/models', token({ exp: Math.floor(Date.now() / 1000) - 120 }), 401, /expired/],
    ['/v1/models', `${token().slice(0, -8)}AAAAAAAA`, 401, /signature/],
    [`/v1/receipts/${id}`, rival, 404, /no such receipt of yours/],
    ['/grid/v1/status', grid.key, 403, /operator's key/],
    ['/grid/v1/log', grid.key, 403, /site's credential/],
  ]) {
    const refused = await get(path, key);
    assert.equal(refused.status, status, `${path}: ${refused.body}`);
    const { message } = JSON.parse(refused.body).error;
    assert.match(message, said);
    assert.equal(message.split('\n').length, 1);
  }
});

test('a site whose own law is another than the directory says runs nothing that is bound to one, by TLS', async () => {
  stub.on('french', good);
  const site = await grid.addSite('abroad', { engines: [{ ...stub.engine('french'), slots: 4 }] });
  await stop(site.child);
  const file = join(site.folder, 'site.toml');
  writeFileSync(file, readFileSync(file, 'utf8').replace('jurisdiction = "de"', 'jurisdiction = "fr"'));
  site.child = start(PERIGEE, ['site', '--config', file], join(site.folder, 'log2'));
  await until('another site lets it serve what no law binds', async () => (await chat(edge.url, 'french')).ok, { child: site.child });
  const open = await chat(edge.url, 'french');
  const { receipt: text } = await receipt(edge, open.headers.get('perigee-receipt'));
  assert.match(text, /^jurisdiction: fr$/m, 'the site signs its own word, not the directory\'s');
  const served = stub.of('french').length;
  const { ca } = edge.certificate();
  const bound = { 'perigee-jurisdictions': 'de', 'content-type': 'application/json' };
  const there = await callSecurely(`${site.secure}/v1/chat/completions`, { ca, key: grid.key, method: 'POST', headers: bound,
    body: JSON.stringify({ model: 'french', messages }) });
  assert.equal(there.status, 403, there.body);
  assert.equal(JSON.parse(there.body).error.code, 'data_residency_mismatch');
  const hopped = await chat(edge.url, 'french', bound); // edge believes the directory: the serving site has the last word
  assert.notEqual(hopped.status, 200);
  assert.equal((await hopped.json()).error.message.split('\n').length, 1);
  assert.equal(stub.of('french').length, served, 'no prompt came to an engine under another law');
});

test('members of other authorities, and nobody\'s certificates, are refused', async () => {
  const other = await TlsGrid.start();
  try {
    const stranger = await other.addSite('metro');
    await assert.rejects(callSecurely(`${metro.secure}/healthz`, { as: { ...stranger.certificate(), ca: edge.certificate().ca } }),
      /alert|ECONNRESET|EPIPE/);
    await assert.rejects(callSecurely(`${metro.secure}/healthz`, { as: { ca: edge.certificate().ca } }),
      /alert|ECONNRESET|EPIPE/);
    await until('the site says why', () => readFileSync(join(metro.folder, 'log'), 'utf8')
      .includes('not of an authority that is trusted here'));
  } finally {
    await other.stop();
  }
  assert.ok(alive(metro.child));
});

test('members speak TLS 1.3 only', async () => {
  await assert.rejects(callSecurely(`${metro.secure}/healthz`, { as: edge.certificate(), maxVersion: 'TLSv1.2' }),
    /alert|protocol|version/i);
});

test('`cert status` tells whose certificate it is and until when', () => {
  const { certificates } = JSON.parse(grid.perigee('cert', 'status', '--config', join(edge.folder, 'site.toml'), '-o', 'json'));
  const member = certificates.find(({ use }) => use === 'member');
  assert.equal(member.id, 'spiffe://acme/site/edge');
  assert.ok(member.good && new Date(member.renewal) < new Date(member.not_after));
  assert.ok(certificates.some(({ use, id }) => use === 'authority' && id === 'spiffe://acme'));
  assert.match(grid.perigee('cert', 'status', '--config', join(edge.folder, 'site.toml')), /good/);
});

test('plain HTTP off loopback is told to use https', async (context) => {
  const address = Object.values(networkInterfaces()).flat().find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
  if (!address) return context.skip('this machine has no address beyond loopback');
  const port = await freePort();
  const open = await grid.addSite('open', { toml: `[log]\nlevel = "info"\n` });
  const file = join(open.folder, 'site.toml');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/listen = .*/, `listen = "0.0.0.0:${port}"`));
  await stop(open.child);
  const child = start(PERIGEE, ['site', '--config', file], join(open.folder, 'log2'));
  await until('it listens', async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok, { child });
  const refused = await fetch(`http://${address}:${port}/healthz`);
  assert.equal(refused.status, 400);
  assert.match((await refused.json()).error.message, /use https/);
  await stop(child);
});

test('the audit log names the address of who made a change, and the member that it was', async () => {
  grid.perigee('tenants', 'create', 'audited');
  const plain = await fetch(`http://127.0.0.1:${grid.port}/control/v1/tenants/plainly`, { method: 'PUT', body: '{}',
    headers: { authorization: `Bearer ${readFileSync(join(grid.state, 'operator.key'), 'utf8').trim()}` } });
  assert.equal(plain.status, 201);
  const log = join(grid.state, 'audit.log');
  const lines = grid.perigee('audit', 'list', log, '-o', 'json').trim().split('\n').map(JSON.parse);
  const from = (name) => lines.find((line) => line.name === name).from;
  assert.match(from('audited'), /^127\.0\.0\.1:\d+$/);
  assert.equal(from('plainly'), 'loopback');
  assert.match(grid.perigee('audit', 'list', log), /127\.0\.0\.1:\d+ +put tenant +audited/);
  assert.match(grid.perigee('audit', 'verify', log), /Verified/);
});

test('a removed site is refused at once and its connections end', async () => {
  // It says a word ten times a second, for half a minute if nobody stops it.
  stub.on('held', (json, response, record) => {
    if (!json.stream) return good(json, response);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let words = 0;
    const timer = setInterval(() => {
      if (words++ < 300) return response.write(event(chunk('word ')));
      clearInterval(timer);
      response.end('data: [DONE]\n\n');
    }, 100);
    record.left.then(() => clearInterval(timer));
  });
  const gone = await grid.addSite('gone', { engines: [stub.engine('held')] });
  assert.equal((await chatWhenReady(edge, 'held', grid.key)).headers.get('perigee-site'), 'gone');
  const held = await fetch(`${edge.url}/v1/chat/completions`, { method: 'POST', ...bearer(grid.key),
    body: JSON.stringify({ model: 'held', stream: true, messages }) });
  assert.equal(held.headers.get('perigee-site'), 'gone');
  const ask = () => callSecurely(`${metro.secure}/grid/v1/digest`, { method: 'POST', body: digest('gone'),
    key: gone.credential, as: gone.certificate() });
  await until('metro knows it', async () => (await ask()).status === 200);
  grid.perigee('sites', 'remove', 'gone');
  await until('it is refused', async () => (await ask()).status === 401, { seconds: 3 });
  assert.match(JSON.parse((await ask()).body).error.message, /unknown API key: it was removed/);
  const atControl = await callSecurely(`${grid.url}/control/v1/renew`, { method: 'POST', body: '{}',
    key: gone.credential, as: gone.certificate() });
  assert.equal(atControl.status, 401);
  // Nothing more that it says is passed on, and nobody else has the model.
  const text = await held.text();
  assert.match(text, /word/);
  assert.match(text, /"error":/);
  assert.doesNotMatch(text, /\[DONE\]/);
  assert.ok(await stub.of('held').at(-1).left, 'its own engine is let go');
});

test('the operator\'s certificate is for clients, and a changed file is taken without a restart', async () => {
  const folder = join(grid.folder, 'public');
  execFileSync('mkdir', [folder]);
  const make = (name) => {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
      '-keyout', `${folder}/${name}.key`, '-out', `${folder}/${name}.pem`, '-subj', `/CN=${name}`,
      '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
    return readFileSync(`${folder}/${name}.pem`, 'utf8');
  };
  const first = make('first');
  const second = make('second');
  const install = (name) => {
    for (const kind of ['key', 'pem']) {
      writeFileSync(`${folder}/new`, readFileSync(`${folder}/${name}.${kind}`));
      renameSync(`${folder}/new`, `${folder}/shown.${kind}`);
    }
  };
  install('first');
  const site = await grid.addSite('public-site', { toml: '' });
  const file = join(site.folder, 'site.toml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('[tls]\n',
    `[tls]\npublic_certificate = "${folder}/shown.pem"\npublic_key = "${folder}/shown.key"\n`));
  const port = await freePort();
  writeFileSync(file, readFileSync(file, 'utf8').replace(/listen = .*/, `listen = "127.0.0.1:${port}"`));
  await stop(site.child);
  const child = start(PERIGEE, ['site', '--config', file], join(site.folder, 'log2'));
  const url = `https://127.0.0.1:${port}/healthz`;
  const shown = async (options) => (await callSecurely(url, options)).certificate.subject.CN;
  await until('it shows the first', async () => (await shown({ ca: first })) === 'first', { child });
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    assert.equal(await shown({ ca: first, minVersion: version, maxVersion: version }), 'first');
  }
  assert.equal((await callSecurely(url, { as: edge.certificate() })).certificate.subjectaltname.includes('spiffe://acme/site/public-site'), true);
  writeFileSync(`${folder}/shown.pem`, 'half a file');
  install('second');
  await until('it shows the second', async () => (await shown({ ca: second })) === 'second', { seconds: 5, child });
  execFileSync(join(SOURCE, 'test/tls/scan'), [`127.0.0.1:${port}`, kMemberServerName], { encoding: 'utf8' });
  await stop(child);
});

test('certificates are renewed at half of their life under streams, none of which is dropped', async () => {
  const short = await TlsGrid.start({ lifetime: '20s' });
  stub.on('slow', (json, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let sent = 0;
    const timer = setInterval(() => {
      response.write(event(chunk(`t${sent} `, sent === 70 ? 'stop' : null)));
      if (sent++ < 70) return;
      clearInterval(timer);
      response.end('data: [DONE]\n\n');
    }, 200);
  });
  try {
    const server = await short.addSite('server', { engines: [stub.engine('slow'), stub.engine('quick')] });
    const ingress = await short.addSite('ingress');
    await until('ingress knows server', async () => (await fetch(`${ingress.url}/readyz`)).ok);
    const serial = () => new X509Certificate(readFileSync(join(server.folder, 'tls/certificate.pem'))).serialNumber;
    const before = serial();
    // A receipt from the life of each certificate.
    stub.on('quick', good);
    const ask = async () => {
      const id = (await chatWhenReady(server, 'quick', short.key)).headers.get('perigee-receipt');
      return (await fetch(`${ingress.url}/v1/receipts/${id}`, bearer(short.key))).json();
    };
    const older = await ask();
    const one = async () => {
      const response = await fetch(`${ingress.url}/v1/chat/completions`, { method: 'POST',
        headers: { authorization: `Bearer ${short.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'slow', messages, stream: true }) });
      const whole = response.text().then((text) => {
        assert.equal(response.headers.get('perigee-site'), 'server', text);
        assert.ok(text.includes('"t70 "') && text.trimEnd().endsWith('data: [DONE]'), text.slice(-300));
      });
      whole.catch(() => {}); // looked at once all have begun
      return [whole];
    };
    // Begun a few at a time: how many handshakes a site makes in five seconds is not what is asked here.
    const streams = [];
    for (let i = 0; i < 10; ++i) streams.push(...(await Promise.all(Array.from({ length: 20 }, one))).flat());
    await Promise.all(streams);
    assert.notEqual(serial(), before, 'the certificate was renewed meanwhile');
    const newer = await ask();
    assert.notEqual(older.certificates[0], newer.certificates[0]);
    for (const evidence of [older, newer]) {
      short.perigee('receipt', 'verify', stored(evidence), '--ca', short.caFile);
    }
    const log = readFileSync(join(server.folder, 'log'), 'utf8');
    assert.match(log, /certificate loaded/);
  } finally {
    await short.stop();
  }
});
