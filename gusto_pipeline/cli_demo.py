"""The demo: sandboxes of Gusto, Google and every app, connected to as people do, and a pipeline.yaml for them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from gusto_pipeline import learners
from gusto_pipeline.accounts import connect_app
from gusto_pipeline.cli_accounts import gusto_if_set_up
from gusto_pipeline.cli_common import console, gusto_client, oauth_app
from gusto_pipeline.clock import utcnow
from gusto_pipeline.config import Settings, load_settings
from gusto_pipeline.connections.google import GoogleApp, consent
from gusto_pipeline.connections.sign_in import Visit, unattended
from gusto_pipeline.google_connection import connect_google
from gusto_pipeline.gusto.auth import login_without_browser
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.provisioning import links
from gusto_pipeline.provisioning.apply import Applied
from gusto_pipeline.provisioning.apps import EVERY, SLUGS
from gusto_pipeline.provisioning.learners import PORTAL
from gusto_pipeline.provisioning.plans import Plan, read_plan
from gusto_pipeline.reconcile import approve, carry_out, reconcile, refresh_accounts
from gusto_pipeline.reports import write_report
from gusto_pipeline.sandbox.everything import everything
from gusto_pipeline.spreadsheets.google_http import SCOPES
from gusto_pipeline.sync import Company, connect_company, open_store, open_warehouse, sync_category

SANDBOX_PORT = 8455
GOOGLE_PORT = 8456

SPREADSHEET = "demo-spreadsheet"

PIPELINE = f"""\
# The demo's pipeline.yaml: one flatten job per format.
home: .
jobs:
  - name: headcount
    category: employees
    format: xlsx
    columns:
      - last_name
      - first_name
      - {{column: work_email, header: E-mail}}
      - department
      - {{column: job__title, header: Title}}
      - {{sql: "date_diff('day', job__hire_date, current_date) // 365", header: Full years}}
    filter: onboarded AND NOT terminated
    frequency: daily
  - name: contractor_list
    category: contractors
    format: csv
    pii: {{email: mask, hourly_rate: drop}}
    frequency: weekly
  - name: absences
    category: time_off
    format: parquet
    frequency: "0 7 * * 1-5"
    timezone: America/Los_Angeles
  - name: org_chart
    category: departments
    format: google_sheets
    destination: {SPREADSHEET}           # in the sandbox's Google, which forgets it when it stops
    frequency: monthly
provisioning:
  apps:                                # every app there is a connector for, in sandboxes
"""

# What the demo wants in some of the apps; in the others, whoever has an account is meant to have it.
WANTED: dict[str, dict[str, object]] = {
    "15five": {"mode": "observe"},
    "slack": {"who": "worker_type = 'employee' AND department <> 'Retail'"},
    "github": {"who": "department = 'Engineering'", "lead_days": 7},
    "zoho_crm": {"who": "department = 'Sales'"},
    "google_workspace": {"who": "worker_type = 'employee' AND department <> 'Retail'", "seat_cost": 14},
    "okta": {"delete_after_days": 30},
    "microsoft_365": {"seat_cost": 12.5},
}

LEARNERS = """\
learners:
  base_url: {base_url}
  mode: auto
  who: "worker_type = 'employee' AND department IN ('Retail', 'Sales')"
  invite: {{how: pending}}
  address: work_or_personal
  fields:
    - {{field: Job title, attribute: title}}
    - field: Contract                  # the portal offers two, Gusto knows more
      attribute: current_employment_status
      values: {{full_time: Full time}}
  groups:
    - {{group: All staff, where: "worker_type = 'employee'"}}
