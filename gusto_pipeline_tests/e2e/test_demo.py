"""The demo shows what the product is for: every state, a plan and what became of it, and then nothing to do."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import httpx
import openpyxl
import pytest

from gusto_pipeline import learners
from gusto_pipeline.cli_accounts import gusto_if_set_up
from gusto_pipeline.cli_common import gusto_client, oauth_app
from gusto_pipeline.cli_demo import Demo, demo_sandboxes, show_accounts
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.provisioning.apps import SLUGS
from gusto_pipeline.provisioning.decisions import RULES, State
from gusto_pipeline.reconcile import carry_out, reconcile, refresh_accounts
from gusto_pipeline.reports import WORKBOOK
from gusto_pipeline.sync import open_store, open_warehouse, sync_category

DOCUMENTED = Path(__file__).resolve().parents[2] / "docs" / "learners.md"
Learner = tuple[str, str, str, str, str]


@dataclass
class Shown:
    """A demo after it has shown everything: what it printed, and the portal's learners before, by sign-in."""

    demo: Demo
    out: str
    before: dict[str, Learner]

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with open_warehouse(self.demo.settings).read() as connection:
            return connection.execute(sql).fetchall()


def portal(demo: Demo) -> dict[str, Learner]:
    """By sign-in: name, sign-in, state, title and contract of everybody who is in the portal or invited."""
    record = open_store(demo.settings).read(f"learnupon/{demo.companies[0].slug}")
    assert record
    keys = (record["username_key"], record["password_key"])
    with httpx.Client(base_url=f"{demo.settings.learners.base_url}/api/v1/", auth=keys) as client:
        users = client.get("users").json()["user"]
        invitations = client.get("group_invites").json()["group_invite"]
    found = [
        (
            f"{user['first_name']} {user['last_name']}", user["email"], "active" if user["enabled"] else "disabled",
            user["CustomData"].get("Job title", ""), user["CustomData"].get("Contract", ""),
        )
        for user in users
    ]  # fmt: skip
    names = {"laura.benson@acme-tea-co.example": "Laura Benson"}  # which the list of invitations does not say
    for email in (each["invite_email_address"] for each in invitations):
        found.append((names.get(email, ""), email, "invited", "", ""))
    assert len({one[1] for one in found}) == len(found), "nobody is there twice"
    return {one[1]: one for one in found}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The demo without Dagster, which syncs more than its accounts need."""
    home = tmp_path_factory.mktemp("demo")
    with patch.dict(os.environ), demo_sandboxes(home, companies=1, employees=60) as demo:
        settings, company, store = demo.settings, demo.companies[0], open_store(demo.settings)
        with gusto_client(settings, oauth_app(settings), company) as client:
            for name in ("locations", "departments", "admins", "contractors", "time_off", "employees"):
                sync_category(CATEGORIES[name], company, client, settings)
        refresh_accounts(settings, store, company)
        reconcile(settings, store, company)
        before = portal(demo)
        with redirect_stdout(io.StringIO()) as out:
            show_accounts(demo)
        yield Shown(demo, out.getvalue(), before)


def test_all_apps_are_connected(shown):
    assert len(SLUGS) >= 19
    assert {app for (app,) in shown.rows("SELECT app FROM provisioning.account_reads WHERE complete")} >= set(SLUGS)


def test_the_report_has_every_state_of_the_decision_table(shown):
    book = openpyxl.load_workbook(shown.demo.settings.reports / shown.demo.companies[0].slug / WORKBOOK)
    header, *rows = book["Every pair"].iter_rows(values_only=True)
    rules = {row[header.index("Rule")] for row in rows}
    assert {rule.state for rule in RULES if rule.id in rules} == set(State)


def test_the_plan_is_approved_applied_and_then_there_is_nothing_to_do(shown):
    done = dict(
        shown.rows("SELECT action, count(*) FROM provisioning.intents WHERE app <> 'learnupon' GROUP BY action")
    )
    assert done.keys() >= {"suspend", "create"}
    assert shown.rows("SELECT count(*) FROM provisioning.outcomes WHERE outcome <> 'done'") == [(0,)]
    unapproved = "FROM provisioning.intents ANTI JOIN provisioning.approvals USING (item_id) WHERE app <> 'learnupon'"
    assert shown.rows(f"SELECT count(*) {unapproved}") == [(0,)]
    assert "Accounts, approved and applied: 2 let in again." in shown.out, "who is hired again"
    assert "Accounts, looked at again: nothing to do." in shown.out

    settings, company, store = shown.demo.settings, shown.demo.companies[0], open_store(shown.demo.settings)
    gusto = gusto_if_set_up(settings, company)
    made = reconcile(settings, store, company).plan
    again = carry_out(settings, store, company, made, who="ann", gusto=gusto, just_made=True)
    assert again.done == ()
    assert {gated.verdict for gated in again.waiting} == {"not due", "observed"}


def test_the_portal_ends_as_documented(shown):
    table = re.search(r"<!-- learners -->\n(.*)<!-- /learners -->", DOCUMENTED.read_text("utf-8"), re.DOTALL)
    assert table
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()[2:]]
    documented = {row[2]: (row[0], *row[2:]) for row in rows}
    now, was = portal(shown.demo), "rick.lewis@acme-tea-co.example"
    new = {"laura.benson@acme-tea-co.example", "richard.lewis@acme-tea-co.example"}
    assert {email: one for email, one in now.items() if email in documented} == documented
    assert now.keys() - shown.before.keys() == new
    assert shown.before.keys() - now.keys() == {was}
    others = shown.before.keys() - documented.keys() - {was}
    assert {email: now[email] for email in others} == {email: shown.before[email] for email in others}


def test_a_second_run_of_the_learners_does_nothing(shown):
    before = portal(shown.demo)
    again = learners.sync(shown.demo.settings, open_store(shown.demo.settings), shown.demo.companies[0], who="ann")
    assert again.applied.done == ()
    assert Counter(gated.verdict for gated in again.applied.waiting).keys() <= {"not due"}
    assert portal(shown.demo) == before
    assert "Looked at again: nothing to do." in shown.out


def test_the_value_that_fits_no_choice_is_said_with_the_nearest(shown):
    assert "Contract does not take 'part_time_twenty_plus_hours'" in shown.out
    assert "nearest: 'Part time'" in shown.out
