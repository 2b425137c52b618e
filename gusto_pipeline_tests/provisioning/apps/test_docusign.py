"""What is special to DocuSign: where the account lives, text for numbers, errors inside a success, two rate limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import docusign
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    IncompleteReadError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
    PlanTooLowError,
    SignInError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of, wait

NOW = datetime(2026, 1, 5, 10, 45, tzinfo=UTC)


def limited(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"errorCode": code, "message": "Too many"}, headers=headers)


def test_all_that_docusign_says_of_a_user_is_kept():
    with connected_to("docusign") as (session, simulated):
        group, title = next(iter(simulated.directory.groups.items()))
        seen = datetime(2025, 6, 7, 8, tzinfo=UTC)
        member = simulated.directory.add(
            "ivy@acme-tea-co.example", "Ivy", "Irwin", role="admin", title="Taster", groups=[group], last_seen=seen,
            created_at=datetime(2024, 5, 6, 7, tzinfo=UTC),
        )  # fmt: skip
        account = docusign.account(session, member.id)
        assert (account.given_name, account.family_name, account.display_name) == ("Ivy", "Irwin", "Ivy Irwin")
        assert (account.role, account.admin, account.title) == ("Account Administrator", True, "Taster")
        assert (account.last_activity, account.created_at) == (seen, datetime(2024, 5, 6, 7, tzinfo=UTC))
        assert account.groups == (title,)
        assert account == {each.id: each for each in docusign.accounts(session)}[member.id]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("ActivationRequired", Status.INVITED),
        ("ActivationSent", Status.INVITED),
        ("Active", Status.ACTIVE),
        ("Disabled", Status.SUSPENDED),
        ("Closed", Status.DELETED),
    ],
)
def test_each_of_docusigns_statuses_is_listed_as(said, meant):
    row = {"userId": "1", "userName": "Ivy Irwin", "userStatus": said, "createdDateTime": "0001-01-01T08:00:00.000Z"}
    account = docusign._account(row)
    assert (account.status, account.created_at, account.family_name) == (meant, None, "Irwin")


def test_closed_users_are_listed_and_a_living_one_of_the_same_address_is_found_first():
    with connected_to("docusign") as (session, _):
        first = actions.create(session, NEW).account
        actions.remove(session, first.id)
        second = actions.create(session, replace(NEW, family_name="Newman-Ng")).account
        assert second.id != first.id
        statuses = {a.id: a.status for a in docusign.accounts(session) if NEW.email in a.emails}
        assert statuses == {first.id: Status.DELETED, second.id: Status.INVITED}


def test_who_is_invited_again_gets_the_closed_membership_back():
    with connected_to("docusign") as (session, simulated):
        first = actions.create(session, NEW).account
        actions.remove(session, first.id)
        assert actions.create(session, NEW).account.id == first.id
        assert simulated.directory.mails == [(NEW.email, "invitation")] * 2


def test_an_account_of_somebody_else_is_refused_with_the_ones_there_are():
    with connected_to("docusign") as (session, _):
        session.record["account_id"] = "another"
        with pytest.raises(SignInError, match=r"not in account another but Acme Tea Co"):
            docusign.tenant(session)


def test_an_account_that_lives_elsewhere_is_said_before_a_token_goes_there():
    with connected_to("docusign") as (session, simulated):
        session.record["base_uri"] = "https://eu.docusign.net"
        with pytest.raises(SignInError, match=r"keeps the account at https://na3\.docusign\.net"):
            docusign.tenant(session)
        assert {row.path for row in simulated.requests} == {"/oauth/token", "/oauth/userinfo"}


def test_an_error_of_one_user_inside_a_success_is_an_error():
    with connected_to("docusign") as (session, simulated):
        docusign.create(session, NEW)
        with pytest.raises(AlreadyExistsError, match="also among the closed ones"):
            docusign.create(session, NEW)
        assert simulated.requests[-1].status == 201


def test_a_success_that_says_success_is_none():
    body = {"users": [{"userId": "1", "errorDetails": {"errorCode": "SUCCESS", "message": ""}}, {"userId": "2"}]}
    assert refusal_of(docusign.APP, 200, body) is None


@pytest.mark.parametrize(
    ("code", "said", "kind", "says"),
    [
        ("USER_LACKS_PERMISSIONS", "No", MissingScopeError, "as an administrator of the account"),
        ("ACCOUNT_LACKS_PERMISSIONS", "No", PlanTooLowError, "Raise the plan"),
        ("USER_DOES_NOT_EXIST_IN_SYSTEM", "No", NotFoundError, "DOES_NOT_EXIST"),
        ("UNSPECIFIED_ERROR", "This is the last administrator", LastOwnerError, "Make somebody else"),
        ("UNSPECIFIED_ERROR", "Maximum number of users reached", NoSeatError, "Buy a seat"),
        ("INVALID_EMAIL_ADDRESS", "No", InvalidError, "Correct it"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_each_refusal_has_its_next_step(code, said, kind, says, inside):
    error = {"errorCode": code, "message": said}
    body = {"users": [{"errorDetails": error}]} if inside else error
    found = refusal_of(docusign.APP, 200 if inside else 400, body, method="DELETE")
    assert type(found) is kind
    assert says in str(found)


def test_nobody_closes_their_own_membership():
    with connected_to("docusign") as (session, simulated):
        me = next(m for m in simulated.directory.members.values() if m.role == "owner")
        with pytest.raises(InvalidError, match="your own membership"):
            actions.remove(session, me.id)


def test_no_free_seat_is_said():
    with connected_to("docusign", seats=1) as (session, _), pytest.raises(NoSeatError, match="Buy one"):
        actions.create(session, NEW)


def test_a_role_is_a_permission_profile_by_name_and_an_unknown_one_refused():
    with connected_to("docusign") as (session, simulated):
        group = next(iter(docusign.groups(session)))
        made = actions.create(session, replace(NEW, role="Account Administrator", groups=(group,))).account
        assert made.admin
        assert simulated.directory.members[made.id].groups == [group]
        with pytest.raises(InvalidError, match="DocuSign Sender"):
            docusign.create(session, replace(NEW, role="King"))


def test_the_hourly_limit_that_comes_as_400_is_waited_out_until_its_reset():
    with connected_to("docusign") as (session, simulated):
        whole = actions.read_accounts(session).accounts
        start = simulated.directory.clock.now()
        simulated.directory.extra["rate"].update(left=1, reset=int(start.timestamp()) + 120)
        assert actions.read_accounts(session).accounts == whole
        assert 119 <= (simulated.directory.clock.now() - start).total_seconds() < 125


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (limited(400, "HOURLY_APIINVOCATION_LIMIT_EXCEEDED"), 3600),
        (limited(429, "HOURLY_APIINVOCATION_LIMIT_EXCEEDED", **{"x-ratelimit-reset": "1767610000"}), 101),
        (limited(400, "BURST_APIINVOCATION_LIMIT_EXCEEDED"), 30),
        (limited(429, "ELSE", **{"retry-after": "7"}), 7),
        (limited(400, "INVALID_REQUEST_PARAMETER"), None),
    ],
)
def test_each_limit_is_waited_for_as_long_as_it_lasts(answer, seconds):
    assert wait(docusign.APP, answer, NOW) == seconds


def test_a_burst_that_is_too_much_is_waited_out_though_nothing_says_how_long():
    with connected_to("docusign") as (session, simulated):
        start = simulated.directory.clock.now()
        simulated.fault("429:once:/users")
        actions.read_accounts(session)
        assert 30 <= (simulated.directory.clock.now() - start).total_seconds() < 35


def test_fewer_users_than_the_total_are_refused():
    with connected_to("docusign") as (session, simulated):
        simulated.fault("short-page=0.79")
        with pytest.raises(IncompleteReadError, match="DocuSign counts"):
            actions.read_accounts(session)
