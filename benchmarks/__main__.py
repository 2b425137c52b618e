"""The command: run the benchmarks named (all by default) and print one table."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from benchmarks import demo, flatten, matching, sync, writers

BENCHMARKS = {
    "demo": demo.rows,
    "sync": sync.rows,
    "flatten": flatten.rows,
    "matching": matching.rows,
    "writers": writers.rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Our costs beside named peers'.")
    parser.add_argument("name", nargs="*", help=f"of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="one round each, on less data")
    asked = parser.parse_args()
    if unknown := set(asked.name) - set(BENCHMARKS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    console = Console()
    table = Table("benchmark", "measure", "ours", "peer", "peer / ours", "goal", box=None, pad_edge=False)
    for name in asked.name or BENCHMARKS:
        with console.status(f"{name} …"):
            for row in BENCHMARKS[name](asked.quick):
                times = "" if row.ratio is None else f"{row.ratio:.1f} ×"
                table.add_row(row.benchmark, row.measure, row.ours, row.peer, times, row.goal)
    console.print(table)


main()
