"""The DuckDB file: one writer at a time, one transaction a write, nothing left open.

DuckDB lets one process write. `Warehouse.write()` therefore takes a lock between processes, opens the file, runs one
transaction and closes it, also on error; whatever is slow (requests to Gusto) happens before it, never inside.
A process killed inside a write leaves the last committed state, which the next opening finds.
"""

from __future__ import annotations

import errno
import functools
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from gusto_pipeline.schema import Column, Table
from gusto_pipeline.warehouse import flat
from gusto_pipeline.warehouse.flatten import Rows, literal, quote, rows

# raw: records as Gusto sent them, whole, one table per endpoint; staging: typed tables, one per kind of record;
# flat: what the spreadsheets show; meta: companies, syncs, and fields Gusto sends that the catalog does not declare.
SCHEMAS = ("raw", "staging", "flat", "meta")

_META = """
CREATE TABLE IF NOT EXISTS meta.catalog (fingerprint VARCHAR);
CREATE TABLE IF NOT EXISTS meta.companies (company_uuid VARCHAR, company VARCHAR, name VARCHAR);
CREATE TABLE IF NOT EXISTS meta.syncs (
    company_uuid VARCHAR, category VARCHAR, status VARCHAR, started_at TIMESTAMPTZ, finished_at TIMESTAMPTZ,
    requests BIGINT, rows BIGINT, origin VARCHAR, api_version VARCHAR, run_id VARCHAR, problem VARCHAR
);
CREATE TABLE IF NOT EXISTS meta.loads (
    company_uuid VARCHAR, source VARCHAR, digest VARCHAR, rows BIGINT, drift VARCHAR, loaded_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS meta.drift (company_uuid VARCHAR, source VARCHAR, field VARCHAR, first_seen TIMESTAMPTZ);
COMMENT ON TABLE meta.companies IS 'Connected companies: uuid, short name used in files and partitions, legal name';
COMMENT ON TABLE meta.syncs IS 'Every attempt to sync a category, with its outcome';
COMMENT ON TABLE meta.loads IS 'A digest of each source''s answers, and since when they are the same';
COMMENT ON TABLE meta.drift IS 'Fields Gusto sends that the catalog does not declare; their values are in raw'
"""


# The younger format opens and closes in half the time of the default, DuckDB 1.0's. Row groups are compressed and
# written as soon as they are full: small ones keep a big load's raw records out of memory.
_FORMAT = "STORAGE_VERSION 'v1.5.0', ROW_GROUP_SIZE 16384"


class WarehouseError(Exception):
    """The warehouse file cannot be used; the message says why and what to do."""


def not_written(place: Path, error: OSError | duckdb.Error | sqlite3.Error) -> WarehouseError:
    """The error that says why a place cannot be written, and what to do. What was there before must still be there."""
    reason = str(error.strerror if isinstance(error, OSError) else error).partition("\n")[0].rstrip(".")
    if is_full(error):
        reason = "the disk is full; free some space and run again"
    elif "disk I/O" in reason:  # as SQLite says when it cannot make room for a journal
        reason += "; if the disk is full, free some space and run again"
    return WarehouseError(f"{place} cannot be written: {reason}. The last good state is kept.")


def is_full(error: OSError | duckdb.Error | sqlite3.Error) -> bool:
    """Whether the disk, or one's share of it, is full."""
    code = error.errno if isinstance(error, OSError) else None
    return code in (errno.ENOSPC, errno.EDQUOT) or bool(re.search("No space left on device|disk is full", str(error)))


