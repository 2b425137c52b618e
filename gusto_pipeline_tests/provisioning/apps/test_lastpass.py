"""What is special to LastPass: commands to one address, failures with status 200, who never logged in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.apps.lastpass import _account
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    IncompleteReadError,
    InvalidError,
    LastOwnerError,
    NoSeatError,
    NotFoundError,
    SignInError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of

LASTPASS = app("lastpass")


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ({"disabled": False, "neverloggedin": False}, Status.ACTIVE),
        ({"disabled": False, "neverloggedin": True}, Status.INVITED),
        ({"disabled": True, "neverloggedin": False}, Status.SUSPENDED),
        ({"disabled": True, "neverloggedin": True}, Status.SUSPENDED),
    ],
)
def test_what_a_user_is(flags, status):
    assert _account("1", {"username": "a@b.example"} | flags).status is status


def test_times_are_read_and_never_is_none():
    row = {"username": "a@b.example", "disabled": False, "created": "2024-03-12 10:54:48", "last_login": ""}
    account = _account("1", row)
    assert account.created_at == datetime(2024, 3, 12, 10, 54, 48, tzinfo=UTC)
    assert account.last_activity is None


def test_pages_are_read_until_the_total_is_reached():
    with connected_to("lastpass", size=400) as (session, simulated):
        assert len(list(LASTPASS.accounts(session))) == 400
        assert len(simulated.requests) == 2


def test_a_list_shorter_than_the_total_is_refused():
    lossy = connected_to("lastpass", size=450, faults=("short-page=0.79",))
    with lossy as (session, _), pytest.raises(IncompleteReadError, match="counts 450 accounts and listed 355"):
        actions.read_accounts(session)


def test_the_hash_is_in_no_address_and_no_header():
    sent: list[httpx.Request] = []

    class Watching(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(request)
            return super().handle_request(request)

    with connected_to("lastpass", transport=Watching()) as (session, simulated):
        LASTPASS.tenant(session)
        secret = simulated.directory.secret["provisioning_hash"]
        assert secret.encode() in sent[0].content
        assert secret not in str(sent[0].url) + str(sent[0].headers)


def test_a_new_person_is_mailed_unless_there_is_a_password():
    with connected_to("lastpass") as (session, simulated):
        actions.create(session, replace(NEW, groups=("Retail",)))
        assert simulated.directory.mails == [(NEW.email, "activation")]
        actions.create(session, replace(NEW, email="b@example.com", password="Correct-horse-1"))
        assert len(simulated.directory.mails) == 1
        assert LASTPASS.find(session, NEW.email).groups == ("Retail",)


def test_an_open_invitation_is_withdrawn_and_one_who_accepted_taken_out():
    with connected_to("lastpass") as (session, simulated):
        invited = actions.create(session, NEW).account
        assert actions.remove(session, invited.id).changed
        silent = next(m for m in simulated.directory.members.values() if m.state == "active" and not m.last_seen)
        assert LASTPASS.account(session, silent.id).status is Status.INVITED
        assert actions.remove(session, silent.id).changed


def test_groups_are_joined_and_left_by_name():
    with connected_to("lastpass") as (session, _):
        account = next(LASTPASS.accounts(session))
        LASTPASS.join(session, account, "Retail")
        assert LASTPASS.account(session, account.id).groups == ("Retail",)
        assert LASTPASS.groups(session)["Retail"] == "Retail"
        LASTPASS.leave(session, account, "Retail")
        assert LASTPASS.account(session, account.id).groups == ()


def test_what_is_so_already_is_done():
    with connected_to("lastpass") as (session, _):
        account = next(a for a in LASTPASS.accounts(session) if a.status is Status.SUSPENDED)
        LASTPASS.suspend(session, account)
        LASTPASS.reactivate(session, account)
        LASTPASS.reactivate(session, account)
        assert LASTPASS.account(session, account.id).status is not Status.SUSPENDED


def test_without_a_free_licence_nobody_is_added():
    with connected_to("lastpass", seats=1) as (session, _), pytest.raises(NoSeatError, match="Buy one"):
        actions.create(session, NEW)


def test_the_last_admin_stays():
    with connected_to("lastpass") as (session, _):
        *others, last = [a for a in LASTPASS.accounts(session) if a.admin]
        for account in others:
            actions.remove(session, account.id)
        with pytest.raises(LastOwnerError, match="somebody else"):
            actions.remove(session, last.id)


@pytest.mark.parametrize(
    ("said", "kind", "advice"),
    [
        ("<xml>Authorization Error</xml>", SignInError, "connect lastpass"),
        ({"status": "FAIL", "error": "No such user: x"}, NotFoundError, "again"),
        ({"status": "fail", "errors": ["User already exists: x"]}, AlreadyExistsError, "Nothing"),
        ({"status": "OK", "error": "Invalid username"}, InvalidError, "Admin Console"),
        ({"status": "FAIL"}, InvalidError, "by hand"),
    ],
)
def test_each_failure_says_what_to_do(said, kind, advice):
    error = refusal_of(LASTPASS, 200, said)
    assert type(error) is kind
    assert advice in str(error)


@pytest.mark.parametrize("said", [{"status": "Success"}, {"status": "OK", "error": "User already disabled: x"}, {}])
def test_success_has_several_spellings(said):
    assert refusal_of(LASTPASS, 200, said) is None
