"""regdns beside a real etcd: CPU time of puts over v3 and v2, of events to many watchers, of listing under writes."""
import contextlib
import json
import select
import threading
import time
import urllib.parse

from . import data, h2
from .context import Context
from .h2 import Connection, field, fields
from .process import BenchError, Server
from .report import Spread

PREFIX = "/skydns/local/skydns/"
PUT, RANGE, WATCH = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range", "/etcdserverpb.Watch/Watch"


def key(number: int, folder: str) -> str:
    return f"{PREFIX}{folder}/s{number // 10:05d}/i{number:06d}"


def value(number: int, mark: int = 0) -> str:
    instance = data.Instance(number, "", None)
    return json.dumps({"host": instance.address, "port": instance.port, "priority": 10, "weight": 100 + mark, "ttl": 60})


def put(number: int, folder: str, mark: int = 0) -> bytes:
    return field(1, key(number, folder)) + field(2, value(number, mark))


def count(server: Server, folder: str) -> int:
    link = Connection(server.http)
    try:
        answer = link.unary(RANGE, field(1, f"{PREFIX}{folder}/") + field(2, f"{PREFIX}{folder}0") + field(9, 1))
        return dict(fields(answer)).get(4, 0)
    finally:
        link.close()


def etcd(context: Context) -> None:
    """Section `etcd`."""
    each = 300 if context.quick else 5000
    watchers = 100 if context.quick else 1000
    listed = 2000 if context.quick else 100_000
    with contextlib.ExitStack() as stack:
        servers = {"regdns": stack.enter_context(context.starter.regdns(etcd=True)),
                   "etcd": stack.enter_context(context.starter.etcd())}
        puts(context, servers, each)
        watching(context, servers, watchers)
        listing(context, servers, listed)


def turns(servers: dict, index: int):
    """The servers, in another order each round."""
    return list(servers.items())[::1 if index % 2 else -1]


