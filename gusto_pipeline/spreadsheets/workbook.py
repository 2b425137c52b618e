"""A category's spreadsheets: one workbook with a sheet per table, and a CSV (or Parquet) file per table.

What the sheets show is told in `layout.py`, what became of their columns in `columns.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import duckdb

from gusto_pipeline.spreadsheets import changes, columns
from gusto_pipeline.spreadsheets.files import not_written, sha256_of, written_at
from gusto_pipeline.spreadsheets.front import READ_ME, About, front_sheet
from gusto_pipeline.spreadsheets.layout import Arranged, Layout, arrange
from gusto_pipeline.spreadsheets.writers import (
    Sheet,
    SpreadsheetError,
    Written,
    write_csv,
    write_parquet,
    write_xlsx,
)
from gusto_pipeline.warehouse.flatten import Rows, literal
from gusto_pipeline.warehouse.warehouse import Warehouse

# A date that never changes, so that the same data makes the same file.
_CREATED = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Subject:
    """What a workbook is, for the sheet "Read me". `versions` is the private folder that its versions are kept in."""

    title: str
    comment: str
    categories: Sequence[str]
    versions: Path


def write_tables(
    warehouse: Warehouse,
    name: str,
    tables: Sequence[Rows],
    company_uuid: str,
    folder: Path,
    *,
    formats: Sequence[str],
    timezone: str,
    subject: Subject,
    layout: Layout | None = None,
) -> list[Written]:
    """Write `<name>.xlsx`, `<name>.csv`, `<name>.<table>.csv` … into `folder` from the warehouse's flat views.

    Files whose data would be the same are left alone. Raises SpreadsheetError, WarehouseError.
    """
    with warehouse.read() as connection:
        memory = columns.load(subject.versions)
        laid = arrange(connection, tables, company_uuid, layout or Layout(), memory)
        files = {format: [folder / f"{name}.{format}"] for format in formats}
        for format in files.keys() - {"xlsx"}:
            files[format] += [folder / f"{name}.{sheet.name}.{format}" for sheet in laid.sheets[1:]]
        _protect(memory.files, laid.changed)
        written = []
        try:
            for path in files.get("xlsx", ()):
                about = _about(connection, laid, company_uuid, subject, timezone)
                written.append(_write_workbook(connection, laid.sheets, path, about, subject.versions))
            for format, write in (("csv", write_csv), ("parquet", write_parquet)):
                for path, sheet in zip(files.get(format, ()), laid.sheets, strict=False):
                    written.append(write(connection, sheet, path))
            done = tuple(str(file.path.absolute()) for file in written)
            columns.keep(subject.versions, columns.Memory({**memory.tables, **laid.columns}, done))
        except OSError as error:  # the files themselves are told of by their writers
            raise not_written(subject.versions, error) from error
    return [replace(written[0], warnings=(*written[0].warnings, *laid.notes), news=laid.news), *written[1:]]


def _protect(earlier: Sequence[str], changed: Sequence[str]) -> None:
    """Keep columns from getting values of another kind than the earlier files have, while one of these is there."""
    standing = [file for file in earlier if Path(file).exists()]
    if standing and changed:
        raise SpreadsheetError(
            f"Nothing was written, {standing[0]} stays: {'; '.join(changed)}. If that is right, move "
            f"{'the earlier files' if len(standing) > 1 else 'the earlier file'} away and run again."
        )


def _about(
    connection: duckdb.DuckDBPyConnection,
    laid: Arranged,
    company_uuid: str,
    subject: Subject,
    timezone: str,
) -> About:
    """What "Read me" says of the present data, before they are compared with an earlier version."""
    of_company = f"company_uuid = {literal(company_uuid)}"
    names = connection.execute(f"SELECT name FROM meta.companies WHERE {of_company}").fetchall()
    synced_at = connection.execute(
        f"SELECT max(finished_at) FROM meta.syncs WHERE {of_company} AND status = 'ok' "
        f"AND category IN ({', '.join(map(literal, subject.categories))})"
    ).fetchall()[0][0]
    return About(
        company=names[0][0] if names else company_uuid,
        title=subject.title,
        comment=subject.comment,
        timezone=timezone,
        synced_at=synced_at,
        previous=None,
        counts=None,
        warnings=laid.notes,
        guarded=[note for sheet in laid.sheets for note in sheet.guarded],
    )


def _write_workbook(
    connection: duckdb.DuckDBPyConnection, sheets: Sequence[Sheet], path: Path, about: About, folder: Path
) -> Written:
    """Write the workbook unless the one that lies there has these data; what it looked like before is in `folder`."""
    first, *others = sheets
    shown = [first, *(sheet for sheet in others if _has_rows(connection, sheet))]
    form = _form(sheets, about)
    old = changes.load(folder)
    with changes.draft(folder) as fresh:
        now = changes.take(connection, sheets, fresh, path)
        difference = None
        if old:
            try:
                difference = changes.compare(connection, old.snapshots(folder), now, sheets, fresh, about.timezone)
            except duckdb.Error:  # an earlier snapshot that is gone or damaged: as if there had been none
                old = None
        if old and difference and not difference.any:
            if old.form == form and path.is_file() and sha256_of(path) == old.sha256:
                return Written(path, old.sheets, old.bytes, old.sha256, True, tuple(old.warnings), written_at(path))
            changes.keep_lines(folder, old, fresh)
            about = replace(
                about, synced_at=_instant(old.synced_at), previous=_instant(old.previous), counts=old.counts
            )
        elif old and difference:
            about = replace(about, previous=_instant(old.synced_at), counts=difference.counts)
        front = (READ_ME, partial(front_sheet, about))
        every = [*shown, *changes.changes_sheet(fresh)]
        written = write_xlsx(connection, every, path, timezone=about.timezone, created=_CREATED, front=front)
        kept = changes.Version(
            form=form,
            folder=fresh.name,
            headers={name: list(snapshot.headers) for name, snapshot in now.items()},
            synced_at=about.synced_at.isoformat() if about.synced_at else None,
            previous=about.previous.isoformat() if about.previous else None,
            counts=dict(about.counts) if about.counts is not None else None,
            sha256=written.sha256,
            bytes=written.bytes,
            sheets=written.sheets,
            warnings=list(written.warnings),
        )
        changes.keep(folder, kept)
    return written


def _form(sheets: Sequence[Sheet], about: About) -> str:
    """A fingerprint of what makes a workbook besides its data, for writing it anew when that changes."""
    made_of = [version("gusto-pipeline"), about.company, about.title, about.comment, about.timezone, *about.warnings]
    looks = [
        (sheet.name, [astuple(column) for column in sheet.columns], sheet.guarded, sheet.greyed, repr(sheet.links))
        for sheet in sheets
    ]
    return hashlib.sha256(json.dumps([made_of, looks]).encode()).hexdigest()


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _has_rows(connection: duckdb.DuckDBPyConnection, sheet: Sheet) -> bool:
    return bool(connection.execute(f"SELECT 1 FROM ({sheet.query}) LIMIT 1").fetchall())
