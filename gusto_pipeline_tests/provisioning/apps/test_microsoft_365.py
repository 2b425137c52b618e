"""What is special to Microsoft 365: fields on request, licences before mailboxes, logins that change in the bin."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import microsoft_365 as microsoft
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    DomainNotVerifiedError,
    InvalidError,
    MissingScopeError,
    NoSeatError,
    PlanTooLowError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import read


def plain(simulated):
    """Somebody who is simply there."""
    return next(m for m in simulated.directory.members.values() if m.state == "active" and m.role == "member")


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ({"accountEnabled": True, "userType": "Member"}, Status.ACTIVE),
        ({"accountEnabled": False, "userType": "Guest"}, Status.SUSPENDED),
        ({"accountEnabled": True, "userType": "Guest", "externalUserState": "PendingAcceptance"}, Status.INVITED),
        ({"accountEnabled": True, "userType": "Guest", "externalUserState": "Accepted"}, Status.ACTIVE),
        ({"deletedDateTime": "2026-01-01T00:00:00Z"}, Status.DELETED),
        ({}, Status.ACTIVE),
    ],
)
def test_what_graph_tells_of_a_user_means(told, meant):
    assert microsoft._account({"id": "1", **told}, {}, {}).status is meant


def test_everything_graph_tells_of_a_person_is_taken():
    with connected_to("microsoft_365") as (session, _):
        made = actions.create(session, replace(NEW, licence="SPB")).account
        assert made.emails == (NEW.email, NEW.personal_email)
        assert (made.user_name, made.display_name, made.role) == (NEW.email, "Nora Newman", "Member")
        assert (made.employee_number, made.title, made.department) == ("E-9001", "Barista", "Retail")
        assert made.licence == "SPB"


def test_a_list_says_what_a_single_account_says_and_the_last_sign_in():
    with connected_to("microsoft_365") as (session, _):
        admin = next(account for account in microsoft.accounts(session) if account.admin)
        assert admin.role == "Global Administrator"
        assert admin.last_activity
        assert microsoft.account(session, admin.id) == replace(admin, last_activity=None)


@pytest.mark.parametrize("lacking", ["AuditLog.Read.All", None])
def test_without_sign_ins_everybody_is_listed_all_the_same(lacking):
    with connected_to("microsoft_365") as (session, simulated):
        everybody = {account.id for account in microsoft.accounts(session)}
        if lacking:
            simulated.fault(f"missing-scope={lacking}")
        else:
            simulated.directory.extra["premium"] = False
        listed = list(microsoft.accounts(session))
        assert {account.id for account in listed} == everybody
        assert all(account.last_activity is None for account in listed)


def test_an_app_that_may_not_see_roles_shows_nobody_as_an_administrator():
    with connected_to("microsoft_365") as (session, simulated):
        simulated.fault("missing-scope=RoleManagement.Read.Directory")
        assert not any(account.admin for account in microsoft.accounts(session))


def test_a_role_that_is_not_told_makes_an_administrator_all_the_same(monkeypatch):
    monkeypatch.setattr(microsoft, "_rows", lambda *_: iter([{"principalId": "1", "roleDefinition": None}]))
    with connected_to("microsoft_365") as (session, _):
        account = microsoft._account({"id": "1"}, {}, microsoft._roles(session))
        assert (account.admin, account.role) == (True, "Role")


def test_an_account_is_found_by_its_alias():
    with connected_to("microsoft_365") as (session, simulated):
        member = next(m for m in simulated.directory.members.values() if "aliases" in m.extra)
        assert microsoft.find(session, member.extra["aliases"][0].upper()).id == member.id


def test_a_guests_login_is_no_address():
    row = {"id": "1", "userPrincipalName": "nora_x.example#EXT#@acme.onmicrosoft.com", "mail": "nora@x.example"}
    assert microsoft._account(row, {}, {}).emails == ("nora@x.example",)


def test_a_deleted_user_is_found_by_the_old_login_and_comes_back():
    with connected_to("microsoft_365") as (session, simulated):
        member = plain(simulated)
        actions.remove(session, member.id)
        binned = microsoft.find(session, member.email)
        assert (binned.status, binned.user_name) == (Status.DELETED, member.email)
        assert {account.id: account for account in microsoft.accounts(session)}[member.id].status is Status.DELETED
        assert actions.restore(session, binned).account.status is Status.ACTIVE


def test_after_thirty_days_a_deleted_user_is_gone():
    with connected_to("microsoft_365") as (session, simulated):
        member = plain(simulated)
        actions.remove(session, member.id)
        simulated.advance(31 * 86400)
        assert microsoft.account(session, member.id) is None


def test_suspending_ends_the_sessions_even_when_it_went_unanswered():
    with connected_to("microsoft_365") as (session, simulated):
        for fault in ((), ("drop-write:once",)):
            member = plain(simulated)
            simulated.fault(*fault)
            assert actions.suspend(session, member.id).changed
            assert "sessions_revoked" in member.extra


@pytest.mark.parametrize("faults", [(), ("drop-write:once",)])
def test_a_licence_that_is_named_is_assigned_also_when_creating_went_unanswered(faults):
    with connected_to("microsoft_365", faults=faults) as (session, simulated):
        made = actions.create(session, replace(NEW, licence="spb")).account
        assert simulated.directory.members[made.id].extra["licences"] == ["cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"]


def test_a_user_who_is_not_known_everywhere_yet_is_waited_for():
    with connected_to("microsoft_365") as (session, simulated):
        simulated.directory.extra["lag"] = 3
        assert actions.create(session, replace(NEW, licence="SPB")).account.licence == "SPB"


def test_without_a_free_licence_nobody_is_created():
    with connected_to("microsoft_365", seats=3) as (session, simulated):
        before = len(simulated.directory.members)
        with pytest.raises(NoSeatError, match="no free SPB"):
            actions.create(session, replace(NEW, licence="SPB"))
        assert len(simulated.directory.members) == before


def test_a_licence_the_tenant_does_not_have_is_answered_with_those_it_has():
    with connected_to("microsoft_365") as (session, _), pytest.raises(InvalidError, match="it has SPB"):
        actions.create(session, replace(NEW, licence="E5"))


def test_an_address_in_a_foreign_domain_is_refused():
    with (
        connected_to("microsoft_365") as (session, _),
        pytest.raises(DomainNotVerifiedError, match="Verify the domain"),
    ):
        actions.create(session, replace(NEW, email="nora@elsewhere.example"))


def test_somebody_from_active_directory_is_changed_there():
    with connected_to("microsoft_365") as (session, simulated):
        member = plain(simulated)
        member.extra["synced"] = True
        with pytest.raises(InvalidError, match="change them there"):
            actions.suspend(session, member.id)


def test_administrators_take_a_privileged_app():
    with connected_to("microsoft_365") as (session, simulated):
        simulated.directory.extra["privileged"] = False
        owner = next(m for m in simulated.directory.members.values() if m.role == "owner")
        with pytest.raises(MissingScopeError, match="privileged role"):
            actions.suspend(session, owner.id)


def test_members_of_groups_come_and_go_and_twice_is_once():
    with connected_to("microsoft_365") as (session, simulated):
        groups = microsoft.groups(session)
        assert "All staff" not in groups.values()
        member, group = plain(simulated), next(iter(groups))
        assert [actions.join(session, member.id, group).changed for _ in range(2)] == [True, False]
        assert member.groups == [group]
        assert [actions.leave(session, member.id, group).changed for _ in range(2)] == [True, False]
        assert member.groups == []


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (
            400,
            {"code": "Request_BadRequest", "message": "x", "details": [{"code": "ObjectConflict"}]},
            AlreadyExistsError,
        ),
        (403, {"code": "Authentication_RequestFromNonPremiumTenantOrB2CTenant", "message": "x"}, PlanTooLowError),
        (403, {"code": "Authorization_RequestDenied", "message": "x"}, MissingScopeError),
        (400, {"code": "Request_BadRequest", "message": "no available licenses"}, NoSeatError),
        (400, {"code": "Request_BadRequest"}, InvalidError),
    ],
)
def test_refusals_are_told_apart(status, error, kind):
    request = httpx.Request("POST", "https://graph.microsoft.com/v1.0/users")
    assert type(read(microsoft.APP, httpx.Response(status, json={"error": error}, request=request))) is kind
