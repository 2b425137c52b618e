"""Records on disk as the client leaves them, and what they must become, worked out in plain Python."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb

from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.schema import JSON, LIST, TEXT, Column, Table
from gusto_pipeline.warehouse.flatten import Rows, quote
from gusto_pipeline.warehouse.load import LandedPage, Landing, Load, load
from gusto_pipeline.warehouse.warehouse import Warehouse
from gusto_pipeline_tests.conftest import empty_warehouse

COMPANY = "c0000000-0000-4000-8000-000000000001"
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
SOURCES = {source.name: source for category in CATEGORIES.values() for source in category.sources}


def open_warehouse(folder: Path) -> Warehouse:
    """The warehouse in a folder; an empty one if there is none yet."""
    file = folder / "warehouse.duckdb"
    if not file.exists():
        folder.mkdir(exist_ok=True)
        file.write_bytes(empty_warehouse())
    return Warehouse(file, [source.table for source in SOURCES.values()])


def landing(
    folder: Path,
    table: Table,
    answers: Sequence[Any],
    total: int | None = None,
    company: str = COMPANY,
    *,
    digested: bool = False,
) -> Landing:
    """`answers` are the bodies of one page each: a list of records, or one object. digested: as a sync lands them."""
    pages = []
    for number, answer in enumerate(answers, 1):
        file = folder / f"{company}-{table.name}-{number:03d}.json"
        file.write_text(json.dumps(answer), encoding="utf-8")
        links = tuple(f"employee-{number}" for _ in table.links)
        digest = sha256(file.read_bytes()).hexdigest() if digested else ""
        pages.append(LandedPage(file, f"/v1/{table.name}", f"request-{number}", NOW, links, digest))
    return Landing(company, table, tuple(pages), total)


def load_records(warehouse: Warehouse, folder: Path, source: str, records: list[Any], **options: Any) -> Load:
    landed = landing(folder, SOURCES[source].table, [records], options.pop("total", None))
    return load_landed(warehouse, landed, **options)[COMPANY]


def load_landed(warehouse: Warehouse, *landings: Landing, **options: Any) -> dict[str, Load]:
    with warehouse.write() as connection:
        return load(connection, landings, seen_at=NOW, **options)


def staged(connection: duckdb.DuckDBPyConnection, rows: Rows) -> list[tuple[Any, ...]]:
    columns = ", ".join(quote(column.name) for column in rows.columns)
    return connection.execute(f"SELECT {columns} FROM staging.{quote(rows.table.name)}").fetchall()


def expected(rows: Rows, records: list[Any]) -> list[tuple[Any, ...]]:
    """The staging rows of a table, worked out from its source's records without SQL."""
    return [_row(rows, *element) for element in _elements(rows, records)]


def _elements(rows: Rows, records: list[Any]) -> Iterator[tuple[dict[str, Any], int, str | None, Any]]:
    """Links, position, list name and record of every row."""
    if rows.parent is None:
        for position, record in enumerate(records, 1):
            yield dict.fromkeys(rows.links, "employee-1"), position, None, record
        return
    parents = _elements(rows.parent, records)
    for links, _, _, parent in parents:
        key = rows.parent.table.key
        own = {link: links.get(link) or parent[link if link in key else "uuid"] for link in rows.links}
        for path in rows.table.at:
            found = _at(parent, path[:-2]) or []
            if path.endswith("{}"):
                found = [{"key": key, "value": value} for key, value in dict(found).items()]
            for position, element in enumerate(found, 1):
                yield own, position, path[:-2].rsplit(".", 1)[-1], element


def _row(rows: Rows, links: dict[str, Any], position: int, kind: str | None, record: Any) -> tuple[Any, ...]:
    given = {"company_uuid": COMPANY, **links, "position": position, rows.table.kind_column: kind}
    own = {column.path for column in rows.table.columns}
    return tuple(
        _value(column, _at(record, column.path)) if column.path in own else given[column.name]
        for column in rows.columns
    )


def _at(record: Any, path: str) -> Any:
    for part in path.split("."):
        record = record.get(part) if isinstance(record, dict) else None
    return record


def _value(column: Column, value: Any) -> Any:
    if value is None or (value == "" and column.type not in (TEXT, LIST, JSON)):
        return None
    match column.type:
        case "DATE":
            return date.fromisoformat(value)
        case "TIMESTAMPTZ":
            return datetime.fromisoformat(value)
        case "BOOLEAN":
            return value if isinstance(value, bool) else value == "true"
        case "BIGINT":
            return int(value)
        case "VARCHAR[]":
            return [str(item) for item in value]
        case "JSON":
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        case "VARCHAR":
            return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        case _:
            return Decimal(str(value))
