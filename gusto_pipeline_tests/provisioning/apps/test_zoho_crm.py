"""What is special to Zoho CRM: role and profile, a primary contact, refusals inside `users`; and Zoho's sign-in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import app
from gusto_pipeline.provisioning.apps.zoho_crm import _account
from gusto_pipeline.provisioning.errors import (
    IncompleteReadError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
    PlanTooLowError,
    RateLimitedError,
    SignInError,
    UnsupportedError,
)
from gusto_pipeline.provisioning.signin import Record
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of

CRM = app("zoho_crm")


def refusal(status: int, code: str, message: str, method: str = "PUT"):
    row = {"code": code, "details": {}, "message": message, "status": "error"}
    return refusal_of(CRM, status, {"users": [row]}, method=method)


def test_an_account_has_role_profile_and_state():
    with connected_to("zoho_crm") as (session, simulated):
        listed = {account.id: account for account in CRM.accounts(session)}
        for member in simulated.directory.members.values():
            account = listed[member.id]
            assert account.emails == (member.email,)
            assert (account.given_name, account.family_name) == (member.given, member.family)
            assert account.status is Status(member.state)
            assert account.admin == (member.role != "member")
            assert account.owner == (member.role == "owner")
            assert account.created_at.date() == member.created_at.date()
        assert {account.role for account in listed.values()} == {
            "CEO / Administrator",
            "Manager / Administrator",
            "Manager / Standard",
        }


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({"status": "active", "confirm": True}, Status.ACTIVE),
        ({"status": "active", "confirm": False}, Status.INVITED),
        ({"status": "inactive", "confirm": True}, Status.SUSPENDED),
        ({"status": "disabled", "confirm": True}, Status.SUSPENDED),
        ({"status": "deleted", "confirm": False}, Status.DELETED),
        ({"status": "active"}, Status.ACTIVE),
    ],
)
def test_the_words_of_every_data_centre_are_understood(words, status):
    assert _account({"id": "1"} | words, {}).status is status


def test_a_new_user_gets_the_role_and_profile_asked_for():
    with connected_to("zoho_crm") as (session, _):
        made = actions.create(session, replace(NEW, role="CEO / Administrator")).account
        assert made.role == "CEO / Administrator"
        assert made.status is Status.INVITED


def test_a_role_that_is_not_there_is_named_beside_those_that_are():
    with connected_to("zoho_crm") as (session, _), pytest.raises(InvalidError, match=r"'Barista'.*CEO, Manager"):
        actions.create(session, replace(NEW, role="Barista"))


def test_somebody_deleted_may_come_back_under_the_same_address():
    with connected_to("zoho_crm") as (session, _):
        first = actions.create(session, NEW).account
        actions.remove(session, first.id)
        again = actions.create(session, NEW)
        assert again.changed
        assert again.account.id != first.id


def test_without_a_free_licence_nobody_is_added():
    with connected_to("zoho_crm", seats=1) as (session, _), pytest.raises(NoSeatError, match="Buy one"):
        actions.create(session, NEW)


def test_the_primary_contact_stays():
    with connected_to("zoho_crm") as (session, _):
        primary = next(account for account in CRM.accounts(session) if account.owner)
        for act in (actions.suspend, actions.remove):
            with pytest.raises(LastOwnerError, match="another primary contact"):
                act(session, primary.id)


def test_an_unknown_id_is_nobody():
    with connected_to("zoho_crm") as (session, _):
        assert CRM.account(session, "554023999999999999") is None


def test_a_list_shorter_than_the_count_is_refused():
    lossy = connected_to("zoho_crm", size=450, faults=("short-page=0.79",))
    with lossy as (session, _), pytest.raises(IncompleteReadError, match="counts 450 accounts and listed 355"):
        actions.read_accounts(session)


ALL = ("active", "invited", "suspended", "deleted")


@pytest.mark.parametrize(
    ("counted", "listed"),
    [(ALL, ALL[:3]), (ALL[:3], ("active", "suspended")), (ALL, ("active", "suspended")), (ALL[:3], ALL)],
)
def test_a_count_that_has_kinds_which_the_list_has_not_blocks_nothing(counted, listed):
    with connected_to("zoho_crm", size=450) as (session, simulated):
        for member in simulated.directory.there("active")[5:9]:
            simulated.directory.change(member, "deleted")
        simulated.directory.extra |= {"counted": counted, "listed": listed}
        assert len(actions.read_accounts(session).accounts) == len(simulated.directory.there(*listed))


def test_a_page_that_lost_users_is_found_though_deleted_ones_are_counted():
    with connected_to("zoho_crm", size=450, faults=("short-page=0.79",)) as (session, simulated):
        for member in simulated.directory.there("active")[5:9]:
            simulated.directory.change(member, "deleted")
        simulated.directory.extra["counted"] = ALL
        with pytest.raises(IncompleteReadError, match="counts 450 accounts and listed 352"):
            actions.read_accounts(session)


def test_pages_are_read_until_there_are_no_more_records():
    with connected_to("zoho_crm", size=400) as (session, simulated):
        assert len(list(CRM.accounts(session))) == 400
        assert [row.query for row in simulated.requests if row.path.endswith("/users")] == [
            "page=1&per_page=200",
            "page=2&per_page=200",
        ]


@pytest.mark.parametrize(
    ("code", "message", "kind", "advice"),
    [
        ("OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL", MissingScopeError, "connect zoho_crm"),
        ("AUTHORIZATION_FAILED", "User does not have sufficient privilege", MissingScopeError, "administrator"),
        ("FEATURE_PERMISSION", "Share among Subordinates Feature is not available", PlanTooLowError, "Raise it"),
        ("INVALID_REQUEST", "Cannot add user under CRM Plus account", UnsupportedError, "in CRM Plus"),
        ("EMAIL_UPDATE_NOT_ALLOWED", "Cannot update email of a confirmed CRM User", InvalidError, "by hand"),
        ("INVALID_DATA", "the_id_given_seems_to_be_invalid", NotFoundError, "again"),
    ],
)
def test_each_refusal_says_what_to_do(code, message, kind, advice):
    error = refusal(400, code, message)
    assert type(error) is kind
    assert advice in str(error)


def test_a_refusal_inside_a_success_is_seen():
    assert type(refusal(201, "LICENSE_LIMIT_EXCEEDED", "Request exceeds your license limit", "POST")) is NoSeatError


def test_credits_that_are_used_up_are_a_rate_limit():
    with connected_to("zoho_crm", faults=("429",)) as (session, _), pytest.raises(RateLimitedError):
        CRM.tenant(session)


def test_a_refused_refresh_comes_with_status_200_and_is_a_sign_in_error():
    with connected_to("zoho_crm") as (session, simulated):
        simulated.directory.revoke()
        with pytest.raises(SignInError, match=r"invalid_code.*connect zoho_crm"):
            CRM.tenant(session)


@pytest.mark.parametrize("fault", ["5xx=503", "429"])
def test_an_accounts_server_that_fails_for_a_moment_is_asked_again(fault):
    with connected_to("zoho_crm") as (session, simulated):
        simulated.fault(f"{fault}:once:/oauth/v2/token")
        assert CRM.tenant(session).name == simulated.directory.organization


@pytest.mark.parametrize(
    ("record", "accounts", "apis"),
    [
        ({"data_centre": "com", "domain": "zoho"}, "https://accounts.zoho.com", "https://www.zohoapis.com"),
        ({"data_centre": "com.au", "domain": "zoho"}, "https://accounts.zoho.com.au", "https://www.zohoapis.com.au"),
        ({"data_centre": "ca", "domain": "zohocloud"}, "https://accounts.zohocloud.ca", "https://www.zohoapis.ca"),
    ],
)
def test_every_data_centre_has_its_own_hosts(record: Record, accounts: str, apis: str):
    assert CRM.sign_in.token_url.format_map(record) == f"{accounts}/oauth/v2/token"
    assert CRM.sign_in.consent.url.format_map(record) == f"{accounts}/oauth/v2/auth"
    assert CRM.base_url.format_map(record) == f"{apis}/crm/v8"
