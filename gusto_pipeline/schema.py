"""How a JSON record becomes tables: the vocabulary the catalog is written in and the warehouse reads.

* A column's `path` says where its value is in the record; `address.street_1` becomes the column `address__street_1`.
  No key of Gusto's contains a double underscore, so two paths can never meet in one name.
* An array of objects becomes a child table (`at="jobs[]"`), one row per element, carrying its parent's key and its
  `position` in the list, from 1. A map of scalars (`at="days{}"`) becomes a child table of `key` and `value`.
* An array of scalars stays a list; a structure nobody flattens stays JSON. The whole record is kept in `raw` as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

TEXT, DATE, INSTANT, FLAG, WHOLE = "VARCHAR", "DATE", "TIMESTAMPTZ", "BOOLEAN", "BIGINT"
MONEY, HOURS = "DECIMAL(18,4)", "DECIMAL(18,6)"
LIST, JSON = "VARCHAR[]", "JSON"

Sensitivity = Literal["open", "personal", "pay", "secret"]
OPEN: Sensitivity = "open"
PERSONAL: Sensitivity = "personal"
PAY: Sensitivity = "pay"
SECRET: Sensitivity = "secret"  # government and bank numbers, court orders: neither published nor put in spreadsheets


@dataclass(frozen=True)
class Column:
    """One value of a record: where it is (`path`), its DuckDB type, what it means, who may see it."""

    path: str
    type: str
    comment: str
    sensitivity: Sensitivity = OPEN

    @property
    def name(self) -> str:
        return self.path.replace(".", "__")


@dataclass(frozen=True, kw_only=True)
class Table:
    """One staging table. `key` names the columns that identify a row within a company (after the parent's key).

    `at` is where the rows are in the parent's record: nothing for a source's own rows, else one or more array paths
    (`jobs[]`) or map paths (`days{}`); with several, `kind_column` says which one a row came from. `links` are the
    columns a source's own rows get from the request rather than from the record (the employee it asked about).
    `elsewhere` names keys of the record that need no column: another table has them, or its own rows add up to them.
    """

    name: str
    singular: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("uuid",)
    at: tuple[str, ...] = ()
    kind_column: str | None = None
    links: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    children: tuple[Table, ...] = ()

    @property
    def holds_rows(self) -> bool:
        return bool(self.columns)


def walk(table: Table) -> Iterator[Table]:
    """`table` and everything below it that holds rows, parents first."""
    if table.holds_rows:
        yield table
    for child in table.children:
        yield from walk(child)
