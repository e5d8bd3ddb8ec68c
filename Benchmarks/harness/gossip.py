"""Gossip beside HashiCorp's memberlist and serf: kills, changes, joins, idle traffic, splits."""
import concurrent.futures
import json
import os
import statistics
import subprocess
import threading
from pathlib import Path

from . import agents
from .context import Context
from .process import BenchError, pinned
from .report import Spread

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = Path(__file__).parent.parent / "gossip"
OURS, THEIRS = "regdns", "memberlist"
# What two cores show, by scenario.
HONEST = "timers decide"
SHARED = "64 nodes share two cores: the tail is the machine's"


class Gossip:
    """Both programs, and what they said."""

    def __init__(self, context: Context):
        self.context, self.round = context, 0
        self.programs = {OURS: ours(), THEIRS: theirs(ROOT / ".build" / "bench")}
        # (side, scenario, nodes, kind) -> a list of lines for each round
        self.lines: dict[tuple, list[list[dict]]] = {}

    def command(self, side: str, scenario: str, nodes: int, *options) -> list[str]:
        return [self.programs[side], scenario, "--nodes", str(nodes), *map(str, options)]

    def together(self, jobs: list[tuple], seconds: float, sides=(OURS, THEIRS)) -> None:
        """Runs jobs (scenario, nodes, kind, options…) on all sides at the same time."""
        results, threads = {}, []
        for scenario, nodes, kind, *options in jobs:
            for side in sides:
                def job(key=(side, scenario, nodes, kind), options=tuple(options)):
                    try:
                        results[key] = run(self.command(*key[:3], *options), seconds)
                    except BenchError as error:
                        results[key] = error
                threads.append(threading.Thread(target=job))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for key, lines in results.items():
            self.take(key, lines)

    def take(self, key: tuple, lines) -> None:
        if isinstance(lines, BenchError):
            raise lines
        side, scenario, nodes, kind = key
        self.lines.setdefault(key, []).append(lines)
        for line in lines:
            fields = line | {"side": side, "round": self.round, "of": kind}
            fields.pop("kind", None)
            self.context.report.line(f"gossip-{scenario}", **fields)

    def all(self, side: str, *key) -> list[list[dict]]:
        return self.lines.get((side, *key), [])


def ours() -> str:
    """gossipbench: $GOSSIPBENCH, or built here."""
    if given := os.environ.get("GOSSIPBENCH"):
        return given
    done = subprocess.run(
        ["scripts/build.sh", "--product", "gossipbench"], cwd=ROOT, timeout=3600,
        env=os.environ | {"CONFIGURATION": "release", "REGDNS_GOSSIP_BENCH": "1"})
    if done.returncode:
        raise BenchError("gossipbench does not build")
    return str(ROOT / ".build" / "release" / "gossipbench")


def theirs(directory: Path) -> str:
    """mlbench, built with the libraries that Debian packages."""
    directory.mkdir(parents=True, exist_ok=True)
    binary = directory / "mlbench"
    newest = max(source.stat().st_mtime for source in (SOURCES / "mlbench").glob("*.go"))
    if not binary.exists() or binary.stat().st_mtime < newest:
        done = subprocess.run(
            ["go", "build", "-o", str(binary), "./mlbench"], cwd=SOURCES, capture_output=True, text=True, timeout=600,
            env=os.environ | {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""})
        if done.returncode:
            raise BenchError(f"mlbench does not build: {done.stderr.strip()}")
    return str(binary)


