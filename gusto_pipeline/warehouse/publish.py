"""The analysts' copy: a DuckDB file beside the warehouse that the pipeline never locks and that is always whole.

It is written under another name and moved into place, so whoever has the old one open keeps reading it undisturbed and
the next opening sees the new one. Raw records and secret columns (government and bank numbers) stay behind. A field of
Gusto's that the catalog does not know is the last column of its flat table, unless its names speak of private matters.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import duckdb

from gusto_pipeline.schema import JSON, SECRET
from gusto_pipeline.warehouse import drift
from gusto_pipeline.warehouse.flatten import Rows, literal, quote
from gusto_pipeline.warehouse.warehouse import Warehouse, define, describe, not_written


def publish(warehouse: Warehouse, path: Path) -> int:
    """Write `path` anew from the warehouse's last committed state; gives its size in bytes.

    Raises WarehouseError when it cannot be written; the file that was there before is then untouched.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with warehouse.read() as connection:
            fresh.unlink(missing_ok=True)
            connection.execute(f"ATTACH {literal(str(fresh))} AS published (READ_WRITE)")
            fresh.chmod(0o600)
            connection.begin()
            tables, comments = _statements(connection, warehouse)
            for statement in tables:
                connection.execute(statement)
            define(connection, ";".join(comments))
            connection.commit()
            connection.execute("DETACH published")
        size = fresh.stat().st_size
        fresh.replace(path)
        return size
    except (duckdb.Error, OSError) as error:
        raise not_written(path, error) from error
    finally:
        fresh.unlink(missing_ok=True)


def _statements(connection: duckdb.DuckDBPyConnection, warehouse: Warehouse) -> tuple[list[str], list[str]]:
    """Those that copy the tables, and the flat views as tables (a view would name columns that are not published), and
    those that say what is in them."""
    source = connection.execute("SELECT current_database()").fetchall()[0][0]
    comments: list[str] = []
    tables = [f"CREATE SCHEMA published.{schema}" for schema in ("staging", "flat", "meta")]
    new = drift.new_fields(connection, warehouse.tables, None)
    for rows in warehouse.rows():
        table = quote(rows.table.name)
        columns = [column for column in rows.columns if column.sensitivity != SECRET]
        chosen = ", ".join(
            f"CAST({quote(c.name)} AS VARCHAR) AS {quote(c.name)}" if c.type == JSON else quote(c.name) for c in columns
        )
        tables.append(f"CREATE TABLE published.staging.{table} AS SELECT {chosen} FROM {source}.staging.{table}")
        comments.append(describe(rows, "published", columns))
        secret = [quote(column.name) for column in rows.columns if column.sensitivity == SECRET]
        shown = f"* EXCLUDE ({', '.join(secret)})" if secret else "*"
        view, added = f"{source}.flat.{table}", _added(connection, rows, new)
        if added:
            view = drift.with_fields(view, rows, None, added)
        tables.append(f"CREATE TABLE published.flat.{table} AS SELECT {shown} FROM {view}")
        comments += [
            f"COMMENT ON COLUMN published.flat.{table}.{quote(name)} IS {literal(drift.COMMENT)}" for name in added
        ]
    for name in ("companies", "syncs", "drift"):
        tables.append(f"CREATE TABLE published.meta.{name} AS FROM {source}.meta.{name}")
    return tables, comments


def _added(connection: duckdb.DuckDBPyConnection, rows: Rows, new: Sequence[drift.NewField]) -> dict[str, drift.Path]:
    """The columns for a table's new fields, in the order in which they were first seen, and their paths."""
    paths = [one.path for one in new if one.table == rows.table.name]
    if not paths:
        return {}
    described = connection.execute(f"DESCRIBE flat.{quote(rows.table.name)}").fetchall()
    taken, columns = {row[0].casefold() for row in described}, {}
    for path, inside in zip(paths, drift.look_into(connection, rows, None, paths), strict=True):
        name = "__".join(path)
        while name.casefold() in taken:
            name += "_"
        if not drift.is_guarded(path, inside):
            taken.add(name.casefold())
            columns[name] = path
    return columns
