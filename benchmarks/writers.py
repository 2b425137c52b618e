"""Writing 100,000 rows of 40 mixed columns: our workbook, CSV and Parquet beside the libraries people use for that.

Every contender is a process of its own that reads the same Parquet file and writes one file. Workbooks have number
formats, a frozen header and, but for pandas, which makes none, a table. What each wrote is read back cell by cell by
code of neither: workbooks by calamine, the others by DuckDB.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, Run, contender, ratio, typical

ROWS, QUICK_ROWS = 100_000, 2_000
ROUNDS = 3

# DuckDB types by column, and the SQL of a value; `h` is a hash of row and column.
KINDS = {
    "text": ("VARCHAR", "['Ada', 'Møller & Sons', 'O''Neill <x>', '02108', ' two  blanks '][h % 5 + 1] || h % 977", 13),
    "money": ("DECIMAL(18,4)", "(h % 90000000) / 100", 8),
    "number": ("BIGINT", "h % 1000000 - 500000", 6),
    "day": ("DATE", "DATE '1990-01-01' + (h % 15000)::INTEGER", 6),
    "instant": ("TIMESTAMP", "TIMESTAMP '2020-01-01 00:00:01' + INTERVAL 1 SECOND * (h % 200000000)::INTEGER", 3),
    "flag": ("BOOLEAN", "h % 2 = 0", 4),
}
COLUMNS = {f"{kind}_{n}": type for kind, (type, _, count) in KINDS.items() for n in range(count)}

# What writes which format; ours first.
CONTENDERS = {
    "xlsx": ("ours_xlsx", "xlsxwriter", "pandas_xlsx", "xlsxturbo"),
    "csv": ("ours_csv", "pandas_csv"),
    "parquet": ("ours_parquet", "pandas_parquet"),
}
GOALS = {("xlsxwriter", "wall"): "≤ 2.5 s", ("xlsxwriter", "peak memory"): "≤ 350 MB"}
MEASURES = (("wall", "wall", "{:.2f} s"), ("CPU", "cpu", "{:.2f} s"), ("peak memory", "peak", "{:.0f} MB"))


def rows(quick: bool) -> list[Row]:
    """Compare seconds, memory and exactness (quick: 2,000 rows, once)."""
    count, rounds = (QUICK_ROWS, 1) if quick else (ROWS, ROUNDS)
    found = []
    with tempfile.TemporaryDirectory(prefix="gusto-bench-") as folder:
        source = Path(folder) / "source.parquet"
        contender("writers", "generate", source, count)
        for format, names in CONTENDERS.items():
            runs: dict[str, list[Run]] = {name: [] for name in names}
            files = {name: Path(folder) / f"{name}.{format}" for name in names}
            for _ in range(rounds):
                for name in names:
                    runs[name].append(contender("writers", name, source, files[name]))
            found += _compared(f"{format}, {count:,} × {len(COLUMNS)}", runs)
            wrong = {name: contender("writers", "check", source, file).said for name, file in files.items()}
            ours, *others = names
            peers = ", ".join(f"{_shown(name)} {wrong[name]:,}" for name in others)
            cells = f"{wrong[ours]:,} of {count * len(COLUMNS):,}"
            found.append(Row(f"{format}, {count:,} × {len(COLUMNS)}", "wrong cells", cells, peers, None, "0"))
    return found


def _compared(benchmark: str, runs: dict[str, list[Run]]) -> list[Row]:
    (_, ours), *peers = runs.items()
    found = []
    for name, theirs in peers:
        for measure, field, shown in MEASURES:
            we, they = (shown.format(getattr(typical(of), field)) for of in (ours, theirs))
            times = ratio(theirs, ours, field)
            found.append(Row(benchmark, measure, we, f"{_shown(name)} {they}", times, GOALS.get((name, measure), "")))
    return found


def _shown(name: str) -> str:
    return name.partition("_")[0]


def generate(path: Path, count: int) -> int:
    """Write the source; every twentieth value or so is null."""
    import duckdb

    values = ", ".join(
        f"(SELECT CASE WHEN h % 20 > 0 THEN CAST({KINDS[name.partition('_')[0]][1]} AS {type}) END "
        f"FROM (SELECT (hash(i, {n}) // 1024)::BIGINT AS h)) AS {name}"
        for n, (name, type) in enumerate(COLUMNS.items())
    )
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT {values} FROM range({count}) t(i) ORDER BY i) TO '{path}' (FORMAT parquet)")
    return count


def ours(source: Path, path: Path) -> int:
    """Write with gusto_pipeline, in the format of the path's ending."""
    from datetime import UTC, datetime

    import duckdb

    from gusto_pipeline.spreadsheets.writers import Column, Sheet, write_csv, write_parquet, write_xlsx

    columns = tuple(
        Column(name, type=type, kind="money" if name.startswith("money") else "") for name, type in COLUMNS.items()
    )
    sheet = Sheet("People", f"FROM read_parquet('{source}')", columns)
    with duckdb.connect() as connection:
        match path.suffix:
            case ".xlsx":
                write_xlsx(connection, [sheet], path, created=datetime(2026, 1, 1, tzinfo=UTC))
            case ".csv":
                write_csv(connection, sheet, path)
            case ".parquet":
                write_parquet(connection, sheet, path)
    return path.stat().st_size


