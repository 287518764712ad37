// The official openai client against a running demo grid. Nothing below knows of Perigee but for
// baseURL, apiKey and the model's name; it reads the grid's status only to see that work has ended.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { Demo } from './support/grid.js';
import { until } from './support/process.js';

let demo;
let client;
let model;
const ask = (content) => [{ role: 'user', content }];

before(async () => {
  demo = await Demo.start();
  model = demo.model;
  client = new OpenAI({ baseURL: `${demo.site('cell-potsdam').url}/v1`, apiKey: demo.key, maxRetries: 0 });
});
after(() => demo?.stop());

const caught = (promise) => promise.then(() => assert.fail('it was accepted'), (error) => error);

test('answers a chat', async () => {
  const answer = await client.chat.completions.create({ model, messages: ask('What is an AI grid?'), temperature: 0, max_tokens: 48 });
  assert.equal(answer.object, 'chat.completion');
  assert.match(answer.id, /^chatcmpl-/);
  assert.equal(answer.model, model);
  assert.equal(answer.choices.length, 1);
  assert.equal(answer.choices[0].message.role, 'assistant');
  assert.ok(answer.choices[0].message.content.length > 10);
  assert.ok(['stop', 'length'].includes(answer.choices[0].finish_reason));
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.ok(answer.usage.completion_tokens > 0 && answer.usage.completion_tokens <= 48);
  assert.ok(answer._request_id);
});

test('answers at every site, with or without an engine of its own', async () => {
  for (const site of demo.read().sites) {
    const here = new OpenAI({ baseURL: `${site.url}/v1`, apiKey: demo.key, maxRetries: 0 });
    const answer = await here.chat.completions.create({ model, messages: ask('What is a site?'), temperature: 0, max_tokens: 8 });
    assert.ok(answer.choices[0].message.content.length > 0, site.name);
  }
});

test('streams a chat in chunks of the right shape', async () => {
  const stream = await client.chat.completions.create({
    model, messages: ask('What is edge inference?'), stream: true, temperature: 0, max_tokens: 40 });
  let text = '';
  let finish = null;
  let chunks = 0;
  for await (const piece of stream) {
    assert.equal(piece.object, 'chat.completion.chunk');
    assert.equal(piece.choices.length, 1);
    if (chunks++ === 0) assert.equal(piece.choices[0].delta.role, 'assistant');
    text += piece.choices[0].delta.content ?? '';
    finish = piece.choices[0].finish_reason ?? finish;
  }
  assert.ok(chunks > 3, `${chunks} chunks`);
  assert.ok(['stop', 'length'].includes(finish));
  const whole = await client.chat.completions.create({
    model, messages: ask('What is edge inference?'), temperature: 0, max_tokens: 40 });
  assert.equal(text, whole.choices[0].message.content);
});

test('sends usage as the last chunk when asked', async () => {
  const stream = await client.chat.completions.create({
    model, messages: ask('What is a token?'), stream: true, temperature: 0, max_tokens: 16, stream_options: { include_usage: true } });
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  const last = pieces.pop();
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.prompt_tokens > 0 && last.usage.completion_tokens > 0);
  for (const piece of pieces) assert.equal(piece.usage ?? null, null);
});

test('sends no usage chunk when not asked', async () => {
  const stream = await client.chat.completions.create({ model, messages: ask('Hi'), stream: true, max_tokens: 4 });
  for await (const piece of stream) {
    assert.equal(piece.choices.length, 1);
    assert.equal(piece.usage ?? null, null);
  }
});

test('runs the stream helper to its end', async () => {
  const runner = client.chat.completions.stream({ model, messages: ask('What is a receipt?'), max_tokens: 24 });
  const deltas = [];
  runner.on('content', (delta) => deltas.push(delta));
  const final = await runner.finalChatCompletion();
  assert.equal(final.choices[0].message.content, deltas.join(''));
});

test('frees the work of a stream that the client aborts', async () => {
  const stream = await client.chat.completions.create({
    model, messages: ask('Explain an AI grid in detail.'), stream: true, max_tokens: 600, n: 2, temperature: 1.2 });
  for await (const piece of stream) {
    assert.ok(piece);
    stream.controller.abort();
    break;
  }
  await until('the grid is idle', async () => {
    for (const { name } of demo.read().sites) {
      const status = await demo.status(name);
      for (const { load } of status.engines) assert.equal(typeof load.slots_busy, 'number');
      if (status.streams !== 0 || status.engines.some(({ load }) => load.slots_busy > 0)) return false;
    }
    return true;
  }, { seconds: 10 });
});

