"""Results: JSON lines as they come, tables and bars at the end."""
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Spread:
    """Median and range of the rounds."""
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    @classmethod
    def ratio(cls, ours: list[float], theirs: list[float]) -> "Spread":
        """Paired: round by round."""
        return cls.of([our / their for our, their in zip(ours, theirs, strict=True)])

    def __str__(self) -> str:
        digits = 2 if self.median >= 0.1 else 3
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


class Report:
    def __init__(self, directory: Path, quick: bool):
        directory.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%S")
        self.lines, self.text = directory / f"{stamp}.jsonl", directory / f"{stamp}.md"
        self.quick = quick
        self.parts: list[str] = []
        self.bars: list[dict] = []
        self.broken: list[str] = []

    def line(self, kind: str, **data) -> None:
        with open(self.lines, "a") as file:
            file.write(json.dumps({"kind": kind, **data}) + "\n")

    def paragraph(self, text: str) -> None:
        self.parts.append(text)

    def table(self, title: str, head: list[str], rows: list[list]) -> None:
        lines = [f"### {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
        self.parts.append("\n".join(lines))

    def bar(self, what: str, measured: Spread, limit: float, unit: str = "") -> None:
        """A bar holds when the median does not exceed it."""
        self.bars.append({"what": what, "measured": f"{measured}{unit}", "limit": f"{limit:g}{unit}",
                          "holds": measured.median <= limit})
        self.line("bar", what=what, median=measured.median, low=measured.low, high=measured.high, limit=limit,
                  unit=unit.strip(), holds=measured.median <= limit)

    def failed(self, section: str, why: str) -> None:
        self.broken.append(f"{section}: {why}")
        self.line("failure", section=section, why=why)

    def finish(self) -> int:
        """Prints everything; returns the exit status."""
        if self.bars:
            verdict = {True: "pass", False: "FAIL"}
            rows = [[bar["what"], bar["measured"], bar["limit"], verdict[bar["holds"]]] for bar in self.bars]
            self.table("Bars", ["what", "measured: median (range)", "at most", "result"], rows)
        for failure in self.broken:
            self.parts.append(f"**not measured** - {failure}")
        missed = sum(not bar["holds"] for bar in self.bars)
        summary = f"{len(self.bars) - missed} bars hold, {missed} missed, {len(self.broken)} sections failed"
        if self.quick:
            summary += "; a quick run only shows that the harness works: its figures and bars mean nothing"
        self.parts.append(summary)
        self.parts.append(f"Every burst: {self.lines}")
        text = "\n\n".join(self.parts) + "\n"
        self.text.write_text(text)
        print(text)
        if self.broken:
            return 2
        return 1 if missed and not self.quick else 0
