#!/usr/bin/env python3
"""Measures regdns beside knot, nsd and etcd. README.md in this folder says what and how to read it."""
import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
from harness import etcd, fresh, gossip, load, memory, queries, writes, zones  # noqa: E402
from harness.context import Context  # noqa: E402
from harness.load import Tools  # noqa: E402
from harness.process import BenchError, Starter, cpu_plan  # noqa: E402
from harness.report import Report  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = {"names": queries.names, "service": queries.service, "writes": writes.writes, "memory": memory.memory,
            "zones": zones.zones, "etcd": etcd.etcd, "gossip": gossip.gossip,
            "fresh": fresh.fresh}
# Half an hour of waiting for timers: only on demand.
ON_DEMAND = {"gossip", "fresh"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("section", nargs="*", metavar="SECTION", help=f"any of {', '.join(SECTIONS)}; by default all but {', '.join(ON_DEMAND)}")
    parser.add_argument("--quick", action="store_true", help="one small round, to see that the harness works")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="measured part of a burst (default 1)")
    parser.add_argument("--rate", type=float, default=0, help="section names: also at so many queries a second")
    parser.add_argument("--lease-small", type=int, default=30, help="lease at 1,000 names, seconds (default 30)")
    parser.add_argument("--lease-large", type=int, default=300, help="lease at 100,000 names, seconds (default 300)")
    parser.add_argument("--limit", type=int, default=60, help="the run ends after so many minutes (default 60)")
    parser.add_argument("--regdns", default=os.environ.get("REGDNS"), help="the binary (default $REGDNS)")
    parser.add_argument("--regdns-option", action="append", default=[], metavar="OPTION",
                        help="passed on to regdns serve; repeat for more, as in --regdns-option=--round-robin=false")
    parser.add_argument("--results", type=Path, default=ROOT / "bench-results", help="folder for what was measured")
    parser.add_argument("--keep", action="store_true", help="keep configurations, zones and logs of the servers")
    options = parser.parse_args()
    unknown = set(options.section) - SECTIONS.keys()
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if options.rounds < 1 or options.seconds < 0.2:
        parser.error("at least one round of 0.2 seconds")
    if not options.regdns or not os.access(options.regdns, os.X_OK):
        parser.error("no regdns binary: set REGDNS or --regdns, or run scripts/bench.sh, which builds one")
    return options


def first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return (done.stdout + done.stderr).strip().split("\n")[0]
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown: {error}"


def machine(options: argparse.Namespace, cpus) -> dict:
    """What the figures depend on besides the programs."""
    models = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith(("model name", "Model"))]
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "command": " ".join([f"REGDNS={options.regdns}", *sys.argv]),
        "cpu": f"{os.cpu_count()} x {models[0] if models else platform.machine()}",
        "servers and load tools": "not pinned" if cpus[0] is None else f"pinned to CPU {cpus[0]} and CPU {cpus[1]}",
        "memory": f"{memory_kib / 2**20:.1f} GiB",
        "kernel": platform.release(),
        "load average at the start": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "regdns": first_line(options.regdns, "--version"),
        "source tree": first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "knot": first_line("knotd", "-V"),
        "nsd": first_line("nsd", "-v"),
        "etcd": first_line("etcd", "--version"),
        "compiler of the load tools": first_line(os.environ.get("CC", "gcc"), "--version"),
    }


def cpu_ticks() -> list[int]:
    """The machine's time so far: user, nice, system, idle, iowait, irq, softirq, steal."""
    return [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]


def overrun(*_) -> None:
    raise BenchError("the time limit of the run was reached")


def interrupted(*_) -> None:
    raise KeyboardInterrupt


def run(options: argparse.Namespace, report: Report, directory: Path, cpus) -> None:
    binaries = ROOT / ".build" / "bench"
    load.build(binaries)
    context = Context(
        starter=Starter(directory, options.regdns, options.regdns_option, cpus[0]), tools=Tools(binaries, cpus[1]),
        report=report, directory=directory, rounds=1 if options.quick else options.rounds,
        seconds=min(options.seconds, 0.4) if options.quick else options.seconds, quick=options.quick,
        rate=options.rate, leases={"small": options.lease_small, "large": options.lease_large})
    for name in options.section or [name for name in SECTIONS if name not in ON_DEMAND]:
        try:
            SECTIONS[name](context)
        except BenchError as error:
            report.failed(name, str(error))
            if "time limit" in str(error):
                return
        except Exception:
            report.failed(name, traceback.format_exc())


def main() -> int:
    options = arguments()
    cpus = cpu_plan()
    report = Report(options.results, options.quick)
    facts, before = machine(options, cpus), cpu_ticks()
    report.line("run", **facts)
    report.paragraph("\n".join(["# regdns beside knot and nsd", "", *(f"- {key}: {facts[key]}" for key in facts)]))
    signal.signal(signal.SIGALRM, overrun)
    signal.signal(signal.SIGTERM, interrupted)
    signal.alarm(options.limit * 60)
    # Short, since Knot makes a socket below it and the length of such a path is bounded.
    directory = Path(tempfile.mkdtemp(prefix="regdns-bench-"))
    try:
        run(options, report, directory, cpus)
    except KeyboardInterrupt:
        report.failed("run", "interrupted")
    finally:
        signal.alarm(0)
        if options.keep:
            report.paragraph(f"Kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    spent = [after - start for start, after in zip(before, cpu_ticks())]
    report.paragraph(f"Over the whole run the machine was {100 * (1 - spent[3] / max(1, sum(spent))):.0f} % busy, and "
                     f"{100 * spent[7] / max(1, sum(spent)):.1f} % of its time went to other guests (steal).")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
