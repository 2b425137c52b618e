"""What changed in a workbook since its previous version.

Beside a file `state.json` lies a Parquet snapshot of every sheet as the present version shows it, with each row's key,
and the lines of the sheet "Changes". Snapshots hold what the sheets hold, so they are as private as these.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import duckdb

from gusto_pipeline.spreadsheets.files import create_private_folder
from gusto_pipeline.spreadsheets.sheets import (
    Column,
    Sheet,
    category,
    headers,
    quoted,
    readable_errors,
    shown,
    typed_query,
)
from gusto_pipeline.spreadsheets.xlsx import MAX_ROWS

CHANGES = "Changes"
MAX_LINES = 5_000
MAX_SHOWN = 500  # characters of a value
_STATE = "state.json"
_LINES = "changes.parquet"
_COLUMNS = (
    Column("sheet"),
    Column("change"),
    Column("record", "Whose row it is"),
    Column("id", "The row's key", kind="id"),
    Column("row", "Where the row was in its sheet when this was written", "BIGINT"),
    Column("column"),
    Column("from", "Before"),
    Column("to", "Now"),
)


@dataclass(frozen=True)
class Counts:
    """How much of one sheet changed."""

    added: int = 0
    removed: int = 0
    cells: int = 0


@dataclass(frozen=True)
class Snapshot:
    """A sheet as one version showed it: `file` has the row's key as c0, the values under `headers` as c1, c2 …, and a
    hash of them."""

    file: Path
    headers: tuple[str, ...]


@dataclass(frozen=True)
class Version:
    """What is remembered of a version. Instants are ISO 8601."""

    form: str  # fingerprint of everything but the data
    folder: str
    headers: dict[str, list[str]]
    synced_at: str | None
    previous: str | None
    counts: dict[str, Counts] | None  # None for the first version
    sha256: str
    bytes: int
    sheets: dict[str, int]
    warnings: list[str]

    def snapshots(self, folder: Path) -> dict[str, Snapshot]:
        names = enumerate(self.headers.items())
        return {sheet: Snapshot(_file(folder / self.folder, i), tuple(columns)) for i, (sheet, columns) in names}


@dataclass(frozen=True)
class Difference:
    """What two versions differ in. `any` is also true where only the rows' order differs."""

    any: bool
    counts: dict[str, Counts]


