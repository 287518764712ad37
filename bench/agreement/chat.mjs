// One streamed chat completion, as a client sees it.
import http from 'node:http';

// Kept alive, as the connections of a real client are.
const agent = new http.Agent({ keepAlive: true });

// Answers {site, cached, promptTokens, answerTokens, events, ttftMs, totalMs}; `events` are the
// instants (performance.now()) at which pieces of text came. Throws what went wrong.
export function chat(url, body, headers = {}) {
  const text = JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } });
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const request = http.request(`${url}/v1/chat/completions`, {
      agent,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers },
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const answer = { site: response.headers['perigee-site'], events: [], done: false, rest: '' };
      response.setEncoding('utf8');
      response.on('error', reject);
      response.on('data', (bytes) => {
        if (response.statusCode === 200) read(answer, bytes);
        else answer.rest += bytes;
      });
      response.on('end', () => {
        if (response.statusCode !== 200) return reject(new Error(`${url}: ${response.statusCode} ${answer.rest}`));
        if (answer.fault || !answer.done) return reject(new Error(`${url}: ${answer.fault ?? 'the stream was cut off'}`));
        resolve(summary(answer, started));
      });
    });
    request.end(text);
  });
}

function read(answer, bytes) {
  const now = performance.now();
  const lines = (answer.rest + bytes).split('\n');
  answer.rest = lines.pop();
  for (const line of lines) {
    if (!line.startsWith('data: ')) continue;
    if (line === 'data: [DONE]') {
      answer.done = true;
      answer.ended = now;
      continue;
    }
    const event = JSON.parse(line.slice(6));
    if (event.error) answer.fault = event.error.message;
    if (event.choices?.[0]?.delta?.content) answer.events.push(now);
    if (event.usage) answer.usage = event.usage;
  }
}

function summary({ site, events, usage, ended }, started) {
  if (!usage || events.length === 0) throw new Error('a stream without text or usage');
  return {
    site,
    events,
    promptTokens: usage.prompt_tokens,
    answerTokens: usage.completion_tokens,
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    ttftMs: events[0] - started,
    totalMs: ended - started,
  };
}
