"""What holds for every app: its list is whole or refused, its actions do once what they are told twice."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from dataclasses import replace
from inspect import signature
from types import NoneType
from typing import get_args, get_origin, get_type_hints

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.apps import EVERY, app
from gusto_pipeline.provisioning.errors import (
    AppError,
    IncompleteReadError,
    InvalidError,
    RateLimitedError,
    SignInError,
    UnsupportedError,
)
from gusto_pipeline.sandbox.apps import SimulatedApp
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to, session_with

THERE = (Status.ACTIVE, Status.INVITED)
pytestmark = pytest.mark.parametrize("slug", EVERY)


def test_each_call_takes_and_gives_what_every_app_promises(slug):
    for call in dataclasses.fields(App):
        promised, made = get_type_hints(App)[call.name], getattr(app(slug), call.name)
        optional = NoneType in get_args(promised)
        if call.init or (made is None and optional):
            continue
        takes, gives = get_args(get_args(promised)[0] if optional else promised)
        hints = get_type_hints(made)
        assert [hints[name] for name in signature(made).parameters] == takes, call.name
        given = hints["return"]
        if gives is not object and given != gives:
            assert issubclass(get_origin(given), get_origin(gives)), call.name
            assert get_args(given) == get_args(gives), call.name


def test_2500_accounts_are_listed_over_real_pages_with_a_rate_limit_in_the_middle(slug):
    with connected_to(slug, size=2550) as (session, simulated):  # some are suspended, and not every app lists those
        simulated.fault("429=2:times=2")
        snapshot = actions.read_accounts(session)
        assert len(snapshot.accounts) >= 2500
        assert {account.id for account in snapshot.accounts} >= {
            member.id for member in simulated.directory.members.values() if member.state == "active"
        }
        assert sum(row.status == 429 or row.status == 403 for row in simulated.requests) <= 2


def test_an_account_lives_from_creation_to_removal(slug):
    with connected_to(slug) as (session, simulated):
        can = app(slug)
        simulated.fault("429=2:once")
        made = actions.create(session, NEW)
        assert made.changed
        assert made.account.status in THERE
        assert NEW.email in made.account.emails

        listed = {account.id: account for account in actions.read_accounts(session).accounts}
        assert listed[made.account.id].status in THERE

        if made.account.status is Status.INVITED:
            simulated.accept(NEW.email)
        account_id = can.find(session, NEW.email).id

        if can.suspend:
            simulated.fault("429=2:once")
            assert actions.suspend(session, account_id).account.status is Status.SUSPENDED
            assert not actions.suspend(session, account_id).changed
        if can.reactivate:
            simulated.fault("429=2:once")
            assert actions.reactivate(session, account_id).account.status in THERE
            assert not actions.reactivate(session, account_id).changed

        simulated.fault("429=2:once")
        removed = actions.remove(session, account_id)
        assert removed.changed
        assert not actions.remove(session, account_id).changed
        gone = {Status.DELETED, Status.SUSPENDED} if can.removal == "deactivates" else {Status.DELETED}
        listed = {account.id: account for account in actions.read_accounts(session).accounts}
        assert account_id not in listed or listed[account_id].status in gone


def test_someone_who_is_there_is_not_created_again(slug):
    with connected_to(slug) as (session, simulated):
        first = actions.create(session, NEW)
        mails = list(simulated.directory.mails)
        second = actions.create(session, NEW)
        assert not second.changed
        assert second.account.id == first.account.id
        assert simulated.directory.mails == mails


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_new_account_is_in_the_group_that_the_settings_name(slug, by):
    if app(slug).groups is None:
        pytest.skip("it has no groups")
    with connected_to(slug) as (session, simulated):
        *_, (group, name) = app(slug).groups(session).items()
        wanted = group if by == "id" else name.upper()
        simulated.fault("drop-write:once")
        assert actions.create(session, replace(NEW, groups=(wanted,))).changed
        assert groups_of(simulated, NEW.email) == [[group]]


def test_in_a_group_that_is_not_there_nobody_is_created(slug):
    with connected_to(slug) as (session, simulated):
        there = list(app(slug).groups(session).values()) if app(slug).groups else []
        said = f"has no group 'Kitchen'; it has .*{there[-1]}" if there else "has no groups"
        with pytest.raises(InvalidError if there else UnsupportedError, match=said):
            actions.create(session, replace(NEW, groups=(*there[:1], "Kitchen")))
        assert groups_of(simulated, NEW.email) == []


def groups_of(simulated: SimulatedApp, email: str) -> list[list[str]]:
    """The groups of each account with this address, as often as it is in them."""
    memberships = simulated.directory.extra.get("memberships", {}).values()  # where they are records of their own
    members = [member for member in simulated.directory.members.values() if member.email == email]
    return [member.groups + [group for who, group in memberships if who == member.id] for member in members]


def test_a_connection_dropped_after_a_create_leads_to_exactly_one_account(slug):
    with connected_to(slug) as (session, simulated):
        before = len(simulated.directory.members)
        simulated.fault("drop-write:once")
        assert actions.create(session, NEW).account
        assert len(simulated.directory.members) == before + 1
        assert Counter(address for address, _ in simulated.directory.mails)[NEW.email] <= 1


def test_a_connection_dropped_after_a_removal_is_settled_by_reading(slug):
    with connected_to(slug) as (session, simulated):
        account = next(
            account
            for account in actions.read_accounts(session).accounts
            if account.status is Status.ACTIVE and not account.owner and not account.admin
        )
        simulated.fault("drop-write:once")
        assert actions.remove(session, account.id).changed


class Rival(httpx.HTTPTransport):
    """Somebody else makes each change a moment before us; counts how many."""

    changes: int | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        if self.changes is not None and request.method != "GET" and not READS.search(request.url.path):
            self.changes += b"getuserdata" not in request.content
            super().handle_request(request).close()
        return super().handle_request(request)


READS = re.compile(r"token$|/graphql$|/search$|/list(/continue)?(_v2)?$|get_info(_v2)?$|job_status")


def test_what_somebody_else_did_a_moment_before_is_done(slug):
    rival, can = Rival(), app(slug)
    with connected_to(slug, transport=rival) as (session, simulated):
        account = actions.create(session, NEW).account
        if account.status is Status.INVITED:
            simulated.accept(NEW.email)
            account = can.find(session, NEW.email)
        rival.changes = 0
        for able, act in ((can.suspend, actions.suspend), (can.reactivate, actions.reactivate), (True, actions.remove)):
            if able:
                before = rival.changes
                act(session, account.id)
                assert rival.changes > before


def test_a_server_error_on_a_list_is_read_through(slug):
    with connected_to(slug) as (session, simulated):
        whole = actions.read_accounts(session).accounts
        simulated.fault("5xx=503:times=2")
        assert actions.read_accounts(session).accounts == whole


def test_a_list_that_breaks_off_is_refused_with_how_far_it_got(slug):
    with connected_to(slug, size=2500) as (session, simulated):
        listing = app(slug).accounts(session)
        next(listing)
        simulated.fault("5xx=500")
        before = session.requests
        refused = None
        try:
            list(listing)
        except AppError as error:
            refused = str(error)
        # Without an error there was nothing left to ask: one answer holds all.
        assert app(slug).name in refused if refused else session.requests == before


def test_the_accounts_of_another_tenant_are_not_taken(slug):
    with connected_to(slug) as (session, _), pytest.raises(IncompleteReadError, match="was connected to"):
        actions.read_accounts(session, "another-tenant")


def test_an_expired_token_is_renewed_or_said_to_be_refused(slug):
    with connected_to(slug) as (session, simulated):
        whole = actions.read_accounts(session).accounts
        simulated.fault("expired:once")
        if app(slug).sign_in.token:
            assert actions.read_accounts(session).accounts == whole
        else:
            with pytest.raises((SignInError, IncompleteReadError), match="connect"):
                actions.read_accounts(session)


def test_a_rate_limit_that_stays_is_said(slug):
    with connected_to(slug) as (session, simulated):
        simulated.fault("429=400")
        with pytest.raises(RateLimitedError, match=app(slug).name):
            app(slug).tenant(session)


def test_what_an_app_cannot_do_is_refused_before_any_request(slug):
    with connected_to(slug) as (session, simulated):
        for call, action in ((app(slug).suspend, actions.suspend), (app(slug).reactivate, actions.reactivate)):
            if call is None:
                with pytest.raises(UnsupportedError):
                    action(session, "1")
        assert simulated.requests == [] or app(slug).suspend


def test_neither_records_nor_errors_show_a_secret(slug):
    with connected_to(slug) as (session, simulated):
        actions.read_accounts(session)
        simulated.directory.revoke()
        simulated.fault("expired")
        with session_with(simulated, retries=1) as late, pytest.raises(AppError) as refused:
            app(slug).tenant(late)
        said = str(refused.value)
        for name, secret in session.record.items():
            if "secret" in name or "token" in name or "key" in name or "hash" in name:
                assert str(secret) not in said
                assert all(str(secret) not in row.path + row.query for row in simulated.requests)
