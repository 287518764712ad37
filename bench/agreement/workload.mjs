// The workload: who asks when, with how many tokens, and what the prompts say.

// Words that are one token each in the demo model, with the space before them.
const WORDS = ('model site about small example request read answer data short cell know demo reading time ' +
  'sensor load sites topic grid work close requests help more larger need from question down core agent ' +
  'near when tokens first token meter text user edge means each back voice operator checks over power same ' +
  'network large many turn keep story link again high simple step where fast normal plan server message ' +
  'stop latency radio next another second call alarm room inference result long service open good batch ' +
  'local place office queue part city budget rules before clear wait morning file router full device').split(' ');
// The demo model's control tokens: an answer must not end before its length.
const CONTROL_TOKENS = [2044, 2045, 2046, 2047];

// Small, seeded and the same everywhere (mulberry32).
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x = (x + Math.imul(x ^ (x >>> 7), x | 61)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

const exponential = (draw) => -Math.log(1 - draw());
const normal = (draw) => Math.sqrt(2 * exponential(draw)) * Math.cos(2 * Math.PI * draw());
const clamp = (x, least, most) => Math.round(Math.min(most, Math.max(least, x)));

// Requests in the order of time: {ms, site, inTokens, outTokens}; `rate` a second in the mean over all
// sites, by `weights`. Poisson arrivals; lengths are lognormal, as in public traces, and small, as
// the model is.
export function makeTrace({ seed, requests, rate, weights }) {
  const draw = random(seed);
  const sites = Object.keys(weights);
  const sum = sites.reduce((all, site) => all + weights[site], 0);
  const pick = () => {
    let left = draw() * sum;
    return sites.find((site) => (left -= weights[site]) < 0) ?? sites[0];
  };
  let ms = 0;
  return Array.from({ length: requests }, () => {
    ms += (exponential(draw) / rate) * 1000;
    return {
      ms: Math.round(ms),
      site: pick(),
      inTokens: clamp(100 * Math.exp(0.6 * normal(draw)), 40, 400),
      outTokens: clamp(32 * Math.exp(0.5 * normal(draw)), 8, 96),
    };
  });
}

// Chats of an exact length. `frame` is what the model's chat template adds to a message.
export class Prompts {
  #draw;
  #frame;
  constructor(model, seed, frame) {
    this.model = model;
    this.#draw = random(seed);
    this.#frame = frame;
  }

  // Every prompt has words of its own, so that no engine finds more than the template in its cache.
  body(inTokens, outTokens) {
    const words = Array.from({ length: inTokens - this.#frame }, () => WORDS[Math.floor(this.#draw() * WORDS.length)]);
    return {
      model: this.model,
      messages: [{ role: 'user', content: ` ${words.join(' ')}` }],
      max_tokens: outTokens,
      temperature: 0,
      logit_bias: Object.fromEntries(CONTROL_TOKENS.map((token) => [token, -100])),
    };
  }

  // Asks `ask` (body to answer) what the template adds, and holds it to what the words must take.
  static async calibrated(model, seed, ask) {
    const plain = new Prompts(model, seed, 0);
    const frame = (await ask(plain.body(1, 1))).promptTokens - 1;
    const all = (await ask({ ...plain.body(1, 1), messages: [{ role: 'user', content: ` ${WORDS.join(' ')}` }] })).promptTokens;
    if (all !== frame + WORDS.length) {
      throw new Error(`${model}: ${WORDS.length} words are ${all - frame} tokens; the words of bench/agreement/workload.mjs ` +
        'must be one token each');
    }
    return new Prompts(model, seed, frame);
  }
}
