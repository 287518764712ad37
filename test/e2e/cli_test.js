// The command line as its users call it, against a running demo: what it prints for programs, what it
// says when something is wrong, and its exit status (0 ok, 1 error, 2 usage, 3 degraded).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Demo } from './support/grid.js';
import { PERIGEE, until } from './support/process.js';

let demo;
before(async () => {
  demo = await Demo.start();
});
after(() => demo?.stop());

// Runs `perigee ARGS` to its end.
function perigee(args, { input = '', env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(PERIGEE, args, {
      env: { PATH: process.env.PATH, XDG_RUNTIME_DIR: demo.folder, ...env } });
    let out = '';
    let err = '';
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (err += data));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, out, err }));
    child.stdin.on('error', () => {}); // it may have ended without reading
    child.stdin.end(input);
  });
}

async function json(args, options) {
  const { status, out, err } = await perigee([...args, '-o', 'json'], options);
  assert.equal(status, 0, err);
  assert.equal(err, '');
  return JSON.parse(out);
}

async function fails(args, status, pattern, options) {
  const ended = await perigee(args, options);
  assert.equal(ended.status, status, `${args.join(' ')}: ${ended.out}${ended.err}`);
  assert.match(ended.err, pattern);
}

const bearer = (key) => ({ authorization: `Bearer ${key}` });

test('status is a table for people and one object for programs', async () => {
  const out = await until('all are up', async () => {
    const { status, out: table } = await perigee(['status']);
    return status === 0 && table;
  });
  assert.match(out, /^SITE +TIER +LAW +STATE/);
  assert.ok(!out.includes('\x1b'), 'no colour off a terminal');
  const { degraded, sites } = await until('programs are told the same', () => json(['status']));
  assert.equal(degraded, false);
  assert.equal(sites.length, 6);
  assert.ok(sites.every(({ state }) => state === 'up'));
});

test('sites, models and tenants are listed and shown', async () => {
  const { data: sites } = await json(['sites', 'list']);
  assert.deepEqual(sites.map(({ name }) => name).sort(), demo.read().sites.map(({ name }) => name).sort());
  assert.equal((await json(['sites', 'show', 'metro-paris'])).jurisdiction, 'fr');
  const { data: models } = await json(['models', 'list']);
  assert.equal(models[0].name, demo.model);
  const { data: tenants } = await json(['tenants', 'list']);
  assert.ok(tenants.length >= 1);
});

test('a key is made, works at every site, is listed without its text, and is revoked', async () => {
  await perigee(['tenants', 'create', 'cli-test', '--display-name', 'CLI', '-o', 'json']);
  const made = await json(['keys', 'create', '--tenant', 'cli-test', '--label', 'test', '--expires-in', '1h']);
  assert.match(made.key, /^pgk_live_/);
  const asks = (name) => fetch(`${demo.site(name).url}/v1/models`, { headers: bearer(made.key) });
  for (const { name } of demo.read().sites) {
    await until(`${name} knows the key`, async () => (await asks(name)).status === 200);
  }
  const listed = await perigee(['keys', 'list', '--tenant', 'cli-test', '-o', 'json']);
  assert.ok(!listed.out.includes(made.key), 'a key is shown once');
  assert.equal((await perigee(['keys', 'revoke', made.id])).status, 0);
  for (const { name } of demo.read().sites) {
    await until(`${name} refuses the key`, async () => (await asks(name)).status === 401);
  }
});

test('a suspended tenant is refused and taken back', async () => {
  await perigee(['tenants', 'create', 'cli-late']);
  const { key } = await json(['keys', 'create', '--tenant', 'cli-late']);
  const asks = () => fetch(`${demo.site('metro-paris').url}/v1/models`, { headers: bearer(key) });
  await until('the key works', async () => (await asks()).status === 200);
  assert.equal((await perigee(['tenants', 'suspend', 'cli-late'])).status, 0);
  await until('the tenant is refused', async () => [401, 403].includes((await asks()).status));
  assert.equal((await perigee(['tenants', 'resume', 'cli-late'])).status, 0);
  await until('the key works again', async () => (await asks()).status === 200);
});

test('route explain names every candidate; the law excludes, and nowhere is exit 3', async () => {
  const explained = await json(['route', 'explain', '--site', 'cell-strasbourg', '--jurisdictions', 'de']);
  const allowed = explained.candidates.filter(({ rejection }) => !rejection || rejection === 'none');
  assert.ok(allowed.length > 0);
  assert.ok(allowed.every(({ site }) => demo.site(site).jurisdiction === 'de'), JSON.stringify(allowed));
  assert.ok(explained.candidates.some(({ rejection }) => rejection === 'jurisdiction'));
  const nowhere = await perigee(['route', 'explain', '--jurisdictions', 'jp']);
  assert.equal(nowhere.status, 3, nowhere.out + nowhere.err);
});

test('chat answers a question, reads a pipe, and says where it ran', async () => {
  const asked = await json(['chat', '--max-tokens', '12', 'What is a site?']);
  const piped = await json(['chat', '--max-tokens', '12'], { input: 'What is a site?' });
  assert.ok(demo.site(asked.site), JSON.stringify(asked));
  assert.equal(piped.text, asked.text);
});