def load(folder: Path) -> Version | None:
    """The version kept in `folder`; None if there is none, or none that can be read."""
    try:
        kept = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        counts = kept.pop("counts")
        return Version(**kept, counts=counts and {sheet: Counts(**numbers) for sheet, numbers in counts.items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """A new private folder in `folder` for a version. At the end only what the kept version needs is left."""
    create_private_folder(folder)
    fresh = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield fresh
    finally:
        kept = load(folder)
        for leftover in folder.iterdir():
            if leftover.is_dir() and (kept is None or leftover.name != kept.folder):
                shutil.rmtree(leftover)


def keep(folder: Path, version: Version) -> None:
    """Make `version` the one kept in `folder`, in one step."""
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(version), file)
    Path(name).replace(folder / _STATE)


def take(
    connection: duckdb.DuckDBPyConnection, sheets: Sequence[Sheet], fresh: Path, path: Path
) -> dict[str, Snapshot]:
    """Snapshots of `sheets`, the later contents of the workbook `path`, in the folder `fresh`."""
    taken = {}
    for i, sheet in enumerate(sheets):
        keyed = replace(sheet, query=sheet.keyed, columns=(Column("key"), *sheet.columns))
        typed, types = typed_query(connection, keyed, path)
        values = ", ".join(f"{_storable(f'c{n}', type_)} AS c{n}" for n, type_ in enumerate(types))
        row = ", ".join(f"c{n}" for n in range(len(types)))
        file = _file(fresh, i)
        file.touch(mode=0o600)
        with readable_errors(connection, keyed, path):
            _copy(connection, f"SELECT *, hash({row}) AS hash FROM (SELECT {values} FROM ({typed}))", file)
        taken[sheet.name] = Snapshot(file, tuple(headers(sheet)))
    return taken


def compare(
    connection: duckdb.DuckDBPyConnection,
    before: Mapping[str, Snapshot],
    now: Mapping[str, Snapshot],
    sheets: Sequence[Sheet],
    fresh: Path,
    timezone: str,
) -> Difference:
    """How `now` differs from `before`; the lines of the sheet "Changes" go into `fresh`. Raises duckdb.Error if an
    earlier snapshot cannot be read."""
    counts, lines, differs, total = {}, [], False, 0
    for i, sheet in enumerate(sheets):
        if sheet.name in before:
            found = _Compared(connection, i, sheet, before[sheet.name], now[sheet.name], timezone)
            counts[sheet.name] = found.counts
            differs = differs or found.differs
            total += found.total
            lines += [f"SELECT {i} AS part, * FROM ({select})" for select in found.lines()]
        else:
            differs, total = True, total + 1
            rows = f"(SELECT count(*) || ' rows' FROM {_parquet(now[sheet.name])})"
            lines.append(f"SELECT {i} AS part, * FROM ({_note(sheet.name, 'sheet added', to=rows)})")
    for name in before.keys() - now.keys():
        differs, total = True, total + 1
        lines.append(f"SELECT {len(sheets)} AS part, * FROM ({_note(name, 'sheet removed')})")
    if lines:
        every = f"FROM ({' UNION ALL '.join(lines)}) ORDER BY part, place, nth LIMIT {MAX_LINES}"
        if total > MAX_LINES:
            more = _note("", f"and {total - MAX_LINES:,} more changes")
            last = f"SELECT {len(sheets) + 1} AS part, * FROM ({more})"
            every = f"FROM (({every}) UNION ALL {last}) ORDER BY part, place, nth"
        file = fresh / _LINES
        file.touch(mode=0o600)
        names = ", ".join(f'"{column.name}"' for column in _COLUMNS)
        _copy(connection, f"SELECT {names} {every}", file)
    return Difference(differs, counts)


def changes_sheet(fresh: Path) -> list[Sheet]:
    """The sheet that shows the lines kept in `fresh`, if there are any."""
    file = fresh / _LINES
    return [Sheet(CHANGES, f"FROM read_parquet({quoted(str(file))})", _COLUMNS)] if file.exists() else []


def keep_lines(folder: Path, version: Version, fresh: Path) -> None:
    """Take the lines of an earlier version over into `fresh`: its data are still the same."""
    if (folder / version.folder / _LINES).exists():
        shutil.copy(folder / version.folder / _LINES, fresh / _LINES)


class _Compared:
    """One sheet in two versions: `n` is the present one, `o` the old one."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        number: int,
        sheet: Sheet,
        old: Snapshot,
        new: Snapshot,
        timezone: str,
    ) -> None:
        self.sheet, self.old, self.new, self.timezone = sheet, old, new, timezone
        self.touched = f"touched_{number}"  # rows whose hashes differ, of both versions
        self.counts, self.columns = Counts(), list[tuple[str, str, str, str]]()
        self.changed_headers = [
            *(("column added", name) for name in new.headers if name not in old.headers),
            *(("column removed", name) for name in old.headers if name not in new.headers),
        ]
        self.differs = old.headers != new.headers
        if self.differs or not filecmp.cmp(old.file, new.file, shallow=False):
            self._count(connection)
        changed = self.counts
        self.total = len(self.changed_headers) + changed.added + changed.removed + changed.cells

    def _count(self, connection: duckdb.DuckDBPyConnection) -> None:
        both = f"{_parquet(self.new)} n FULL JOIN {_parquet(self.old)} o ON n.c0 = o.c0"
        types = [
            {name: type_ for name, type_, *_ in connection.execute(f"DESCRIBE FROM {_parquet(one)}").fetchall()}
            for one in (self.new, self.old)
        ]
        common = []
        for i, header in enumerate(self.new.headers, 1):
            if header in self.old.headers:
                j = self.old.headers.index(header) + 1
                same = types[0][f"c{i}"] == types[1][f"c{j}"]
                pair = (f"n.c{i}", f"o.c{j}") if same else (f"n.c{i}::VARCHAR", f"o.c{j}::VARCHAR")
                common.append((header, *pair, types[0][f"c{i}"] if same else "VARCHAR"))
        cells = "".join(
            f", count(*) FILTER (n.c0 IS NOT NULL AND o.c0 IS NOT NULL AND {new} IS DISTINCT FROM {old})"
            for _, new, old, _ in common
        )
        # Hashes tell which rows to read whole: of a large sheet where little changed, few.
        keys = f"SELECT coalesce(n.c0, o.c0) AS key FROM {both} WHERE n.hash IS DISTINCT FROM o.hash"
        whole = "(FROM {} SEMI JOIN ({}) ON c0 = key)"
        new, old = (whole.format(_parquet(one), keys) for one in (self.new, self.old))
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {self.touched} AS SELECT n, o FROM {new} n FULL JOIN {old} o ON n.c0 = o.c0"
        )
        added, removed, *found = connection.execute(
            f"SELECT count(*) FILTER (o.c0 IS NULL), count(*) FILTER (n.c0 IS NULL){cells} FROM {self.touched}"
        ).fetchall()[0]
        self.columns = [column for column, count in zip(common, found, strict=True) if count]
        self.counts = Counts(added, removed, sum(found))
        moved = f"SELECT 1 FROM {both} WHERE n.file_row_number <> o.file_row_number LIMIT 1"
        self.differs = (
            self.differs or bool(added or removed or self.columns) or bool(connection.execute(moved).fetchall())
        )

    def lines(self) -> Iterator[str]:
        """SELECTs of the lines, in order by `place` (a row) and `nth` (a column)."""
        for what, header in self.changed_headers:
            yield _note(self.sheet.name, what, header)
        changed = self.counts
        if not (changed.added or changed.removed or changed.cells):
            return
        cells = ", ".join(self._cell(nth, *column) for nth, column in enumerate(self.columns))
        lines = (
            f"CASE WHEN o.c0 IS NULL THEN [{_line('row added')}] WHEN n.c0 IS NULL THEN [{_line('row removed')}] "
            f"ELSE list_filter([{cells or _line('none')}], lambda line: line IS NOT NULL) END"
        )
        touched = " OR ".join(
            ["o.c0 IS NULL", "n.c0 IS NULL", *(f"{new} IS DISTINCT FROM {old}" for _, new, old, _ in self.columns)]
        )
        key = "coalesce(n.c0, o.c0)" if self.sheet.shows_key else "NULL::VARCHAR"
        record = f"coalesce({self._record('n', self.new)}, {self._record('o', self.old)})"
        rows = (
            f"SELECT coalesce(n.file_row_number, o.file_row_number) AS place, {record} AS record, {key} AS id, "
            f"n.file_row_number % {MAX_ROWS} + 2 AS row, {lines} AS lines FROM {self.touched} WHERE {touched} "
            f"ORDER BY place LIMIT {MAX_LINES}"
        )
        yield (
            f"SELECT place, line.nth AS nth, {quoted(self.sheet.name)} AS sheet, line.change AS change, record, id, "
            'row, line."column" AS "column", line."from" AS "from", line."to" AS "to" '
            f"FROM (SELECT * EXCLUDE (lines), unnest(lines) AS line FROM ({rows}))"
        )

    def _cell(self, nth: int, header: str, new: str, old: str, type_: str) -> str:
        before, now = (_brief(shown(value, type_, self.timezone)) for value in (old, new))
        line = _line("cell changed", nth, quoted(header), before, now)
        return f"CASE WHEN {new} IS DISTINCT FROM {old} THEN {line} END"

    def _record(self, side: str, snapshot: Snapshot) -> str:
        """SQL for whose row it is, by the names the sheet shows."""
        columns = zip(headers(self.sheet), self.sheet.columns, strict=True)
        names = [name for name, column in columns if column.kind == "name" and name in snapshot.headers]
        texts = [f"nullif({side}.c{snapshot.headers.index(name) + 1}::VARCHAR, '')" for name in names]
        return f"nullif(concat_ws(', ', {', '.join(texts)}), '')" if texts else "NULL::VARCHAR"


def _line(change: str, nth: int = 0, column: str = "NULL", old: str = "NULL", new: str = "NULL") -> str:
    return (
        f"{{'change': {quoted(change)}, 'nth': {nth}, 'column': {column}::VARCHAR, 'from': {old}::VARCHAR, "
        f"'to': {new}::VARCHAR}}"
    )


def _note(sheet: str, change: str, column: str = "", *, to: str = "NULL") -> str:
    """A line that is not about a row."""
    return (
        f"SELECT -1 AS place, 0 AS nth, {quoted(sheet)} AS sheet, {quoted(change)} AS change, NULL::VARCHAR AS record, "
        f"NULL::VARCHAR AS id, NULL::BIGINT AS row, nullif({quoted(column)}, '') AS \"column\", "
        f'NULL::VARCHAR AS "from", {to}::VARCHAR AS "to"'
    )


def _brief(value: str) -> str:
    text = f"CAST({value} AS VARCHAR)"
    return f"CASE WHEN length({text}) > {MAX_SHOWN} THEN left({text}, {MAX_SHOWN}) || '…' ELSE {text} END"


def _storable(value: str, type_: str) -> str:
    """SQL for a value as the sheet shows it, instants as instants; Parquet has no integers of 128 bits."""
    if type_ in ("HUGEINT", "UHUGEINT"):
        return f"CAST({value} AS VARCHAR)"
    return value if category(type_) == "timestamp" else shown(value, type_, "UTC")


def _parquet(snapshot: Snapshot) -> str:
    return f"read_parquet({quoted(str(snapshot.file))}, file_row_number = true)"


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.parquet"


def _copy(connection: duckdb.DuckDBPyConnection, query: str, file: Path) -> None:
    options = "FORMAT parquet, COMPRESSION lz4_raw, WRITE_BLOOM_FILTER false, USE_TMP_FILE false, PRESERVE_ORDER true"
    connection.execute(f"COPY ({query}) TO {quoted(str(file))} ({options})").fetchall()
