"""Simulated apps begin with their company's people in every state that real directories have them in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gusto_pipeline.provisioning.apps import EVERY
from gusto_pipeline.sandbox.apps.directory import Directory, Member, settle
from gusto_pipeline.sandbox.faults import Faults
from gusto_pipeline.sandbox.gusto.world import SandboxClock
from gusto_pipeline.sandbox.people import make_companies

CLOCK = SandboxClock()
COMPANIES = {size: make_companies(1, employees=size, seed=7, today=CLOCK.today())[0] for size in (40, 60)}


@pytest.mark.parametrize("size", COMPANIES)
@pytest.mark.parametrize("slug", EVERY)
def test_every_app_has_accounts_in_every_state(slug, size):
    company, now = COMPANIES[size], CLOCK.now()
    directory = Directory(CLOCK, Faults(), str, {}, f"{company.slug}.example", company.name)
    settle(directory, company, slug)
    people = {person["work_email"]: person for person in company.employees.values() if person["work_email"]}
    private = {person["email"] for person in people.values()} - people.keys()
    last_names = {email.partition("@")[0].rpartition(".")[2] for email in people}

    def left(member: Member) -> bool:
        day = people[member.email]["spells"][-1]["termination_date"] if member.email in people else None
        return bool(day and day < CLOCK.today().isoformat())

    def invited(member: Member, least: timedelta) -> bool:
        return member.state == "invited" and bool(member.invited_at) and now - member.invited_at >= least

    def misspelled(member: Member) -> bool:
        local = member.email.partition("@")[0]
        return member.email not in people and "." not in local and local[1:] in last_names

    states = {
        "matched": lambda m: m.email in people and m.state == "active" and not left(m),
        "invited": lambda m: invited(m, timedelta()) and not invited(m, timedelta(days=7)),
        "invited long ago": lambda m: invited(m, timedelta(days=30)),
        "suspended": lambda m: m.state == "suspended" and not left(m),
        "a leaver who can still sign in": lambda m: left(m) and m.state == "active",
        "a private address": lambda m: m.email in private,
        "another spelling": misspelled,
        "a second account": lambda m: "+old@" in m.email,
        "a bot": lambda m: m.bot,
        "a shared mailbox": lambda m: m.email.startswith("support@"),
        "an administrator from outside": lambda m: m.role == "admin" and m.email.endswith("@outside-it.example"),
    }
    there = directory.members.values()
    assert [state for state, holds in states.items() if not any(map(holds, there))] == []
    assert sum(map(states["matched"], there)) > len(people) / 3
