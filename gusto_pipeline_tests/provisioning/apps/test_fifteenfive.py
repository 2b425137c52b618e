"""What is special to 15Five: two passes, creating that would change somebody, a key with or without `Bearer`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import fifteenfive
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    IncompleteReadError,
    InvalidError,
    MissingScopeError,
    NoSeatError,
    SignInError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of


def test_all_that_15five_says_of_a_person_is_kept():
    row = {
        "id": 7,
        "email": "ivy@acme.example",
        "first_name": "Ivy",
        "last_name": "Irwin",
        "is_active": True,
        "is_company_admin": True,
        "last_login_ts": "2025-06-07T08:00:00Z",
        "create_ts": "2024-05-06T07:00:00Z",
        "employee_id": 12,
        "title": "Taster",
        "company_groups_ids": [3, 4],
    }
    account = fifteenfive._account(row)
    assert (account.id, account.emails, account.display_name) == ("7", ("ivy@acme.example",), "Ivy Irwin")
    assert (account.role, account.admin) == ("Company admin", True)
    assert account.last_activity == datetime(2025, 6, 7, 8, tzinfo=UTC)
    assert account.created_at == datetime(2024, 5, 6, 7, tzinfo=UTC)
    assert (account.employee_number, account.title, account.groups) == ("12", "Taster", ("3", "4"))
    assert fifteenfive._account(row | {"is_company_admin": False, "is_reviewer": True}).role == "Reviewer"


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"is_active": False, "last_login_ts": None}, Status.SUSPENDED),
        ({"is_active": True, "last_login_ts": None}, Status.INVITED),
        ({"is_active": True, "last_login_ts": "2025-06-07T08:00:00Z"}, Status.ACTIVE),
        ({"is_active": True}, Status.ACTIVE),
    ],
)
def test_who_never_signed_in_counts_as_invited_if_15five_says_so(facts, status):
    assert fifteenfive._account({"id": 7, **facts}).status is status


def test_active_and_inactive_people_are_read_one_after_the_other():
    with connected_to("15five") as (session, simulated):
        statuses = [account.status for account in fifteenfive.accounts(session)]
        inactive = sum(m.state == "suspended" for m in simulated.directory.members.values())
        assert inactive
        assert [status is Status.SUSPENDED for status in statuses] == [
            *[False] * (len(statuses) - inactive),
            *[True] * inactive,
        ]


def test_fewer_people_than_15five_counts_are_refused():
    with connected_to("15five") as (session, simulated):
        simulated.fault("short-page=0.79")
        with pytest.raises(IncompleteReadError, match="15Five counts"):
            actions.read_accounts(session)


def test_a_next_page_may_be_under_the_common_address():
    with connected_to("15five", size=250) as (session, _):
        session.record["subdomain"] = "acme"
        assert len(list(fifteenfive.accounts(session))) >= 250
        assert fifteenfive.tenant(session).id == "acme"


def test_a_key_that_wants_bearer_is_found_out_once():
    with connected_to("15five") as (session, simulated):
        simulated.directory.extra["bearer"] = True
        fifteenfive.tenant(session)
        fifteenfive.tenant(session)
        assert [row.status for row in simulated.requests] == [401, 200, 200]


def test_a_key_that_has_lapsed_is_said_with_where_to_make_one():
    with connected_to("15five") as (session, simulated):
        simulated.fault("expired:once")
        with pytest.raises(SignInError, match="Make one under Settings, Integrations, Public API"):
            fifteenfive.tenant(session)


@pytest.mark.parametrize("state", ["active", "suspended"])
@pytest.mark.parametrize("same", [{"email": "ivy@acme-tea-co.example"}, {"employee_number": "E-77"}])
def test_nobody_is_changed_by_creating(state, same):
    with connected_to("15five") as (session, simulated):
        ivy = simulated.directory.add("ivy@acme-tea-co.example", "Ivy", "Irwin", state=state, employee_number="E-77")
        with pytest.raises(AlreadyExistsError, match=f"account {ivy.id} "):
            fifteenfive.create(session, replace(NEW, **same))
        assert (ivy.state, ivy.given, ivy.email) == (state, "Ivy", "ivy@acme-tea-co.example")


@pytest.mark.parametrize(("sender", "mails"), [("", []), ("1700001", [(NEW.email, "welcome")])])
def test_a_welcome_is_mailed_only_from_somebody(sender, mails):
    with connected_to("15five") as (session, simulated):
        session.record["welcome_from"] = sender
        made = actions.create(session, NEW).account
        assert (made.employee_number, made.status) == (NEW.employee_number, Status.INVITED)
        assert simulated.directory.mails == mails


def test_groups_are_joined_and_left_leaving_the_others():
    with connected_to("15five") as (session, _):
        first, second = list(fifteenfive.groups(session))[:2]
        made = actions.create(session, replace(NEW, groups=(first, second))).account
        assert made.groups == (first, second)
        fifteenfive.leave(session, made, first)
        assert fifteenfive.account(session, made.id).groups == (second,)


def test_removing_deactivates_and_can_be_taken_back():
    with connected_to("15five") as (session, simulated):
        made = actions.create(session, NEW).account
        assert actions.remove(session, made.id).account.status is Status.SUSPENDED
        assert made.id in simulated.directory.members
        assert actions.reactivate(session, made.id).changed


def test_no_free_licence_is_said():
    with connected_to("15five", seats=1) as (session, _), pytest.raises(NoSeatError, match="no licenses left"):
        actions.create(session, NEW)


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (403, {"detail": "No permission."}, MissingScopeError, "where SCIM is on"),
        (400, {"email": ["Enter a valid email address."]}, InvalidError, "email: Enter a valid email address."),
        (400, [{}, {"first_name": ["Required."]}], InvalidError, "first_name: Required."),
        (400, "Bad", InvalidError, "no reason given"),
    ],
)
def test_each_refusal_has_its_next_step(status, body, kind, says):
    error = refusal_of(fifteenfive.APP, status, body)
    assert type(error) is kind
    assert says in str(error)
