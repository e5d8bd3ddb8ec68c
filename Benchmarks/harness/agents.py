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
CUT = """
table inet cut {
    chain input {
        type filter hook input priority 0;
        ip saddr 127.1.0.0/16 ip daddr 127.2.0.0/16 drop
        ip saddr 127.2.0.0/16 ip daddr 127.1.0.0/16 drop
    }
}
"""


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

    def __init__(self, program: str, name: str, address: str, join: str | None):
        self.name = name
        command = [program, "node", "--name", name, "--bind", f"{address}:{PORT}"]
        super().__init__(command + (["--join", f"{join}:{PORT}"] if join else []))

    def sees(self, count: int) -> bool:
        counts = self.events("members")
        return bool(counts) and counts[-1]["count"] == count

    def saw_gone(self, name: str, since: float) -> float | None:
        return next((event["at"] for event in self.events("gone") if event["name"] == name), None)

    def gone(self) -> int:
        return len(self.events("gone"))


class Serf(Agent):
    """serf's agent; the time is when its line came."""

    def __init__(self, name: str, address: str, join: str | None, enter: tuple = ()):
        self.name = name
        command = [*enter, "serf", "agent", f"-node={name}", f"-bind={address}:{PORT}",
                   f"-rpc-addr={address}:{RPC_PORT}", f"-encrypt={KEY}", "-log-level=info", "-profile=lan"]
        super().__init__(command + ([f"-join={join}:{PORT}"] if join else []))

    def times(self, event: str, name: str = "", since: float = 0) -> list[float]:
        return [at for at, line in list(self.lines) if at > since and f"serf: {event}: {name}" in line]

    def sees(self, count: int) -> bool:
        return len(self.times("EventMemberJoin")) >= count

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


def kill(bench, side: str, cluster: int, count: int) -> dict:
    with contextlib.ExitStack() as stack:
        nodes = []
        for number in range(count):
            name, network = f"{side}{cluster}-{number}", f"127.{NETWORKS[side]}.{cluster}"
            join = f"{network}.1" if nodes else None
            address = f"{network}.{number + 1}"
            node = (Serf(name, address, join) if side == "serf"
                    else Node(bench.programs[side], name, address, join))
            stack.callback(node.stop)
            if not nodes:
                time.sleep(0.5)
            nodes.append(node)
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


def heal(bench, count: int = 6, cut_seconds: float = 30) -> None:
    """Two halves are parted by a packet filter in a network namespace of their own, and joined again."""
    if os.geteuid() != 0:
        bench.context.say("gossip: splits are left out, they need root (network namespaces)")
        return
    results, threads = {}, []
    for side in NETWORKS:
        def job(side=side):
            try:
                results[side] = (heal_serf if side == "serf" else heal_side)(bench, side, count, cut_seconds)
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


def in_namespace(*command: str) -> list[str]:
    return ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


def filter_packets(pid: int, rules: str) -> None:
    done = subprocess.run(["nsenter", "--target", str(pid), "--net", "nft", "--file", "-"], input=rules, text=True,
                          capture_output=True, timeout=10)
    if done.returncode:
        raise BenchError(f"nft: {done.stderr.strip()}")


def heal_side(bench, side: str, count: int, cut_seconds: float) -> dict:
    agent = Agent(in_namespace(bench.programs[side], "heal", "--nodes", str(count)), stdin=subprocess.PIPE)
    try:
        until(lambda: agent.events("formed"), 150, "a cluster")
        line: dict = {"nodes": count, "cut": cut_seconds}
        time.sleep(random.random())
        for word, event, rules in (("cut", "split", CUT), ("healed", "healed", "delete table inet cut\n")):
            filter_packets(agent.process.pid, rules)
            began = time.monotonic()
            agent.process.stdin.write(word + "\n")
            agent.process.stdin.flush()
            until(lambda: agent.events(event), 150, event)
            line[event] = agent.events(event)[-1].get("seconds")
            if word == "cut":
                time.sleep(max(0, cut_seconds - (time.monotonic() - began)))
        return line
    finally:
        agent.stop()


def heal_serf(bench, side: str, count: int, cut_seconds: float) -> dict:
    holder = subprocess.Popen(in_namespace("sleep", "600"), preexec_fn=pinned(None))
    agents: list[Serf] = []
    try:
        time.sleep(0.5)
        enter = ("nsenter", "--target", str(holder.pid), "--net")
        for number in range(count):
            address = f"127.{1 + 2 * number // count}.1.{number + 1}"
            agents.append(Serf(f"serf-{number}", address, "127.1.1.1" if agents else None, enter))
            if number == 0:
                time.sleep(0.5)
        until(lambda: all(agent.sees(count) for agent in agents), 90, "a cluster")
        time.sleep(3 + random.random())
        line: dict = {"nodes": count, "cut": cut_seconds}
        for name, event, rules in (("split", "EventMemberFailed", CUT),
                                   ("healed", "EventMemberJoin", "delete table inet cut\n")):
            filter_packets(holder.pid, rules)
            at = time.time()
            with contextlib.suppress(BenchError):
                until(lambda: all(len(agent.times(event, since=at)) >= count // 2 for agent in agents), 120, name)
                line[name] = max(agent.times(event, since=at)[count // 2 - 1] for agent in agents) - at
            if name == "split":
                time.sleep(max(0, cut_seconds - (time.time() - at)))
        return line
    finally:
        for agent in agents:
            agent.stop()
        end(holder, [])
