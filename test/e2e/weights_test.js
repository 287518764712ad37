// Weights are loaded only if they are those that were meant: an engine as an operator starts it, and
// a signature as an operator makes it, with openssl.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { PERIGEE, SOURCE, freePort, start, stop, temporaryFolder, until } from './support/process.js';

const folder = temporaryFolder();
const model = join(folder, 'model.gguf');
const at = (name) => join(folder, name);
const openssl = (...args) => execFileSync('openssl', args, { cwd: folder });

// The commands of docs/engine.md.
function sign() {
  execFileSync('sh', ['-c', 'sha256sum model.gguf | head -c 64 >digest'], { cwd: folder });
  openssl('pkeyutl', '-sign', '-rawin', '-inkey', 'private.pem', '-in', 'digest', '-out', 'model.gguf.sig');
}

const command = (...more) => ['engine', '--model', model, '--name', 'demo', '--listen', `unix:${at('engine.sock')}`, ...more];

// The one line of an engine that ends by itself.
function refused(...more) {
  const { status, stderr } = spawnSync(PERIGEE, command(...more), { encoding: 'utf8', timeout: 60_000 });
  const lines = stderr.trim().split('\n');
  assert.equal(status, 1, stderr);
  assert.equal(lines.length, 1, stderr);
  return lines[0];
}

before(() => {
  copyFileSync(join(SOURCE, 'models/perigee-demo.gguf'), model);
  openssl('genpkey', '-algorithm', 'ed25519', '-out', 'private.pem');
  openssl('pkey', '-in', 'private.pem', '-pubout', '-out', 'models.pem');
  sign();
});

test('signed weights are served', async () => {
  const port = await freePort();
  const args = ['engine', '--model', model, '--name', 'demo', '--listen', `127.0.0.1:${port}`, '--public-key', at('models.pem'),
    '--sha256', readFileSync(at('digest'), 'utf8')];
  const child = start(PERIGEE, args, at('log'));
  await until('the engine is ready', async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok, { child });
  await stop(child);
});

test('weights that another key signed, or none, are refused', () => {
  openssl('genpkey', '-algorithm', 'ed25519', '-out', 'other.pem');
  openssl('pkey', '-in', 'other.pem', '-pubout', '-out', 'others.pem');
  assert.match(refused('--public-key', at('others.pem')), /not the file that was signed, or not by the owner of .*others\.pem/);
  assert.match(refused('--public-key', at('models.pem'), '--signature', at('missing')), /is not signed: can't read .*missing/);
  writeFileSync(at('half'), readFileSync(`${model}.sig`).subarray(0, 32));
  assert.match(refused('--public-key', at('models.pem'), '--signature', at('half')), /must be the 64 bytes of an Ed25519 signature/);
});

test('weights that were changed after they were signed are refused, and their signature does not say otherwise', () => {
  appendFileSync(model, 'x');
  assert.match(refused('--public-key', at('models.pem')), /is not the file that was signed/);
  assert.match(refused('--sha256', readFileSync(at('digest'), 'utf8')), /is not the file that was meant/);
  sign();
  assert.match(refused('--public-key', at('models.pem'), '--sha256', '0'.repeat(64)), /is not the file that was meant/);
  rmSync(`${model}.sig`);
  assert.match(refused('--public-key', at('models.pem')), /is not signed/);
});

test('a signature without a key to judge it by is a mistake', () => {
  const { status, stderr } = spawnSync(PERIGEE, command('--signature', at('digest')), { encoding: 'utf8' });
  assert.equal(status, 2, stderr);
  assert.match(stderr, /--public-key/);
});
