"""A plan is carried out exactly: what may not go waits, what has changed is dropped, what crashed is settled."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from gusto_pipeline.provisioning import actions, apply, log
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apply import Done, Gated
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.log import Result
from gusto_pipeline.provisioning.plans import Item, Plan
from gusto_pipeline.provisioning.reconciliation import prepare
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.sandbox.apps import SimulatedApp, running_apps
from gusto_pipeline.warehouse.warehouse import Warehouse
from gusto_pipeline_tests.conftest import Yesterday
from gusto_pipeline_tests.provisioning.connected import Kept, session_with

COMPANY = "c1"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NEW = {"email": "nora.newman@acme-tea-co.example", "given_name": "Nora", "family_name": "Newman"}


class World:
    """Two apps and a warehouse: Okta, which can suspend and is an identity provider, and Asana, which only removes."""

    def __init__(self, apps: dict[str, SimulatedApp], folder: Path) -> None:
        self.apps = apps
        self.warehouse = Warehouse(folder / "warehouse.duckdb", [])
        with self.warehouse.write() as connection:
            prepare(connection)

    def session(self, slug: str) -> Session:
        return session_with(self.apps[slug])

    def people(self, slug: str) -> list[tuple[str, str]]:
        """Id and login of plain active accounts."""
        with self.session(slug) as session:
            return [
                (a.id, a.emails[0])
                for a in actions.read_accounts(session).accounts
                if a.status is Status.ACTIVE
                and not a.admin
                and not a.owner
                and not a.bot
                and a.raw.get("status", "ACTIVE") == "ACTIVE"
            ]

    def suspend(self, slug: str, n: int = 0, **given: object) -> Item:
        account_id, login = self.people(slug)[n]
        return item(app=slug, account_id=account_id, account=login, person_id=f"p{n}", **given)

    def apply(self, *items: Item, **given: object) -> list[Done]:
        made = Plan(company="acme", company_uuid=COMPANY, made_at=NOW, items=items)
        options = {"who": "ann", "clock": lambda: NOW, "still_so": lambda item: ""} | given
        return apply.carry_out(made, items, self.warehouse, self.session, **options)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with self.warehouse.read() as connection:
            return connection.execute(sql).fetchall()

    def status(self, slug: str, account_id: str) -> Status | None:
        with self.session(slug) as session:
            account = app(slug).account(session, account_id)
            return account.status if account else None


def item(**given: object) -> Item:
    base = {
        "app": "okta", "action": "suspend", "rule": "A3", "state": "REMOVAL_DUE", "mode": "limited", "effect": "",
        "reason": "Left.", "next_step": "", "person_id": "p1", "person": "Ann Lee", "inputs": {"acct": "active"},
    }  # fmt: skip
    return Item(**base | given)


def create(slug: str = "asana") -> Item:
    return item(app=slug, action="create", rule="M1", inputs={"acct": "absent"}, new=NEW, account_id=None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running_apps("okta", "asana") as apps:
        yield World(apps, tmp_path)


# -- gates ----------------------------------------------------------------------------------------------------


def gate(one: Item, **given: object) -> Gated:
    options = {
        "modes": {"okta": "auto"},
        "approved": frozenset(),
        "proven": frozenset({"okta"}),
        "now": NOW,
        "held": {},
    }
    return apply.gate([one], **options | given)[0]


def test_an_app_that_is_only_observed_is_not_touched_even_with_approval():
    assert gate(item(), modes={"okta": "observe"}, approved=frozenset({item().id})).verdict == "observed"


def test_an_app_nobody_said_anything_about_is_only_observed():
    assert gate(item(), modes={}).verdict == "observed"


def test_what_is_not_due_waits_for_its_instant():
    later = item(due_at=(NOW + timedelta(seconds=1)).isoformat())
    assert gate(later).verdict == "not due"
    assert gate(later, now=NOW + timedelta(seconds=1)).verdict == "go"


def test_in_mode_plan_everything_needs_a_person():
    assert gate(item(), modes={"okta": "plan"}).verdict == "needs approval"
    assert gate(item(), modes={"okta": "plan"}, approved=frozenset({item().id})).verdict == "go"


def test_the_first_removal_in_an_app_always_needs_a_person():
    assert gate(item(), proven=frozenset()).verdict == "needs approval"
    assert gate(item(action="create", new=NEW), proven=frozenset()).verdict == "go"


def test_what_the_rules_want_approved_is_not_done_by_itself():
    assert gate(item(needs_approval=True)).verdict == "needs approval"


def test_what_the_brakes_hold_waits_and_says_why():
    assert gate(item(), held={item().id: "too many at once"}) == Gated(item(), "held", "too many at once")


# -- carrying out ---------------------------------------------------------------------------------------------


def test_an_intent_is_written_before_the_call_and_its_outcome_after(world):
    one, seen = world.suspend("okta"), []
    world.apply(
        one,
        on_step=lambda step, item: seen.append((step, world.rows("SELECT count(*) FROM provisioning.outcomes")[0][0])),
    )
    assert seen == [("intended", 0), ("called", 0), ("ended", 1)]
    assert world.rows("SELECT app, action, account_id, who FROM provisioning.intents") == [
        ("okta", "suspend", one.account_id, "ann")
    ]
    assert world.rows("SELECT outcome FROM provisioning.outcomes") == [("done",)]


def test_suspending_removes_where_an_app_can_do_no_less(world):
    one = world.suspend("asana")
    assert world.apply(one)[0].result is Result.DONE
    assert world.status("asana", one.account_id) in (None, Status.DELETED)


def test_what_is_done_already_is_nothing_to_do(world):
    one = world.suspend("okta")
    world.apply(one)
    assert world.apply(one)[0].result is Result.NOTHING_TO_DO


def test_whoever_is_invited_is_in_the_groups_at_once_and_that_is_done(tmp_path):
    with running_apps("github") as apps:
        done = World(apps, tmp_path).apply(replace(create("github"), new={**NEW, "groups": ["Retail"]}))[0]
        assert (done.result, done.problem) == (Result.DONE, "")
        assert apps["github"].directory.by_email(NEW["email"], "invited").groups == ["retail"]


def test_an_account_in_another_state_than_planned_is_left_alone(world):
    one = world.suspend("okta", inputs={"acct": "invited"}, action="cancel_invitation")
    done = world.apply(one)[0]
    assert (done.result, world.status("okta", one.account_id)) == ("dropped", Status.ACTIVE)
    assert "was invited when this was planned" in done.problem


def test_an_account_whose_login_is_another_now_is_left_alone(world):
    account_id, _ = world.people("okta")[0]
    done = world.apply(item(account_id=account_id, account="someone.else@acme-tea-co.example"))[0]
    assert (done.result, world.status("okta", account_id)) == ("dropped", Status.ACTIVE)


def test_an_account_that_became_an_owners_is_left_alone_at_the_last_moment(world, monkeypatch):
    one = world.suspend("okta")
    read = app("okta").account
    monkeypatch.setitem(
        vars(app("okta")), "account", lambda session, id: replace(read(session, id), owner=True, admin=True)
    )
    done = world.apply(one)[0]
    monkeypatch.undo()
    assert (done.result, world.status("okta", one.account_id)) == ("dropped", Status.ACTIVE)
    assert "protected" in done.problem


def test_somebody_who_has_not_left_after_all_is_left_alone(world):
    one = world.suspend("okta")
    done = world.apply(one, still_so=lambda item: "Gusto now says that they stay")[0]
    assert (done.result, done.problem) == ("dropped", "Gusto now says that they stay")
    assert world.status("okta", one.account_id) is Status.ACTIVE
    assert world.rows("FROM provisioning.intents") == []


def test_one_app_being_down_delays_no_other(world):
    world.apps["okta"].fault("5xx=503")
    okta = item(account_id="00u1", account="x@acme.example")
    done = {one.item.app: one.result for one in world.apply(okta, world.suspend("asana"))}
    assert done == {"okta": Result.FAILED, "asana": Result.DONE}


def test_a_rate_limit_that_stays_stops_the_rest_of_that_app_only(world):
    items = [world.suspend("okta", n) for n in range(3)]
    other = world.suspend("asana")
    world.apps["okta"].fault("429=400")
    done = world.apply(*items, other)
    assert [one.result for one in done if one.item.app == "okta"] == [Result.THROTTLED] * 3
    assert [one.result for one in done if one.item.app == "asana"] == [Result.DONE]


def test_two_tries_to_create_make_one_account_and_one_invitation(world):
    world.apply(create())
    world.apply(create())
    directory = world.apps["asana"].directory
    assert sum(m.email == NEW["email"] for m in directory.members.values()) == 1
    assert [address for address, _ in directory.mails].count(NEW["email"]) == 1


# -- how it ended ---------------------------------------------------------------------------------------------


def ended(*results: object, waiting: tuple[str, ...] = ()) -> str:
    done = tuple(Done(item(), result) for result in results)
    return apply.Applied(done, tuple(Gated(item(), verdict) for verdict in waiting)).state


def test_how_an_application_ends():
    assert ended() == "ok"
    assert ended(Result.DONE, Result.NOTHING_TO_DO) == "ok"
    assert ended(Result.DONE, waiting=("not due", "observed")) == "ok"
    assert ended(Result.DONE, waiting=("held",)) == "partial"
    assert ended(waiting=("needs approval",)) == "blocked"
    assert ended(Result.DONE, Result.FAILED) == "partial"
    assert ended(Result.DONE, Result.THROTTLED) == "throttled"
    assert ended(Result.FAILED) == ended(Result.UNKNOWN) == "failed"
    assert ended("dropped") == ended(Result.DONE, "dropped") == "partial", "to be decided anew, which is no failure"


def test_an_answer_that_never_came_is_an_error_as_well_as_one_that_says_no():
    def errors(*results):
        return apply.Applied(tuple(Done(item(), result) for result in results), ()).errors

    assert errors(Result.DONE, Result.FAILED) == errors(Result.DONE, Result.UNKNOWN) == 1
    assert errors(Result.DONE, Result.THROTTLED, Result.NOTHING_TO_DO, "dropped") == 0


def test_nothing_is_removed_while_the_app_says_that_this_machines_clock_is_ahead(world):
    one = world.suspend("okta")
    made = Plan(company="acme", company_uuid=COMPANY, made_at=NOW, items=(one,))

    def session(slug: str) -> Session:
        return session_with(world.apps[slug], transport=Yesterday())

    options = {"who": "ann", "clock": lambda: NOW, "still_so": lambda item: ""}
    done = apply.carry_out(made, [one], world.warehouse, session, **options)[0]
    assert (done.result, world.status("okta", one.account_id)) == (Result.FAILED, Status.ACTIVE)
    assert "the clock is ahead" in done.problem
    assert world.rows("FROM provisioning.intents") == []


# -- crashes --------------------------------------------------------------------------------------------------


def die_at(step: str, one: Item, folder: Path, base_url: str, record: dict[str, str]) -> None:
    """In a process of its own: carry out one item and be killed at a step, as by kill -9."""
    warehouse = Warehouse(folder / "warehouse.duckdb", [])

    def on_step(reached: str, item: Item) -> None:
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    made = Plan(company="acme", company_uuid=COMPANY, made_at=NOW, items=(one,))
    apply.carry_out(
        made,
        [one],
        warehouse,
        lambda slug: Session(app(slug), Kept(record), base_url=base_url),
        who="ann",
        clock=lambda: NOW,
        still_so=lambda item: "",
        on_step=on_step,
    )
    sys.exit(0)


@pytest.mark.parametrize("step", ["intended", "called", "ended"])
@pytest.mark.parametrize("what", ["create", "remove"])
def test_killed_at_any_boundary_nothing_is_doubled_and_nothing_forgotten(world, tmp_path, step, what):
    one = create() if what == "create" else world.suspend("asana")
    asana = world.apps["asana"]
    with ExitStack() as stack:
        process = get_context("spawn").Process(
            target=die_at, args=(step, one, tmp_path, asana.base_url, asana.connected_record())
        )
        stack.callback(process.close)
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL

    settled = apply.settle(COMPANY, world.warehouse, world.session, clock=lambda: NOW)
    expected = {"intended": [Result.NOT_DONE], "called": [Result.DONE], "ended": []}[step]
    assert [result for _, result in settled] == expected
    with world.warehouse.read() as connection:
        assert log.open_intents(connection, COMPANY) == []

    world.apply(one)
    members, mails = asana.directory.members.values(), asana.directory.mails
    if what == "create":
        assert sum(m.email == NEW["email"] for m in members) == 1
        assert [address for address, _ in mails].count(NEW["email"]) == 1
    else:
        assert world.status("asana", one.account_id) in (None, Status.DELETED)


def test_an_intent_in_an_app_that_is_down_stays_open(world):
    world.apps["asana"].fault("drop-write:once", "5xx=503:every=1")
    with world.warehouse.write() as connection:
        log.intend(connection, COMPANY, "plan", create(), "ann", NOW)
    assert apply.settle(COMPANY, world.warehouse, world.session, clock=lambda: NOW) == []
    with world.warehouse.read() as connection:
        assert len(log.open_intents(connection, COMPANY)) == 1


# -- approvals ------------------------------------------------------------------------------------------------


def approved(world: World) -> frozenset[str]:
    with world.warehouse.read() as connection:
        return frozenset(id for id, said in log.answers(connection, COMPANY).items() if said.yes)


def say(world: World, one: Item, *, yes: bool = True, at: datetime = NOW) -> None:
    with world.warehouse.write() as connection:
        log.approve(connection, COMPANY, "plan", [one], who="ann", now=at, approved=yes)


def test_an_approval_lasts_until_it_is_used(world):
    one = world.suspend("asana")
    say(world, one, at=NOW - timedelta(minutes=1))
    assert approved(world) == {one.id}
    world.apply(one)
    assert approved(world) == frozenset()


def test_an_approval_can_be_taken_back(world):
    say(world, item())
    say(world, item(), yes=False, at=NOW + timedelta(minutes=1))
    assert approved(world) == frozenset()


def test_who_approved_what_is_kept(world):
    say(world, item())
    assert world.rows("SELECT item_id, who, approved FROM provisioning.approvals") == [(item().id, "ann", True)]


def test_an_app_is_proven_by_an_approved_removal_that_was_done(world):
    one = world.suspend("asana")
    say(world, one, at=NOW - timedelta(minutes=1))
    with world.warehouse.read() as connection:
        assert log.apps_with_removals(connection, COMPANY) == frozenset()
    world.apply(one)
    with world.warehouse.read() as connection:
        assert log.apps_with_removals(connection, COMPANY) == {"asana"}
