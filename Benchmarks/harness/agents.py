"""Nodes of the gossip in processes of their own: kill -9, and splits by a packet filter. serf's agents too."""
import base64
import contextlib
import json
import os
import random
import subprocess
import threading
import time

from .process import BenchError, end, pinned

KEY = base64.b64encode(b"regdns-benchmark").decode()
PORT, RPC_PORT = 17946, 17373
NETWORKS = {"regdns": 7, "memberlist": 8, "serf": 9}
# What comes from the other half is lost without a word to who sent it.
CUT = 'table inet cut { chain input { type filter hook input priority 0; iifname "half" drop; }; }'
HEAL = "delete table inet cut"


class Agent:
    """One process, and its lines with the time at which they came."""

    def __init__(self, command: list[str], **more):
        self.lines: list[tuple[float, str]] = []
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=pinned(None), **more)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append((time.time(), line))

    def events(self, name: str) -> list[dict]:
        return [event for _, line in list(self.lines) if line.startswith("{")
                for event in [json.loads(line)] if event.get("event") == name]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


class Node(Agent):
    """A node of regdns or of memberlist."""

    def __init__(self, program: str, name: str, address: str, join: str | None, enter: list[str] = []):
        self.name = name
        command = [*enter, program, "node", "--name", name, "--bind", f"{address}:{PORT}"]
        super().__init__(command + (["--join", f"{join}:{PORT}"] if join else []))

    def sees(self, count: int) -> bool:
        counts = self.events("members")
        return bool(counts) and counts[-1]["count"] == count

    def saw_others_go(self, count: int, since: float) -> bool: return self.sees(count)
    def saw_others_come(self, count: int, since: float) -> bool: return self.sees(2 * count)

    def saw_gone(self, name: str, since: float) -> float | None:
        return next((event["at"] for event in self.events("gone") if event["name"] == name), None)

    def gone(self) -> int:
        return len(self.events("gone"))


class Serf(Agent):
    """serf's agent; the time is when its line came."""

    def __init__(self, name: str, address: str, join: str | None, enter: list[str] = []):
        self.name = name
        command = [*enter, "serf", "agent", f"-node={name}", f"-bind={address}:{PORT}",
                   f"-rpc-addr={address}:{RPC_PORT}", f"-encrypt={KEY}", "-log-level=info", "-profile=lan"]
        super().__init__(command + ([f"-join={join}:{PORT}"] if join else []))

    def times(self, event: str, name: str = "", since: float = 0) -> list[float]:
        return [at for at, line in list(self.lines) if at > since and f"serf: {event}: {name}" in line]

    def sees(self, count: int) -> bool:
        return len(self.times("EventMemberJoin")) >= count

    def saw_others_go(self, count: int, since: float) -> bool:
        return len(self.times("EventMemberFailed", since=since)) >= count

    def saw_others_come(self, count: int, since: float) -> bool:
        return len(self.times("EventMemberJoin", since=since)) >= count

    def saw_gone(self, name: str, since: float) -> float | None:
        return next(iter(self.times("EventMemberFailed", name + " ", since)), None)

    def gone(self) -> int:
        return len(self.times("EventMemberFailed"))


def until(done, seconds: float, what: str) -> None:
    limit = time.monotonic() + seconds
    while not done():
        if time.monotonic() > limit:
            raise BenchError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def kills(bench, clusters: int, count: int = 5) -> None:
    """kill -9 of one of five processes, in some clusters of each kind at the same time."""
    results: dict[str, list[dict]] = {side: [] for side in NETWORKS}
    problems, threads = [], []
    for side in NETWORKS:
        for cluster in range(clusters):
            def job(side=side, cluster=cluster):
                try:
                    results[side].append(kill(bench, side, cluster, count))
                except (BenchError, OSError) as error:
                    problems.append(f"{side}: {error}")
            threads.append(threading.Thread(target=job))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise BenchError("; ".join(problems))
    for side, lines in results.items():
        bench.take((side, "kill9", count, ""), lines)


def start(bench, side: str, name: str, address: str, join: str | None, enter: list[str] = []):
    if side == "serf":
        return Serf(name, address, join, enter)
    return Node(bench.programs[side], name, address, join, enter)


