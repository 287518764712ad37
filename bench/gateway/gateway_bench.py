"""Requests and streams through reverse proxies in front of one stub engine, in one interleaved run.

Every round runs every proxy in turn, so that a busy machine hurts all alike; medians are told. The
proxy has one processor, the stub and the load generator share another. CPU time is the proxy's own
(all its processes), from /proc; trust the ratios more than the figures.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from reverse_proxies import Haproxy, NetProxy, Nginx, PerigeeSite, free_port, start, wait_for_port

MODES = {
    "request": ["--connections", "64"],
    "stream": ["--connections", "100", "--stream", "--chunks", "32"],
}


def progress(text):
    print(f"gateway: {text}", file=sys.stderr, flush=True)


def start_stub(build, cpu, log, *options):
    port = free_port()
    stub = start([build / "perigee_stub_engine", "--listen", f"127.0.0.1:{port}", *options], cpu, log)
    wait_for_port(port, stub, "the stub engine")
    return stub, port


def load_command(build, proxy, *options):
    command = [str(build / "perigee_load"), "--url", f"http://127.0.0.1:{proxy.port}", "--model", proxy.model]
    if proxy.key:
        command += ["--key", proxy.key]
    for header in proxy.headers:
        command += ["--header", header]
    return command + list(options)


def measure(build, proxy, mode, seconds, cpu):
    before = proxy.cpu_seconds()
    command = load_command(build, proxy, *MODES[mode], "--duration", str(seconds), "-o", "json")
    if cpu is not None:
        command = ["taskset", "-c", str(cpu), *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{proxy.name}: the load generator found failures: {done.stdout}")
    out = json.loads(done.stdout)
    units = out["completed"] if mode == "request" else out["chunks"]
    out["cpu_us"] = (proxy.cpu_seconds() - before) * 1e6 / units
    return out


def idle_stream_bytes(build, kind, folder, hold_port, streams, cpus):
    """The process's own memory for one stream that is open and silent."""
    proxy = kind(folder, hold_port, cpus[0])
    try:
        hold = ["--hold", "--timeout", "60", "--connections"]
        # Some streams before, so that code and pools are warm.
        for count, settle in ((100, True), (streams, False)):
            before = proxy.own_memory_bytes()
            with subprocess.Popen(load_command(build, proxy, *hold, str(count)), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True) as load:
                if not load.stdout.readline().startswith("holding"):
                    raise SystemExit(f"{proxy.name} could not hold {count} streams")
                during = proxy.own_memory_bytes()
                load.stdin.close()
            if settle:
                measure_quiet(proxy)
        return (during - before) / streams
    finally:
        proxy.stop()


def measure_quiet(proxy):
    """Waits until the proxy has done its cleaning up: no CPU time over three readings."""
    same, last = 0, proxy.cpu_seconds()
    while same < 3:
        time.sleep(0.05)
        now = proxy.cpu_seconds()
        same = same + 1 if now == last else 0
        last = now


def summarize(samples, mode):
    def median(key):
        return statistics.median(sample[key] for sample in samples)

    unit = "request" if mode == "request" else "chunk"
    return {
        f"{unit}s_per_s": round(median(f"{unit}s_per_s"), 1),
        f"cpu_us_per_{unit}": round(median("cpu_us"), 2),
        "latency_ms_p50": round(median("latency_ms_p50"), 3),
        "latency_ms_p99": round(median("latency_ms_p99"), 3),
        "first_byte_ms_p50": round(median("first_byte_ms_p50"), 3),
        "first_byte_ms_p99": round(median("first_byte_ms_p99"), 3),
    }


def add_ratios(proxies):
    base = proxies.get("nginx")
    if base is None:
        return
    for result in proxies.values():
        for mode, unit in (("request", "request"), ("stream", "chunk")):
            mine, its = result[mode], base[mode]
            mine["rate_ratio_to_nginx"] = round(mine[f"{unit}s_per_s"] / its[f"{unit}s_per_s"], 3)
            # How many times nginx's work per CPU second.
            mine["cpu_ratio_to_nginx"] = round(its[f"cpu_us_per_{unit}"] / mine[f"cpu_us_per_{unit}"], 3)


