// README.md, "Add a seventh site": its own commands, word for word, against a running demo. Only the
// token, which is printed once, and the port are put in.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Demo } from './support/grid.js';
import { PERIGEE, SOURCE, alive, freePort, start, stop, until } from './support/process.js';

const SITE = 'metro-leipzig';
let demo;
let port;
let site;
before(async () => {
  demo = await Demo.start();
  port = await freePort();
  symlinkSync(join(SOURCE, 'models'), join(demo.folder, 'models'));
  mkdirSync(join(demo.folder, 'build'));
});
after(async () => {
  if (site && alive(site)) await stop(site);
  await demo?.stop();
});

// The command of that section that begins so, as one line.
function command(beginning) {
  const section = readFileSync(join(SOURCE, 'README.md'), 'utf8').split('**6. Add a seventh site.**')[1].split('**7.')[0];
  const lines = section.replaceAll('\\\n', ' ').split('\n');
  const found = lines.filter((line) => line.startsWith(beginning));
  assert.equal(found.length, 1, `README.md has one line "${beginning} ..."`);
  return found[0].replace(/ #.*$/, '').replace('127.0.0.1:8777', `127.0.0.1:${port}`);
}

const environment = () => ({
  PATH: `${dirname(PERIGEE)}:${process.env.PATH}`, XDG_RUNTIME_DIR: demo.folder });

const shell = (line) => promisify(execFile)('sh', ['-c', line], { cwd: demo.folder, env: environment() });

const listed = async () => JSON.parse((await shell('perigee sites list -o json')).stdout).data.map(({ name }) => name);

test('one command makes this machine a site of the grid', async () => {
  const { stdout } = await shell(command('perigee site token'));
  const token = stdout.trim();
  assert.match(token, /^pgj_\w+\.[\w-]+$/);
  const line = command('perigee site join').replace('TOKEN', token);
  site = start('sh', ['-c', `cd ${demo.folder} && exec ${line}`], join(demo.folder, `${SITE}.log`), environment());
  await until('the site is ready', async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200,
    { child: site });
  assert.ok((await listed()).includes(SITE));
});

test('its token does not work again, and a site that has joined says how it is run', async () => {
  const { stdout } = await shell(command('perigee site token'));
  await assert.rejects(shell(command('perigee site join').replace('TOKEN', stdout.trim())),
    /has joined already. Run it by perigee site --config/);
  const spare = (await shell(command('perigee site token').replace(SITE, 'metro-halle'))).stdout.trim();
  const line = `perigee site join ${spare} --url https://127.0.0.1:${await freePort()} --state-dir`;
  await shell(`${line} second`);
  await assert.rejects(shell(`${line} third`), /already used/);
});

test('it serves, with a model of its own', async () => {
  await shell(command('perigee models place'));
  const ask = command('perigee chat').replace('perigee chat', 'perigee chat -o json --max-tokens 8');
  await until('it answers by itself', async () => JSON.parse((await shell(ask)).stdout).site === SITE,
    { child: site });
});

test('it is drained and removed, and is refused from then on', async () => {
  await shell(command('perigee site drain'));
  await shell(command('perigee sites remove'));
  assert.ok(!(await listed()).includes(SITE));
  await until('its peers know it no more', async () => {
    const { stdout } = await shell('perigee status -o json').catch((error) => error);
    return !JSON.parse(stdout).sites.some(({ name }) => name === SITE);
  });
});
