"""An app's accounts in the warehouse: the last list that is whole, and every attempt to read one."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gusto_pipeline.provisioning.account import Account, Status, Tenant
from gusto_pipeline.provisioning.store import (
    AccountsRefusedError,
    last_count,
    load_accounts,
    store_accounts,
    store_failed_read,
)
from gusto_pipeline.warehouse.warehouse import Warehouse
from gusto_pipeline_tests.provisioning.hr import COMPANY, NOW, Hr

HOUR = timedelta(hours=1)
ACME = Tenant("t1", 'Acme\'s "workspace"')
FULL = Account(
    id="a'1",
    status=Status.INVITED,
    user_name="ada\x00",
    emails=("Ada@acme.example", "ada@home.example"),
    given_name="Ada",
    family_name="O'Moss",
    display_name="Ada O'Moss 🌱",
    invited_until=NOW + HOUR,
    last_activity=NOW - HOUR,
    created_at=datetime(2024, 1, 8, 1, 2, 3, 456789, tzinfo=UTC),
    role="member",
    admin=True,
    owner=True,
    bot=True,
    licence="pro",
    groups=("cooks", "all"),
    external_id="e1",
    employee_number="000042",
    phone="+14155550132",
    title="Cook",
    department="Kitchen",
    raw={"id": "a'1", "profile": {"skype": None}},
)


@pytest.fixture
def hr() -> Hr:
    return Hr()


def numbered(count: int) -> list[Account]:
    return [Account(id=f"a{number:04}", status=Status.ACTIVE) for number in range(count)]


def store(hr: Hr, accounts: list[Account], at: datetime = NOW, **options: Any) -> None:
    store_accounts(hr.connection, COMPANY, "slack", ACME, accounts, at, 3, **options)


def stored(hr: Hr) -> list[str]:
    return [account.id for account in load_accounts(hr.connection, COMPANY, "slack")]


def test_an_account_comes_back_as_it_was(hr):
    assert all(getattr(FULL, each.name) not in (None, (), {}, "") for each in fields(FULL))
    store(hr, [FULL, Account(id="a2", status=Status.ACTIVE)])
    assert load_accounts(hr.connection, COMPANY, "slack") == [FULL, Account(id="a2", status=Status.ACTIVE)]
    raw = hr.query("SELECT raw->>'$.id', raw->'$.profile'->'skype' FROM provisioning.accounts WHERE admin")
    assert raw == [("a'1", "null")]


def test_a_list_replaces_the_one_before_of_the_same_app_only(hr):
    store(hr, numbered(3))
    store_accounts(hr.connection, COMPANY, "zoom", ACME, [FULL], NOW, 1)
    store(hr, [replace(FULL, id="a9")], NOW + HOUR)
    assert stored(hr) == ["a9"]
    assert [account.id for account in load_accounts(hr.connection, COMPANY, "zoom")] == ["a'1"]


def test_every_read_is_remembered(hr):
    store(hr, numbered(2))
    store_failed_read(hr.connection, COMPANY, "slack", NOW + HOUR, "Slack did not answer", 7)
    assert hr.query("FROM provisioning.account_reads ORDER BY read_at") == [
        (COMPANY, "slack", NOW, True, 2, "t1", 'Acme\'s "workspace"', 3, None),
        (COMPANY, "slack", NOW + HOUR, False, None, None, None, 7, "Slack did not answer"),
    ]


def test_a_failed_read_leaves_the_last_good_list(hr):
    store(hr, numbered(2))
    store_failed_read(hr.connection, COMPANY, "slack", NOW + HOUR, "Slack did not answer")
    assert stored(hr) == ["a0000", "a0001"]
    assert last_count(hr.connection, COMPANY, "slack") == 2


def test_a_list_that_names_an_account_twice_is_refused_whole(hr):
    store(hr, numbered(2))
    with pytest.raises(AccountsRefusedError, match="slack listed the account id a0001 more than once in 4 accounts"):
        store(hr, [*numbered(3), Account(id="a0001", status=Status.SUSPENDED)], NOW + HOUR)
    assert stored(hr) == ["a0000", "a0001"]
    assert len(hr.query("FROM provisioning.account_reads")) == 1


def test_an_account_without_an_id_is_refused(hr):
    with pytest.raises(AccountsRefusedError, match="without an id"):
        store(hr, [*numbered(2), Account(id="", status=Status.ACTIVE)])


@pytest.mark.parametrize(
    ("before", "now", "refused"), [(100, 79, True), (100, 80, False), (19, 1, False), (19, 0, True), (0, 0, False)]
)
def test_a_list_that_lost_more_than_a_fifth_is_only_taken_if_asked_to(hr, before, now, refused):
    store(hr, numbered(before))
    if refused:
        with pytest.raises(AccountsRefusedError, match="accept_shrink"):
            store(hr, numbered(now), NOW + HOUR)
        assert len(stored(hr)) == before
    store(hr, numbered(now), NOW + HOUR, accept_shrink=refused, who="Kim")
    assert len(stored(hr)) == now
    said = f"{now} accounts, where the last good list had {before}"
    audit = hr.query("SELECT app, event, who, happened_at, why FROM provisioning.link_history")
    assert audit == ([("slack", "shorter list accepted", "Kim", NOW + HOUR, said)] if refused else [])


def test_a_list_is_compared_with_the_last_that_was_taken_also_when_the_clock_was_set_back_before(hr):
    store(hr, numbered(25), NOW)
    store(hr, numbered(19), NOW - HOUR, removed=[account.id for account in numbered(25)[19:]])
    store(hr, numbered(19), NOW + HOUR)
    assert stored(hr) == [account.id for account in numbered(19)]


@pytest.mark.parametrize(
    ("now", "ours", "refused"), [(70, 30, False), (70, 13, False), (70, 12, True), (0, 100, False), (0, 99, True)]
)
def test_what_we_have_taken_away_ourselves_does_not_count_as_lost(hr, now, ours, refused):
    store(hr, numbered(100))
    removed = [account.id for account in numbered(100)[100 - ours :]]
    if refused:
        with pytest.raises(AccountsRefusedError, match=f"had 100, of which we have taken away {ours}"):
            store(hr, numbered(now), NOW + HOUR, removed=removed)
    else:
        store(hr, numbered(now), NOW + HOUR, removed=removed)
    assert len(stored(hr)) == (100 if refused else now)


def test_in_a_warehouse_file_a_refused_list_leaves_no_trace(tmp_path):
    warehouse = Warehouse(tmp_path / "warehouse.duckdb", [])
    with warehouse.write() as connection:
        store_accounts(connection, COMPANY, "slack", ACME, numbered(2), NOW, 1)
    with pytest.raises(AccountsRefusedError), warehouse.write() as connection:
        store_accounts(connection, COMPANY, "slack", ACME, numbered(2) * 2, NOW, 1)
    with warehouse.read() as connection:
        assert len(load_accounts(connection, COMPANY, "slack")) == 2
