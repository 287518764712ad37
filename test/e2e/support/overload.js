// A site with stub engines of known capacity under an open loop of requests: first as many as it
// can serve, then many times that. Prints nothing; answers what was measured.
import { Agent, request as httpRequest } from 'node:http';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Grid } from './grid.js';
import { PERIGEE, freePort, start, stop, until } from './process.js';

// An engine answers with 20 chunks, 20 ms apart, after 20 ms: two engines of 8 slots serve 38
// requests a second.
const kEngine = { slots: 8, chunks: 20, interval_ms: 20, delay_ms: 20 };
const kEngines = 2;
const kCapacity = kEngines * kEngine.slots * 1000 / (kEngine.delay_ms + kEngine.chunks * kEngine.interval_ms);

// Shares of what is offered, and the time to the first token that each class is promised
// (core/class_targets.h). At five times capacity realtime alone is half of it.
export const kClasses = {
  realtime: { share: 0.1, ttft_ms: 500 },
  interactive: { share: 0.15, ttft_ms: 1000 },
  standard: { share: 0.25, ttft_ms: 5000 },
  batch: { share: 0.5, ttft_ms: 60000 },
};

export class OverloadedSite {
  engines = [];

  static async start(limits = {}) {
    const it = new OverloadedSite();
    it.grid = await Grid.start();
    const engines = [];
    for (let i = 0; i < kEngines; ++i) {
      const port = await freePort();
      const child = start(join(dirname(PERIGEE), 'perigee_stub_engine'), [
        '--listen', `127.0.0.1:${port}`, '--model', 'stub', '--chunks', kEngine.chunks,
        '--interval-ms', kEngine.interval_ms, '--delay-ms', kEngine.delay_ms, '--slots', kEngine.slots,
      ].map(String), join(it.grid.folder, `stub-${i}.log`));
      it.engines.push({ child, url: `http://127.0.0.1:${port}` });
      await until('a stub listens', async () => (await fetch(`http://127.0.0.1:${port}/v1/models`)).ok, { child });
      engines.push({ name: `stub-${i}`, url: `http://127.0.0.1:${port}/v1`, model: 'stub', slots: kEngine.slots });
    }
    it.site = await it.grid.addSite('metro', { engines, limits });
    it.agent = new Agent({ keepAlive: true, maxSockets: Infinity });
    // What an answer takes is learned from answers.
    await it.offer({ times: 0.5, seconds: 2 });
    return it;
  }

