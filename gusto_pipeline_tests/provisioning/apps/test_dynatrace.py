"""What is special to Dynatrace: uid and address, one answer for all, tokens of five minutes, words instead of codes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import dynatrace
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    IncompleteReadError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NotFoundError,
)
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to
from gusto_pipeline_tests.provisioning.refusals import refusal_of


def test_all_that_dynatrace_says_of_a_user_is_kept():
    row = {
        "uid": "u-1",
        "email": "ivy@acme.example",
        "name": "Ivy",
        "surname": "Irwin",
        "userStatus": "ACTIVE",
        "userLoginMetadata": {"lastSuccessfulLogin": "2025-06-07T08:00:00Z", "createdAt": "2024-05-06T07:00:00Z"},
    }
    account = dynatrace._account(row)
    assert (account.id, account.user_name, account.emails) == ("u-1", "ivy@acme.example", ("ivy@acme.example",))
    assert (account.given_name, account.family_name, account.display_name) == ("Ivy", "Irwin", "Ivy Irwin")
    assert account.last_activity == datetime(2025, 6, 7, 8, tzinfo=UTC)
    assert account.created_at == datetime(2024, 5, 6, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"userStatus": "ACTIVE"}, Status.ACTIVE),
        ({"userStatus": "PENDING"}, Status.INVITED),
        ({"userStatus": "INACTIVE"}, Status.SUSPENDED),
        ({"userStatus": "ECUSTOMS_MANUALLY_BLOCKED"}, Status.SUSPENDED),
        ({"userStatus": "DELETED"}, Status.DELETED),
        ({}, Status.ACTIVE),
    ],
)
def test_each_of_dynatraces_statuses_is_listed_as(said, status):
    account = dynatrace._account({"uid": "u-1", "email": "ivy@acme.example", **said})
    assert (account.status, account.display_name) == (status, None)


@pytest.mark.parametrize("local", ["nora+tea", "o'neil", "nora%41"])
def test_an_address_is_written_into_the_path_whole(local):
    with connected_to("dynatrace") as (session, simulated):
        group = next(iter(dynatrace.groups(session)))
        new = replace(NEW, email=f"{local}@acme-tea-co.example", groups=(group,))
        made = actions.create(session, new).account
        assert simulated.directory.members[made.id].groups == [group]
        assert actions.remove(session, made.id).account is None


def test_groups_of_an_identity_provider_are_not_offered_and_cannot_be_joined():
    with connected_to("dynatrace") as (session, _):
        made = actions.create(session, NEW).account
        assert "all-users" not in dynatrace.groups(session)
        with pytest.raises(InvalidError, match="Only local groups"):
            dynatrace.join(session, made, "all-users")


def test_a_group_is_joined_beside_others_and_left():
    with connected_to("dynatrace") as (session, simulated):
        first, second = list(dynatrace.groups(session))[:2]
        made = actions.create(session, replace(NEW, groups=(first,))).account
        dynatrace.join(session, made, second)
        dynatrace.leave(session, made, first)
        assert simulated.directory.members[made.id].groups == [second]


def test_a_token_of_five_minutes_is_fetched_anew():
    with connected_to("dynatrace") as (session, simulated):
        for _ in range(3):
            dynatrace.tenant(session)
            simulated.advance(290)
        assert [row.path.rsplit("/", 1)[-1] for row in simulated.requests] == ["token", "groups"] * 3


def test_fewer_users_than_dynatrace_counts_are_refused():
    with connected_to("dynatrace") as (session, simulated):
        simulated.fault("short-page=0.79")
        with pytest.raises(IncompleteReadError, match="Dynatrace counts"):
            actions.read_accounts(session)


def test_somebody_who_is_gone_is_not_found_whatever_the_status():
    with connected_to("dynatrace") as (session, _):
        made = actions.create(session, NEW).account
        dynatrace.remove(session, made)
        with pytest.raises(NotFoundError, match=f"User {NEW.email} not found"):
            dynatrace.remove(session, made)


def test_who_is_there_is_not_invited_twice():
    with connected_to("dynatrace") as (session, simulated):
        dynatrace.create(session, NEW)
        with pytest.raises(AlreadyExistsError, match="Look under User management"):
            dynatrace.create(session, NEW)
        assert simulated.directory.mails == [(NEW.email, "invitation")]


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (403, {"message": "No"}, MissingScopeError, "account-idm-write"),
        (404, {"error": True, "payload": None, "message": "Gone"}, NotFoundError, "Gone"),
        (400, {"error": {"code": 400, "message": "Bad e-mail"}}, InvalidError, "Bad e-mail. Correct it"),
        (400, {"message": "This is the last account admin"}, LastOwnerError, "Make somebody else"),
        (400, "<html>", InvalidError, "no reason given"),
        (409, [], AlreadyExistsError, "no reason given"),
    ],
)
def test_each_refusal_has_its_next_step(status, body, kind, says):
    error = refusal_of(dynatrace.APP, status, body)
    assert type(error) is kind
    assert says in str(error)


def test_a_rate_limit_that_names_no_time_is_waited_out():
    with connected_to("dynatrace") as (session, simulated):
        start = simulated.directory.clock.now()
        simulated.fault("429=60:times=2")
        assert actions.read_accounts(session).accounts
        assert 0 < (simulated.directory.clock.now() - start).total_seconds() < 30