FORMATS = {"money": "#,##0.00", "day": "yyyy-mm-dd", "instant": "yyyy-mm-dd hh:mm:ss"}


def xlsxwriter(source: Path, path: Path) -> int:
    """Write with XlsxWriter from rows of Python values."""
    import duckdb
    from xlsxwriter import Workbook

    with (
        Workbook(path, {"strings_to_formulas": False, "strings_to_urls": False}) as book,
        duckdb.connect() as connection,
    ):
        sheet = book.add_worksheet("People")
        formats = [book.add_format({"num_format": FORMATS.get(name.partition("_")[0], "General")}) for name in COLUMNS]
        writers = {
            "text": sheet.write_string,
            "money": sheet.write_number,
            "number": sheet.write_number,
            "day": sheet.write_datetime,
            "instant": sheet.write_datetime,
            "flag": sheet.write_boolean,
        }
        by_column = [writers[name.partition("_")[0]] for name in COLUMNS]
        result = connection.execute(f"FROM read_parquet('{source}')")
        at = 0
        while batch := result.fetchmany(1_000):
            for row in batch:
                at += 1
                for column, value in enumerate(row):
                    if value is not None:
                        by_column[column](at, column, value, formats[column])
        sheet.freeze_panes(1, 0)
        sheet.add_table(0, 0, at, len(COLUMNS) - 1, {"columns": [{"header": name} for name in COLUMNS]})
    return path.stat().st_size


def _frame(source: Path) -> Any:
    import duckdb

    with duckdb.connect() as connection:
        return connection.execute(f"FROM read_parquet('{source}')").df()


def pandas(source: Path, path: Path) -> int:
    """Write with pandas, in the format of the path's ending."""
    frame = _frame(source)
    match path.suffix:
        case ".xlsx":
            frame.to_excel(path, engine="xlsxwriter", index=False, freeze_panes=(1, 0))
        case ".csv":
            frame.to_csv(path, index=False)
        case ".parquet":
            frame.to_parquet(path, index=False, compression="zstd")
    return path.stat().st_size


def xlsxturbo(source: Path, path: Path) -> int:
    """Write with xlsxturbo from a pandas data frame."""
    import xlsxturbo as library

    formats = {f"{kind}_*": {"num_format": format} for kind, format in FORMATS.items()}
    library.df_to_xlsx(_frame(source), str(path), table_style="Medium2", freeze_panes=True, column_formats=formats)
    return path.stat().st_size


def check(source: Path, path: Path) -> int:
    """How many cells of a written file differ from the source."""
    import duckdb

    with duckdb.connect() as connection:
        if path.suffix == ".xlsx":
            return _check_workbook(connection.execute(f"FROM read_parquet('{source}')"), path)
        types = json.dumps(COLUMNS).replace('"', "'")
        read = f"read_csv('{path}', types = {types})" if path.suffix == ".csv" else f"read_parquet('{path}')"
        wrong = " + ".join(f"count(*) FILTER (a.{c} IS DISTINCT FROM b.{c}::{type})" for c, type in COLUMNS.items())
        sql = f"SELECT {wrong} FROM (FROM read_parquet('{source}')) a POSITIONAL JOIN (FROM {read}) b"
        return int(connection.execute(sql).fetchall()[0][0])


def _check_workbook(expected: Any, path: Path) -> int:
    from python_calamine import CalamineWorkbook

    header, *found = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    wrong, at = sum(a != b for a, b in zip(header, COLUMNS, strict=True)), 0
    while batch := expected.fetchmany(1_000):
        for row in batch:
            wrong += sum(_plain(a) != _plain(b) for a, b in zip(row, found[at], strict=True))
            at += 1
    return wrong + (len(found) - at) * len(COLUMNS)


def _plain(value: Any) -> Any:
    """What a cell can hold: no cell is empty text, numbers are floats, and a day is its midnight."""
    from datetime import date, datetime, time
    from decimal import Decimal

    if value is None:
        return ""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | Decimal):
        return float(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value


if __name__ == "__main__":
    name, source, target = sys.argv[1:]
    if name == "generate":
        print(generate(Path(source), int(target)))
    else:
        does = {"ours": ours, "xlsxwriter": xlsxwriter, "pandas": pandas, "xlsxturbo": xlsxturbo, "check": check}
        print(json.dumps(does[_shown(name)](Path(source), Path(target))))