class Warehouse:
    """The warehouse at `path`, holding `tables` (the sources' root tables, children inside)."""

    def __init__(self, path: Path, tables: Sequence[Table], *, lock_seconds: float = 600) -> None:
        self.path = path
        self.tables = tuple(tables)
        self._lock = FileLock(f"{path}.lock", timeout=lock_seconds, poll_interval=0.005)

    def rows(self) -> Iterator[Rows]:
        """Every staging table, parents first."""
        for table in self.tables:
            yield from rows(table)

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection inside one transaction: committed at the end of the block, rolled back on any error.

        Raises WarehouseError if the file cannot be opened or written or stays locked.
        """
        with self._open(read_only=False) as connection:
            try:
                connection.begin()
                self._prepare(connection)
                connection.commit()
                connection.begin()
                yield connection
                connection.commit()
            except (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException) as error:
                raise not_written(self.path, error) from error

    def make(self) -> None:
        """Make the file, with its empty tables, unless there is one. Raises WarehouseError."""
        if not self.path.exists():
            with self.write():
                pass

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection. It takes the writers' lock too, since DuckDB refuses readers beside a writer."""
        self.make()
        with self._open(read_only=True) as connection:
            yield connection

    @contextmanager
    def _open(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._lock.acquire()
        except Timeout as error:
            raise WarehouseError(f"{self.path} has been busy for too long: another sync is writing it.") from error
        except OSError as error:
            raise not_written(self.path.parent, error) from error
        with lock, _attached(self.path, read_only) as connection:
            self.path.chmod(0o600)
            # A table that is missing must not be looked for among our variables.
            connection.execute("SET python_enable_replacements = false; USE warehouse; SET TimeZone = 'UTC'")
            # A commit goes into the file at once: closing would move it there anyway, and a log be written for nothing.
            connection.execute("SET checkpoint_threshold = '0B'; RESET memory_limit")
            yield connection

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Bring schemas, tables, comments and views in line with the catalog; cheap when they already are.

        The comments of a new file's tables come with their first load: they are half of what making it costs.
        """
        script, fingerprint = _script(self.tables)
        try:
            known = connection.execute("FROM meta.catalog").fetchall()
        except duckdb.CatalogException:  # a new file
            define(connection, script)
        else:
            if known == [(fingerprint,)]:
                return
            for table_rows in self.rows():
                connection.execute(";".join(_additions(table_rows)))
            define(connection, ";".join([script, *map(describe, self.rows())]))
        connection.execute(f"DELETE FROM meta.catalog; INSERT INTO meta.catalog VALUES ('{fingerprint}')")


@functools.lru_cache(maxsize=4)
def _engine(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    """DuckDB without a file, for reuse: to start and end it takes longer than to open and close one."""
    # One thread costs a writer half the CPU of two: when reading JSON, each fills buffers of its own.
    return duckdb.connect(config={} if read_only else {"threads": 1})


@contextmanager
def _attached(path: Path, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a file that is open until the block ends. Raises WarehouseError if it cannot be opened."""
    engine, mode = _engine(path, read_only), "READ_ONLY" if read_only else "READ_WRITE"
    with engine.cursor() as connection:
        try:
            connection.execute(f"ATTACH {literal(str(path))} AS warehouse ({mode}, {_FORMAT})")
        except duckdb.Error as error:
            if is_full(error):
                raise not_written(path, error) from error
            raise WarehouseError(
                f"{path} cannot be opened: {_first_line(error)} If another program has it open, close it there; to "
                "look at the data meanwhile, use analytics.duckdb beside it."
            ) from error
        try:
            yield connection
        finally:
            connection.close()  # rolls back what is under way
            try:
                opened = "FROM duckdb_databases() SELECT database_name WHERE NOT internal AND path IS NOT NULL"
                for (name,) in engine.execute(opened).fetchall():
                    engine.execute(f"DETACH {quote(name)}")
            except duckdb.Error:  # it has broken down, and its end closes the file
                _engine.cache_clear()


@functools.cache
def _script(tables: tuple[Table, ...]) -> tuple[str, str]:
    """The statements that make a warehouse of `tables`, and their fingerprint; made once a process."""
    script = ";\n".join(_statements(tables))
    comments = [describe(table_rows) for table in tables for table_rows in rows(table)]
    return script, sha256("\n".join([script, *comments]).encode()).hexdigest()


def _statements(tables: Sequence[Table]) -> Iterator[str]:
    for schema in SCHEMAS:
        yield f"CREATE SCHEMA IF NOT EXISTS {schema}"
    yield _META
    for table in tables:
        yield (
            f"CREATE TABLE IF NOT EXISTS raw.{quote(table.name)} (company_uuid VARCHAR, request_id VARCHAR, "
            "received_at TIMESTAMPTZ, path VARCHAR, record JSON USING COMPRESSION zstd)"
        )
    staging = [table_rows for table in tables for table_rows in rows(table)]
    for table_rows in staging:
        columns = ", ".join(f"{quote(column.name)} {column.type}" for column in table_rows.columns)
        yield f"CREATE TABLE IF NOT EXISTS {table_rows.staging} ({columns})"
    for name, select in flat.views(staging).items():
        yield f"CREATE OR REPLACE VIEW flat.{quote(name)} AS {select}"


def define(connection: duckdb.DuckDBPyConnection, statements: str) -> None:
    """Run statements that make or describe tables. There is nothing to optimize in them, and looking takes a third."""
    connection.execute(f"PRAGMA disable_optimizer; {statements}; PRAGMA enable_optimizer")


def describe(table_rows: Rows, database: str = "", columns: Sequence[Column] | None = None) -> str:
    """The statements that say what a staging table and its columns hold, all of them or those that a copy of it in
    another database has."""
    name = f"{database}.{table_rows.staging}" if database else table_rows.staging
    comments = [f"COMMENT ON TABLE {name} IS {literal(table_rows.table.comment)}"]
    for column in table_rows.columns if columns is None else columns:
        comments.append(f"COMMENT ON COLUMN {name}.{quote(column.name)} IS {literal(column.comment)}")
    return ";\n".join(comments)


def _additions(table_rows: Rows) -> Iterator[str]:
    """Columns a newer catalog has, for a table that exists."""
    for column in table_rows.columns:
        name = quote(column.name)
        yield f"ALTER TABLE IF EXISTS {table_rows.staging} ADD COLUMN IF NOT EXISTS {name} {column.type}"


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]
