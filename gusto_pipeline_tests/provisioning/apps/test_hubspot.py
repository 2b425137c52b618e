"""What is special to HubSpot: names and deactivation from elsewhere, teams, two kinds of rate limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.apps.hubspot import _account
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    RateLimitedError,
    UnsupportedError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of, wait

HUBSPOT = app("hubspot")


def test_names_come_from_owners_and_deactivation_from_a_search():
    with connected_to("hubspot") as (session, simulated):
        listed = {account.id: account for account in HUBSPOT.accounts(session)}
        assert Status.SUSPENDED in {account.status for account in listed.values()}
        for member in simulated.directory.members.values():
            account = listed[member.id]
            assert (account.status is Status.SUSPENDED) == (member.state == "suspended")
            assert account.display_name == member.name
            assert account == HUBSPOT.account(session, member.id)


def test_names_that_a_user_carries_are_taken():
    row = {"id": "1", "email": "a@b.example", "firstName": "Ann", "lastName": "Bell", "seatNames": ["core", "sales"]}
    account = _account(row, False, {}, {})
    assert (account.given_name, account.family_name, account.licence) == ("Ann", "Bell", "core, sales")


@pytest.mark.parametrize("size", [100, 201])
def test_pages_are_read_until_there_is_no_next(size):
    with connected_to("hubspot", size=size) as (session, simulated):
        assert len(list(HUBSPOT.accounts(session))) == size
        assert sum(row.path == "/settings/v3/users/" for row in simulated.requests) == -(-size // 100)


def test_a_new_person_is_welcomed_with_role_and_teams():
    with connected_to("hubspot") as (session, simulated):
        made = actions.create(session, replace(NEW, role="Sales", groups=("Retail", "Sales"))).account
        teams = HUBSPOT.groups(session)
        assert made.role == "Sales"
        assert [teams[team] for team in made.groups] == ["Retail", "Sales"]
        assert simulated.directory.mails == [(NEW.email, "welcome")]


def test_a_role_that_is_not_there_is_named():
    with (
        connected_to("hubspot") as (session, _),
        pytest.raises(InvalidError, match="no role 'Chef'; it has Marketing, Sales"),
    ):
        actions.create(session, replace(NEW, role="Chef"))


def test_the_first_team_is_the_main_one_and_the_last_cannot_be_left():
    with connected_to("hubspot") as (session, _):
        first, second, *_ = HUBSPOT.groups(session)
        account = next(HUBSPOT.accounts(session))
        for team in (first, second):
            HUBSPOT.join(session, account, team)
            account = HUBSPOT.account(session, account.id)
        assert account.groups == (first, second)
        with pytest.raises(UnsupportedError, match="do it in HubSpot"):
            HUBSPOT.leave(session, account, second)  # HubSpot keeps secondary teams when the list is empty
        with pytest.raises(UnsupportedError, match="do it in HubSpot"):
            HUBSPOT.leave(session, replace(account, groups=(first,)), first)


def test_a_token_of_30_minutes_is_renewed():
    with connected_to("hubspot") as (session, simulated):
        HUBSPOT.tenant(session)
        simulated.advance(1801)
        HUBSPOT.tenant(session)
        assert [row.path for row in simulated.requests].count("/oauth/v1/token") == 2


def test_the_last_super_admin_stays():
    with connected_to("hubspot") as (session, _):
        *others, last = [a for a in HUBSPOT.accounts(session) if a.admin and a.status is Status.ACTIVE]
        for account in others:
            actions.remove(session, account.id)
        with pytest.raises(LastOwnerError, match="somebody else"):
            actions.remove(session, last.id)


def test_without_a_free_seat_nobody_is_added():
    with connected_to("hubspot", seats=1) as (session, _), pytest.raises(NoSeatError, match="Buy one"):
        actions.create(session, NEW)


def test_the_ten_second_window_is_waited_for():
    with connected_to("hubspot") as (session, simulated):
        before = simulated.directory.clock.now()
        simulated.fault("429:once")
        HUBSPOT.tenant(session)
        assert (simulated.directory.clock.now() - before).total_seconds() >= 10


def test_a_used_up_day_is_not_waited_for():
    used_up = {"status": "error", "errorType": "RATE_LIMIT", "policyName": "DAILY", "message": "daily limit"}
    token = {"access_token": "token", "expires_in": 1800}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=token) if "oauth" in request.url.path else httpx.Response(429, json=used_up)

    with connected_to("hubspot", transport=httpx.MockTransport(answer)) as (session, _):
        with pytest.raises(RateLimitedError):
            HUBSPOT.tenant(session)
        assert session.requests == 2


@pytest.mark.parametrize(
    ("status", "said", "kind", "advice"),
    [
        (
            403,
            {
                "category": "MISSING_SCOPES",
                "errors": [{"context": {"requiredGranularScopes": ["settings.users.write"]}}],
            },
            MissingScopeError,
            "lacks settings.users.write",
        ),
        (409, {"category": "CONFLICT", "message": "exists"}, AlreadyExistsError, "Nothing"),
        (400, {"category": "VALIDATION_ERROR", "message": "Invalid email address"}, InvalidError, "Correct it"),
    ],
)
def test_each_refusal_says_what_to_do(status, said, kind, advice):
    error = refusal_of(HUBSPOT, status, {"status": "error", **said})
    assert type(error) is kind
    assert advice in str(error)


def test_a_promised_wait_is_kept():
    answer = httpx.Response(429, headers={"retry-after": "3"}, json={"policyName": "TEN_SECONDLY_ROLLING"})
    assert wait(HUBSPOT, answer, datetime(2026, 1, 1, tzinfo=UTC)) == 3
