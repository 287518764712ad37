// Grids to test against: a small one of single processes with stub engines, and the demo.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PERIGEE, SOURCE, alive, freePort, start, stop, temporaryFolder, until } from './process.js';

async function call(url, { method = 'GET', key, body } = {}) {
  const headers = { ...(key && { authorization: `Bearer ${key}` }) };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

const ready = async (url) => (await fetch(`${url}/readyz`)).ok;

// A control process, one tenant, and the sites that are added.
export class Grid {
  sites = new Map();

  static async start() {
    const grid = new Grid();
    grid.folder = temporaryFolder();
    grid.url = `http://127.0.0.1:${await freePort()}`;
    const state = join(grid.folder, 'control');
    mkdirSync(state, { mode: 0o700 });
    await grid.startControl();
    grid.operatorKey = readFileSync(join(state, 'operator.key'), 'utf8').trim();
    await grid.admin('PUT', '/tenants/acme', {});
    grid.key = (await grid.admin('POST', '/keys', { tenant: 'acme', label: 'e2e' })).key;
    return grid;
  }

  // Control's process starts again on its state, at the same address.
  async startControl(...more) {
    const state = join(this.folder, 'control');
    this.control = start(PERIGEE, ['control', '--listen', new URL(this.url).host, '--state-dir', state, ...more],
      join(this.folder, 'control.log'));
    await until('control answers', async () => (await fetch(`${this.url}/healthz`)).ok, { child: this.control });
  }

  admin(method, path, body) {
    return call(`${this.url}/control/v1${path}`, { method, key: this.operatorKey, body });
  }

  // `engines`: [{name, url, model, slots, resume_by_text}], servers outside; `slots`: of an own engine with the shipped
  // model, 0: none; `law`: its file's jurisdiction; `descriptors`: how many the site may have open.
  async addSite(name, { engines = [], slots = 0, jurisdiction = 'de', limits = {}, idempotency = {}, log = {}, law, descriptors } = {}) {
    const url = `http://127.0.0.1:${await freePort()}`;
    const folder = join(this.folder, name);
    mkdirSync(folder, { mode: 0o700 });
    for (const { model } of engines) await this.admin('PUT', `/models/${model}`, { kind: 'external' });
    const { token } = await this.admin('POST', '/join-tokens', { site: name, jurisdiction });
    const joined = await call(`${this.url}/control/v1/join`, {
      method: 'POST',
      body: { token, name, url, tier: 'metro', jurisdiction, latitude: 52.5, longitude: 13.4, city: name },
    });
    if (slots > 0) {
      await this.admin('PUT', '/models/perigee-demo', { kind: 'llama', file: 'perigee-demo.gguf' });
      await this.admin('PUT', `/placements/${name}/perigee-demo`, { slots });
    }
    writeFileSync(join(folder, 'site.key'), joined.key, { mode: 0o600 });
    writeFileSync(join(folder, 'site.toml'), siteFile(name, url, this.url, engines, { limits, idempotency, log }, law));
    const command = [PERIGEE, 'site', '--config', join(folder, 'site.toml')];
    if (descriptors) command.unshift('sh', '-c', `ulimit -n ${descriptors} && exec "$0" "$@"`);
    return this.#run({ name, url, command, folder });
  }

  // Once its process has ended.
  restart({ name, url, command, folder }) {
    return this.#run({ name, url, command, folder });
  }

  async #run(site) {
    const child = start(site.command[0], site.command.slice(1), join(site.folder, 'log'));
    const running = { ...site, child };
    this.sites.set(site.name, running);
    await until(`${site.name} is ready`, () => ready(site.url), { child });
    return running;
  }

  status(site) {
    return call(`${site.url}/grid/v1/status`, { key: this.operatorKey });
  }

  async stop() {
    for (const { child } of this.sites.values()) await stop(child);
    await stop(this.control);
  }
}

function siteFile(name, url, control, engines, sections, law) {
  const lines = [
    '[site]', `name = "${name}"`, `listen = "${new URL(url).host}"`, 'state_dir = "state"',
    `models_dir = "${join(SOURCE, 'models')}"`,
    '[control]', `url = "${control}"`, 'key_file = "site.key"',
  ];
  if (law) lines.splice(2, 0, `jurisdiction = "${law}"`);
  for (const [section, values] of Object.entries(sections)) {
    lines.push(`[${section}]`, ...Object.entries(values).map(([key, value]) => `${key} = ${value}`));
  }
  for (const { name: engine, url: address, model, slots, cache_salt = false, resume_by_text: by_text } of engines) {
    lines.push('[[engine]]', `name = "${engine}"`, `url = "${address}"`, `model = "${model}"`, `cache_salt = ${cache_salt}`);
    if (slots) lines.push(`slots = ${slots}`);
    if (by_text) lines.push(`resume_by_text = "${by_text}"`);
  }
  return `${lines.join('\n')}\n`;
}

// The demo: six sites, the shipped model, delayed links.
export class Demo {
  static async start(args = []) {
    const demo = new Demo();
    demo.folder = temporaryFolder();
    const file = join(demo.folder, `perigee-demo-${process.getuid()}`, 'demo.json');
    demo.read = () => JSON.parse(readFileSync(file, 'utf8'));
    demo.child = start(PERIGEE, ['demo', ...args], join(demo.folder, 'log'), { XDG_RUNTIME_DIR: demo.folder });
    await until('the demo is ready', async () => {
      const { sites } = demo.read();
      return (await Promise.all(sites.map(({ url }) => ready(url)))).every(Boolean);
    }, { seconds: 90, child: demo.child });
    const state = demo.read();
    Object.assign(demo, { key: state.key, model: state.model, control: state.control });
    demo.operatorKey = readFileSync(state.control.operator_key_file, 'utf8').trim();
    return demo;
  }

  // {name, url, pid, ...} as it stands now.
  site(name) {
    return this.read().sites.find((site) => site.name === name);
  }

  status(name) {
    return call(`${this.site(name).url}/grid/v1/status`, { key: this.operatorKey });
  }

  async stop() {
    if (alive(this.child)) await stop(this.child, 'SIGINT');
  }
}
