"""Dagster's event log in SQLite, with connections that stay open. Named in `dagster.yaml`.

Dagster's own opens an engine and a file for each of the several statements per event, which costs more than a small
sync itself: a run of two companies takes two thirds of the time with this one. The files are the same.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import StringSource
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event, inspect

INDEX = "index"  # the file that all runs share; each run has one of its own besides


class PooledEventLogStorage(SqliteEventLogStorage):
    """`SqliteEventLogStorage` that keeps the shared file and that of the last run open.

    home: DAGSTER_HOME; the files are in its `history/runs`, where Dagster's own storage has them.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> Any:
        return {"home": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledEventLogStorage":
        return cls(str(Path(config_value["home"]) / "history" / "runs"), inst_data)

    def has_table(self, table_name: str) -> bool:
        if table_name not in self._tables:
            # Without the lock: Dagster asks for this inside of connections too.
            self._tables |= set(inspect(self._engine(INDEX)).get_table_names())
        return table_name in self._tables

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).begin() as connection:
            yield connection

    def _engine(self, shard: str) -> Engine:
        path = Path(self.path_for_shard(shard))
        if shard not in self._engines or not path.exists():  # somebody may have wiped the runs
            for past in set(self._engines) - {INDEX} | {shard}:
                if engine := self._engines.pop(past, None):
                    engine.dispose()
            arguments = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            engine = create_engine(self.conn_string_for_shard(shard), connect_args=arguments)
            event.listen(engine, "connect", _no_wait_for_the_disk)
            self._initdb(engine)
            self._engines[shard] = engine
        return self._engines[shard]

    def dispose(self) -> None:
        with self._db_lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()
        super().dispose()


def _no_wait_for_the_disk(connection: Any, record: object) -> None:
    """A power cut may then cost the last events, but no more than those (sqlite.org/pragma.html#pragma_synchronous)."""
    connection.execute("PRAGMA synchronous = NORMAL")
