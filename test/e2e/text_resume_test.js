// Streams of servers that others run and that tell no tokens: stub servers that die in the middle of
// a stream, and others that go on with its text, behind a real site. The client sees one stream.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Grid } from './support/grid.js';
import { until } from './support/process.js';
import { StubEngine, event } from './support/stub_engine.js';

const words = ['These are the first numbers that there are: one', ', two', ', three', ', four', ', five', ', six', ', seven', '.'];
const whole = words.join('');
const messages = [{ role: 'user', content: 'Count.' }];

// A stub server that counts, from where the assistant's last message ends if it is asked as `mode`
// says. As long as `deaths.left` is not used up, it cuts its connection once the client has two words
// of it: what nobody has seen would be made anew, and not be gone on with.
function counting(id, mode, deaths, repeats = false) {
  const piece = (delta, finish = null) => ({ id, object: 'chat.completion.chunk', created: id.length, model: 'stub',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] });
  return async (json, response) => {
    const last = json.messages.at(-1);
    const asked = last.role === 'assistant' && (mode === 'prefill' || json.continue_final_message === true);
    const had = asked ? last.content : '';
    const done = words.findIndex((_, i) => words.slice(0, i).join('') === had);
    const rest = words.slice(done, done + (json.max_tokens ?? words.length));
    const dies = deaths.left-- > 0;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(event(piece({ role: 'assistant', content: '' })));
    if (repeats && had) response.write(event(piece({ content: had })));
    const said = dies ? rest.slice(0, 2) : rest;
    for (const word of said) response.write(event(piece({ content: word })));
    if (dies) {
      const seen = had + said.join('');
      await until('the client has it', () => shown === seen);
      response.socket.destroy();
      return;
    }
    response.write(event(piece({}, done + rest.length < words.length ? 'length' : 'stop')));
    if (json.stream_options?.include_usage) {
      const usage = { prompt_tokens: 20 + done, completion_tokens: rest.length, total_tokens: 20 + done + rest.length };
      response.write(event({ ...piece({}), choices: [], usage }));
    }
    response.end('data: [DONE]\n\n');
  };
}

const deaths = Object.fromEntries(['final_message', 'prefill', 'off'].map((model) => [model, { left: 0 }]));
let shown = ''; // to the client, of its stream
let stub;
let grid;
let ingress;
let client;

before(async () => {
  stub = await StubEngine.start();
  const add = (model, which) => {
    const name = `${model}-${which}`;
    stub.on(name, counting(`chatcmpl-${name}${which === 'c' ? '-last' : ''}`, model, deaths[model], model === 'prefill'));
    return { ...stub.engine(name), model, resume_by_text: model };
  };
  grid = await Grid.start();
  const engines = ['final_message', 'prefill', 'off'].flatMap((model) => ['a', 'b', 'c'].map((which) => add(model, which)));
  ingress = await grid.addSite('ingress', { engines });
  client = new OpenAI({ baseURL: `${ingress.url}/v1`, apiKey: grid.key, maxRetries: 0 });
});
after(async () => {
  await grid?.stop();
  await stub?.stop();
});

// What a client has of a stream.
async function streamed(request) {
  const pieces = [];
  let failure;
  shown = '';
  try {
    for await (const piece of await client.chat.completions.create({
      messages, stream: true, stream_options: { include_usage: true }, ...request })) {
      pieces.push(piece);
      shown += piece.choices[0]?.delta?.content ?? '';
    }
  } catch (error) {
    failure = error;
  }
  return {
    failure,
    text: pieces.map(({ choices }) => choices[0]?.delta?.content ?? '').join(''),
    ids: new Set(pieces.map(({ id }) => id)),
    dates: new Set(pieces.map(({ created }) => created)),
    roles: pieces.filter(({ choices }) => choices[0]?.delta?.role).length,
    finishes: pieces.map(({ choices }) => choices[0]?.finish_reason).filter(Boolean),
    usages: pieces.map(({ usage }) => usage).filter(Boolean),
  };
}

function assertOneStream(got, text, finish, tokens) {
  assert.equal(got.failure, undefined);
  assert.equal(got.text, text);
  assert.equal(got.ids.size, 1);
  assert.equal(got.dates.size, 1);
  assert.equal(got.roles, 1);
  assert.deepEqual(got.finishes, [finish]);
  assert.deepEqual(got.usages, [{ prompt_tokens: 20, completion_tokens: tokens, total_tokens: 20 + tokens }]);
}

// The records of a model, once the last one is settled.
async function records(model) {
  const ledger = new DatabaseSync(join(grid.folder, 'ingress', 'state', 'usage.db'), { readOnly: true });
  try {
    return await until('the record is settled', () => {
      const found = ledger.prepare('SELECT * FROM usage WHERE model = ?').all(model);
      return found.length > 0 && found.every(({ outcome }) => outcome) && found;
    });
  } finally {
    ledger.close();
  }
}

const asked = (model) => stub.requests.filter((request) => request.model.startsWith(`${model}-`));

for (const model of ['final_message', 'prefill']) {
  test(`a stream whose servers die twice is one stream: ${model}`, async () => {
    deaths[model].left = 2;
    assertOneStream(await streamed({ model }), whole, 'stop', words.length);
    assert.equal(asked(model).length, 3);
    const last = asked(model).at(-1).json;
    assert.deepEqual(last.messages, [...messages, { role: 'assistant', content: words.slice(0, 4).join('') }]);
    assert.equal(last.continue_final_message, model === 'final_message' ? true : undefined);
    const found = await records(model);
    assert.equal(found.length, 1, 'one request');
    assert.equal(found[0].outcome, 'completed');
    assert.equal(found[0].prompt_tokens, 20);
    assert.equal(found[0].completion_tokens, words.length);
  });
}

test('a stream that goes on keeps within the tokens that its client allowed', async () => {
  deaths.final_message.left = 1;
  assertOneStream(await streamed({ model: 'final_message', max_tokens: 3 }), words.slice(0, 3).join(''), 'length', 3);
  assert.equal(asked('final_message').at(-1).json.max_tokens, 1);
});

test('a stream that had all its tokens when its server died has ended', async () => {
  deaths.final_message.left = 1;
  const got = await streamed({ model: 'final_message', max_tokens: 2 });
  assert.equal(got.failure, undefined);
  assert.equal(got.text, words.slice(0, 2).join(''));
  assert.deepEqual(got.finishes, ['length']);
  assert.equal(got.usages.length, 1);
  assert.equal(got.usages[0].completion_tokens, 2);
});

test('a stream of servers that nobody says can go on ends with an error', async () => {
  deaths.off.left = 1;
  const got = await streamed({ model: 'off' });
  assert.ok(got.failure instanceof OpenAI.APIError, String(got.failure));
  assert.equal(got.text, words.slice(0, 2).join(''));
  assert.deepEqual(got.finishes, []);
  assert.equal(asked('off').length, 1);
});

test('a stream with tools ends with an error, since its text does not tell all', async () => {
  deaths.prefill.left = 1;
  const before = asked('prefill').length;
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];
  const got = await streamed({ model: 'prefill', tools });
  assert.ok(got.failure instanceof OpenAI.APIError, String(got.failure));
  assert.equal(asked('prefill').length, before + 1);
});
