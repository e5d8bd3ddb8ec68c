"""A fresh node that takes over 100,000 entries, beside the sync of a replica of redis with as many keys."""
import contextlib
import os
import random
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from . import data
from .agents import KEY
from .context import Context
from .process import BenchError, Server, Starter, free_port
from .report import Spread

LEASE = 600
TICKS = os.sysconf("SC_CLK_TCK")


def fresh(context: Context) -> None:
    """Section `fresh`."""
    count = 2000 if context.quick else 100_000
    # Not pinned: both sides of a sync have work at the same time.
    starter = Starter(context.directory, context.starter.regdns_binary, context.starter.regdns_options, None)
    instances = data.spread(count)
    registrations = data.write(context.file("fresh-register"), (i.registration(LEASE) for i in instances))
    lines: dict[str, list[dict]] = {"regdns": [], "redis": []}
    for index in range(context.rounds):
        for side in ("regdns", "redis") if index % 2 else ("redis", "regdns"):
            context.say(f"fresh: round {index + 1} of {context.rounds}, {side}")
            line = (regdns(context, starter, instances, registrations) if side == "regdns"
                    else redis(starter, instances))
            lines[side].append(line)
            context.report.line("fresh", side=side, round=index, count=count, **line)
    rows = []
    for field, what in (("wall", "s from the start of the process until it is ready"),
                        ("giver", "CPU s of the node that has them"), ("taker", "CPU s of the fresh node")):
        values = {side: [line[field] for line in of] for side, of in lines.items()}
        ratio = Spread.ratio(values["regdns"], [max(value, 1 / TICKS) for value in values["redis"]])
        rows.append([what, Spread.of(values["regdns"]), Spread.of(values["redis"]), ratio])
    context.report.table(
        f"A fresh node takes over {count:,} entries", ["", "regdns", "redis replica", "regdns/redis"], rows)
    context.report.paragraph(
        "redis has `repl-diskless-sync-delay 0` (it waits 5 s otherwise) and is ready when its link is up and it has as "
        "many keys; regdns when /readyz says so, which takes two looks at the cluster, and its DNS view is built by then. "
        "Two cores: both sides of a sync have one each only on an idle machine, so the wall time is an upper bound.")


def stat_seconds(pid: int) -> float:
    """CPU seconds of a process and of its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICKS


def settled(*pids: int) -> list[float]:
    """The CPU seconds of processes that have come to rest: less than a hundredth of a CPU over half a second."""
    limit, before = time.monotonic() + 60, [stat_seconds(pid) for pid in pids]
    while time.monotonic() < limit:
        time.sleep(0.5)
        now = [stat_seconds(pid) for pid in pids]
        if all(new - old <= 1 / TICKS for new, old in zip(now, before)):
            return now
        before = now
    raise BenchError("no rest within a minute")


def regdns(context: Context, starter: Starter, instances: list[data.Instance], registrations: Path) -> dict:
    port = free_port()
    with starter.regdns("--node", "giver", "--gossip", f"127.0.0.1:{port}", "--gossip-key", KEY,
                        "--lease-max", "1h") as giver:
        context.tools.http(giver, registrations, seconds=300)
        before = settled(giver.process.pid)[0]
        began = time.monotonic()
        with starter.regdns("--node", "taker", "--gossip", "127.0.0.1:0", "--gossip-key", KEY,
                            "--join", f"127.0.0.1:{port}", "--lease-max", "1h") as taker:
            until_ready(taker)
            wall = time.monotonic() - began
            # All of it is there, in the form that counts.
            for instance in [instances[0], instances[-1], *random.sample(instances, 1000)]:
                if not taker.ask(instance.name, "A").answers:
                    raise BenchError(f"the fresh node does not know {instance.name}")
            giver_after, taker_after = settled(giver.process.pid, taker.process.pid)
            return {"wall": wall, "giver": giver_after - before, "taker": taker_after}


def until_ready(server: Server, seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        server.check()
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{server.http}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        time.sleep(0.005)
    raise BenchError(f"the fresh node is not ready within {seconds} s")


class Redis:
    """One redis-server without files."""

    def __init__(self, directory: Path, *options: str):
        self.port = free_port()
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", str(directory), "--dbfilename", f"{self.port}.rdb", "--repl-diskless-sync", "yes",
             "--repl-diskless-sync-delay", "0", *options],
            stdout=subprocess.DEVNULL)
        limit = time.monotonic() + 20
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=60)
                break
            except OSError:
                if time.monotonic() > limit:
                    self.stop()
                    raise BenchError("redis-server does not start") from None
                time.sleep(0.002)

    def ask(self, *words: str) -> str:
        self.socket.sendall(command(*words))
        text = b""
        while True:
            text += self.socket.recv(65536)
            if text.startswith((b":", b"+", b"-")) and text.endswith(b"\r\n"):
                return text.decode()[1:].strip()
            if text.startswith(b"$") and b"\r\n" in text:
                head, _, body = text.partition(b"\r\n")
                if len(body) >= int(head[1:]) + 2:
                    return body.decode()

    def fill(self, instances: list[data.Instance]) -> None:
        for first in range(0, len(instances), 1000):
            part = instances[first:first + 1000]
            self.socket.sendall(b"".join(command("SET", i.name, i.registration(LEASE).split(" ", 3)[3]) for i in part))
            answers = b""
            while answers.count(b"\r\n") < len(part):
                answers += self.socket.recv(65536)
            if answers.count(b"+OK") != len(part):
                raise BenchError(f"redis refuses a key: {answers[:200]!r}")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)


def command(*words: str) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(w.encode())}\r\n{w}\r\n".encode() for w in words)


def redis(starter: Starter, instances: list[data.Instance]) -> dict:
    with contextlib.ExitStack() as stack:
        giver = Redis(starter.directory)
        stack.callback(giver.stop)
        giver.fill(instances)
        before = settled(giver.process.pid)[0]
        began = time.monotonic()
        taker = Redis(starter.directory, "--replicaof", "127.0.0.1", str(giver.port))
        stack.callback(taker.stop)
        while "master_link_status:up" not in taker.ask("INFO", "replication") or \
                int(taker.ask("DBSIZE")) != len(instances):
            if time.monotonic() - began > 120:
                raise BenchError("the replica of redis is not in sync within two minutes")
            time.sleep(0.005)
        wall = time.monotonic() - began
        giver_after, taker_after = settled(giver.process.pid, taker.process.pid)
        return {"wall": wall, "giver": giver_after - before, "taker": taker_after}
