"""What is special to ClickUp: one answer for all, milliseconds as text, the plan behind a refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import clickup
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    IncompleteReadError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    PlanTooLowError,
    RateLimitedError,
)
from gusto_pipeline.sandbox.apps.clickup import SIMULATOR
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of, wait


def test_all_that_clickup_says_of_a_member_is_kept():
    user = {
        "id": 81,
        "username": "Ivy Irwin",
        "email": "ivy@acme.example",
        "role": 2,
        "last_active": "1749283200000",
        "date_joined": "1714978800000",
        "date_invited": "1714892400000",
    }
    account = clickup._account({"user": user})
    assert (account.id, account.emails, account.user_name) == ("81", ("ivy@acme.example",), "Ivy Irwin")
    assert (account.given_name, account.family_name) == ("Ivy", "Irwin")
    assert account.last_activity == datetime(2025, 6, 7, 8, tzinfo=UTC)
    assert account.created_at == datetime(2024, 5, 6, 7, tzinfo=UTC)
    custom = clickup._account({"user": user | {"custom_role": {"id": 1, "name": "Brewer"}}})
    assert (account.role, custom.role) == ("Admin", "Brewer")


@pytest.mark.parametrize(
    ("role", "name", "admin", "owner"),
    [(1, "Owner", True, True), (2, "Admin", True, False), (3, "Member", False, False), (4, "Guest", False, False)],
)
def test_a_role_is_a_number(role, name, admin, owner):
    account = clickup._account({"user": {"id": 81, "role": role}})
    assert (account.role, account.admin, account.owner) == (name, admin, owner)


@pytest.mark.parametrize(
    ("dates", "status"),
    [
        ({"date_joined": None, "date_invited": "1714892400000"}, Status.INVITED),
        ({"date_joined": "1714978800000", "date_invited": "1714892400000"}, Status.ACTIVE),
        ({"date_invited": "1714892400000"}, Status.ACTIVE),
        ({}, Status.ACTIVE),
    ],
)
def test_who_was_invited_and_has_not_joined_is_invited(dates, status):
    assert clickup._account({"user": {"id": 81, **dates}}).status is status


def test_all_members_come_in_one_answer():
    with connected_to("clickup", size=300) as (session, simulated):
        assert len(list(clickup.accounts(session))) >= 300
        assert len(simulated.requests) == 1


def test_a_workspace_the_token_does_not_see_is_said_with_those_it_sees():
    with connected_to("clickup") as (session, _):
        session.record["team"] = "1"
        with pytest.raises(MissingScopeError, match=r"Workspace 1; it sees Acme Tea Co \(9013400001\)"):
            clickup.tenant(session)


@pytest.mark.parametrize("plan", ["Business Plus", "Free Forever"])
def test_a_plan_below_enterprise_lists_and_says_why_it_does_nothing_else(plan):
    with connected_to("clickup") as (session, simulated):
        simulated.directory.extra["plan"] = plan
        account = next(a for a in actions.read_accounts(session).accounts if not a.admin)
        for call in (lambda: actions.create(session, NEW), lambda: actions.remove(session, account.id)):
            with pytest.raises(PlanTooLowError, match=f"this is {plan}: do it by hand"):
                call()


def test_no_free_seat_is_said():
    with connected_to("clickup", seats=1) as (session, _), pytest.raises(NoSeatError, match="no free seat"):
        actions.create(session, NEW)


def test_an_address_that_is_in_already_is_said():
    with connected_to("clickup") as (session, _):
        clickup.create(session, NEW)
        with pytest.raises(AlreadyExistsError, match="Look under People"):
            clickup.create(session, NEW)


@pytest.mark.parametrize(("role", "given"), [(None, "Member"), ("admin", "Admin"), ("7", "Custom role 7")])
def test_an_invitation_gives_a_role_and_no_name(role, given):
    with connected_to("clickup") as (session, simulated):
        group = next(iter(clickup.groups(session)))
        made = actions.create(session, replace(NEW, role=role, groups=(group,))).account
        assert (made.role, made.display_name) == (given, None)
        assert simulated.directory.members[made.id].groups == [group]


def test_a_group_is_left():
    with connected_to("clickup") as (session, simulated):
        group = next(iter(clickup.groups(session)))
        account = next(clickup.accounts(session))
        clickup.join(session, account, group)
        clickup.leave(session, account, group)
        assert simulated.directory.members[account.id].groups == []


def test_a_guest_is_removed_as_one_and_an_invitation_withdrawn():
    with connected_to("clickup") as (session, simulated):
        guest = simulated.directory.add("guest@example.com", "Gus", "Guest", extra={"guest": True})
        assert actions.remove(session, guest.id).changed
        made = actions.create(session, NEW).account
        assert actions.remove(session, made.id).account is None
        assert [row.path.split("/")[-2] for row in simulated.requests if row.method == "DELETE"] == ["guest", "user"]


def test_the_owner_stays():
    with connected_to("clickup") as (session, _):
        owner = next(account for account in clickup.accounts(session) if account.owner)
        with pytest.raises(LastOwnerError, match="Transfer the ownership"):
            actions.remove(session, owner.id)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "OAUTH_027", MissingScopeError),
        (401, "OAUTH_045", MissingScopeError),
        (401, "OAUTH_025", type(None)),
        (403, "ACCESS_1", MissingScopeError),
        (400, "TEAM_1", InvalidError),
    ],
)
def test_a_token_that_is_barred_differs_from_one_that_is_unknown(status, code, kind):
    assert type(refusal_of(clickup.APP, status, {"err": "No", "ECODE": code})) is kind


def test_a_rate_limit_lasts_until_its_reset():
    now = datetime(2026, 1, 5, 10, 45, tzinfo=UTC)
    named = httpx.Response(429, headers={"x-ratelimit-reset": str(int(now.timestamp()) + 40)})
    assert wait(clickup.APP, named, now) == 41
    assert wait(clickup.APP, httpx.Response(429), now) == 60
    assert wait(clickup.APP, httpx.Response(403), now) is None


def test_the_simulator_says_when_its_limit_starts_anew_and_nothing_else():
    answer = SIMULATOR.rate_limited(40)
    seconds = int(answer.headers["x-ratelimit-reset"]) - datetime.now(UTC).timestamp()
    assert 39 < seconds <= 41
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert "retry-after" not in answer.headers


def test_a_rate_limit_longer_than_our_patience_is_said():
    with connected_to("clickup") as (session, simulated):
        simulated.fault("429=3600")
        with pytest.raises(RateLimitedError, match="ClickUp"):
            clickup.tenant(session)


def test_a_record_of_another_shape_makes_the_list_unreadable():
    with connected_to("clickup") as (session, simulated):
        next(iter(simulated.directory.members.values())).extra["custom_role"] = 7
        with pytest.raises(IncompleteReadError, match="not the shape expected"):
            actions.read_accounts(session)
