"""What is special to Trello: hidden addresses, ghosts, secrets in a header, refusals in plain text."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.apps.trello import _account
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    PlanTooLowError,
    SignInError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of

TRELLO = app("trello")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({}, Status.ACTIVE),
        ({"unconfirmed": True}, Status.INVITED),
        ({"memberType": "ghost"}, Status.INVITED),
        ({"member": {"memberType": "ghost"}}, Status.INVITED),
        ({"deactivated": True, "unconfirmed": True}, Status.SUSPENDED),
    ],
)
def test_what_a_membership_is(words, status):
    assert _account({"id": "5d0c1f2a0000000000000001", "idMember": "m"} | words, None).status is status


def test_an_enterprise_shows_the_addresses_of_those_it_manages():
    with connected_to("trello") as (session, simulated):
        listed = {account.id: account for account in TRELLO.accounts(session)}
        for member in simulated.directory.members.values():
            account, managed = listed[member.id], member.email.endswith(simulated.directory.domain)
            assert account.display_name == member.name
            assert account.status is Status(member.state)
            assert account.created_at == member.created_at.replace(microsecond=0)
            assert account.emails == ((member.email,) if managed and member.state != "invited" else ())


def test_without_an_enterprise_addresses_are_hidden_and_still_found():
    with connected_to("trello") as (session, simulated):
        session.record["enterprise"] = ""
        assert {account.emails for account in TRELLO.accounts(session)} == {()}
        member = next(m for m in simulated.directory.members.values() if m.state == "active")
        assert TRELLO.find(session, member.email.upper()).id == member.id
        assert not any("enterprises" in row.path for row in simulated.requests)


def test_a_search_that_finds_several_finds_nobody():
    with connected_to("trello") as (session, simulated):
        session.record["enterprise"] = ""
        simulated.directory.add("a@one.example", "Sam", "b@two.example")
        simulated.directory.add("b@two.example", "Sam", "Other")
        assert TRELLO.find(session, "b@two.example") is None


def test_an_enterprise_list_without_an_envelope_is_read():
    rows = [{"member": {"id": "m1", "email": "a@b.example"}, "licensed": True}]
    membership = [{"id": "5d0c1f2a0000000000000001", "idMember": "m1", "memberType": "normal", "member": {}}]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=rows if "enterprises" in request.url.path else membership)

    with connected_to("trello", transport=httpx.MockTransport(answer)) as (session, _):
        [account] = TRELLO.accounts(session)
        assert (account.emails, account.licence) == (("a@b.example",), "Enterprise")


def test_neither_key_nor_token_is_in_an_address():
    with connected_to("trello") as (session, simulated):
        actions.create(session, NEW)
        secrets = simulated.directory.secret
        sent = [row.path + row.query for row in simulated.requests]
        assert sent
        assert not any(secrets["api_key"] in row or secrets["api_token"] in row for row in sent)


def test_an_invited_person_is_a_ghost_and_leaves_all_boards():
    with connected_to("trello") as (session, simulated):
        made = actions.create(session, replace(NEW, role="admin")).account
        assert (made.status, made.role, made.emails) == (Status.INVITED, "admin", (NEW.email,))
        actions.remove(session, made.id)
        assert simulated.directory.members[made.id].extra["boards"] is False


def test_the_last_admin_stays():
    with connected_to("trello") as (session, _):
        *others, last = [a for a in TRELLO.accounts(session) if a.admin and a.status is Status.ACTIVE]
        for account in others:
            actions.remove(session, account.id)
        for act in (actions.suspend, actions.remove):
            with pytest.raises(LastOwnerError, match="somebody else"):
                act(session, last.id)


def test_deactivating_needs_a_paid_workspace():
    with connected_to("trello") as (session, simulated):
        simulated.directory.extra["free"] = True
        account = next(a for a in TRELLO.accounts(session) if a.status is Status.ACTIVE and not a.admin)
        with pytest.raises(PlanTooLowError, match="paid Workspace"):
            actions.suspend(session, account.id)


def test_a_full_workspace_takes_nobody():
    with connected_to("trello", seats=1) as (session, _), pytest.raises(NoSeatError, match="Buy one"):
        actions.create(session, NEW)


def test_a_limit_is_waited_for_10_seconds():
    with connected_to("trello") as (session, simulated):
        before = simulated.directory.clock.now()
        simulated.fault("429:once")
        TRELLO.tenant(session)
        assert (simulated.directory.clock.now() - before).total_seconds() >= 10


@pytest.mark.parametrize(
    ("status", "said", "kind", "advice"),
    [
        (401, "invalid key", SignInError, "connect trello"),
        (401, "unauthorized permission requested", MissingScopeError, "read and write"),
        (400, {"message": "Member already invited", "error": "ERROR"}, AlreadyExistsError, "Nothing"),
        (400, "invalid value for email", InvalidError, "Correct it"),
        (400, "", InvalidError, "no reason given"),
    ],
)
def test_each_refusal_says_what_to_do(status, said, kind, advice):
    error = refusal_of(TRELLO, status, said)
    assert type(error) is kind
    assert advice in str(error)
