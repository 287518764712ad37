// Processes, ports and waiting: what every test needs of the machine.
import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const PERIGEE = process.env.PERIGEE;
export const SOURCE = process.env.PERIGEE_SOURCE;

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

// Starts a program with its output in `log`. The child dies with this process.
export function start(program, args, log, env = {}) {
  const out = openSync(log, 'a');
  const child = spawn(program, args, { stdio: ['ignore', out, out], env: { ...process.env, ...env } });
  child.log = log;
  running.add(child);
  child.on('exit', () => running.delete(child));
  return child;
}

export async function stop(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  const cut = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await gone;
  clearTimeout(cut);
}

export const alive = (child) => child.exitCode === null && child.signalCode === null;

// Calls `check` until it gives something true; what it throws counts as "not yet". Fails after
// `seconds`, or at once when `child` has ended.
export async function until(what, check, { seconds = 30, child } = {}) {
  const end = Date.now() + seconds * 1000;
  let last = '';
  for (;;) {
    try {
      const result = await check();
      if (result) return result;
    } catch (error) {
      last = `: ${error.message}`;
    }
    if (child && !alive(child)) {
      throw new Error(`${what}: the process ended\n${tail(child.log)}`);
    }
    if (Date.now() > end) {
      throw new Error(`${what}: not within ${seconds} s${last}\n${child ? tail(child.log) : ''}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

export function tail(log, lines = 20) {
  try {
    return readFileSync(log, 'utf8').split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}

export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'perigee-e2e.'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

// A loopback port that was free just now.
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// Ids of the processes that `pid` started whose command line has `word`.
export function childrenOf(pid, word) {
  const found = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      if (parent !== pid) continue;
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
      if (command.includes(word)) found.push(Number(entry));
    } catch {
      // it ended meanwhile
    }
  }
  return found;
}
