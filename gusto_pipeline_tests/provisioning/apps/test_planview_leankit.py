"""What is special to LeanKit: invitations beside users, an owner, a Retry-After that is a date."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.apps.planview_leankit import _user
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    IncompleteReadError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of

LEANKIT = app("planview_leankit")


def test_users_and_open_invitations_are_one_list():
    with connected_to("planview_leankit") as (session, simulated):
        listed = {account.emails[0]: account for account in LEANKIT.accounts(session)}
        for member in simulated.directory.members.values():
            account = listed[member.email]
            assert account.status is Status(member.state)
            assert account.owner == (member.role == "owner")
            assert account.admin == (member.role != "member")
            if member.state != "invited":
                assert (account.given_name, account.family_name) == (member.given, member.family)
                assert (account.last_activity is None) == (member.last_seen is None)
        assert {account.licence for account in listed.values()} == {"full", "reader", None}


def test_a_deleted_user_is_deleted_whatever_else_it_is():
    assert _user({"id": "1", "enabled": True, "deleted": True}).status is Status.DELETED


def test_an_open_invitation_is_found_and_revoked():
    with connected_to("planview_leankit") as (session, simulated):
        invited = next(member for member in simulated.directory.members.values() if member.state == "invited")
        account = LEANKIT.find(session, invited.email)
        assert (account.id, account.status) == (f"invitation/{invited.id}", Status.INVITED)
        assert actions.remove(session, account.id).changed
        assert LEANKIT.account(session, account.id) is None
        assert not actions.remove(session, account.id).changed


def test_pages_are_read_until_the_total_is_reached():
    with connected_to("planview_leankit", size=900) as (session, simulated):
        assert len(list(LEANKIT.accounts(session))) == 900
        assert [row.query for row in simulated.requests if row.path == "/io/user"] == [
            "offset=0&limit=500",
            "offset=500&limit=500",
        ]


def test_a_list_shorter_than_the_total_is_refused():
    lossy = connected_to("planview_leankit", size=450, faults=("short-page=0.79",))
    with lossy as (session, _), pytest.raises(IncompleteReadError, match="LeanKit counts"):
        actions.read_accounts(session)


def test_a_new_user_may_be_administrator_or_create_boards():
    with connected_to("planview_leankit") as (session, _):
        made = actions.create(session, replace(NEW, role="Board creator", licence="focused")).account
        assert (made.status, made.admin, made.raw["boardCreator"]) == (Status.ACTIVE, False, True)
        assert made.licence == "focused"
        boss = actions.create(session, replace(NEW, email="b@example.com", role="Administrator")).account
        assert (boss.role, boss.admin) == ("Administrator", True)


def test_a_role_that_is_not_there_is_refused_before_any_request():
    with connected_to("planview_leankit") as (session, simulated):
        with pytest.raises(InvalidError, match="Administrator, Board creator"):
            LEANKIT.create(session, replace(NEW, role="Chef"))
        assert simulated.requests == []


def test_the_owner_stays():
    with connected_to("planview_leankit") as (session, _):
        owner = next(account for account in LEANKIT.accounts(session) if account.owner)
        for act in (actions.suspend, actions.remove):
            with pytest.raises(LastOwnerError, match="named anew"):
                act(session, owner.id)


def test_without_a_free_licence_nobody_is_added():
    with connected_to("planview_leankit", seats=1) as (session, _), pytest.raises(NoSeatError, match="Buy one"):
        actions.create(session, NEW)


def test_a_wait_that_is_said_as_a_date_is_kept():
    with connected_to("planview_leankit") as (session, simulated):
        simulated.advance(86_400)  # our clock and the server's need not agree
        before = simulated.directory.clock.now()
        simulated.fault("429=90:once")
        LEANKIT.tenant(session)
        assert 89 <= (simulated.directory.clock.now() - before).total_seconds() < 95


@pytest.mark.parametrize(
    ("status", "message", "kind", "advice"),
    [
        (409, "conflict", AlreadyExistsError, "Nothing"),
        (422, "emailAddress is already in use", AlreadyExistsError, "Nothing"),
        (422, "password is too weak", InvalidError, "Correct it"),
        (403, "You do not have permission", MissingScopeError, "account administrator"),
    ],
)
def test_each_refusal_says_what_to_do(status, message, kind, advice):
    error = refusal_of(LEANKIT, status, {"statusCode": status, "message": message})
    assert type(error) is kind
    assert advice in str(error)
