"""What was measured: a table as it comes, and JSON at the end."""

import json
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Report:
    """Rows of numbers by part; a number's name says its unit, or what it is a ratio to."""

    parts: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    part: str = ""

    def begin(self, part: str) -> None:
        self.part = part
        self.parts[part] = {}
        print(f"\n{part}", flush=True)

    def add(self, what: str, numbers: dict[str, float]) -> None:
        self.parts[self.part][what] = numbers
        cells = [f"{_short(number):>7} {name}" for name, number in numbers.items()]
        print(f"  {what:48}" + "".join(f"{cell:28}" for cell in cells).rstrip(), flush=True)

    def note(self, text: str) -> None:
        print(f"  {text}", flush=True)

    def write(self, path: Path) -> None:
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        path.write_text(json.dumps({"machine": machine, "results": self.parts}, indent=2) + "\n")


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
