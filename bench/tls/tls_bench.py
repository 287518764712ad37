"""Two grids of two sites each, one with certificates and one without, in one interleaved run.

A load generator asks the ingress, in the clear, for a model that only the other site has, so every
request crosses from site to site: over mutual TLS in one grid, over plain TCP in the other.
Connections are kept alive. CPU time is that of both sites together, from /proc. Then members' idle
connections to one site are counted in its own memory.
"""

import argparse
import json
import os
import pathlib
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

from reverse_proxies import free_port, start, wait_for_ok, wait_for_port

MODES = {
    "request": ["--connections", "64"],
    "stream": ["--connections", "100", "--stream", "--chunks", "32"],
}
MEMBER_SERVER_NAME = "member.perigee.internal"


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_memory_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this kernel does not tell Pss_Anon")


class Grid:
    """Control, an ingress without engines, and a site with the stub engine behind it."""

    def __init__(self, program, folder, tls, stub_port, cpu):
        self.program, self.folder, self.tls, self.cpu = program, pathlib.Path(folder), tls, cpu
        self.processes = []
        self.scheme = "https" if tls else "http"
        self.control_port = free_port()
        self.state = self.folder / "control"
        self.state.mkdir(parents=True, mode=0o700)
        if tls:
            self.command("ca", "init", "--state-dir", self.state, "--grid", "bench")
        self.begin("control", ["control", "--listen", f"127.0.0.1:{self.control_port}", "--state-dir", self.state,
                               "--grid", "bench"], f"http://127.0.0.1:{self.control_port}/healthz")
        self.command("tenants", "create", "bench")
        self.key = json.loads(self.command("keys", "create", "--tenant", "bench", "-o", "json"))["key"]
        self.command("models", "add", "stub", "--external")
        self.serving = self.add_site("serving", f'[[engine]]\nname = "stub"\nurl = "http://127.0.0.1:{stub_port}/v1"\n'
                                                'model = "stub"\n')
        self.command("models", "place", "stub", "serving")
        self.ingress = self.add_site("ingress", "")

    def command(self, *arguments):
        environment = dict(os.environ, PERIGEE_CONTROL_URL=f"{self.scheme}://127.0.0.1:{self.control_port}",
                           PERIGEE_OPERATOR_KEY_FILE=str(self.state / "operator.key"), XDG_RUNTIME_DIR=str(self.folder))
        if self.tls:
            environment["PERIGEE_CA_FILE"] = str(self.state / "ca.pem")
        done = subprocess.run([self.program, *arguments], stdout=subprocess.PIPE, text=True, env=environment)
        if done.returncode != 0:
            raise SystemExit(f"perigee {' '.join(map(str, arguments))}: exit {done.returncode}")
        return done.stdout

    def begin(self, name, arguments, url):
        log = self.folder / f"{name}.log"
        with open(log, "ab") as out:
            process = start([self.program, *arguments], self.cpu if name != "control" else None, out)
        self.processes.append(process)
        wait_for_ok(url, process, name, log)
        return process

    def add_site(self, name, engine):
        port = free_port()
        token = json.loads(self.command("site", "token", "--name", name, "--jurisdiction", "de", "-o", "json"))
        pin = ["--ca-sha256", token["ca_sha256"]] if self.tls else []
        self.command("site", "join", token["token"], *pin, "--control",
                     f"{self.scheme}://127.0.0.1:{self.control_port}", "--name", name, "--url",
                     f"{self.scheme}://127.0.0.1:{port}", "--listen", f"127.0.0.1:{port}", "--tier", "metro",
                     "--jurisdiction", "de", "--latitude", "52.5", "--longitude", "13.4",
                     "--state-dir", self.folder / name)
        config = self.folder / name / "site.toml"
        config.write_text(config.read_text() + '[log]\nlevel = "error"\n' + engine)
        process = self.begin(name, ["site", "--config", config], f"http://127.0.0.1:{port}/healthz")
        return {"port": port, "pid": process.pid, "folder": self.folder / name, "process": process}

    def wait_until_forwarding(self):
        wait_for_ok(f"http://127.0.0.1:{self.ingress['port']}/readyz", self.ingress["process"], "the ingress",
                    self.folder / "ingress.log")

    def cpu_seconds(self):
        return sum(cpu_seconds(site["pid"]) for site in (self.ingress, self.serving))

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(timeout=30)


def measure(build, grid, mode, seconds, cpu):
    command = [str(build / "perigee_load"), "--url", f"http://127.0.0.1:{grid.ingress['port']}", "--model", "stub",
               "--key", grid.key, *MODES[mode], "--duration", str(seconds), "-o", "json"]
    if cpu is not None:
        command = ["taskset", "-c", str(cpu), *command]
    before = grid.cpu_seconds()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the load generator found failures: {done.stdout}")
    out = json.loads(done.stdout)
    units = out["completed"] if mode == "request" else out["chunks"]
    return {"rate": out["requests_per_s" if mode == "request" else "chunks_per_s"],
            "cpu_us": (grid.cpu_seconds() - before) * 1e6 / units}


