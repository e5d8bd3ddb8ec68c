"""What every section works with."""
from dataclasses import dataclass
from pathlib import Path

from .load import Tools
from .process import Starter
from .report import Report


@dataclass
class Context:
    starter: Starter
    tools: Tools
    report: Report
    directory: Path
    rounds: int
    seconds: float
    quick: bool
    rate: float
    leases: dict[str, int]
    repeats_left: int = 0

    def say(self, text: str) -> None:
        """Progress, so that nobody wonders; results go to the report."""
        print(f"-- {text}", flush=True)

    def file(self, name: str) -> Path:
        return self.directory / name
