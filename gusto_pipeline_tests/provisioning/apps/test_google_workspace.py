"""What is special to Google Workspace: mailboxes and licences, its bin, transfers, and limits without a Retry-After."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import google_workspace as google
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    DomainNotVerifiedError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    OutcomeUnknownError,
    OwnsContentError,
    RateLimitedError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to


def plain(simulated):
    """Somebody who is simply there."""
    return next(m for m in simulated.directory.members.values() if m.state == "active" and m.role == "member")


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ({"suspended": False, "agreedToTerms": True}, Status.ACTIVE),
        ({"suspended": True, "agreedToTerms": False}, Status.SUSPENDED),
        ({"archived": True, "suspended": False}, Status.SUSPENDED),
        ({"agreedToTerms": False, "lastLoginTime": "1970-01-01T00:00:00.000Z"}, Status.INVITED),
        ({"agreedToTerms": False, "lastLoginTime": "2026-01-01T00:00:00.000Z"}, Status.ACTIVE),
        ({"deletionTime": "2026-01-01T00:00:00.000Z", "suspended": True}, Status.DELETED),
        ({}, Status.ACTIVE),
    ],
)
def test_what_google_tells_of_a_user_means(told, meant):
    assert google._account({"id": "1", **told}).status is meant


def test_everything_google_tells_of_a_person_is_taken():
    with connected_to("google_workspace") as (session, _):
        made = actions.create(session, NEW).account
        assert made.emails == (NEW.email, NEW.personal_email)
        assert (made.user_name, made.display_name, made.role) == (NEW.email, "Nora Newman", "User")
        assert (made.employee_number, made.title, made.department) == ("E-9001", "Barista", "Retail")
        assert made.status is Status.INVITED
        assert made.last_activity is None


def test_of_several_the_primary_one_is_taken_and_only_the_employee_id_is_a_number_of_hr():
    other, main = (
        {"value": "+1 555 0100", "title": "Guest"},
        {"value": "+1 555 0199", "title": "Barista", "primary": True},
    )
    numbers = [{"value": "17", "type": "login_id"}, {"value": "E-1", "type": "organization"}]
    told = {"id": "1", "organizations": [other, main], "phones": [other, main], "externalIds": numbers}
    account = google._account(told)
    assert (account.title, account.phone, account.employee_number) == ("Barista", "+1 555 0199", "E-1")
    assert google._account({**told, "phones": [other]}).phone == "+1 555 0100"
    assert google._account({**told, "externalIds": numbers[:1]}).employee_number is None


def test_an_account_is_found_by_its_alias():
    with connected_to("google_workspace") as (session, simulated):
        member = next(m for m in simulated.directory.members.values() if "aliases" in m.extra)
        there = google.find(session, member.extra["aliases"][0].upper())
        assert there.id == member.id
        assert there.emails[1] == member.extra["aliases"][0]


def test_deleted_users_are_listed_for_twenty_days():
    with connected_to("google_workspace") as (session, simulated):
        member = plain(simulated)
        simulated.directory.change(member, "deleted")
        listed = {account.id: account for account in google.accounts(session)}
        assert listed[member.id].status is Status.DELETED
        simulated.advance(21 * 86400)
        assert member.id not in {account.id for account in google.accounts(session)}
        assert google.account(session, member.id) is None


def test_a_deleted_user_comes_back_out_of_the_bin():
    with connected_to("google_workspace") as (session, simulated):
        member = plain(simulated)
        actions.remove(session, member.id)
        binned = google.account(session, member.id)
        assert binned.status is Status.DELETED
        assert actions.restore(session, binned).account.status is Status.ACTIVE


def test_an_address_in_the_bin_is_not_taken_for_a_new_mailbox():
    with connected_to("google_workspace") as (session, simulated):
        member = plain(simulated)
        actions.remove(session, member.id)
        with pytest.raises(AlreadyExistsError, match="in the bin"):
            actions.create(session, replace(NEW, email=member.email))


def test_suspending_signs_out_even_when_it_went_unanswered():
    with connected_to("google_workspace") as (session, simulated):
        for fault in ((), ("drop-write:once",)):
            member = plain(simulated)
            simulated.fault(*fault)
            assert actions.suspend(session, member.id).changed
            assert "signed_out" in member.extra


def test_an_archived_user_is_taken_out_of_the_archive_to_be_reactivated():
    with connected_to("google_workspace") as (session, simulated):
        member = plain(simulated)
        member.extra["archived"] = True
        assert actions.reactivate(session, member.id).account.status is Status.ACTIVE


@pytest.mark.parametrize("faults", [(), ("drop-write:once",)])
def test_a_licence_that_is_named_is_assigned_also_when_creating_went_unanswered(faults):
    with connected_to("google_workspace", faults=faults) as (session, simulated):
        simulated.directory.extra["licences"] = {"Google-Apps/1010020028": 1}
        actions.create(session, replace(NEW, licence="Google-Apps/1010020028"))
        assert simulated.directory.extra["licences"] == {"Google-Apps/1010020028": 0}


def test_without_a_free_licence_it_is_said_what_to_do():
    with connected_to("google_workspace") as (session, simulated):
        simulated.directory.extra["licences"] = {"Google-Apps/1010020028": 0}
        with pytest.raises(NoSeatError, match="assign it in the Admin console"):
            actions.create(session, replace(NEW, licence="Google-Apps/1010020028"))


def test_when_every_seat_is_taken_it_is_said():
    with (
        connected_to("google_workspace", seats=3) as (session, _),
        pytest.raises(NoSeatError, match="Domain user limit"),
    ):
        actions.create(session, NEW)


def test_a_user_who_is_still_being_created_is_waited_for():
    with connected_to("google_workspace") as (session, simulated):
        simulated.directory.extra["lag"] = 3
        made = actions.create(session, replace(NEW, licence="Google-Apps/1010020028"))
        assert made.account.emails[0] == NEW.email


def test_an_address_in_a_foreign_domain_is_refused():
    with (
        connected_to("google_workspace") as (session, _),
        pytest.raises(DomainNotVerifiedError, match="domain of this"),
    ):
        actions.create(session, replace(NEW, email="nora@elsewhere.example"))


def test_a_scope_that_was_not_consented_to_is_named_as_the_reason():
    with connected_to("google_workspace") as (session, simulated):
        simulated.fault("missing-scope=admin.directory.user")
        with pytest.raises(MissingScopeError, match="super administrator"):
            google.tenant(session)


def test_the_last_super_administrator_stays():
    with connected_to("google_workspace") as (session, simulated):
        owner = next(m for m in simulated.directory.members.values() if m.role == "owner")
        with pytest.raises(LastOwnerError, match="Make somebody else one first"):
            actions.remove(session, owner.id)


@pytest.mark.parametrize(("seconds", "status"), [(1, 403), (60, 429)])
def test_limits_of_either_kind_are_waited_out(seconds, status):
    with connected_to("google_workspace") as (session, simulated):
        simulated.fault(f"429={seconds}:times=3")
        before = simulated.directory.clock.now()
        google.tenant(session)
        assert (simulated.directory.clock.now() - before).total_seconds() >= 3
        assert [row.status for row in simulated.requests if row.path.endswith("/users")] == [status] * 3 + [200]
        simulated.fault("429")
        with pytest.raises(RateLimitedError):
            google.tenant(session)


def test_members_of_groups_come_and_go_and_twice_is_once():
    with connected_to("google_workspace") as (session, simulated):
        member, group = plain(simulated), next(iter(google.groups(session)))
        assert [actions.join(session, member.id, group).changed for _ in range(2)] == [True, False]
        assert member.groups == [group]
        assert [actions.leave(session, member.id, group).changed for _ in range(2)] == [True, False]
        assert member.groups == []


def test_everything_that_can_be_handed_over_is_and_it_is_awaited():
    with connected_to("google_workspace") as (session, simulated):
        leaver, *_, heir = google.accounts(session)
        google.hand_over(session, leaver, heir)
        (transfer,) = simulated.directory.extra["transfers"].values()
        assert (transfer["oldOwnerUserId"], transfer["newOwnerUserId"]) == (leaver.id, heir.id)
        moved = {part["applicationId"]: part for part in transfer["applicationDataTransfers"]}
        assert moved["55656082996"]["applicationTransferParams"][0]["value"] == ["PRIVATE", "SHARED"]
        assert len(moved) == 2


def test_a_transfer_that_takes_longer_is_joined_the_next_time():
    with connected_to("google_workspace") as (session, simulated):
        simulated.directory.extra["transfer_seconds"] = 600
        leaver, *_, heir = google.accounts(session)
        with pytest.raises(OutcomeUnknownError, match="Keep the account"):
            google.hand_over(session, leaver, heir)
        google.hand_over(session, leaver, heir)
        assert len(simulated.directory.extra["transfers"]) == 1


def test_a_transfer_that_failed_is_said():
    with connected_to("google_workspace") as (session, simulated):
        simulated.directory.extra["transfer_ends"] = "failed"
        leaver, *_, heir = google.accounts(session)
        with pytest.raises(OwnsContentError, match="Transfer ownership"):
            google.hand_over(session, leaver, heir)
