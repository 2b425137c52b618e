"""The demo: sandboxes of Gusto, Google and every app, connected to as people do, and a pipeline.yaml for them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gusto_pipeline.accounts import connect_app
from gusto_pipeline.cli_accounts import gusto_if_set_up
from gusto_pipeline.cli_common import console, oauth_app
from gusto_pipeline.config import Settings, load_settings
from gusto_pipeline.connections.google import GoogleApp, consent
from gusto_pipeline.connections.sign_in import Visit, unattended
from gusto_pipeline.google_connection import connect_google
from gusto_pipeline.gusto.auth import login_without_browser
from gusto_pipeline.provisioning.apps import SLUGS
from gusto_pipeline.provisioning.plans import read_plan
from gusto_pipeline.reconcile import approve, carry_out, reconcile, refresh_accounts
from gusto_pipeline.reports import write_report
from gusto_pipeline.sandbox.everything import everything
from gusto_pipeline.spreadsheets.google_http import SCOPES
from gusto_pipeline.sync import Company, connect_company, open_store

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
    "slack": {"who": "worker_type = 'employee'"},
    "github": {"who": "department = 'Engineering'", "lead_days": 7},
    "zoho_crm": {"who": "department = 'Sales'"},
    "google_workspace": {"who": "worker_type = 'employee'", "seat_cost": 14},
    "okta": {"delete_after_days": 30},
    "microsoft_365": {"seat_cost": 12.5},
}


@contextmanager
def demo_sandboxes(
    home: Path, *, companies: int, employees: int, fixed_ports: bool = False
) -> Iterator[tuple[Settings, list[Company]]]:
    """The demo's settings and its connected companies, while sandboxes of Gusto, Google and all apps run behind them.

    The apps hold the first company's people.

    The settings are in the environment too, so that Dagster's processes find the same.
    """
    ports = (SANDBOX_PORT, GOOGLE_PORT) if fixed_ports else (0, 0)
    with everything(SLUGS, companies=companies, employees=employees, spreadsheet=SPREADSHEET, ports=ports) as places:
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
            slug: {"base_url": one["base_url"], "mode": "plan"} | WANTED.get(slug, {}) for slug, one in apps.items()
        }
        lines = [f"    {slug}: {json.dumps(wanted)}\n" for slug, wanted in managed.items()]
        (home / "pipeline.yaml").write_text(PIPELINE + "".join(lines), encoding="utf-8")
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
        yield settings, connected


def show_accounts(settings: Settings, company: Company) -> None:
    """Have the plan approved and carried out, look again, and say how it went."""
    store = open_store(settings)
    newest = max((settings.plans / company.slug).glob("plan-*.json"), key=lambda path: path.stat().st_mtime)
    made = read_plan(newest)
    console.print(f"Accounts: plan {made.id} has {len(made.items)} things to do and {len(made.questions)} questions.")
    approve(settings, made, [], who="demo", why="the demo approves everything")
    gusto = gusto_if_set_up(settings, company)
    applied = carry_out(settings, store, company, made, who="demo", gusto=gusto, just_made=True)
    later = sum(gated.verdict == "not due" for gated in applied.waiting)
    console.print(f"Approved and applied: {len(applied.done)} done ({applied.state}), {later} on their day.")
    refresh_accounts(settings, store, company)
    left = [item for item in reconcile(settings, store, company).plan.items if not item.due_at]
    console.print(f"Looked again: {len(left) or 'nothing'} to do now.")
    write_report(settings, store, company)


def _click_allow(redirect_uri: str, visit: Visit) -> tuple[str, str]:
    return unattended(redirect_uri, lambda address, state: f"{visit(address, state)}&consent=yes")
