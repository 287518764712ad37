// An OpenAI-compatible server whose behaviour a test chooses: each model is a function that answers,
// well or badly. Its address for the model M is `url(M)`.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

export class StubEngine {
  requests = []; // {model, stream, body, closed}
  behaviours = new Map();
  silent = new Set(); // models whose list is never sent

  static async start() {
    const stub = new StubEngine();
    stub.server = createServer((request, response) => stub.#serve(request, response));
    stub.server.keepAliveTimeout = 0;
    await new Promise((resolve) => stub.server.listen(0, '127.0.0.1', 4096, resolve));
    return stub;
  }

  // `answer(json, response, record)`; `record.left` resolves when the caller has left.
  on(model, answer) {
    this.behaviours.set(model, answer);
    return this;
  }

  url(model) {
    return `http://127.0.0.1:${this.server.address().port}/${model}/v1`;
  }

  engine(model) {
    return { name: model, url: this.url(model), model };
  }

  async #serve(request, response) {
    const model = request.url.split('/')[1];
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    if (request.method !== 'POST') {
      if (this.silent.has(model)) return;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ object: 'list', data: [{ id: model, object: 'model', created: 0, owned_by: 'stub' }] }));
      return;
    }
    const json = JSON.parse(bytes.toString());
    const record = { model, json, headers: request.headers, sha256: createHash('sha256').update(bytes).digest('hex') };
    record.left = new Promise((resolve) => response.on('close', () => resolve(!response.writableFinished)));
    this.requests.push(record);
    await this.behaviours.get(model)(json, response, record);
  }

  of(model) {
    return this.requests.filter((record) => record.model === model);
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export const chunk = (content, finish = null) => ({
  id: 'chatcmpl-stub', object: 'chat.completion.chunk', created: 1, model: 'stub',
  choices: [{ index: 0, delta: content === null ? {} : { content }, logprobs: null, finish_reason: finish }],
  usage: null,
});

export const event = (json) => `data: ${JSON.stringify(json)}\n\n`;

export const completion = (content, prompt_tokens = 7) => ({
  id: 'chatcmpl-stub', object: 'chat.completion', created: 1, model: 'stub',
  choices: [{ index: 0, message: { role: 'assistant', content, refusal: null }, logprobs: null, finish_reason: 'stop' }],
  usage: { prompt_tokens, completion_tokens: 2, total_tokens: prompt_tokens + 2 },
});

// Answers as a server should.
export function good(json, response) {
  if (!json.stream) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(completion('hello there')));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const word of ['hello', ' there']) response.write(event(chunk(word)));
  response.write(event(chunk(null, 'stop')));
  if (json.stream_options?.include_usage) {
    response.write(event({ ...chunk(null), choices: [], usage: completion('').usage }));
  }
  response.end('data: [DONE]\n\n');
}

// Answers with `status` the first `times`, then well.
export function failing(status, times, headers = {}) {
  let left = times;
  return (json, response) => {
    if (left-- <= 0) return good(json, response);
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify({ error: { message: `stub says ${status}`, type: 'stub', param: null, code: null } }));
  };
}

// Sends bytes instead of an HTTP answer, then closes.
export const raw = (bytes) => (json, response) => response.socket.end(bytes);

// Sends `body` with a sound head.
export const body = (type, bytes) => (json, response) => {
  response.writeHead(200, { 'content-type': type });
  response.end(bytes);
};