test('a drained site is shown as such, gets no work, and comes back', async () => {
  assert.equal((await perigee(['sites', 'drain', 'core-marseille', '--no-wait'])).status, 0);
  const waited = await perigee(['site', 'drain', 'core-marseille', '--wait', '-o', 'json']);
  assert.equal(waited.status, 0, waited.err);
  assert.equal(JSON.parse(waited.out).empty, true);
  const stateOf = async () => {
    const { out } = await perigee(['status', '-o', 'json']);
    return JSON.parse(out).sites.find(({ name }) => name === 'core-marseille').state;
  };
  await until('it is drained', async () => (await stateOf()) === 'drained');
  await until('nobody plans it', async () => {
    const { candidates } = await json(['route', 'explain', '--site', 'cell-strasbourg']);
    return candidates.find(({ site }) => site === 'core-marseille')?.rejection === 'drained';
  });
  assert.equal((await perigee(['sites', 'undrain', 'core-marseille'])).status, 0);
  await until('it is up', async () => (await stateOf()) === 'up');
});

test('usage adds up what was asked', async () => {
  const asked = await json(['chat', 'What is a site?', '--site', 'metro-paris']);
  assert.ok(asked);
  await until('it is delivered', async () =>
    (await json(['usage', '--by', 'ingress', '--tenant', 'demo'])).data
      .some(({ ingress, completed }) => ingress === 'metro-paris' && completed > 0));
  assert.match((await perigee(['usage'])).out, /TENANT +MODEL +REQUESTS/);
  await fails(['usage', '--by', 'weather'], 1, /tenant, model, site/);
  await fails(['weather'], 2, /no command 'weather'; it has .*\bsim\b/);
  await fails(['keys', 'weather'], 2, /keys has no command 'weather'; it has .*\brevoke\b/);
  await fails(['demo', '--kill', 'a', '--heal'], 2, /exclude/i);
  await fails(['sim', '--seed', '-1', 'mixed-gpus'], 2, /--seed/);
  await fails(['sim', '--policy', 'nearest', 'no-such-scenario'], 1, /no-such-scenario/);
  await fails(['sim', '/'], 1, /is a directory/);
});

test('what is wrong is said in one line with what to do next', async () => {
  await fails(['sites', 'show', 'nowhere'], 1, /nowhere/);
  await fails(['keys', 'create', '--tenant', 'nobody'], 1, /nobody/);
  await fails(['keys', 'revoke', 'key_none'], 1, /key_none|no such key/i);
  await fails(['status', '--control', 'http://127.0.0.1:1'], 1, /127\.0\.0\.1:1/);
  await fails(['status'], 1, /perigee demo|PERIGEE_CONTROL_URL/, { env: { XDG_RUNTIME_DIR: '/nonexistent' } });
  await fails(['chat', '--key-file', '/nonexistent', 'x'], 1, /\/nonexistent/);
});

test('wrong words are exit 2 and show the way to help', async () => {
  for (const args of [['stauts'], ['keys'], ['keys', 'create'], ['chat', '--temperature', '9', 'x'],
    ['status', '-o', 'xml'], ['demo', '--sites', '2'], ['sites', 'show'], ['demo', '--cut', 'a']]) {
    await fails(args, 2, /help|Run with|required|must|expected|not in|between|takes/i);
  }
  await fails(['engine', '--model', 'm.gguf', '--name', 'm', '--listen', '127.0.0.1:8200', '--slots', '64', '--batch', '32'], 2,
    /--batch 32 is less than --slots 64: .*raise --batch or lower --slots/);
});

test('a site file is checked without a start', async () => {
  const file = join(demo.folder, 'site.toml');
  writeFileSync(file, '[site]\nname = "A"\n');
  await fails(['site', '--config', file, '--check'], 1, /site\.toml:2: site\.name: expected/);
  writeFileSync(file, '[site]\nname = "a"\nstate_dir = "a"\n[control]\nurl = "http://127.0.0.1:7000"\nkey_file = "a.key"\n');
  await fails(['site', '--config', file, '--check'], 1, /can't read the site's key .*a\.key; join the grid first/);
});

test('completions are shell that parses', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { status, out } = await perigee(['completion', shell]);
    assert.equal(status, 0);
    assert.match(out, /explain/);
    if (shell !== 'bash') continue;
    const checked = spawn('bash', ['-n'], { stdio: ['pipe', 'ignore', 'inherit'] });
    checked.stdin.end(out);
    assert.equal(await new Promise((resolve) => checked.on('close', resolve)), 0);
  }
});

test('version prints one line, and an object for programs', async () => {
  const { status, out } = await perigee(['version']);
  assert.equal(status, 0);
  assert.match(out, /^perigee \d+\.\d+\.\d+/);
  assert.match((await json(['version'])).version, /^\d+\.\d+\.\d+/);
});

test('a killed site makes the status degraded: exit 3, and only that site is down', async () => {
  assert.equal((await perigee(['demo', '--kill', 'regional-frankfurt'])).status, 0);
  await until('it alone is down', async () => {
    const { status, out } = await perigee(['status', '-o', 'json']);
    const others = JSON.parse(out).sites.filter(({ state }) => state !== 'up');
    return status === 3 && others.map(({ name, state }) => `${name} ${state}`).join() === 'regional-frankfurt down';
  });
  assert.equal((await perigee(['demo', '--start', 'regional-frankfurt'])).status, 0);
  await until('all are up', async () => (await perigee(['status'])).status === 0, { seconds: 60 });
});