  // Offers `times` the capacity for so long; answers when the last request has ended.
  async offer({ times, seconds, watch = () => {} }) {
    const outcomes = [];
    const running = [];
    const began = performance.now();
    const names = Object.keys(kClasses);
    const owed = Object.fromEntries(names.map((name) => [name, 0]));
    let stood = 0; // seconds for which this process stood still: they are not made up for in a burst
    let last = 0;
    for (let sent = 0; ;) {
      const elapsed = (performance.now() - began) / 1000;
      if (elapsed >= seconds) break;
      stood += Math.max(0, elapsed - last - 0.1);
      last = elapsed;
      for (const due = (elapsed - stood) * times * kCapacity; sent < due; ++sent) {
        for (const name of names) owed[name] += kClasses[name].share;
        const name = names.reduce((most, other) => (owed[other] > owed[most] ? other : most));
        owed[name] -= 1;
        running.push(this.#ask(name).then((outcome) => outcomes.push(outcome)));
      }
      watch(elapsed);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await Promise.all(running);
    return measure(outcomes, began, seconds);
  }

  #ask(name) {
    const began = performance.now();
    const body = JSON.stringify({ model: 'stub', stream: true, max_tokens: 64,
      messages: [{ role: 'user', content: 'x'.repeat(200) }] });
    const outcome = { name, began, lost: null };
    return new Promise((resolve) => {
      const lost = (why) => resolve({ ...outcome, lost: why, ended: performance.now() });
      const request = httpRequest(`${this.site.url}/v1/chat/completions`, {
        method: 'POST', agent: this.agent,
        headers: { authorization: `Bearer ${this.grid.key}`, 'content-type': 'application/json',
          'perigee-class': name, 'content-length': Buffer.byteLength(body) },
      }, async (response) => {
        try {
          let text = '';
          for await (const piece of response.setEncoding('utf8')) {
            if (!outcome.first && piece.includes('data: ')) outcome.first = performance.now();
            text += piece;
          }
          resolve({ ...outcome, ended: performance.now(), ...verdict(response, text) });
        } catch (error) {
          lost(String(error));
        }
      });
      request.on('error', (error) => lost(String(error)));
      request.end(body);
    });
  }

  memory_kib() {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.site.child.pid}/status`, 'utf8'))[1]);
  }

  async engineStats() {
    return Promise.all(this.engines.map(async ({ url }) => (await fetch(`${url}/stub/stats`)).json()));
  }

  async stop() {
    this.agent?.destroy();
    await this.grid?.stop();
    for (const { child } of this.engines) await stop(child);
  }
}

// What one answer was: whole, a refusal as documented, or lost.
function verdict(response, text) {
  const { statusCode: status, headers } = response;
  if (status === 200) {
    const data = text.split('\n\n').filter((part) => part.startsWith('data: ')).map((part) => part.slice(6));
    const said = data.slice(0, -1).map((part) => JSON.parse(part).choices?.[0]?.delta?.content ?? '').join('');
    const expected = Array.from({ length: kEngine.chunks }, (_, i) => ` t${i}`).join('');
    if (said === expected && data.at(-1) === '[DONE]') return { served: true };
    const error = data.length > 0 && JSON.parse(data[0]).error; // after heartbeats a refusal is an event
    if (error && said === '') return { refused: 'late', sound: true };
    return { lost: `a damaged stream: ${text.slice(-200)}` };
  }
  const why = headers['perigee-refused'];
  if (![429, 503].includes(status) || !why) return { lost: `status ${status}: ${text.slice(0, 200)}` };
  const { error } = JSON.parse(text);
  const sound = status === 429 && ['full', 'too_late'].includes(why) && Number(headers['retry-after']) >= 1 &&
    Number(headers['retry-after-ms']) >= 100 && error.type === 'rate_limit_error' &&
    error.code === 'rate_limit_exceeded' && error.param === null && error.message.length > 0;
  return { refused: why, sound };
}

const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? null : Math.round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] * 10) / 10;
};

// Goodput: answers whose first token came within the class's promise, by when they ended, between
// the first second and the end of the offer.
function measure(outcomes, began, seconds) {
  const kSettle_s = 1;
  const within = (when) => when >= began + kSettle_s * 1000 && when < began + seconds * 1000;
  const good = outcomes.filter(({ name, served, began: from, first, ended }) =>
    served && first - from <= kClasses[name].ttft_ms && within(ended));
  const classes = {};
  for (const name of Object.keys(kClasses)) {
    const own = outcomes.filter((outcome) => outcome.name === name);
    const served = own.filter((outcome) => outcome.served);
    const ttft = served.map(({ began: from, first }) => first - from);
    classes[name] = { offered: own.length, served: served.length, refused: own.filter(({ refused }) => refused).length,
      ttft_ms_p50: quantile(ttft, 0.5), ttft_ms_p99: quantile(ttft, 0.99) };
  }
  const refused = outcomes.filter((outcome) => outcome.refused);
  return {
    offered: outcomes.length,
    served_rps: Math.round(outcomes.filter(({ served, ended }) => served && within(ended)).length / (seconds - kSettle_s) * 100) / 100,
    goodput_rps: Math.round(good.length / (seconds - kSettle_s) * 100) / 100,
    classes,
    refusal_ms_p99: quantile(refused.filter(({ refused: why }) => why !== 'late').map(({ began: from, ended }) => ended - from), 0.99),
    refusals: refused.reduce((counts, { refused: why }) => ({ ...counts, [why]: (counts[why] ?? 0) + 1 }), {}),
    unsound: refused.filter(({ sound }) => !sound).length,
    lost: outcomes.filter(({ lost }) => lost).map(({ lost }) => lost),
  };
}