test('answers an abort before the first byte', async () => {
  const abort = new AbortController();
  const pending = client.chat.completions.create({ model, messages: ask('Hi') }, { signal: abort.signal });
  abort.abort();
  assert.ok((await caught(pending)) instanceof OpenAI.APIUserAbortError);
});

test('refuses a wrong key with AuthenticationError', async () => {
  const wrong = new OpenAI({ baseURL: client.baseURL, apiKey: 'pgk_live_wrong', maxRetries: 0 });
  const error = await caught(wrong.chat.completions.create({ model, messages: ask('Hi') }));
  assert.ok(error instanceof OpenAI.AuthenticationError);
  assert.equal(error.status, 401);
  assert.equal(error.code, 'invalid_api_key');
  assert.ok(error.requestID);
  assert.equal(error.headers.get('www-authenticate'), 'Bearer');
});

test('refuses an unknown model with NotFoundError', async () => {
  const error = await caught(client.chat.completions.create({ model: 'no-such-model', messages: ask('Hi') }));
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.equal(error.code, 'model_not_found');
  assert.match(error.message, /no-such-model/);
});

test('refuses bad parameters with BadRequestError that names them', async () => {
  const wrong = [
    [{ messages: [] }, 'messages'],
    [{ messages: [{ content: 'x' }] }, 'messages[0].role'],
    [{ messages: ask('Hi'), n: 0 }, 'n'],
    [{ messages: ask('Hi'), max_tokens: -1 }, 'max_tokens'],
    [{ messages: ask('Hi'), temperature: 9 }, 'temperature'],
    [{ messages: ask('Hi'), top_p: 'a' }, 'top_p'],
    [{ messages: ask('Hi'), stream: 'yes' }, 'stream'],
  ];
  for (const [fields, param] of wrong) {
    const error = await caught(client.chat.completions.create({ model, ...fields }));
    assert.ok(error instanceof OpenAI.BadRequestError, `${param}: ${error}`);
    assert.equal(error.param, param);
    assert.equal(error.type, 'invalid_request_error');
  }
});

test('refuses a prompt of 220 KB with context_length_exceeded', async () => {
  const words = 'All sites of the grid answer the same questions. '.repeat(4600);
  for (const stream of [false, true]) {
    const error = await caught(client.chat.completions.create({ model, messages: ask(words), stream }));
    assert.ok(error instanceof OpenAI.BadRequestError, String(error));
    assert.equal(error.code, 'context_length_exceeded');
    assert.match(error.message, /1024/);
  }
});

test('embeds texts, as base64 by default', async () => {
  const input = ['edge inference', 'a cell tower'];
  const byDefault = await client.embeddings.create({ model, input });
  assert.equal(byDefault.object, 'list');
  assert.deepEqual(byDefault.data.map(({ index }) => index), [0, 1]);
  const floats = await client.embeddings.create({ model, input, encoding_format: 'float' });
  for (const i of [0, 1]) {
    const a = byDefault.data[i].embedding;
    const b = floats.data[i].embedding;
    assert.ok(a.length > 8 && a.length === b.length);
    const dot = a.reduce((sum, value, at) => sum + value * b[at], 0);
    assert.ok(Math.abs(dot - 1) < 1e-2, `not the same unit vector: ${dot}`);
  }
  assert.ok(byDefault.usage.prompt_tokens > 0);
  const one = await client.embeddings.create({ model, input: 'edge inference' });
  assert.equal(one.data.length, 1);
});

test('completes a text', async () => {
  const answer = await client.completions.create({ model, prompt: 'An AI grid is', max_tokens: 12, temperature: 0 });
  assert.equal(answer.object, 'text_completion');
  assert.match(answer.id, /^cmpl-/);
  assert.ok(answer.choices[0].text.length > 0);
  let text = '';
  for await (const piece of await client.completions.create({
    model, prompt: 'An AI grid is', max_tokens: 12, temperature: 0, stream: true })) {
    text += piece.choices[0]?.text ?? '';
  }
  assert.equal(text, answer.choices[0].text);
});

test('gives JSON of the schema that is asked for', async () => {
  const schema = {
    type: 'object',
    properties: { state: { type: 'string', enum: ['ok', 'warning', 'alarm'] }, reason: { type: 'string', maxLength: 40 } },
    required: ['state', 'reason'],
    additionalProperties: false,
  };
  for (const content of ['Sensor temp-4 temperature 61', 'Tell me a story', 'What is an AI grid?']) {
    const answer = await client.chat.completions.parse({
      model, messages: ask(content), seed: 1, max_tokens: 120,
      response_format: { type: 'json_schema', json_schema: { name: 'verdict', strict: true, schema } } });
    const verdict = JSON.parse(answer.choices[0].message.content);
    assert.deepEqual(Object.keys(verdict).sort(), ['reason', 'state']);
    assert.ok(schema.properties.state.enum.includes(verdict.state));
    assert.equal(typeof verdict.reason, 'string');
  }
});