def run(command: list[str], seconds: float) -> list[dict]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, preexec_fn=pinned(None))
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(command)} has not ended after {seconds} s") from None
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def gossip(context: Context) -> None:
    """Section `gossip`."""
    bench = Gossip(context)
    quick = context.quick
    for bench.round in range(context.rounds):
        def say(what: str) -> None:
            context.say(f"gossip: round {bench.round + 1} of {context.rounds}, {what}")
        say("kills")
        bench.together([("kill", 5, "", "--clusters", 2 if quick else 8),
                        ("kill", 16, "", "--clusters", 1 if quick else 4, "--trials", 1 if quick else 2)], 400)
        bench.together([("kill", 64, "", "--trials", 1 if quick else 5)], 600)
        agents.kills(bench, 1 if quick else 3)
        # These wait nearly all of the time.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            seconds = ["--seconds", 5 if quick else 60]
            beside = [
                pool.submit(agents.heal, bench),
                pool.submit(bench.together, [("idle", 8, "", *seconds), ("idle", 64, "", *seconds)], 400),
                pool.submit(bench.together, [("idle", 8, "replicating", "--replicates", *seconds),
                                             ("idle", 64, "replicating", "--replicates", *seconds)], 400, (OURS,))]
            changes(bench, say, ["--trials", 2 if quick else 15, "--gap", 1.2])
            for each in beside:
                each.result()
        say("joins")
        for side in (OURS, THEIRS) if bench.round % 2 else (THEIRS, OURS):
            bench.together([("join", 64, ""), ("join", 16, "")], 400, sides=(side,))
    tell(bench)


def changes(bench: Gossip, say, options: list) -> None:
    say("messages")
    bench.together([("change", 16, "message", *options), ("change", 32, "message", *options)], 200)
    bench.together([("change", 64, "message", *options)], 200)
    say("metadata and registrations")
    bench.together([("change", 16, "metadata", "--metadata", *options)], 200)
    bench.together([("change", 64, "metadata", "--metadata", *options)], 200)
    bench.together([("change", nodes, "registration", "--registration", *options) for nodes in (16, 32)], 200, (OURS,))
    bench.together([("change", 64, "registration", "--registration", *options)], 200, (OURS,))


# What comes of the lines.

def percentile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def figure(rounds: list[list[dict]], pick, of) -> tuple[list[float], list[float]]:
    """One number for each round, and all values together."""
    values = [[value for line in lines for value in pick(line)] for lines in rounds]
    return [of(each) for each in values if each], [value for each in values for value in each]


def shown(values: list[float], of, unit: str = "") -> str:
    if not values:
        return "-"
    digits = 0 if max(values) >= 100 else 2
    return f"{of(values):.{digits}f}, max {max(values):.{digits}f}{unit} ({len(values)})"


def pair(rows: list, bench: Gossip, what: str, key: tuple, pick, of, target: str, honest: str,
         limit: float | None = None, theirs_key: tuple | None = None, side: str = THEIRS) -> None:
    """One row: ours, theirs, the ratio round by round; a bar if there is a limit."""
    our_rounds, our_values = figure(bench.all(OURS, *key), pick, of)
    their_rounds, their_values = figure(bench.all(side, *(theirs_key or key)), pick, of)
    ratio = ""
    if our_rounds and len(our_rounds) == len(their_rounds):
        spread = Spread.ratio(our_rounds, their_rounds)
        ratio = str(spread)
        if limit is not None:
            bench.context.report.bar(f"{what}, over {side}", spread, limit)
    rows.append([what, shown(our_values, of), shown(their_values, of), ratio, target, honest])