def puts(context: Context, servers: dict, each: int) -> None:
    costs = {(kind, dialect): [] for kind in servers for dialect in ("v3", "v2")}
    for index in range(-1, context.rounds):
        context.say(f"etcd, puts: round {index + 1} of {context.rounds}")
        for kind, server in turns(servers, index):
            # New keys and written ones, half of each.
            numbers = [number for first in (0, (index + 2) * each) for number in range(first, first + each // 2)]
            messages = [put(number, "v3", index + 1) for number in numbers]
            before = server.quiet_cpu_ns()
            h2.pump(server.http, PUT, messages)
            v3 = (server.quiet_cpu_ns() - before) / 1000 / len(messages)
            file = data.write(context.file("etcd-v2"), (
                f"PUT /v2/keys{key(number, 'v2')}?value={urllib.parse.quote(value(number, index + 1))}"
                f" {200 if number < each // 2 and index >= 0 else 201}\n" for number in numbers))
            before = server.quiet_cpu_ns()
            context.tools.http(server, file, seconds=60)
            v2 = (server.quiet_cpu_ns() - before) / 1000 / len(messages)
            if index >= 0:  # the first is not counted: buffers grow, connections open
                costs[kind, "v3"].append(v3)
                costs[kind, "v2"].append(v2)
                context.report.line("etcd-puts", server=kind, round=index, v3_us=v3, v2_us=v2)
    expected = each // 2 * (context.rounds + 2)
    for kind, server in servers.items():
        found = count(server, "v3")
        if found != expected:
            raise BenchError(f"{kind} holds {found} of {expected} keys put over v3")
    rows = []
    for dialect in ("v3", "v2"):
        ratio = Spread.ratio(costs["regdns", dialect], costs["etcd", dialect])
        rows.append([dialect, Spread.of(costs["regdns", dialect]), Spread.of(costs["etcd", dialect]), ratio])
        context.report.bar(f"CPU per {dialect} put over etcd's", ratio, 1.0)
    context.report.table(
        f"CPU time of a put of a registration, us ({each:,} a round, 4 connections, 16 outstanding on each)",
        ["dialect", "regdns", "etcd", "regdns/etcd"], rows)
    context.report.paragraph("etcd's data lies in a file system in memory, so that its fsync costs nothing; regdns keeps "
                             "registrations in memory. The DNS view is kept up to date by every put.")


class Watchers:
    """Watchers on one prefix, spread over connections; counts the events that each got."""

    def __init__(self, server: Server, folder: str, number: int, per_stream: int = 50):
        self.links, self.counts, self.canceled = [], {}, 0
        prefix = field(1, f"{PREFIX}{folder}/") + field(2, f"{PREFIX}{folder}0")
        for _ in range(number // per_stream):
            link = Connection(server.http)
            self.links.append((link, {}))
            stream, octets = link.call(WATCH, field(1, prefix), ends=False)
            octets += b"".join(h2.frame(h2.DATA, 0, stream, h2.grpc(field(1, prefix))) for _ in range(per_stream - 1))
            link.socket.sendall(octets)
        self.created, self.number = 0, number
        self.read(lambda: self.created == self.number, 30)

    def read(self, done, seconds: float) -> bool:
        """Reads until it is done or time is over."""
        limit, sockets = time.monotonic() + seconds, {link.socket: (link, parts) for link, parts in self.links}
        while not done():
            ready = select.select(list(sockets), [], [], max(0, limit - time.monotonic()))[0]
            if not ready:
                return False
            for sock in ready:
                link, parts = sockets[sock]
                for kind, _, stream, payload in link.frames():
                    if kind == h2.DATA:
                        self.take(link, parts, stream, payload)
        return True

    def take(self, link: Connection, parts: dict, stream: int, payload: bytes) -> None:
        buffer = parts.get(stream, b"") + payload
        while len(buffer) >= 5 and len(buffer) >= 5 + int.from_bytes(buffer[1:5], "big"):
            length = int.from_bytes(buffer[1:5], "big")
            self.message(link, buffer[5:5 + length])
            buffer = buffer[5 + length:]
        parts[stream] = buffer

    def message(self, link: Connection, message: bytes) -> None:
        events, watch = 0, 0
        for number, content in fields(message):
            if number == 2:
                watch = content
            elif number == 3:
                self.created += content
            elif number == 4:
                self.canceled += content
            elif number == 11:
                events += 1
        if events:
            self.counts[link, watch] = self.counts.get((link, watch), 0) + events

    @property
    def delivered(self) -> int:
        return sum(self.counts.values())

    def close(self) -> None:
        for link, _ in self.links:
            link.close()


def watching(context: Context, servers: dict, number: int) -> None:
    """Every event must reach every watcher."""
    changes, rate = (10, 20) if context.quick else (60, 20)
    costs = {kind: [] for kind in servers}
    for index in range(context.rounds):
        context.say(f"etcd, {number:,} watchers: round {index + 1} of {context.rounds}")
        for kind, server in turns(servers, index):
            watchers, writer = Watchers(server, f"watched{index}", number), Connection(server.http)
            try:
                before = server.quiet_cpu_ns()
                ticker = threading.Thread(target=write_at, args=(writer, changes, rate, f"watched{index}"))
                ticker.start()
                everything = watchers.read(lambda: watchers.delivered >= number * changes, changes / rate + 30)
                ticker.join()
                spent = server.quiet_cpu_ns() - before
            finally:
                watchers.close()
                writer.close()
            if not everything or set(watchers.counts.values()) != {changes} or watchers.canceled:
                raise BenchError(f"{kind}: {watchers.delivered} of {number * changes} events came, {watchers.canceled} "
                                 "watches were cancelled")
            costs[kind].append(spent / 1000 / number / changes)
            context.report.line("etcd-watch", server=kind, round=index, us=costs[kind][-1])
    ratio = Spread.ratio(costs["regdns"], costs["etcd"])
    context.report.table(
        f"CPU time of a delivered event, us ({number:,} watchers on one prefix, {rate} changes a second, the puts included)",
        ["regdns", "etcd", "regdns/etcd"], [[Spread.of(costs["regdns"]), Spread.of(costs["etcd"]), ratio]])
    context.report.bar(f"CPU per event to {number:,} watchers over etcd's", ratio, 1.0)


def write_at(writer: Connection, changes: int, rate: float, folder: str) -> None:
    start = time.monotonic()
    for number in range(changes):
        time.sleep(max(0, start + number / rate - time.monotonic()))
        writer.unary(PUT, put(number % 10, folder, number))


def listing(context: Context, servers: dict, number: int) -> None:
    """All keys in pages of one revision, while others are written."""
    rounds = min(context.rounds, 3)
    costs = {kind: [] for kind in servers}
    for kind, server in servers.items():
        context.say(f"etcd: putting {number:,} keys into {kind}")
        h2.pump(server.http, PUT, [put(n, "list") for n in range(number)], seconds=120)
    for index in range(rounds):
        context.say(f"etcd, listing: round {index + 1} of {rounds}")
        for kind, server in turns(servers, index):
            writer, reader = Connection(server.http), Connection(server.http)
            done = threading.Event()
            ticker = threading.Thread(target=write_until, args=(writer, done))
            try:
                before = server.quiet_cpu_ns()
                ticker.start()
                found = list_in_pages(reader, "list")
                done.set()
                ticker.join()
                costs[kind].append((server.quiet_cpu_ns() - before) / 1000 / number)
            finally:
                done.set()
                writer.close()
                reader.close()
            if found != number:
                raise BenchError(f"{kind}: {found} of {number} keys were listed")
            context.report.line("etcd-list", server=kind, round=index, us=costs[kind][-1])
    ratio = Spread.ratio(costs["regdns"], costs["etcd"])
    context.report.table(
        f"CPU time of a listed key, us ({number:,} keys in pages of 1,000 at one revision, 100 puts a second meanwhile)",
        ["regdns", "etcd", "regdns/etcd"], [[Spread.of(costs["regdns"]), Spread.of(costs["etcd"]), ratio]])


def write_until(writer: Connection, done: threading.Event) -> None:
    number = 0
    while not done.wait(0.01):
        writer.unary(PUT, put(number % 1000, "list", number))
        number += 1


def list_in_pages(reader: Connection, folder: str) -> int:
    start, end, revision, found = f"{PREFIX}{folder}/".encode(), f"{PREFIX}{folder}0", 0, 0
    while True:
        answer = reader.unary(RANGE, field(1, start) + field(2, end) + field(3, 1000) + field(4, revision))
        more, last = 0, b""
        for number, content in fields(answer):
            if number == 1 and not revision:
                revision = dict(fields(content))[3]
            elif number == 2:
                found += 1
                last = content
            elif number == 3:
                more = content
        if not more:
            return found
        start = dict(fields(last))[1] + b"\0"
