// A site is stopped while its disk takes nothing: what it could not store is lost, and its exit status says so.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Grid } from './support/grid.js';
import { stop, until } from './support/process.js';
import { StubEngine, good } from './support/stub_engine.js';

let stub;
let grid;
let site;
before(async () => {
  stub = await StubEngine.start();
  stub.on('quick', good);
  grid = await Grid.start();
  site = await grid.addSite('metro', { engines: [stub.engine('quick')] });
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

const spare = () => join(grid.folder, 'metro', 'state', 'usage.db.spare');
const ask = () => fetch(`${site.url}/v1/chat/completions`, {
  method: 'POST',
  headers: { authorization: `Bearer ${grid.key}`, 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'quick', messages: [{ role: 'user', content: 'hi' }] }) });

test('a clean stop that loses records has exit status 1, and the next one 0', async () => {
  await until('it is served', async () => (await ask()).ok);
  assert.ok(existsSync(spare()));
  await stop(site.child);
  assert.equal(site.child.exitCode, 0);
  assert.ok(existsSync(spare()), 'a disk that takes all leaves it');

  // A limit on the size of files, unlike a full disk, takes nothing even where there is room again.
  const command = ['sh', '-c', `trap '' XFSZ && exec "$0" "$@"`, ...site.command];
  const full = await grid.restart({ ...site, command });
  await until('it is served again', async () => (await ask()).ok);
  execFileSync('prlimit', ['--pid', `${full.child.pid}`, '--fsize=0']);
  assert.ok((await ask()).ok);
  await stop(full.child);
  assert.equal(full.child.exitCode, 1);
  assert.ok(!existsSync(spare()), 'it was given up');

  const again = await grid.restart(site);
  assert.ok(existsSync(spare()));
  await stop(again.child);
  assert.equal(again.child.exitCode, 0);
});
