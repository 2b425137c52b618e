"""What is special to Zoho Books: `code` beside the status, an organization in every query, no id after inviting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.apps.zoho_books import _account
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
    SignInError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of

BOOKS = app("zoho_books")


def test_an_account_has_role_and_state():
    with connected_to("zoho_books") as (session, simulated):
        listed = {account.id: account for account in BOOKS.accounts(session)}
        for member in simulated.directory.members.values():
            account = listed[member.id]
            assert account.status is Status(member.state)
            assert account.admin == (member.role != "member")
            assert account.display_name == member.name


def test_one_account_has_all_its_addresses_the_chosen_one_first():
    ids = [{"email": "old@acme.example"}, {"email": "new@acme.example", "is_selected": True}]
    account = _account({"user_id": 1, "status": "active", "email_ids": ids})
    assert account.emails == ("new@acme.example", "old@acme.example")


def test_every_request_names_the_organization():
    with connected_to("zoho_books") as (session, simulated):
        made = actions.create(session, NEW).account
        actions.remove(session, made.id)
        asked = [row for row in simulated.requests if row.path.startswith("/books")]
        assert asked
        assert all("organization_id=694579962" in row.query for row in asked)


def test_pages_are_read_until_there_are_no_more():
    with connected_to("zoho_books", size=401) as (session, simulated):
        assert len(list(BOOKS.accounts(session))) == 401
        assert sum(row.path.endswith("/users") for row in simulated.requests) == 3


def test_an_invited_user_becomes_active_on_acceptance():
    with connected_to("zoho_books") as (session, simulated):
        made = actions.create(session, NEW).account
        assert made.status is Status.INVITED
        assert actions.invite_again(session, made.id).changed
        simulated.accept(made.id)
        assert BOOKS.account(session, made.id).status is Status.ACTIVE
        assert not actions.invite_again(session, made.id).changed


def test_a_role_is_found_by_name_or_not_at_all():
    with connected_to("zoho_books") as (session, _):
        assert actions.create(session, replace(NEW, role="admin")).account.role == "admin"
        with pytest.raises(InvalidError, match="'chef'; it has admin, staff"):
            actions.create(session, replace(NEW, email="b@example.com", role="chef"))


def test_somebody_removed_may_come_back_and_the_new_account_counts():
    with connected_to("zoho_books") as (session, _):
        first = actions.create(session, NEW).account
        actions.remove(session, first.id)
        assert BOOKS.find(session, NEW.email).status is Status.DELETED
        again = actions.create(session, NEW)
        assert again.changed
        assert again.account.id != first.id
        assert again.account.status is Status.INVITED


def test_without_a_free_seat_nobody_is_invited():
    with connected_to("zoho_books", seats=1) as (session, _), pytest.raises(NoSeatError, match="Buy one"):
        actions.create(session, NEW)


def test_the_only_admin_stays():
    with connected_to("zoho_books") as (session, _):
        *others, last = [a for a in BOOKS.accounts(session) if a.admin and a.status is Status.ACTIVE]
        for account in others:
            actions.remove(session, account.id)
        with pytest.raises(LastOwnerError, match="somebody else administrator first"):
            actions.remove(session, last.id)


def test_a_count_by_the_minute_that_is_full_is_waited_for_whatever_its_status():
    with connected_to("zoho_books") as (session, simulated):
        before = simulated.directory.clock.now()
        simulated.fault("429:once")
        BOOKS.tenant(session)
        assert (simulated.directory.clock.now() - before).total_seconds() >= 60


def test_an_unknown_id_is_nobody():
    with connected_to("zoho_books") as (session, _):
        assert BOOKS.account(session, "982000999999999") is None


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "advice"),
    [
        (401, 57, "You are not authorized to perform this operation", MissingScopeError, "as an administrator"),
        (401, 14, "Invalid value passed for authtoken.", SignInError, "connect zoho_books"),
        (200, 102001, "A user with this email already exists.", AlreadyExistsError, "Nothing"),
        (200, 1002, "User does not exist.", NotFoundError, "Read"),
        (400, 4, "Invalid value passed for name", InvalidError, "Correct it"),
    ],
)
def test_each_refusal_says_what_to_do(status, code, message, kind, advice):
    error = refusal_of(BOOKS, status, {"code": code, "message": message})
    assert type(error) is kind
    assert advice in str(error)


def test_code_0_is_success():
    assert refusal_of(BOOKS, 201, {"code": 0, "message": "Your invitation has been sent."}) is None
