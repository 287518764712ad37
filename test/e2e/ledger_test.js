// A site is killed (SIGKILL) in the middle of its work: its ledger is whole, every answer that was
// delivered before the last batch has its record, and what was open is settled at the next start.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DatabaseSync } from 'node:sqlite';
import { Grid } from './support/grid.js';
import { PERIGEE, start, until } from './support/process.js';
import { StubEngine, chunk, event, good } from './support/stub_engine.js';

let stub;
let grid;
let site;
before(async () => {
  stub = await StubEngine.start();
  stub.on('quick', good);
  stub.on('endless', async (json, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const more = setInterval(() => response.write(event(chunk(' and'))), 20);
    response.on('close', () => clearInterval(more));
  });
  grid = await Grid.start();
  site = await grid.addSite('metro', { engines: [stub.engine('quick'), stub.engine('endless')] });
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

const file = () => join(grid.folder, 'metro', 'state', 'usage.db');
const ask = (model, stream) => fetch(`${site.url}/v1/chat/completions`, {
  method: 'POST',
  headers: { authorization: `Bearer ${grid.key}`, 'content-type': 'application/json' },
  body: JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'hi' }] }) });
const rows = (sql) => {
  const ledger = new DatabaseSync(file(), { readOnly: true });
  try {
    return ledger.prepare(sql).all();
  } finally {
    ledger.close();
  }
};

test('a ledger survives SIGKILL under load, and what was open is settled', async () => {
  for (const model of ['quick', 'endless']) {
    await until(`${model} is served`, async () => (await ask(model, model === 'endless')).ok);
  }
  const streams = await Promise.all(Array.from({ length: 20 }, () => ask('endless', true)));
  const readers = streams.map((response) => response.text().catch(() => 'cut'));
  await until('the streams are noted', () =>
    rows("SELECT count(*) AS n FROM open_request WHERE model = 'endless' AND completion_tokens > 10")[0].n >= 20);

  let answered = 0;
  let going = true;
  const load = Array.from({ length: 20 }, async () => {
    while (going) {
      try {
        const response = await ask('quick', false);
        if (response.ok && (await response.json()).usage) ++answered;
      } catch {
        going = false; // it was killed
      }
    }
  });
  await until('load', () => answered > 300);
  const before = answered;
  await until('what was answered is stored', () =>
    rows("SELECT count(*) AS n FROM usage WHERE model = 'quick' AND outcome = 'completed'")[0].n >= before);
  process.kill(site.child.pid, 'SIGKILL');
  await Promise.all(load);
  await Promise.all(readers);

  assert.deepEqual(rows('PRAGMA integrity_check').map((row) => Object.values(row)[0]), ['ok']);
  const [{ n: stored }] = rows("SELECT count(*) AS n FROM usage WHERE model = 'quick' AND outcome = 'completed'");
  assert.ok(stored >= before, `${stored} records of ${before} answers`);
  assert.ok(stored <= answered + 21, 'nothing is billed that was not asked');

  site.child = start(PERIGEE, ['site', '--config', join(grid.folder, 'metro', 'site.toml')],
    join(grid.folder, 'metro', 'log'));
  await until('the site is back', async () => (await fetch(`${site.url}/healthz`)).ok, { child: site.child });
  assert.equal(rows('SELECT count(*) AS n FROM open_request')[0].n, 0);
  const endless = rows("SELECT * FROM usage WHERE model = 'endless' AND outcome = 'abandoned' AND completion_tokens > 10");
  assert.ok(endless.length >= 20, `${endless.length} of 20 streams that were cut are billed for what they had`);
  assert.ok(endless.every(({ serving_site: at }) => at === 'metro'));

  // And control gets each once, also what the dead process had shipped already.
  const [{ n: all }] = rows('SELECT count(*) AS n FROM usage');
  await until('control has them all', async () => (await grid.admin('GET', '/usage')).data[0]?.requests >= all);
  assert.equal((await grid.admin('GET', '/usage')).data[0].requests,
    rows('SELECT count(*) AS n FROM usage')[0].n);
});
