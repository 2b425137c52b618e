"""How alike two names are, and what else a comparison of people stands on.

Names are compared as the SQL macros in `normalise.sql` leave them: words of lower-case letters without accents.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import duckdb
import phonenumbers
from nicknames import NickNamer
from rapidfuzz import fuzz

from gusto_pipeline.provisioning.store import script, values
from gusto_pipeline.warehouse.flatten import literal

Name = tuple[str, str]
"""Given and family name; either may be empty."""

CLOSE = 85.0
"""From here on two full names are taken for spellings of one."""

CONTRADICTS = 60.0
"""Below this, two names cannot be one person's."""

_INITIAL = 75.0
_SHORTER = 95.0


class Alike(NamedTuple):
    """How alike two names are, from 0 to 100: altogether and by part; a part that either lacks is None."""

    score: float
    given: float | None
    family: float | None

    @property
    def close(self) -> bool:
        return self.score >= CLOSE and self.given is not None and self.family is not None


def alike(names: Iterable[Name], others: Sequence[Name]) -> Alike | None:
    """The best likeness of any of somebody's names with any of somebody else's; None where nothing can be compared."""
    found = [each for name in names for other in others if (each := _alike(name, other))]
    return max(found, key=lambda each: (each.score, each.close), default=None)


def _alike(name: Name, other: Name) -> Alike | None:
    """Of two names as they are, or of one with its parts swapped, whichever is more alike."""
    found = []
    for given, family in (other, other[::-1]):
        parts = (_given(name[0], given), _family(name[1], family))
        known = [part for part in parts if part is not None]
        if known:
            found.append(Alike(sum(known) / len(known), *parts))
    return max(found, key=lambda each: (each.score, each.close), default=None)


@functools.lru_cache(100_000)
def _given(name: str, other: str) -> float | None:
    if not name or not other:
        return None
    first, second = name.split()[0], other.split()[0]
    if first != second and len(first) > 1 and len(second) > 1:
        if _formal(first) & _formal(second):
            return max(_SHORTER, _family(name, other) or 0)
        if first in _known() and second in _known() and not _short(first) & _short(second):
            return 0.0  # Jon and Jan are two people; Jon and Jonm are one
    return _family(name, other)


@functools.lru_cache(100_000)
def _family(name: str, other: str) -> float | None:
    if not name or not other:
        return None
    words, others = set(name.split()), set(other.split())
    if words == others:
        return 100.0
    if min(len(name), len(other)) == 1:
        return _INITIAL if name[0] == other[0] else 0.0
    if words < others or others < words:
        return _SHORTER
    return fuzz.ratio(name.replace(" ", ""), other.replace(" ", ""))


@functools.cache
def _formal(name: str) -> frozenset[str]:
    """A given name and those it is short for."""
    return frozenset(_nicknames().canonicals_of(name)) | {name}


@functools.cache
def _short(name: str) -> frozenset[str]:
    """What a given name is called for short."""
    return frozenset(_nicknames().nicknames_of(name))


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(_nicknames().nickname_lookup) | frozenset(_nicknames().canonical_lookup)


@functools.cache
def _nicknames() -> NickNamer:
    return NickNamer()


def prepare_comparison(connection: duckdb.DuckDBPyConnection, domains: Iterable[Sequence[str]] = ()) -> None:
    """Make the macros of `normalise.sql` and the temporary table `nicknames`. `domains` that mean the same mailbox."""
    same = {"googlemail.com": "gmail.com"}
    same |= {domain.lower(): group[0].lower() for group in domains for domain in group}
    pairs = ", ".join(f"{literal(domain)}: {literal(first)}" for domain, first in sorted(same.items()))
    connection.execute(f"SET VARIABLE same_domain = MAP {{{pairs}}}")
    connection.execute(script("normalise"))
    there = connection.execute("FROM duckdb_tables() WHERE temporary AND table_name = 'nicknames'").fetchall()
    if not there:
        columns = {"nickname": "VARCHAR", "canonical": "VARCHAR"}
        connection.execute(f"CREATE TEMP TABLE nicknames AS {values(columns, _nickname_rows())}")


def _nickname_rows() -> list[dict[str, str]]:
    return [
        {"nickname": nickname, "canonical": canonical}
        for nickname, canonicals in sorted(_nicknames().canonical_lookup.items())
        for canonical in sorted(canonicals)
    ]


def prepare_phones(connection: duckdb.DuckDBPyConnection, select: str) -> None:
    """Make the temporary table `phones`: the numbers that a query gives, as written, and in E.164. A number without a
    country is a US one."""
    rows = []
    for (number,) in connection.execute(f"SELECT DISTINCT number FROM ({select}) t(number)").fetchall():
        if e164 := _e164(number or ""):
            rows.append({"number": number, "e164": e164})
    columns = {"number": "VARCHAR", "e164": "VARCHAR"}
    connection.execute(f"CREATE OR REPLACE TEMP TABLE phones AS {values(columns, rows)}")


@functools.lru_cache(100_000)
def _e164(number: str) -> str | None:
    try:
        parsed = phonenumbers.parse(number, "US")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