"""


@dataclass(frozen=True)
class Demo:
    """What the demo runs on: its settings and connected companies. meanwhile: makes things happen in the sandboxes."""

    settings: Settings
    companies: list[Company]
    meanwhile: Callable[[], object]


@contextmanager
def demo_sandboxes(home: Path, *, companies: int, employees: int, fixed_ports: bool = False) -> Iterator[Demo]:
    """The demo's settings and its connected companies, while sandboxes of Gusto, Google and all apps run behind them.

    The apps hold the first company's people. They begin anew each time, so what was known of accounts is forgotten.

    The settings are in the environment too, so that Dagster's processes find the same.
    """
    Thread(target=import_module, args=["gusto_pipeline.automation.launch"]).start()  # Dagster, while sandboxes start
    ports = (SANDBOX_PORT, GOOGLE_PORT) if fixed_ports else (0, 0)
    wanted: dict[str, Any] = {"companies": companies, "employees": employees, "spreadsheet": SPREADSHEET}
    with everything(EVERY, **wanted, ports=ports) as (places, meanwhile):
        gusto, google, apps = places["gusto"], places["google"], places["apps"]
        os.environ.update(
            GUSTO_BASE_URL=gusto["base_url"],
            GUSTO_CLIENT_ID=gusto["client_id"],
            GUSTO_CLIENT_SECRET=gusto["client_secret"],
            GOOGLE_BASE_URL=google["base_url"],
            GOOGLE_CLIENT_ID=google["client_id"],
            GOOGLE_CLIENT_SECRET=google["client_secret"],
            GUSTO_PIPELINE_HOME=str(home.absolute()),
            GUSTO_PIPELINE_CONFIG=str(home.absolute() / "pipeline.yaml"),
            PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring",  # a demo leaves nothing in the system's keyring
        )
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        managed: dict[str, dict[str, object]] = {
            slug: {"base_url": apps[slug]["base_url"], "mode": "plan"} | WANTED.get(slug, {}) for slug in SLUGS
        }
        lines = [f"    {slug}: {json.dumps(wanted)}\n" for slug, wanted in managed.items()]
        portal = LEARNERS.format(base_url=apps[PORTAL]["base_url"])
        (home / "pipeline.yaml").write_text(PIPELINE + "".join(lines) + portal, encoding="utf-8")
        settings = load_settings()
        oauth, store = oauth_app(settings), open_store(settings)
        connected = [
            connect_company(oauth, login_without_browser(oauth, uuid), store, settings.connections)
            for uuid in places["companies"]
        ]
        app = GoogleApp(
            google["client_id"], google["client_secret"], settings.google.redirect_uri, settings.google.base_url
        )
        connect_google(settings, consent(app, SCOPES, _click_allow))
        for slug, one in apps.items():
            connect_app(settings, store, slug, connected[0], one["record"], unattended)
        with open_warehouse(settings).write() as connection:
            connection.execute("DROP SCHEMA IF EXISTS provisioning CASCADE")
        yield Demo(settings, connected, meanwhile)


def show_accounts(demo: Demo) -> None:
    """Have the plan approved and carried out, answer two questions, let things happen, look again; say how it went.

    The same with the learners of the portal. Needs a plan that is only minutes old.
    """
    settings, company, store = demo.settings, demo.companies[0], open_store(demo.settings)
    gusto = gusto_if_set_up(settings, company)
    newest = max((settings.plans / company.slug).glob("plan-*.json"), key=lambda path: path.stat().st_mtime)
    made = read_plan(newest)
    _say(f"Accounts: plan {made.id} has {len(made.items)} things to do and {len(made.questions)} questions.")
    approve(settings, made, [], who="demo", why="the demo approves everything")
    applied = carry_out(settings, store, company, made, who="demo", gusto=gusto, just_made=True)
    waits = Counter(gated.verdict for gated in applied.waiting)
    _say(
        f"Approved and applied ({applied.state}): {_done(applied)}; {waits['not due']} on their day, "
        f"{waits['observed']} only observed."
    )
    answer(settings, company, made)
    wanted = learners.plan(settings, store, company).drafted
    approve(settings, wanted.plan, [], who="demo", why="the demo approves everything")
    brought = learners.sync(settings, store, company, who="demo", gusto=gusto)
    _say(f"Learners, {brought.planned.learners} in the portal: {_done(brought.applied)}.")
    for misfit in brought.planned.drafted.misfits:
        _say(f"  Held back: {misfit}.")

    demo.meanwhile()
    _say(
        "Meanwhile in Gusto one is hired again, one renamed, one has another address, one offer is withdrawn. In "
        "Google somebody deletes an account, and somebody takes back our access to an app:"
    )
    with gusto_client(settings, oauth_app(settings), company) as client:
        sync_category(CATEGORIES["employees"], company, client, settings)
    for read in refresh_accounts(settings, store, company):
        if read.problem:
            _say(f"  {read.problem}")
    again = reconcile(settings, store, company).plan
    approve(settings, again, [], who="demo", why="the demo approves everything")
    applied = carry_out(settings, store, company, again, who="demo", gusto=gusto, just_made=True)
    _say(f"Accounts, approved and applied: {_done(applied)}.")
    refresh_accounts(settings, store, company, {one.item.app for one in applied.done})
    again = reconcile(settings, store, company).plan
    applied = carry_out(settings, store, company, again, who="demo", gusto=gusto, just_made=True)
    _say(f"Accounts, looked at again: {_done(applied)}.")
    brought = learners.sync(settings, store, company, who="demo", gusto=gusto)
    left = learners.plan(settings, store, company).drafted.plan
    due = [item for item in left.items if not item.due_at or datetime.fromisoformat(item.due_at) <= left.made_at]
    _say(f"Learners: {_done(brought.applied)}. Looked at again: {len(due) or 'nothing'} to do.")
    write_report(settings, store, company)


def answer(settings: Settings, company: Company, made: Plan) -> None:
    """Say by hand of one account that it is the person's it seems to be, and of the next that it is not."""
    asked = [one for one in made.questions if one.rule == "C3"][:2]
    by: dict[str, Any] = {"who": "demo", "why": "asked them", "now": utcnow()}
    with open_warehouse(settings).write() as connection:
        for item, decide in zip(asked, (links.match, links.refuse), strict=False):
            assert item.account_id
            assert item.person_id
            decide(connection, company.uuid, item.app, item.account_id, item.person_id, **by)
            word = "is" if decide is links.match else "is not"
            _say(f"Answered by hand: {item.account} in {item.app} {word} {item.person}'s.")


_WORDS = {
    "create": "made or invited", "update": "changed", "suspend": "suspended or removed", "reactivate": "let in again",
    "cancel_invitation": "invitations withdrawn", "invite_again": "invited again", "join": "put into a group",
}  # fmt: skip


def _done(applied: Applied) -> str:
    """What was done, and what waits for a person."""
    done = Counter(_WORDS.get(one.item.action, one.item.action) for one in applied.done)
    done["waiting for a person"] = sum(gated.verdict in ("held", "needs approval") for gated in applied.waiting)
    return ", ".join(f"{count} {what}" for what, count in done.items() if count) or "nothing to do"


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def _click_allow(redirect_uri: str, visit: Visit) -> tuple[str, str]:
    return unattended(redirect_uri, lambda address, state: f"{visit(address, state)}&consent=yes")
