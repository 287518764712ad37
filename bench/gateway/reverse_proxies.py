"""The reverse proxies that the gateway benchmark compares: how each is configured and started."""

import json
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

FILES_WANTED = 20_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, name):
    """Until something accepts there; a process that ended is an error."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{name} ended at its start with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"{name} does not listen on port {port}")


def wait_for_ok(url, process, name, log):
    """Until a GET of it answers 200; a process that ended is an error."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{name} ended at its start with status {process.returncode}: {log.read_text()}")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"{name} is not ready at {url}: {log.read_text()}")


def start(command, cpu, log):
    """Starts a program pinned to one processor, with as many descriptors as allowed."""

    def prepare():
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        soft = FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, FILES_WANTED)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})

    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=prepare)


def process_tree(pid):
    """The process and its descendants."""
    found = [pid]
    for parent in found:
        for task in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            found.extend(int(child) for child in task.read_text().split())
    return found


class ReverseProxy:
    """One running proxy. `headers` go with every request; `model` is what requests ask for."""

    name = ""
    headers = ()
    key = ""
    model = "stub"

    def __init__(self, folder, upstream_port, cpu):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.log = open(self.folder / "log", "ab")
        self.process = start(self.command(upstream_port), cpu, self.log)
        wait_for_port(self.port, self.process, self.name)

    def command(self, upstream_port):
        raise NotImplementedError

    def cpu_seconds(self):
        ticks = 0
        for pid in process_tree(self.process.pid):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def own_memory_bytes(self):
        """Anonymous memory, shared pages counted in part."""
        total = 0
        for pid in process_tree(self.process.pid):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss_Anon:"):
                    total += int(line.split()[1]) * 1024
        return total

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.log.close()


class NetProxy(ReverseProxy):
    """Perigee's HTTP code alone, without keys, routing and accounting: the ceiling."""

    name = "net_proxy"
    program = None

    def command(self, upstream_port):
        return [self.program, "--listen", f"127.0.0.1:{self.port}", "--upstream", f"127.0.0.1:{upstream_port}"]


class Nginx(ReverseProxy):
    name = "nginx"

    def command(self, upstream_port):
        config = self.folder / "nginx.conf"
        config.write_text(f"""
daemon off;
worker_processes 1;
worker_rlimit_nofile {FILES_WANTED};
pid {self.folder}/nginx.pid;
error_log {self.folder}/error.log crit;
events {{ worker_connections 15000; }}
http {{
  access_log off;
  client_body_temp_path {self.folder}/body;
  proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi;
  uwsgi_temp_path {self.folder}/uwsgi;
  scgi_temp_path {self.folder}/scgi;
  keepalive_requests 1000000000;
  upstream stub {{
    server 127.0.0.1:{upstream_port};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    location / {{
      proxy_pass http://stub;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 3600s;
    }}
  }}
}}
""")
        return [shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-p", str(self.folder), "-c", str(config)]


class Haproxy(ReverseProxy):
    name = "haproxy"

    def command(self, upstream_port):
        config = self.folder / "haproxy.cfg"
        config.write_text(f"""
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
frontend front
  bind 127.0.0.1:{self.port} backlog 4096
  default_backend stub
backend stub
  server stub 127.0.0.1:{upstream_port} pool-max-conn 256
""")
        return [shutil.which("haproxy", path="/usr/sbin:/usr/bin"), "-q", "-f", str(config)]


class PerigeeSite(ReverseProxy):
    """A whole Perigee site, keys, routing, metering and all. Its control runs beside it, unmeasured."""

    name = "perigee_site"
    program = None

    def __init__(self, folder, upstream_port, cpu):
        self.control_port = free_port()
        state = pathlib.Path(folder) / "control"
        state.mkdir(mode=0o700)
        log = pathlib.Path(folder) / "control.log"
        with open(log, "ab") as out:
            self.control = start([self.program, "control", "--listen", f"127.0.0.1:{self.control_port}",
                                  "--state-dir", state], None, out)
        try:
            wait_for_ok(f"http://127.0.0.1:{self.control_port}/healthz", self.control, "perigee control", log)
            self.operator_key = (state / "operator.key").read_text().strip()
            super().__init__(folder, upstream_port, cpu)
            wait_for_ok(f"http://127.0.0.1:{self.port}/readyz", self.process, "perigee site", self.folder / "log")
        except BaseException:
            self.stop()
            raise

    def command(self, upstream_port):
        self.admin("PUT", f"/models/{self.model}", {"kind": "external"})
        self.admin("PUT", "/tenants/bench", {})
        self.key = self.admin("POST", "/keys", {"tenant": "bench"})["key"]
        token = self.admin("POST", "/join-tokens", {"site": "bench", "jurisdiction": "de"})["token"]
        joined = self.admin("POST", "/join", {
            "token": token, "name": "bench", "url": f"http://127.0.0.1:{self.port}", "tier": "metro",
            "jurisdiction": "de", "latitude": 52.5, "longitude": 13.4})
        key_file = self.folder / "site.key"
        key_file.touch(mode=0o600)
        key_file.write_text(joined["key"])
        config = self.folder / "site.toml"
        config.write_text(f"""
[site]
name = "bench"
listen = "127.0.0.1:{self.port}"
state_dir = "site"
[control]
url = "http://127.0.0.1:{self.control_port}"
key_file = "site.key"
[log]
level = "error"
[[engine]]
name = "stub"
url = "http://127.0.0.1:{upstream_port}/v1"
model = "{self.model}"
""")
        return [self.program, "site", "--config", config]

    def admin(self, method, path, body):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control_port}/control/v1{path}", json.dumps(body).encode(),
            {"authorization": f"Bearer {self.operator_key}", "content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def stop(self):
        if hasattr(self, "process"):
            super().stop()
        self.control.terminate()
        self.control.wait(timeout=20)
