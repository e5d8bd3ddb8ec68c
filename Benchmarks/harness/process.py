"""Servers under test: started on ports of the kernel's choice, pinned, measured, and ended by process id."""
import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from . import wire


class BenchError(Exception):
    """The measurement cannot go on; the text says what and why."""


def cpu_plan() -> tuple[int | None, int | None]:
    """The CPU of the servers and that of the load tools: two different cores where the machine has them."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        return None, None
    siblings = Path(f"/sys/devices/system/cpu/cpu{cpus[0]}/topology/thread_siblings_list")
    shared = set()
    with contextlib.suppress(OSError):
        for part in siblings.read_text().strip().split(","):
            low, _, high = part.partition("-")
            shared |= set(range(int(low), int(high or low) + 1))
    return cpus[0], next((cpu for cpu in cpus[1:] if cpu not in shared), cpus[1])


def pinned(cpu: int | None):
    """For subprocess' preexec_fn: runs on that CPU only, and ends when the harness does, however that ends."""
    libc = ctypes.CDLL(None)
    parent_death_signal = 1

    def prepare() -> None:
        libc.prctl(parent_death_signal, signal.SIGTERM)
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})

    return prepare


def free_port() -> int:
    """A port that is free for UDP and TCP on 127.0.0.1; the servers that cannot say which one they got are given it."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]
    raise BenchError("no port is free for both UDP and TCP on 127.0.0.1")


def descendants(pid: int) -> list[int]:
    """The process and all processes below it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
                children.setdefault(int(fields[1]), []).append(int(entry))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def end(process: subprocess.Popen, pids: list[int]) -> None:
    """SIGTERM to the process, ten seconds, then SIGKILL to it and to what it left behind."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    if process.poll() is None:
        process.kill()
        process.wait(10)
    for pid in pids:
        if pid != process.pid and str(process.pid) in parent_and_group(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def parent_and_group(pid: int) -> list[str]:
    """Parent and session of a process: servers have a session of their own, so its id tells theirs from others."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return [fields[1], fields[3]]
    return []


