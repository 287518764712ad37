// Ten thousand streams whose clients leave, or as many as two minutes allow: each frees its engine's
// slot at once, and nothing is left of them: no descriptor, no memory, no running stream, and a usage
// record of each.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from 'node:net';
import { join } from 'node:path';
import { readFileSync, readdirSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { Grid } from './support/grid.js';
import { until } from './support/process.js';
import { StubEngine, chunk, event } from './support/stub_engine.js';

const ABORTS = 10_000;
const SECONDS_MAX = 120;
const WARM_UP = 1_000;
const AT_ONCE = 32;
const GROWTH_KB_MAX = 8 * 1024;

let stub;
let grid;
let site;
const left = new Map(); // by number: told when the engine's connection has closed
let freed = [];         // milliseconds from the client's leaving to the engine's being told

before(async () => {
  stub = await StubEngine.start();
  stub.on('endless', (json, response, record) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(event(chunk('more ')));
    record.left.then((early) => left.get(json.messages[0].content)?.(early));
    stub.requests.length = 0;
  });
  grid = await Grid.start();
  site = await grid.addSite('metro', { engines: [stub.engine('endless')] });
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

function abortOne(number) {
  const { hostname, port } = new URL(site.url);
  const body = JSON.stringify({ model: 'endless', messages: [{ role: 'user', content: String(number) }], stream: true });
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let begun;
    left.set(String(number), (early) => {
      left.delete(String(number));
      freed.push(performance.now() - begun);
      if (early) resolve();
      else reject(new Error('the engine ended the stream itself'));
    });
    socket.on('error', reject);
    let text = '';
    socket.on('data', (data) => {
      text += data;
      if (!text.includes('data: ')) return;
      begun = performance.now();
      socket.destroy();
    });
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${grid.key}\r\n` +
      `content-length: ${body.length}\r\n\r\n${body}`);
  });
}

// Gives how many there were.
async function abortMany(count, from) {
  let next = from;
  const end = Date.now() + SECONDS_MAX * 1000;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < from + count && Date.now() < end) await abortOne(next++);
  }));
  await until('no stream runs', async () => (await grid.status(site)).streams === 0);
  return next - from;
}

const descriptors = () => readdirSync(`/proc/${site.child.pid}/fd`).length;
const memoryKb = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${site.child.pid}/status`, 'utf8'))[1]);
const records = () => {
  const database = new DatabaseSync(join(grid.folder, 'metro', 'state', 'usage.db'), { readOnly: true });
  const [row] = database.prepare("SELECT count(*) AS n FROM usage WHERE outcome = 'abandoned'").all();
  database.close();
  return row.n;
};

test('ten thousand aborts leave nothing behind', async (t) => {
  const warm = await abortMany(WARM_UP, 0);
  const before = { descriptors: descriptors(), memory: memoryKb() };
  freed = [];
  const start = performance.now();
  const aborts = await abortMany(ABORTS, WARM_UP);
  const seconds = (performance.now() - start) / 1000;
  await until('every record is stored', () => records() === warm + aborts);
  await until('its descriptors are closed', () => descriptors() <= before.descriptors + 2);
  const grown = memoryKb() - before.memory;
  assert.ok(grown < GROWTH_KB_MAX, `${grown} KB more after ${aborts} aborts`);
  freed.sort((a, b) => a - b);
  const at = (share) => freed[Math.floor(share * (freed.length - 1))].toFixed(1);
  t.diagnostic(`${aborts} aborts in ${seconds.toFixed(1)} s, ${AT_ONCE} at once; memory ${grown} KB more; ` +
    `engine freed after ${at(0.5)} ms (median), ${at(0.99)} ms (99th percentile)`);
  freed = [];
  for (let i = 0; i < 200; ++i) await abortOne(`alone ${i}`);
  freed.sort((a, b) => a - b);
  t.diagnostic(`one at a time: engine freed after ${at(0.5)} ms (median), ${at(0.99)} ms (99th percentile)`);
});
