"""The reverse proxies that the gateway benchmark compares: how each is configured and started."""

import os
import pathlib
import resource
import shutil
import socket
import subprocess
import time

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
