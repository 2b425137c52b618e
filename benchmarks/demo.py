"""`make demo` as a newcomer meets it: from a fresh clone, and once more."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Row, run


def rows(quick: bool) -> list[Row]:
    """Clone the last commit and run `make demo` twice in it. Packages come from the index or its client's cache."""
    with tempfile.TemporaryDirectory(prefix="gusto-bench-") as folder:
        clone = Path(folder) / "clone"
        run(["git", "clone", "--quiet", str(ROOT), str(clone)])
        first, second = (run(["make", "demo"], cwd=clone) for _ in range(2))
    return [
        Row("demo", "fresh clone, wall", f"{first.wall:.1f} s", "", None, "≤ 60 s"),
        Row("demo", "second run, wall", f"{second.wall:.1f} s", "", None, "≤ 15 s"),
    ]