def tell(bench: Gossip) -> None:
    head = ["", "regdns", "reference", "regdns/reference", "target", "can two cores show it"]
    rows: list[list] = []
    median = statistics.median
    p50, p99 = median, lambda values: percentile(values, 0.99)

    def all_of(line): return [line["all"]] if "all" in line and not line["missing"] else []
    for nodes in (5, 16, 64):
        pair(rows, bench, f"kill seen by all, {nodes} nodes in one process, s", ("kill", nodes, ""), all_of, median,
             "median within 10 %" if nodes == 5 else "not worse", SHARED if nodes == 64 else HONEST, 1.1)
    for side in (THEIRS, "serf"):
        pair(rows, bench, f"kill -9 seen by all, 5 processes, {side}, s", ("kill9", 5, ""), all_of, median,
             "median within 10 %", HONEST, 1.1, side=side)
    bench.context.report.table("Gossip: kills (median, max, trials)", head, rows)
    missed = [["kill", side, sum(line["missing"] for lines in of for line in lines),
               sum(line.get("false_deaths", 0) for lines in of for line in lines)]
              for side in (OURS, THEIRS)
              for of in [[lines for key, all in bench.lines.items() if key[:2] == (side, "kill") for lines in all]]]
    bench.context.report.table(
        "Gossip: survivors that did not see a kill within a minute; members wrongly declared dead",
        ["", "side", "not seen", "false deaths"], missed)

    rows = []
    def ms(line): return line["ms"]
    for kind, sizes in (("message", (16, 32, 64)), ("metadata", (16, 64)), ("registration", (16, 32, 64))):
        for nodes in sizes:
            # A registration has no counterpart there; the nearest thing is a message.
            there = ("change", nodes, "message") if kind == "registration" else None
            honest = SHARED if nodes == 64 else HONEST
            target = {"p50": "300 ms at 64", "p99": "700 ms at 64"}
            for name, of in (("p50", p50), ("p99", p99)):
                limit = 1.1 if kind != "metadata" else None
                pair(rows, bench, f"{kind} to {nodes} nodes, {name}, ms", ("change", nodes, kind), ms, of, target[name],
                     honest, limit, theirs_key=there)
    bench.context.report.table("Gossip: one change to all (of all deliveries: percentile, max, number)", head, rows)
    rows = []
    for (side, scenario, nodes, kind), rounds in sorted(bench.lines.items()):
        if scenario == "change":
            lines = [line for lines in rounds for line in lines]
            missing = sum(line["missing"] for line in lines)
            whole = sum(not line["missing"] for line in lines)
            copies = [line["copies"] for line in lines if "copies" in line]
            rows.append([f"{kind}, {nodes} nodes", side, f"{whole} of {len(lines)}",
                         f"{100 - 100 * missing / (len(lines) * (nodes - 1)):.2f} %",
                         f"{median(copies):.1f}" if copies else ""])
    bench.context.report.table(
        "Gossip: what arrived (target: 100 %, at most 5 copies)",
        ["", "side", "reached everybody", "deliveries", "copies of a delivery"], rows)

    rows = []
    def full(line): return [line["full"]] if "full" in line else []
    for nodes, target in ((16, ""), (64, "3 s")):
        pair(rows, bench, f"views full after {nodes} joins, from the last one, s", ("join", nodes, ""), full, median,
             target, "sealing 4,000 views is CPU time of both" if nodes == 64 else HONEST, 1.0 if nodes == 64 else None)
        pair(rows, bench, f"the same from the first start, {nodes} nodes, s", ("join", nodes, ""),
             lambda line: [line["joining"] + line["full"]] if "full" in line else [], median, "", "in part CPU time")
        pair(rows, bench, f"CPU time of all of it, {nodes} nodes, s", ("join", nodes, ""), lambda line: [line["cpu"]],
             median, "", "CPU time")
    for nodes in (8, 64):
        for name, field in (("packets", "packets"), ("packet octets", "packet_bytes"),
                            ("stream octets", "stream_bytes"), ("CPU ms", "cpu")):
            scale = 1000 if field == "cpu" else 1
            pair(rows, bench, f"idle, {nodes} nodes: {name} a node and second", ("idle", nodes, ""),
                 lambda line, field=field, scale=scale: [line[field] * scale], median,
                 "the same" if field != "cpu" else "", HONEST if field != "cpu" else "CPU time",
                 1.1 if field == "packet_bytes" else None)
        pair(rows, bench, f"idle with the registry's digests, {nodes} nodes: packet octets",
             ("idle", nodes, "replicating"), lambda line: [line["packet_bytes"]], median,
             "at most 200 more", HONEST, theirs_key=("idle", nodes, ""))
    for side in (THEIRS, "serf"):
        for event, target in (("split", "15 s"), ("healed", "5 s")):
            pair(rows, bench, f"3 + 3 nodes: {event}, seen by all, beside {side}, s", ("heal", 6, ""),
                 lambda line, event=event: [line[event]] if line.get(event) is not None else [], median, target, HONEST,
                 1.0, side=side)
    bench.context.report.table("Gossip: joins, idle traffic, splits (median, max, trials)", head, rows)
    bench.context.report.paragraph(
        "Two cores cannot show: what 64 machines would do at the same moment (here they share two cores with each other "
        "and with whatever else runs), delay and jitter of a network (this is loopback), and CPU-bound times when the "
        "machine has other work; the load average is at the top.")
