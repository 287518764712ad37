// SIGKILL to an engine, and to a site, while requests go on: no answer fails, whole or streamed. The
// client does not retry: the grid does.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { Demo } from './support/grid.js';
import { childrenOf, until } from './support/process.js';

let demo;
before(async () => {
  demo = await Demo.start();
});
after(() => demo?.stop());

// Requests without pause from several workers until stop(): who served, what failed.
class Load {
  served = [];
  failures = [];
  #going = true;

  constructor(ingress, workers) {
    const client = new OpenAI({ baseURL: `${ingress.url}/v1`, apiKey: demo.key, maxRetries: 0 });
    this.workers = Array.from({ length: workers }, (_, i) => this.#work(client, i % 2 === 1, i));
  }

  async #work(client, stream, worker) {
    for (let turn = 0; this.#going; ++turn) {
      const request = {
        model: demo.model, stream, max_tokens: 24, seed: worker * 1000 + turn,
        messages: [{ role: 'user', content: `What is a site? (${worker}.${turn})` }] };
      try {
        const { data, response } = await client.chat.completions.create(request).withResponse();
        if (stream) for await (const piece of data) assert.ok(piece);
        this.served.push(response.headers.get('perigee-site'));
      } catch (error) {
        this.failures.push(`${stream ? 'stream' : 'whole'}: ${error}`);
      }
    }
  }

  // Resolves when `count` more answers have come.
  more(count) {
    const goal = this.served.length + count;
    return until(`${count} more answers`, () => this.served.length >= goal, { seconds: 60 });
  }

  async stop() {
    this.#going = false;
    await Promise.all(this.workers);
  }
}

const busiest = (names) => {
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0][0];
};

test('an engine is killed while requests go on', async () => {
  const load = new Load(demo.site('cell-potsdam'), 6);
  await load.more(20);
  const name = busiest(load.served);
  const engines = childrenOf(demo.site(name).pid, 'engine');
  assert.ok(engines.length > 0, `${name} has no engine process`);
  process.kill(engines[0], 'SIGKILL');
  await load.more(40);
  await load.stop();
  assert.deepEqual(load.failures, []);
  await until('the engine is back', async () => {
    const { engines: now } = await demo.status(name);
    return now.every(({ state }) => state === 'ready') && now.some(({ restarts }) => restarts > 0);
  }, { seconds: 30 });
});

test('an engine that stands still is killed and started again, though nobody asks it anything', async () => {
  const { name, pid } = demo.read().sites.find((site) => childrenOf(site.pid, 'engine').length > 0);
  const [engine] = childrenOf(pid, 'engine');
  process.kill(engine, 'SIGSTOP');
  await until('it is killed', () => !childrenOf(pid, 'engine').includes(engine), { seconds: 25 });
  await until('there is another', async () => {
    const { engines } = await demo.status(name);
    return childrenOf(pid, 'engine').length > 0 && engines.every(({ state }) => state === 'ready');
  }, { seconds: 60 });
});

test('a site is killed while requests go on', async () => {
  const ingress = demo.site('cell-strasbourg');
  const load = new Load(ingress, 6);
  await load.more(20);
  const name = busiest(load.served);
  assert.notEqual(name, ingress.name);
  const { pid } = demo.site(name);
  process.kill(pid, 'SIGKILL');
  const before = load.served.length;
  await load.more(40);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.notEqual(busiest(load.served.slice(before + 6)), name);
});
