"""What is special to Salesforce: logins that are no addresses, freezing, and requests that are counted by the day."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import salesforce
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    IncompleteReadError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    OwnsContentError,
    PlanTooLowError,
    RateLimitedError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import read


def plain(simulated):
    """Somebody who is simply there."""
    members = simulated.directory.members.values()
    return next(m for m in members if m.state == "active" and m.role == "member" and m.last_seen)


def refused(status: int, code: str, message: str = "no", method: str = "POST") -> httpx.Response:
    request = httpx.Request(method, "https://acme.my.salesforce.com/services/data/v59.0/sobjects/User")
    return httpx.Response(status, json=[{"errorCode": code, "message": message}], request=request)


@pytest.mark.parametrize(
    ("told", "frozen", "meant"),
    [
        ({"IsActive": True, "LastLoginDate": "2024-01-01T00:00:00.000+0000"}, set(), Status.ACTIVE),
        ({"IsActive": True, "LastLoginDate": None}, set(), Status.INVITED),
        ({"IsActive": True, "LastLoginDate": "2024-01-01T00:00:00.000+0000"}, {"1"}, Status.SUSPENDED),
        ({"IsActive": False, "LastLoginDate": None}, set(), Status.SUSPENDED),
    ],
)
def test_what_salesforce_tells_of_a_user_means(told, frozen, meant):
    assert salesforce._account({"Id": "1", **told}, frozen).status is meant


def test_everything_salesforce_tells_of_a_person_is_taken():
    with connected_to("salesforce") as (session, simulated):
        made = actions.create(session, NEW).account
        assert (made.emails, made.user_name, made.display_name) == ((NEW.email,), NEW.email, "Nora Newman")
        assert (made.employee_number, made.title, made.department) == ("E-9001", "Barista", "Retail")
        assert (made.role, made.licence, made.admin) == ("Standard User", "Salesforce", False)
        assert simulated.directory.mails == [(NEW.email, "password reset")]


def test_a_list_says_what_a_single_user_says():
    with connected_to("salesforce") as (session, _):
        listed = list(salesforce.accounts(session))
        assert {account.role for account in listed if account.admin} == {"System Administrator"}
        assert any(account.bot for account in listed)
        assert [salesforce.account(session, account.id) for account in listed[:5]] == listed[:5]


def test_a_list_shorter_than_salesforces_own_count_is_refused():
    with connected_to("salesforce") as (session, simulated):
        simulated.fault("short-page=0.79")
        with pytest.raises(IncompleteReadError, match=r"counts \d+ at /query and listed \d+"):
            actions.read_accounts(session)


def test_somebody_is_found_by_address_whatever_the_login_and_rather_active():
    with connected_to("salesforce") as (session, simulated):
        member = plain(simulated)
        member.extra["username"] = "odd.login@acme.sf"
        assert salesforce.find(session, member.email.upper()).user_name == "odd.login@acme.sf"
        old = simulated.directory.add(member.email, "Old", "Account", state="suspended")
        simulated.directory.members = {old.id: old, **simulated.directory.members}
        assert salesforce.find(session, member.email).id == member.id


def test_an_apostrophe_ends_no_query():
    with connected_to("salesforce") as (session, _):
        made = actions.create(session, replace(NEW, email="o'neil@acme-tea-co.example", family_name="O'Neil")).account
        assert made.emails == ("o'neil@acme-tea-co.example",)


def test_a_login_that_another_org_has_gets_this_orgs_name():
    with connected_to("salesforce") as (session, simulated):
        simulated.directory.extra["elsewhere"].add(NEW.email)
        made = actions.create(session, NEW).account
        assert (made.user_name, made.emails) == (f"{NEW.email}.acme-tea", (NEW.email,))


def test_a_login_that_is_taken_twice_is_said():
    with connected_to("salesforce") as (session, simulated):
        simulated.directory.extra["elsewhere"] |= {NEW.email, f"{NEW.email}.acme-tea"}
        with pytest.raises(AlreadyExistsError, match="another org"):
            actions.create(session, NEW)


def test_a_role_is_a_profile_by_name_or_id():
    with connected_to("salesforce") as (session, _):
        assert actions.create(session, replace(NEW, role="system administrator")).account.admin
        with pytest.raises(InvalidError, match="it has Standard User, System Administrator"):
            actions.create(session, replace(NEW, email="other@acme-tea-co.example", role="Boss"))


def test_without_a_free_licence_it_is_said_what_to_do():
    with connected_to("salesforce", seats=3) as (session, _), pytest.raises(NoSeatError, match="deactivate somebody"):
        actions.create(session, NEW)


def test_whoever_cannot_be_deactivated_is_frozen_and_thawed_again():
    with connected_to("salesforce") as (session, simulated):
        member = plain(simulated)
        simulated.directory.extra["owners"].add(member.id)
        assert actions.suspend(session, member.id).account.status is Status.SUSPENDED
        assert (member.state, member.extra["frozen"]) == ("active", True)
        assert actions.reactivate(session, member.id).account.status is Status.ACTIVE
        assert member.extra["frozen"] is False


def test_removing_somebody_who_owns_something_says_what_to_do():
    with connected_to("salesforce") as (session, simulated):
        member = plain(simulated)
        simulated.directory.extra["owners"].add(member.id)
        with pytest.raises(OwnsContentError, match="default lead owner"):
            actions.remove(session, member.id)


def test_the_last_administrator_stays():
    with connected_to("salesforce") as (session, simulated):
        admins = [m for m in simulated.directory.members.values() if m.role != "member"]
        for member in admins[1:]:
            actions.remove(session, member.id)
        with pytest.raises(LastOwnerError, match="somebody else an administrator"):
            actions.suspend(session, admins[0].id)
        assert not admins[0].extra.get("frozen")


def test_a_forgotten_invitation_is_a_reset_password():
    with connected_to("salesforce") as (session, simulated):
        made = actions.create(session, NEW).account
        actions.invite_again(session, made.id)
        assert [address for address, _ in simulated.directory.mails] == [NEW.email, NEW.email]


def test_too_many_at_once_is_waited_out_and_the_days_end_is_not():
    with connected_to("salesforce") as (session, simulated):
        simulated.fault("429=2:once")
        salesforce.tenant(session)
        simulated.fault("429=3600")
        before = len(simulated.requests)
        with pytest.raises(RateLimitedError):
            salesforce.tenant(session)
        assert len(simulated.requests) == before + 1


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (refused(403, "API_DISABLED_FOR_ORG"), PlanTooLowError),
        (refused(403, "INSUFFICIENT_ACCESS"), MissingScopeError),
        (refused(400, "INSUFFICIENT_ACCESS_OR_READONLY"), MissingScopeError),
        (refused(400, "FIELD_INTEGRITY_EXCEPTION", method="PATCH"), OwnsContentError),
        (refused(400, "DUPLICATE_COMM_NICKNAME"), InvalidError),
        (httpx.Response(400, text="<html>", request=httpx.Request("GET", "https://a/b")), InvalidError),
    ],
)
def test_refusals_are_told_apart(response, kind):
    assert type(read(salesforce.APP, response)) is kind