def print_table(result):
    print(f"{result['rounds']} rounds of {result['seconds']} s, interleaved; medians")
    for mode, unit in (("request", "request"), ("stream", "chunk")):
        print(f"\n{mode}: {' '.join(MODES[mode])}")
        print(f"  {'':14}{unit + 's/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'CPU us/' + unit:>16}"
              f"{'rate/nginx':>12}{'per CPU s/nginx':>17}")
        for name, each in result["proxies"].items():
            row = each[mode]
            print(f"  {name:14}{row[unit + 's_per_s']:12.0f}{row['latency_ms_p50']:10.2f}{row['latency_ms_p99']:10.2f}"
                  f"{row['cpu_us_per_' + unit]:16.2f}{row.get('rate_ratio_to_nginx', 0):12.2f}"
                  f"{row.get('cpu_ratio_to_nginx', 0):17.2f}")
    if result["idle_streams"]:
        print(f"\nown memory per idle stream, {result['idle_streams']} streams")
        for name, each in result["proxies"].items():
            print(f"  {name:14}{each['bytes_per_idle_stream']:8.0f} bytes")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--idle-streams", type=int, default=5000, help="0: do not measure memory")
    parser.add_argument("--only", help="comma-separated names of the proxies to run")
    parser.add_argument("--interval-ms", type=int, default=10, help="between the chunks of a stream")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    build = pathlib.Path(os.environ.get("PERIGEE_BUILD_DIR", "build")).resolve()
    NetProxy.program = build / "perigee_net_proxy"
    PerigeeSite.program = build / "perigee"
    kinds = [PerigeeSite, NetProxy, Nginx, Haproxy]
    if arguments.only:
        kinds = [kind for kind in kinds if kind.name in arguments.only.split(",")]
    available = sorted(os.sched_getaffinity(0))
    cpus = (available[0], available[1]) if len(available) > 1 else (None, None)
    samples = {kind.name: {mode: [] for mode in MODES} for kind in kinds}
    memory = {}
    with tempfile.TemporaryDirectory(prefix="perigee-bench-") as folder, open(f"{folder}/stub.log", "wb") as log:
        os.chmod(folder, 0o755)  # nginx's worker may run as another user

        def own_folder(name):
            path = pathlib.Path(folder) / name
            path.mkdir()
            return path

        stub, stub_port = start_stub(build, cpus[1], log, "--chunks", "32", "--interval-ms", str(arguments.interval_ms))
        running = []
        try:
            for kind in kinds:
                running.append(kind(own_folder(kind.name), stub_port, cpus[0]))
            for number in range(arguments.rounds):
                progress(f"round {number + 1} of {arguments.rounds}")
                for proxy in running:
                    for mode in MODES:
                        samples[proxy.name][mode].append(measure(build, proxy, mode, arguments.seconds, cpus[1]))
        finally:
            for proxy in running:
                proxy.stop()
            stub.terminate()
            stub.wait()
        if arguments.idle_streams:
            progress(f"memory at {arguments.idle_streams} idle streams")
            stub, hold_port = start_stub(build, cpus[1], log, "--hold")
            try:
                for kind in kinds:
                    memory[kind.name] = idle_stream_bytes(build, kind, own_folder(kind.name + "-idle"), hold_port,
                                                          arguments.idle_streams, cpus)
            finally:
                stub.terminate()
                stub.wait()
    proxies = {name: {mode: summarize(each[mode], mode) for mode in MODES} for name, each in samples.items()}
    add_ratios(proxies)
    for name, value in memory.items():
        proxies[name]["bytes_per_idle_stream"] = round(value)
    result = {"rounds": arguments.rounds, "seconds": arguments.seconds, "idle_streams": arguments.idle_streams,
              "proxies": proxies}
    print(json.dumps(result, indent=1)) if arguments.output == "json" else print_table(result)


if __name__ == "__main__":
    main()
