"""A large company's employees, from the API's pages to typed tables: our warehouse beside `pandas.json_normalize`.

Our side writes a DuckDB file: every raw record, nine typed tables, all checks. pandas only builds its frames in memory,
untyped, which is less work.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Row, contender, ratio, same, typical

EMPLOYEES, QUICK_EMPLOYEES = 100_000, 5_000
ROUNDS = 3
PEOPLE, PER_PAGE = 300, 100
NOW = datetime(2026, 6, 15, tzinfo=UTC)

# Tables below the employees: their name here and where pandas finds their rows.
CHILDREN: dict[str, list[str]] = {
    "jobs": ["jobs"],
    "compensations": ["jobs", "compensations"],
    "home_addresses": ["all_home_addresses"],
    "time_off_balances": ["eligible_paid_time_off"],
    "terminations": ["terminations"],
    "garnishments": ["garnishments"],
    "employee_custom_fields": ["custom_fields"],
}


def rows(quick: bool) -> list[Row]:
    """Compare CPU and memory for 100,000 employees (quick: 5,000, once)."""
    employees, rounds = (QUICK_EMPLOYEES, 1) if quick else (EMPLOYEES, ROUNDS)
    ours, peer = [], []
    with tempfile.TemporaryDirectory(prefix="gusto-bench-") as folder:
        pages = Path(folder) / "pages"
        size = contender("flatten", "generate", pages, employees).said
        for number in range(rounds):
            ours.append(contender("flatten", "warehouse", pages, Path(folder) / f"{number}.duckdb"))
            peer.append(contender("flatten", "pandas", pages))
            same("flatten", ours[-1].said, peer[-1].said)
    we, they = typical(ours), typical(peer)
    name = f"flatten {employees:,} employees ({size / 1e6:.0f} MB)"
    return [
        Row(name, "CPU", f"{we.cpu:.1f} s", f"pandas {they.cpu:.1f} s", ratio(peer, ours, "cpu"), "≥ 4 ×"),
        Row(name, "peak memory", f"{we.peak:.0f} MB", f"{they.peak:.0f} MB", ratio(peer, ours, "peak"), "≤ 600 MB"),
        Row(name, "wall", f"{we.wall:.1f} s", f"{they.wall:.1f} s", ratio(peer, ours, "wall"), ""),
    ]


def generate(folder: Path, employees: int) -> int:
    """Write pages of PER_PAGE employees: the sandbox's own answers, again and again with new ids. Gives the bytes."""
    folder.mkdir()
    size = 0
    templates = list(_answers())
    for number in range(employees // PER_PAGE):
        copy, template = divmod(number, len(templates))
        body = f"{copy:012x}".join(templates[template]).encode()
        (folder / f"{number:06d}.json").write_bytes(body)
        size += len(body)
    return size


def _answers() -> Iterator[list[str]]:
    """The sandbox's pages, cut where each uuid's last twelve digits were."""
    import httpx

    from gusto_pipeline.gusto.catalog import CATEGORIES
    from gusto_pipeline.sandbox.server import running

    source = CATEGORIES["employees"].sources[0]
    with running(employees=PEOPLE) as gusto:
        path = source.path.format(company=gusto.world.companies[0].uuid)
        headers = {"Authorization": f"Bearer {gusto.new_grant()['access_token']}", "X-Gusto-API-Version": "2026-06-15"}
        with httpx.Client(base_url=gusto.base_url, headers=headers) as client:
            for page in range(1, PEOPLE // PER_PAGE + 1):
                answer = client.get(path, params={**source.params, "page": page, "per": PER_PAGE}).raise_for_status()
                yield re.split(r"(?<=-[0-9a-f]{4}-)[0-9a-f]{12}(?=\")", answer.text)


def warehouse(folder: Path, file: Path) -> dict[str, int]:
    """Load the pages as a sync does; gives rows per table."""
    from gusto_pipeline.gusto.catalog import CATEGORIES
    from gusto_pipeline.warehouse.load import LandedPage, Landing, load
    from gusto_pipeline.warehouse.warehouse import Warehouse

    table = CATEGORIES["employees"].sources[0].table
    pages = tuple(LandedPage(page, "/v1/employees", "request", NOW) for page in sorted(folder.iterdir()))
    with Warehouse(file, [table]).write() as connection:
        done = load(connection, [Landing("company", table, pages, len(pages) * PER_PAGE)], seen_at=NOW)["company"]
    return {name: done.rows[name] for name in ("employees", *CHILDREN)}


def pandas(folder: Path) -> dict[str, int]:
    """Build the same tables as data frames; gives rows per table."""
    import pandas as pd

    records = [record for page in sorted(folder.iterdir()) for record in json.loads(page.read_bytes())]
    scalars = [{key: value for key, value in record.items() if not isinstance(value, list)} for record in records]
    frames = {"employees": pd.json_normalize(scalars, sep="__")}
    for name, path in CHILDREN.items():
        frames[name] = pd.json_normalize(records, path, meta=["uuid"], record_prefix="r__", sep="__")
    return {name: len(frame) for name, frame in frames.items()}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["generate", folder, employees]:
            print(generate(Path(folder), int(employees)))
        case ["warehouse", folder, file]:
            print(json.dumps(warehouse(Path(folder), Path(file))))
        case ["pandas", folder]:
            print(json.dumps(pandas(Path(folder))))