test('gives some JSON object in JSON mode', async () => {
  const answer = await client.chat.completions.create({
    model, messages: ask('Answer in JSON: what is a site?'), max_tokens: 200, temperature: 0,
    response_format: { type: 'json_object' } });
  if (answer.choices[0].finish_reason === 'stop') {
    assert.equal(typeof JSON.parse(answer.choices[0].message.content), 'object');
  }
});

test('gives the same text for the same seed, and others for others', async () => {
  const text = async (seed) => (await client.chat.completions.create({
    model, messages: ask('Tell me a short story about a sensor.'), max_tokens: 40, temperature: 1, seed,
  })).choices[0].message.content;
  assert.equal(await text(7), await text(7));
  const others = new Set([await text(1), await text(2), await text(3), await text(4)]);
  assert.ok(others.size > 1);
});

test('stops at a stop string and leaves it out', async () => {
  const request = { model, messages: ask('What is an AI grid?'), temperature: 0, max_tokens: 60 };
  const whole = (await client.chat.completions.create(request)).choices[0].message.content;
  const word = whole.split(' ')[3];
  const cut = await client.chat.completions.create({ ...request, stop: [word] });
  assert.equal(cut.choices[0].message.content, whole.slice(0, whole.indexOf(word)));
  assert.equal(cut.choices[0].finish_reason, 'stop');
});

test('gives log probabilities of tokens', async () => {
  const answer = await client.chat.completions.create({
    model, messages: ask('What is a model?'), max_tokens: 6, temperature: 0, logprobs: true, top_logprobs: 3 });
  const { content } = answer.choices[0].logprobs;
  assert.equal(content.length, answer.usage.completion_tokens);
  for (const token of content) {
    assert.ok(token.logprob <= 0);
    assert.equal(token.top_logprobs.length, 3);
    assert.ok(Array.isArray(token.bytes));
  }
  assert.equal(content.map(({ token }) => token).join(''), answer.choices[0].message.content);
});

test('gives two choices for n = 2', async () => {
  const answer = await client.chat.completions.create({
    model, messages: ask('Tell me a story.'), n: 2, temperature: 1.2, max_tokens: 24, seed: 3 });
  assert.deepEqual(answer.choices.map(({ index }) => index).sort(), [0, 1]);
  assert.notEqual(answer.choices[0].message.content, answer.choices[1].message.content);
  const texts = ['', ''];
  for await (const piece of await client.chat.completions.create({
    model, messages: ask('Tell me a story.'), n: 2, temperature: 1.2, max_tokens: 24, seed: 3, stream: true })) {
    for (const choice of piece.choices) texts[choice.index] += choice.delta.content ?? '';
  }
  assert.deepEqual(texts, answer.choices.map(({ message }) => message.content));
});

test('takes content in parts, and fields that it does not know', async () => {
  const answer = await client.chat.completions.create({
    model, max_tokens: 4, metadata: { a: 'b' }, user: 'u', some_new_field: { x: [1, null] },
    messages: [{ role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'What is' }, { type: 'text', text: ' a site?' }] }] });
  assert.equal(answer.choices.length, 1);
});

test('lists and retrieves models', async () => {
  const ids = [];
  for await (const item of client.models.list()) {
    assert.equal(item.object, 'model');
    assert.equal(typeof item.created, 'number');
    assert.equal(typeof item.owned_by, 'string');
    ids.push(item.id);
  }
  assert.ok(ids.includes(model));
  const one = await client.models.retrieve(model);
  assert.equal(one.id, model);
  assert.ok(one._request_id);
  const error = await caught(client.models.retrieve('no-such-model'));
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.equal(error.code, 'model_not_found');
  assert.ok(error.requestID);
});

test('says which methods a path takes', async () => {
  const allowed = async (path, method) => {
    const response = await fetch(`${client.baseURL}${path}`, { method, headers: { authorization: `Bearer ${demo.key}` } });
    assert.equal(response.status, 405, path);
    return response.headers.get('allow');
  };
  assert.equal(await allowed('/models', 'DELETE'), 'GET, HEAD');
  assert.equal(await allowed('/chat/completions', 'GET'), 'POST');
});