def kill(bench, side: str, cluster: int, count: int) -> dict:
    with contextlib.ExitStack() as stack:
        nodes = []
        for number in range(count):
            network = f"127.{NETWORKS[side]}.{cluster}"
            nodes.append(start(bench, side, f"{side}{cluster}-{number}", f"{network}.{number + 1}",
                               f"{network}.1" if nodes else None))
            stack.callback(nodes[-1].stop)
            if number == 0:
                time.sleep(0.5)
        until(lambda: all(node.sees(count) for node in nodes), 90, f"{count} members in all views")
        time.sleep(2 + random.random())
        victim = nodes.pop(random.randrange(count))
        at = time.time()
        victim.process.kill()
        with contextlib.suppress(BenchError):
            until(lambda: all(node.saw_gone(victim.name, at) for node in nodes), 60, "the kill")
        seen = sorted(when - at for node in nodes if (when := node.saw_gone(victim.name, at)))
        line = {"nodes": count, "missing": len(nodes) - len(seen),
                "false_deaths": sum(node.gone() for node in nodes) - len(seen)}
        return line | ({"first": seen[0], "all": seen[-1]} if seen else {})


class Halves:
    """Two network namespaces and a link between them."""

    def __init__(self, addresses: tuple[list[str], list[str]]):
        self.holders = [subprocess.Popen(["unshare", "--net", "sleep", "600"], preexec_fn=pinned(None))
                        for _ in range(2)]
        until(lambda: all(os.stat(f"/proc/{holder.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino
                          for holder in self.holders), 10, "a network namespace")
        other = str(self.holders[1].pid)
        self.run(0, "ip", "link", "add", "half", "type", "veth", "peer", "name", "half", "netns", other)
        for half in range(2):
            for address in addresses[half]:
                self.run(half, "ip", "address", "add", f"{address}/24", "dev", "half")
            for link in ("lo", "half"):
                self.run(half, "ip", "link", "set", link, "up")

    def enter(self, half: int) -> list[str]:
        return ["nsenter", "--target", str(self.holders[half].pid), "--net"]

    def run(self, half: int, *command: str) -> None:
        done = subprocess.run([*self.enter(half), *command], text=True, capture_output=True, timeout=10)
        if done.returncode:
            raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")

    def filter(self, rules: str) -> None:
        for half in range(2):
            self.run(half, "nft", rules)

    def close(self) -> None:
        for holder in self.holders:
            end(holder, [])


def heal(bench, count: int = 6, cut_seconds: float = 30) -> None:
    """Two halves of a cluster are parted by packet filters, and joined again; each kind has namespaces of its own."""
    if os.geteuid() != 0:
        bench.context.say("gossip: splits are left out, they need root (network namespaces)")
        return
    results, threads = {}, []
    for side in NETWORKS:
        def job(side=side):
            try:
                results[side] = split(bench, side, count, cut_seconds)
            except (BenchError, OSError) as error:
                results[side] = error
        threads.append(threading.Thread(target=job))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for side, result in results.items():
        if isinstance(result, Exception):
            raise BenchError(f"split, {side}: {result}")
        bench.take((side, "heal", count, ""), [result])


def split(bench, side: str, count: int, cut_seconds: float) -> dict:
    half = count // 2
    addresses = [f"10.77.0.{number + 1}" for number in range(count)]
    with contextlib.ExitStack() as stack:
        halves = Halves((addresses[:half], addresses[half:]))
        stack.callback(halves.close)
        nodes = []
        for number, address in enumerate(addresses):
            nodes.append(start(bench, side, f"{side}-{number}", address, addresses[0] if nodes else None,
                               halves.enter(number // half)))
            stack.callback(nodes[-1].stop)
            if number == 0:
                time.sleep(0.5)
        until(lambda: all(node.sees(count) for node in nodes), 90, "a cluster")
        time.sleep(3 + random.random())
        line: dict = {"nodes": count, "cut": cut_seconds}
        at = time.time()
        halves.filter(CUT)
        with contextlib.suppress(BenchError):
            until(lambda: all(node.saw_others_go(half, at) for node in nodes), 120, "the split")
            line["split"] = time.time() - at
        time.sleep(max(0, at + cut_seconds - time.time()))
        at = time.time()
        halves.filter(HEAL)
        with contextlib.suppress(BenchError):
            until(lambda: all(node.saw_others_come(half, at) for node in nodes), 60, "the end of the split")
            line["healed"] = time.time() - at
        return line