def idle_connection_bytes(grid, count):
    """Of the serving site's own memory: connections of a member, each of which asked once."""
    tls = grid.ingress["folder"] / "tls"
    context = ssl.create_default_context(cafile=str(tls / "authorities.pem"))
    context.check_hostname = False
    context.load_cert_chain(tls / "certificate.pem", tls / "key.pem")

    def connect(number):
        held = []
        for _ in range(number):
            plain = socket.create_connection(("127.0.0.1", grid.serving["port"]))
            secured = context.wrap_socket(plain, server_hostname=MEMBER_SERVER_NAME)
            secured.sendall(b"GET /healthz HTTP/1.1\r\nHost: serving\r\n\r\n")
            if b" 200 " not in secured.recv(4096):
                raise SystemExit("a member was not answered")
            held.append(secured)
        return held

    warm = connect(50)
    before = own_memory_bytes(grid.serving["pid"])
    held = connect(count)
    time.sleep(0.5)
    per_connection = (own_memory_bytes(grid.serving["pid"]) - before) / count
    for each in held + warm:
        each.close()
    return per_connection


def handshake_us(grid, count=200):
    """CPU time of the serving site for a full handshake with a client certificate, and one answer."""
    before = cpu_seconds(grid.serving["pid"])
    idle_connection_bytes(grid, count)
    return (cpu_seconds(grid.serving["pid"]) - before) * 1e6 / (count + 50)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--idle", type=int, default=1000, help="connections of a member that are held")
    arguments = parser.parse_args()
    build = pathlib.Path(os.environ.get("PERIGEE_BUILD_DIR", "build")).resolve()
    available = sorted(os.sched_getaffinity(0))
    cpus = (available[0], available[1]) if len(available) > 1 else (None, None)
    samples = {(tls, mode): [] for tls in (False, True) for mode in MODES}
    with tempfile.TemporaryDirectory(prefix="perigee-bench-") as folder, open(f"{folder}/stub.log", "wb") as log:
        stub_port = free_port()
        stub = start([build / "perigee_stub_engine", "--listen", f"127.0.0.1:{stub_port}", "--model", "stub",
                      "--chunks", "32", "--interval-ms", "10"], cpus[1], log)
        wait_for_port(stub_port, stub, "the stub engine")
        grids = {}
        try:
            for tls in (False, True):
                grids[tls] = Grid(build / "perigee", f"{folder}/{'tls' if tls else 'plain'}", tls, stub_port, cpus[0])
            for grid in grids.values():
                grid.wait_until_forwarding()
            for number in range(arguments.rounds):
                print(f"tls: round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
                for mode in MODES:
                    for tls in (False, True) if number % 2 == 0 else (True, False):
                        samples[tls, mode].append(measure(build, grids[tls], mode, arguments.seconds, cpus[1]))
            result = {"idle_connection_bytes": round(idle_connection_bytes(grids[True], arguments.idle)),
                      "handshake_cpu_us": round(handshake_us(grids[True]))}
        finally:
            for grid in grids.values():
                grid.stop()
            stub.terminate()
            stub.wait()
    for mode in MODES:
        row = {}
        for tls, name in ((False, "plain"), (True, "tls")):
            row[name] = {key: round(statistics.median(sample[key] for sample in samples[tls, mode]), 2)
                         for key in ("rate", "cpu_us")}
        # Of each round, whose measurements follow each other: a slow minute hits both.
        rounds = list(zip(samples[True, mode], samples[False, mode]))
        row["rate_ratio"] = round(statistics.median(tls["rate"] / plain["rate"] for tls, plain in rounds), 3)
        row["cpu_ratio"] = round(statistics.median(plain["cpu_us"] / tls["cpu_us"] for tls, plain in rounds), 3)
        result[mode] = row
    if arguments.output == "json":
        print(json.dumps(result, indent=1))
        return
    print(f"{arguments.rounds} rounds of {arguments.seconds} s, interleaved; medians; both sites' CPU together")
    for mode, unit in (("request", "request"), ("stream", "chunk")):
        row = result[mode]
        for name in ("plain", "tls"):
            print(f"  {mode:8}{name:6}{row[name]['rate']:10.0f} {unit}s/s{row[name]['cpu_us']:9.1f} us CPU")
        print(f"  {mode:8}TLS keeps {row['rate_ratio']:.2f} of the rate, {row['cpu_ratio']:.2f} per CPU second")
    print(f"  an idle connection of a member: {result['idle_connection_bytes']} bytes of the site's own")
    print(f"  a full mutual handshake and an answer: {result['handshake_cpu_us']} us of the serving site's CPU")


if __name__ == "__main__":
    main()
