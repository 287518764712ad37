// Realtime pre-empts batch at a real engine with one slot: realtime does not wait for long answers,
// and every batch answer goes on by itself and is whole.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { Grid } from './support/grid.js';
import { until } from './support/process.js';

const kBatch = 4;
const kRounds = 3;

let grid;
let site;
let client;
before(async () => {
  grid = await Grid.start();
  site = await grid.addSite('metro', { slots: 1 });
  client = new OpenAI({ baseURL: `${site.url}/v1`, apiKey: grid.key, maxRetries: 0 });
});
after(() => grid?.stop());

let chunks = 0; // of batch answers

async function ask(service_class, question, max_tokens) {
  const stream = await client.chat.completions.create({
    model: 'perigee-demo', stream: true, stream_options: { include_usage: true }, temperature: 0, max_tokens,
    messages: [{ role: 'user', content: question }],
  }, { headers: { 'perigee-class': service_class } });
  const answer = { text: '', roles: 0, finishes: 0, usage: null };
  for await (const { choices, usage } of stream) {
    if (usage) answer.usage = usage;
    if (service_class === 'batch') ++chunks;
    for (const { delta, finish_reason: finish } of choices) {
      answer.text += delta.content ?? '';
      if (delta.role) ++answer.roles;
      if (finish) ++answer.finishes;
    }
  }
  return answer;
}

const preempted = async () => (await grid.status(site)).queues[0].preempted;

test('batch answers that were pre-empted are whole, and realtime is quick', { timeout: 120_000 }, async () => {
  const questions = Array.from({ length: kBatch }, (_, i) => `Tell me a story about drone ${i}.`);
  const alone = [];
  for (const question of questions) alone.push(await ask('batch', question, 200));
  assert.equal(await preempted(), 0);

  let [realtime, batches, same] = [0, 0, 0];
  for (let round = 0; round < kRounds || (await preempted()) === 0; ++round) {
    assert.ok(round < 5 * kRounds, 'nothing was pre-empted');
    let going = true;
    const batch = Promise.all(questions.map((question) => ask('batch', question, 200))).finally(() => { going = false; });
    for (let seen = chunks; going; seen = chunks) {
      await until('batch goes on', () => !going || chunks > seen + 20);
      if (!going) break;
      const { text, finishes } = await ask('realtime', 'What is a site?', 4);
      assert.ok(text.length > 0 && finishes === 1);
      ++realtime;
    }
    for (const [i, answer] of (await batch).entries()) {
      ++batches;
      if (answer.text === alone[i].text) ++same;
      assert.equal(answer.roles, 1);
      assert.equal(answer.finishes, 1);
      assert.equal(answer.usage.prompt_tokens, alone[i].usage.prompt_tokens);
      assert.ok(answer.usage.completion_tokens > 0 && answer.usage.completion_tokens <= 200);
    }
  }
  assert.ok(realtime >= kRounds);
  // Tokens that are all but equally likely may fall otherwise in a batch of another shape.
  assert.ok(same >= 0.8 * batches, `${same} of ${batches} as undisturbed`);
  const { queues, streams } = await grid.status(site);
  assert.deepEqual([queues[0].running, queues[0].requests], [0, 0]);
  assert.equal(streams, 0);
});
