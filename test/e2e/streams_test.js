// A thousand streams at once through one site: none is lost, none is mixed up.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { request as httpRequest, Agent } from 'node:http';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Grid } from './support/grid.js';
import { PERIGEE, alive, freePort, start, stop, until } from './support/process.js';
import { StubEngine, chunk, event } from './support/stub_engine.js';

const kStreams = 1000;
const kChunks = 20;

let stub;
let grid;
let site;
let waiting = [];
const release = () => waiting.splice(0).forEach((go) => go());

before(async () => {
  stub = await StubEngine.start();
  // Every stream begins with one chunk; none goes on until all have begun.
  stub.on('stub', async (json, response) => {
    const mark = json.messages[0].content;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(event(chunk(`${mark}:0 `)));
    await new Promise((resolve) => {
      waiting.push(resolve);
      if (waiting.length === kStreams) release();
    });
    for (let i = 1; i < kChunks; ++i) {
      response.write(event(chunk(`${mark}:${i} `)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.write(event(chunk(null, 'stop')));
    response.end('data: [DONE]\n\n');
  });
  grid = await Grid.start();
  site = await grid.addSite('metro', { engines: [stub.engine('stub')] });
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

function stream(agent, mark) {
  const body = JSON.stringify({ model: 'stub', stream: true, messages: [{ role: 'user', content: mark }] });
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${site.url}/v1/chat/completions`, {
      method: 'POST', agent,
      headers: { authorization: `Bearer ${grid.key}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    }, async (response) => {
      try {
        let text = '';
        for await (const piece of response.setEncoding('utf8')) text += piece;
        resolve({ status: response.statusCode, text });
      } catch (error) {
        reject(error);
      }
    });
    request.on('error', reject);
    request.end(body);
  });
}

test(`${kStreams} streams at once, none lost`, { timeout: 120_000 }, async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  const marks = Array.from({ length: kStreams }, (_, i) => `stream-${i}`);
  const answers = await Promise.all(marks.map((mark) => stream(agent, mark)
    .catch((error) => ({ status: 0, text: String(error) }))
    .then((answer) => {
      if (answer.status !== 200) release(); // the others need not wait for a lost one
      return answer;
    })));
  agent.destroy();
  const wrong = new Map(); // what went wrong: how often
  answers.forEach(({ status, text }, i) => {
    const data = text.split('\n\n').filter((part) => part.startsWith('data: ')).map((part) => part.slice(6));
    const said = data.slice(0, -1).map((part) => JSON.parse(part).choices?.[0]?.delta.content ?? '').join('');
    const expected = Array.from({ length: kChunks }, (_, n) => `${marks[i]}:${n} `).join('');
    if (status === 200 && said === expected && data.at(-1) === '[DONE]') return;
    const what = `${status} ${text.slice(-300).replaceAll(marks[i], 'MARK')}`;
    wrong.set(what, (wrong.get(what) ?? 0) + 1);
  });
  assert.deepEqual([...wrong], []);
  assert.ok(alive(site.child));
  await until('the site counts no stream', async () => (await grid.status(site)).streams === 0, { seconds: 10 });
});

test(`${kStreams} streams at once, three times over, from the load generator`, { timeout: 120_000 }, async () => {
  const port = await freePort();
  const engine = start(join(dirname(PERIGEE), 'perigee_stub_engine'),
    ['--listen', `127.0.0.1:${port}`, '--model', 'bulk', '--chunks', '20', '--interval-ms', '100'],
    join(grid.folder, 'stub.log'));
  try {
    await until('the stub listens', async () => (await fetch(`http://127.0.0.1:${port}/v1/models`)).ok, { child: engine });
    const bulk = await grid.addSite('regional', {
      engines: [{ name: 'bulk', url: `http://127.0.0.1:${port}/v1`, model: 'bulk' }] });
    const { stdout } = await promisify(execFile)(join(dirname(PERIGEE), 'perigee_load'),
      ['--url', bulk.url, '--key', grid.key, '--model', 'bulk', '--stream', '--chunks', '20',
        '-c', `${kStreams}`, '-n', `${3 * kStreams}`, '-o', 'json'])
      .catch((error) => assert.fail(`${error.message} ${error.stdout} ${error.stderr}`));
    const result = JSON.parse(stdout);
    assert.equal(result.completed, 3 * kStreams);
    assert.equal(result.failed, 0);
    assert.equal(result.lost_streams, 0);
    assert.ok(alive(bulk.child));
  } finally {
    await stop(engine);
  }
});
