"""What is special to Sauce Labs: status by filter only, two shapes of lists, no deletion, lists of errors by field."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    IncompleteReadError,
    InvalidError,
    MissingScopeError,
    NoSeatError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of

SAUCE = app("sauce_labs")


def user(number: int, **more) -> dict:
    return {"id": str(number), "username": f"u{number}", "is_active": True, "organization": {"id": "o"}} | more


def answering(rows_by_status: dict[str, list[dict]]) -> httpx.MockTransport:
    """A server that lists without an envelope, as the vendor's description has it."""

    def answer(request: httpx.Request) -> httpx.Response:
        rows = rows_by_status.get(request.url.params.get("status"), [])
        offset, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
        return httpx.Response(200, json=rows[offset : offset + limit])

    return httpx.MockTransport(answer)


def test_the_filter_tells_who_is_pending():
    with connected_to("sauce_labs") as (session, simulated):
        listed = {account.id: account for account in SAUCE.accounts(session)}
        for member in simulated.directory.members.values():
            assert listed[member.id].status is Status(member.state)
            assert listed[member.id].admin == (member.role != "member")
            assert SAUCE.account(session, member.id) == listed[member.id]


def test_who_is_pending_and_active_is_pending_once():
    transport = answering({"pending": [user(1)], "active": [user(1), user(2)]})
    with connected_to("sauce_labs", transport=transport) as (session, _):
        assert [(a.id, a.status) for a in SAUCE.accounts(session)] == [("1", Status.INVITED), ("2", Status.ACTIVE)]


@pytest.mark.parametrize("size", [100, 150, 200])
def test_lists_without_an_envelope_end_with_a_short_page(size):
    transport = answering({"active": [user(number) for number in range(size)]})
    with connected_to("sauce_labs", transport=transport) as (session, _):
        assert len(list(SAUCE.accounts(session))) == size


def test_a_list_shorter_than_its_count_is_refused():
    lossy = connected_to("sauce_labs", size=450, faults=("short-page=0.79",))
    with lossy as (session, _), pytest.raises(IncompleteReadError, match="Sauce Labs counts"):
        actions.read_accounts(session)


def test_a_new_user_has_a_name_of_their_own_a_role_and_a_team():
    with connected_to("sauce_labs") as (session, _):
        made = actions.create(session, replace(NEW, role="Team admin", groups=("Retail",))).account
        assert (made.user_name, made.role, made.groups) == ("nora.newman.acme-tea-co", "Team Admin", ("Retail",))


def test_a_role_that_is_not_there_is_named():
    with connected_to("sauce_labs") as (session, _), pytest.raises(InvalidError, match="no role 'Chef'"):
        actions.create(session, replace(NEW, role="Chef"))


def test_a_password_against_the_rules_is_refused_by_field():
    with connected_to("sauce_labs") as (session, _), pytest.raises(InvalidError, match="password: The password"):
        actions.create(session, replace(NEW, password="short"))


def test_a_team_is_joined():
    with connected_to("sauce_labs") as (session, _):
        account = next(SAUCE.accounts(session))
        team, name = list(SAUCE.groups(session).items())[-1]
        SAUCE.join(session, account, team)
        assert SAUCE.account(session, account.id).groups == (name,)


def test_removal_resets_the_access_key_and_deletes_nothing():
    with connected_to("sauce_labs") as (session, simulated):
        account = next(a for a in SAUCE.accounts(session) if a.status is Status.ACTIVE)
        actions.remove(session, account.id)
        assert SAUCE.account(session, account.id).status is Status.SUSPENDED
        assert simulated.directory.members[account.id].extra["keys"] == 1
        assert Counter(row.method for row in simulated.requests)["DELETE"] == 0


def test_nothing_deletes_a_user():
    with connected_to("sauce_labs") as (_, simulated):
        assert httpx.delete(f"{simulated.base_url}/team-management/v1/users/1/").status_code == 405


def test_without_a_free_seat_nobody_is_added():
    with connected_to("sauce_labs", seats=1) as (session, _), pytest.raises(NoSeatError, match="Buy one"):
        actions.create(session, NEW)


def test_a_connection_that_sees_nobody_says_whose_key_it_takes():
    empty = httpx.MockTransport(lambda request: httpx.Response(200, json=[]))
    blind = connected_to("sauce_labs", transport=empty)
    with blind as (session, _), pytest.raises(MissingScopeError, match="organization admin"):
        SAUCE.tenant(session)


@pytest.mark.parametrize(
    ("status", "said", "kind", "advice"),
    [
        (400, {"username": ["A user with that username already exists."]}, AlreadyExistsError, "username: A user"),
        (400, {"status_code": 400, "non_field_errors": ["Bad"]}, InvalidError, "Sauce Labs: Bad. Correct it"),
        (403, {"detail": "You do not have permission."}, MissingScopeError, "organization admin"),
        (400, "<html>", InvalidError, "no reason given"),
    ],
)
def test_each_refusal_says_what_to_do(status, said, kind, advice):
    error = refusal_of(SAUCE, status, said)
    assert type(error) is kind
    assert advice in str(error)
