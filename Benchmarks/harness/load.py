"""The load tools: built here, run on a CPU of their own."""
import json
import os
import select
import subprocess
import time
from pathlib import Path

from .process import BenchError, Server, end, pinned

SOURCES = Path(__file__).parent.parent / "load"


def build(directory: Path) -> None:
    """Compiles what is older than its source."""
    directory.mkdir(parents=True, exist_ok=True)
    for source in sorted(SOURCES.glob("*.c")):
        binary = directory / source.stem
        if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
            command = [os.environ.get("CC", "gcc"), "-O2", "-std=gnu11", "-o", str(binary), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            if done.returncode:
                raise BenchError(f"{source.name} does not compile: {done.stderr.strip()}")


class Tools:
    def __init__(self, binaries: Path, cpu: int | None):
        self.binaries, self.cpu = binaries, cpu

    def _start(self, name: str, arguments: list, **more) -> subprocess.Popen:
        return subprocess.Popen(
            [str(self.binaries / name), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, preexec_fn=pinned(self.cpu), **more)

    @staticmethod
    def _finish(name: str, process: subprocess.Popen, seconds: float) -> dict:
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{name} has not ended after {seconds} s") from None
        finally:
            end(process, [])
        if process.returncode:
            raise BenchError(f"{name}: {errors.strip() or process.returncode}")
        return json.loads(output.splitlines()[-1]) | ({"stderr": errors.strip()} if errors else {})

    def start_dns(self, server: Server, queries: Path, *options) -> subprocess.Popen:
        pids = ",".join(map(str, server.pids))
        return self._start("dnsload", ["-p", server.dns, "-q", queries, "-P", pids, *options])

    def dns(self, server: Server, queries: Path, *options, seconds: float = 1) -> dict:
        """One burst of questions; every answer must be right, and nearly none lost but at a fixed rate."""
        process = self.start_dns(server, queries, "-d", seconds, *options)
        return self.checked(server, self._finish("dnsload", process, seconds + 30), "-r" in options)

    def stop_dns(self, server: Server, process: subprocess.Popen) -> dict:
        """Ends questions that went on beside something else; losses are for the caller to judge."""
        process.terminate()
        return self.right(server, self._finish("dnsload", process, 30))

    @staticmethod
    def right(server: Server, burst: dict) -> dict:
        server.check()
        wrong = {key: burst[key] for key in ("bad_rcode", "bad_count", "bad_question", "unknown") if burst[key]}
        if wrong:
            raise BenchError(f"{server.kind} gave wrong answers: {wrong} beside {burst['ok']} right ones")
        return burst

    def checked(self, server: Server, burst: dict, at_rate: bool) -> dict:
        self.right(server, burst)
        if burst["answered"] == 0:
            raise BenchError(f"{server.kind} gave no answer")
        # With a bounded number outstanding nothing should be lost; at a fixed rate the sender waits for nobody.
        if not at_rate and burst["lost"] > burst["answered"] / 1000 + 1:
            raise BenchError(f"{server.kind} lost {burst['lost']} of {burst['answered']} questions")
        return burst

    def dns_each_once(self, server: Server, queries: Path, count: int, *options) -> dict:
        """Every question once; lost ones are asked again."""
        process = self.start_dns(server, queries, "-o", "-d", 120, *options)
        burst = self._finish("dnsload", process, 150)
        server.check()
        if burst["ok"] != count:
            raise BenchError(f"{server.kind}: {burst['ok']} of {count} questions got their answer: {burst}")
        return burst

    def http(self, server: Server, requests: Path, connections: int = 4, depth: int = 16, seconds: float = 300) -> dict:
        """Every request once; every response must have the status that the file names."""
        process = self._start(
            "httpload", ["-p", server.http, "-q", requests, "-c", connections, "-d", depth, "-l", seconds],
            stdin=subprocess.DEVNULL)
        result = self._finish("httpload", process, seconds + 30)
        server.check()
        if result["wrong"] or result["answered"] != result["requests"]:
            raise BenchError(f"{server.kind}: {requests.name}: {result['answered']} of {result['requests']} answered, "
                             f"statuses {result['statuses']}; {result.get('stderr', '')}")
        return result


class Renewer:
    """Renews leases round and round at a fixed rate. While it is paused nothing is sent; `resume` first sends what came
    due, so that each lease keeps its schedule but for the length of the pause."""

    def __init__(self, tools: Tools, server: Server, heartbeats: Path, rate: float):
        self.rate, self.server = rate, server
        self.process = tools._start(
            "httpload", ["-p", server.http, "-q", heartbeats, "-r", rate, "-c", 4, "-d", 4, "-l", 3600],
            stdin=subprocess.PIPE)
        self.running = False

    def _order(self, word: str, answer: str, seconds: float = 60) -> None:
        try:
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise BenchError(f"the renewer ended: {self.process.stderr.read().strip()}") from None
        limit, line = time.monotonic() + seconds, ""
        if select.select([self.process.stdout], [], [], max(0, limit - time.monotonic()))[0]:
            line = self.process.stdout.readline().strip()
        if line != answer:
            self.server.check()
            raise BenchError(f"the renewer did not say {answer!r} within {seconds} s but {line!r}")
        self.running = word == "resume"

    def resume(self) -> None:
        if not self.running:
            self._order("resume", "ready")

    def pause(self) -> None:
        if self.running:
            self._order("pause", "paused")

    def stop(self, lease: float, age: float) -> dict:
        """Ends it and checks that it never failed: each lease was renewed before its end. `age`: how long the oldest
        lease had lived when this renewer started."""
        try:
            output, errors = self.process.communicate("stop\n", timeout=30)
        finally:
            end(self.process, [])
        result = json.loads(output.splitlines()[-1])
        if result["wrong"]:
            raise BenchError(f"{result['wrong']} renewals failed: statuses {result['statuses']}; {errors.strip()}")
        if result["longest_gap_seconds"] + age >= lease:
            raise BenchError(f"a lease of {lease} s was not renewed for {result['longest_gap_seconds'] + age:.1f} s")
        return result

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process, [])
