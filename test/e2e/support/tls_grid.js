// A grid with certificates: `perigee ca init`, control, and sites that join by the command that an
// operator types. Everything between them is TLS; the tests' own calls come plain, from loopback.
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { PERIGEE, freePort, start, stop, temporaryFolder, until } from './process.js';

export const kMemberServerName = 'member.perigee.internal';

export class TlsGrid {
  sites = new Map();

  // `lifetime`: of the certificates, "7d".
  static async start({ lifetime = '7d' } = {}) {
    const grid = new TlsGrid();
    grid.folder = temporaryFolder();
    grid.port = await freePort();
    grid.state = join(grid.folder, 'control');
    grid.perigee('ca', 'init', '--state-dir', grid.state, '--grid', 'acme');
    grid.caFile = join(grid.state, 'ca.pem');
    grid.url = `https://127.0.0.1:${grid.port}`;
    grid.startControl = () => {
      grid.control = start(PERIGEE, ['control', '--listen', `127.0.0.1:${grid.port}`, '--state-dir', grid.state,
        '--certificate-lifetime', lifetime], join(grid.folder, 'control.log'));
    };
    grid.startControl();
    await until('control answers', async () => (await fetch(`http://127.0.0.1:${grid.port}/healthz`)).ok,
      { child: grid.control });
    grid.perigee('tenants', 'create', 'acme');
    grid.key = JSON.parse(grid.perigee('keys', 'create', '--tenant', 'acme', '-o', 'json')).key;
    return grid;
  }

  // A subcommand as an operator runs it; throws with its stderr.
  perigee(...args) {
    return execFileSync(PERIGEE, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env,
      PERIGEE_CONTROL_URL: this.url ?? '', PERIGEE_CA_FILE: this.caFile ?? '', XDG_RUNTIME_DIR: this.folder,
      PERIGEE_OPERATOR_KEY_FILE: join(this.state, 'operator.key') } });
  }

  token(name) {
    return JSON.parse(this.perigee('site', 'token', '--name', name, '--jurisdiction', 'de', '-o', 'json'));
  }

  join(name, token, { port, pin = token.ca_sha256, url = `https://127.0.0.1:${port}`, more = [] }) {
    return this.perigee('site', 'join', token.token, '--control', this.url, '--ca-sha256', pin, '--name', name,
      '--url', url, '--listen', `127.0.0.1:${port}`, '--tier', 'metro', '--jurisdiction', 'de',
      '--latitude', '52.5', '--longitude', '13.4', '--state-dir', join(this.folder, name), ...more);
  }

  // `toml`: more of its configuration.
  async addSite(name, { engines = [], toml = '' } = {}) {
    const port = await freePort();
    for (const { model } of engines) this.perigee('models', 'add', model, '--external');
    const folder = join(this.folder, name);
    this.join(name, this.token(name), { port });
    // So that the others follow it: a model runs there.
    for (const { model } of engines) this.perigee('models', 'place', model, name);
    appendFileSync(join(folder, 'site.toml'), toml);
    for (const { name: engine, url, model, slots } of engines) {
      appendFileSync(join(folder, 'site.toml'), `[[engine]]\nname = "${engine}"\nurl = "${url}"\nmodel = "${model}"\n${
        slots ? `slots = ${slots}\n` : ''}`);
    }
    const site = { name, port, folder, url: `http://127.0.0.1:${port}`, secure: `https://127.0.0.1:${port}` };
    const pem = (file) => readFileSync(join(folder, 'tls', file), 'utf8');
    site.certificate = () => ({ cert: pem('certificate.pem'), key: pem('key.pem'), ca: pem('authorities.pem') });
    site.credential = readFileSync(join(folder, 'site.key'), 'utf8').trim();
    site.child = start(PERIGEE, ['site', '--config', join(folder, 'site.toml')], join(folder, 'log'));
    this.sites.set(name, site);
    await until(`${name} is up`, async () => (await fetch(`${site.url}/healthz`)).ok, { child: site.child });
    return site;
  }

  async stop() {
    for (const { child } of this.sites.values()) await stop(child);
    await stop(this.control);
  }
}

// One request by TLS: {status, body, certificate}. `as`: a member's {cert, key, ca}. Rejects with
// the TLS error.
export function callSecurely(url, { as, ca, key, headers = {}, method = 'GET', body, minVersion, maxVersion, agent } = {}) {
  const member = as && { ...as, servername: kMemberServerName, checkServerIdentity: () => undefined };
  return new Promise((resolve, reject) => {
    const call = request(url, { method, ca, ...member, minVersion, maxVersion, agent: agent ?? false,
      headers: { ...(key && { authorization: `Bearer ${key}` }), ...headers } }, async (response) => {
      const certificate = response.socket.getPeerCertificate();
      let text = '';
      try {
        for await (const piece of response.setEncoding('utf8')) text += piece;
        resolve({ status: response.statusCode, body: text, certificate });
      } catch (error) {
        reject(error);
      }
    });
    call.on('error', reject);
    call.end(body);
  });
}