class Server:
    """One running server. `kind` is regdns, knot or nsd; `facts` holds what its start line says."""

    def __init__(self, kind: str, process: subprocess.Popen, log: Path, dns: int, http: int | None = None):
        self.kind, self.process, self.log, self.dns, self.http = kind, process, log, dns, http
        self.pids = [process.pid]
        self.leavings: Path | None = None   # a folder to remove at the end

    def settle(self) -> None:
        """To be called when the server answers: by then nsd has forked its children."""
        self.pids = descendants(self.process.pid)

    def check(self) -> None:
        if self.process.poll() is not None:
            raise BenchError(f"{self.kind} ended with status {self.process.returncode}: {tail(self.log)}")

    def cpu_ns(self) -> int:
        """Nanoseconds on a CPU since the start, all threads (ended ones too) of all its processes."""
        # The kernel's numbering of another process's CPU clock: (~pid << 3) | CPUCLOCK_SCHED.
        return sum(time.clock_gettime_ns(~pid << 3 | 2) for pid in self.pids)

    def quiet_cpu_ns(self, seconds: float = 20) -> int:
        """The same when the server has come to rest: less than 1 % of a CPU over a fifth of a second."""
        limit, before = time.monotonic() + seconds, self.cpu_ns()
        while time.monotonic() < limit:
            time.sleep(0.2)
            now = self.cpu_ns()
            if now - before < 2_000_000:
                return now
            before = now
        raise BenchError(f"{self.kind} does not come to rest within {seconds} s")

    def rss_kib(self) -> int:
        total = 0
        for pid in self.pids:
            found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
            total += int(found.group(1)) if found else 0
        return total

    def ask(self, name: str, rrtype: str, edns: int = 1232, tcp: bool = False) -> wire.Answer:
        """One question, asked up to three times."""
        for _ in range(3):
            try:
                return wire.ask(self.dns, name, rrtype, edns, tcp)
            except (OSError, wire.Malformed) as error:
                reason = error
        self.check()
        raise BenchError(f"{self.kind} does not answer {name} {rrtype}: {reason}")

    def wait_until_it_answers(self, name: str, seconds: float = 120) -> None:
        """Asks for the SOA of a zone until the answer is NOERROR."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            self.check()
            with contextlib.suppress(OSError, wire.Malformed):
                if wire.ask(self.dns, name, "SOA", timeout=0.2).rcode == 0:
                    self.settle()
                    return
            time.sleep(0.005)
        raise BenchError(f"{self.kind} does not answer for {name} within {seconds} s: {tail(self.log)}")

    def stop(self) -> None:
        self.pids = descendants(self.process.pid) if self.process.poll() is None else self.pids
        end(self.process, self.pids)
        if self.leavings:
            shutil.rmtree(self.leavings, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def tail(log: Path) -> str:
    """The end of a log, as one line."""
    text = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return " | ".join(text[-5:]) or "it said nothing"


class Starter:
    """Starts the servers of one run, with their files below one directory."""

    def __init__(self, directory: Path, regdns: str | None, regdns_options: list[str], cpu: int | None):
        self.directory, self.regdns_binary, self.regdns_options, self.cpu = directory, regdns, regdns_options, cpu
        self.count = 0

    def _room(self, kind: str) -> Path:
        self.count += 1
        room = self.directory / f"{kind}{self.count}"
        room.mkdir()
        return room

    def _spawn(self, command: list[str], log: Path, **more) -> subprocess.Popen:
        with open(log, "w") as errors:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stderr=errors, preexec_fn=pinned(self.cpu), start_new_session=True,
                **more)

    def regdns(self, *options: str, etcd: bool = False) -> Server:
        """regdns with one DNS thread, memory only; returns when it has printed its start line. With `etcd` it listens on
        the etcd port as well, and `http` is that port."""
        if self.regdns_binary is None:
            raise BenchError("no regdns binary")
        room = self._room("regdns")
        command = [self.regdns_binary, "serve", "--dns", "127.0.0.1:0", "--dns-threads", "1", "--http", "127.0.0.1:0",
                   "--etcd", "127.0.0.1:0" if etcd else "off", "--forward", "off", "--log-level", "warning", *self.regdns_options, *options]
        process = self._spawn(command, room / "log", stdout=subprocess.PIPE)
        server = Server("regdns", process, room / "log", 0)
        try:
            line = self._first_line(process, 60)
            ports = dict(re.findall(r"\b(dns|http|etcd)=[^ ,]*:(\d+)", line))
            if not line.startswith("regdns ready ") or not {"dns", "etcd" if etcd else "http"} <= ports.keys():
                server.check()
                raise BenchError(f"regdns: no start line within 60 s, got {line!r}: {tail(server.log)}")
        except BaseException:
            server.stop()
            raise
        server.dns, server.http = int(ports["dns"]), int(ports["etcd" if etcd else "http"])
        return server

    def etcd(self) -> Server:
        """A real etcd with one member and both dialects, its data in memory; `http` is its client port."""
        room = self._room("etcd")
        memory = Path(tempfile.mkdtemp(prefix="regdns-bench-", dir="/dev/shm"))
        client, peer = free_port(), free_port()
        command = ["etcd", "--name", "bench", "--data-dir", str(memory / "data"), "--enable-v2=true", "--log-level", "error",
                   "--listen-client-urls", f"http://127.0.0.1:{client}",
                   "--advertise-client-urls", f"http://127.0.0.1:{client}",
                   "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                   "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                   "--initial-cluster", f"bench=http://127.0.0.1:{peer}"]
        server = Server("etcd", self._spawn(command, room / "log", stdout=subprocess.DEVNULL), room / "log", 0, client)
        server.leavings = memory
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            server.check()
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{client}/health", timeout=1) as answer:
                    if b"true" in answer.read():
                        server.settle()
                        return server
            time.sleep(0.02)
        server.stop()
        raise BenchError(f"etcd is not healthy within 30 s: {tail(server.log)}")

    @staticmethod
    def _first_line(process: subprocess.Popen, seconds: float) -> str:
        os.set_blocking(process.stdout.fileno(), False)
        text, limit = b"", time.monotonic() + seconds
        while b"\n" not in text and time.monotonic() < limit and process.poll() is None:
            text += process.stdout.read() or b""
            time.sleep(0.005)
        return text.decode(errors="replace").split("\n")[0]

    def knot(self, zone: str, zone_file: Path) -> Server:
        room, port = self._room("knot"), free_port()
        (room / "knot.conf").write_text(f"""
server:
    rundir: "{room}"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    udp-max-payload: 1232
database:
    storage: "{room}"
log:
  - target: stderr
    any: error
zone:
  - domain: {zone}
    file: "{zone_file}"
    zonefile-load: whole
    zonefile-sync: -1
    journal-content: none
""")
        process = self._spawn(["knotd", "-c", str(room / "knot.conf")], room / "log", stdout=subprocess.DEVNULL)
        return Server("knot", process, room / "log", port)

    def nsd(self, zone: str, zone_file: Path) -> Server:
        room, port = self._room("nsd"), free_port()
        # Its rate limit on equal answers is on by default in Debian and would stop a load test.
        (room / "nsd.conf").write_text(f"""
server:
    server-count: 1
    ip-address: 127.0.0.1@{port}
    port: {port}
    username: ""
    chroot: ""
    zonesdir: "{room}"
    database: ""
    pidfile: "{room}/nsd.pid"
    xfrdfile: "{room}/xfrd.state"
    zonelistfile: "{room}/zone.list"
    xfrdir: "{room}"
    round-robin: no
    minimal-responses: yes
    ipv4-edns-size: 1232
    tcp-count: 100
    tcp-query-count: 0
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: {zone}
    zonefile: "{zone_file}"
""")
        command = ["nsd", "-d", "-c", str(room / "nsd.conf")]
        return Server("nsd", self._spawn(command, room / "log", stdout=subprocess.DEVNULL), room / "log", port)
