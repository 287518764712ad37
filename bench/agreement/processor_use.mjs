// Who uses this machine's processors: the benchmark and what it started, or others.
import { readFileSync, readdirSync } from 'node:fs';

// Clock ticks so far: {all, busy, own}, idle ones in `all` only. `own` is of this process and all
// that descend from it and still live.
export function processorUse() {
  const [total] = readFileSync('/proc/stat', 'utf8').split('\n');
  const [user, nice, system, idle, wait, irq, softirq, steal] = total.split(/\s+/).slice(1).map(Number);
  const busy = user + nice + system + irq + softirq + steal;
  const processes = new Map();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ').map(Number);
      processes.set(Number(entry), { parent: fields[1], ticks: fields[11] + fields[12] });
    } catch {
      // it ended meanwhile
    }
  }
  const isOwn = (pid) => pid === process.pid || (processes.has(pid) && isOwn(processes.get(pid).parent));
  let own = 0;
  for (const [pid, { ticks }] of processes) own += isOwn(pid) ? ticks : 0;
  return { all: busy + idle + wait, busy, own };
}

// Share of the machine's time that others used between two of these.
export function othersShare(from, to) {
  const others = to.busy - from.busy - (to.own - from.own);
  return Math.max(0, others / (to.all - from.all));
}
