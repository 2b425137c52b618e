"""The command line: parse, call, show. Exit code 0 when all went well, 1 with one readable line when not."""

from __future__ import annotations

import gc
import json
import os
import shlex
import sqlite3
import sys
import time
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from dotenv import load_dotenv
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gusto_pipeline import cli_accounts, cli_answers, cli_hr, cli_learners, cli_onboarding, cli_profiles
from gusto_pipeline.cli_accounts import variable
from gusto_pipeline.cli_common import JsonOption, complain, console, gusto_client, oauth_app, show
from gusto_pipeline.config import ConfigError, Settings, load_settings
from gusto_pipeline.connections.google import GoogleApp, consent
from gusto_pipeline.connections.sign_in import Obtain, SignInError, by_browser, by_paste
from gusto_pipeline.connections.store import ConnectionStoreError
from gusto_pipeline.gusto.auth import login, login_without_browser
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.gusto.errors import GustoError
from gusto_pipeline.jobs import job_companies
from gusto_pipeline.lifecycle import AUTHORIZED, DISCONNECTED, known_company, next_daily_sync, standings
from gusto_pipeline.lifecycle import disconnect as end_connection
from gusto_pipeline.lifecycle import purge as purge_company
from gusto_pipeline.notify import Message, NotifyError, send
from gusto_pipeline.provisioning.apps import EVERY, SLUGS
from gusto_pipeline.provisioning.errors import AppError
from gusto_pipeline.provisioning.links import HandDecisionError
from gusto_pipeline.provisioning.people import PeopleError
from gusto_pipeline.provisioning.plans import PlanError
from gusto_pipeline.provisioning.reconciliation import RuleError
from gusto_pipeline.spreadsheets.writers import SpreadsheetError
from gusto_pipeline.sync import (
    UnknownCompanyError,
    connect_company,
    connected_companies,
    find_company,
    open_store,
)
from gusto_pipeline.warehouse.flatten import bind
from gusto_pipeline.warehouse.warehouse import WarehouseError, is_full, not_written

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="People data out of Gusto and put to work.",
)
config_app = typer.Typer(no_args_is_help=True, help="Check pipeline.yaml.")
app.add_typer(config_app, name="config")
app.add_typer(cli_accounts.commands)
app.add_typer(cli_answers.commands)
app.add_typer(cli_learners.commands)
app.add_typer(cli_profiles.commands)
app.add_typer(cli_hr.commands)
app.add_typer(cli_onboarding.commands)

NoBrowserOption = Annotated[bool, typer.Option("--no-browser", help="Only print the address to visit.")]
PasteOption = Annotated[
    bool, typer.Option("--paste", help="Sign in with a browser elsewhere and paste the address it ends at.")
]
CredentialsOption = Annotated[Path | None, typer.Option(help="The JSON key of a Google service account.")]
CompanyOption = Annotated[
    str | None, typer.Option("--company", help="Name, short name or uuid; without it, every connected company.")
]

STARTER = """\
# What gusto_pipeline syncs and where to. Secrets never go here: set GUSTO_CLIENT_ID and GUSTO_CLIENT_SECRET.
# Check it with: gusto-pipeline config check

gusto:
  base_url: https://api.gusto.com      # demo: https://api.gusto-demo.com
  companies: []                        # names as in Gusto; empty: every connected company

sync:
  hour: 5                              # of the daily sync, once its schedule is switched on in the UI
  timezone: America/Los_Angeles
  applicants_folder: applicants        # <company>.csv here stands in for applicants, which Gusto no longer offers

spreadsheets:
  # folder: /srv/spreadsheets          # default: .gusto_pipeline/spreadsheets
  formats: [xlsx, csv]                 # xlsx, csv, parquet
  timezone: UTC                        # of the times shown

notify:                                # try it with: gusto-pipeline notify
  to: [GUSTO_PIPELINE_NOTIFY]          # environment variables with apprise URLs, such as mailtos://user:password@host
  on_failure: true
  on_recovery: true
  on_success: false
  on_change: false                     # good runs that changed a spreadsheet: how many rows and cells, by sheet
  on_drift: true                       # fields that are new in Gusto's answers, or gone from them

# jobs:                                # spreadsheets of your own; check one with: gusto-pipeline preroll headcount
#   - name: headcount
#     category: employees
#     columns: [last_name, first_name, department, {column: job__title, header: Title}]
#     filter: onboarded AND NOT terminated
#     frequency: weekly
#     notify: {to: [GUSTO_PIPELINE_NOTIFY, HR_NOTIFY], on_change: true}

# onboarding:                          # files of new hires create employees; see docs/onboarding.md
#   folder: new-hires                  # once the sensor onboarding_folder is switched on in the UI
#   company: Acme Tea Co.              # not needed if only one is connected

# profiles:                            # for another system to follow; see docs/profiles.md
#   - name: it_directory
#     fields: [work_email, first_name, last_name, {column: job__title, name: title}]
#     format: csv                      # csv, jsonl, parquet, duckdb

# learners:                            # of a learning portal; connect one with: gusto-pipeline connect learnupon
#   mode: plan                         # observe, plan (a person approves) or auto
#   invite: {when: hire_date, how: active_with_mail}   # when: added; how: active, pending
#   fields:                            # see what there is with: gusto-pipeline learners attributes
#     - {field: Office, attribute: location, values: {SF: San Francisco}}
#     - {field: Full title, sql: "title || ', ' || department"}
#   groups:
#     - {group: New starters, where: "created_on > DATE '2026-01-01'"}
"""


def main() -> None:
    """Console script. Problems of the world outside end in one line on stderr and exit code 1, bugs in a traceback."""
    load_dotenv(".env")
    try:
        app()
    except (
        AppError,
        ConfigError,
        ConnectionStoreError,
        GustoError,
        HandDecisionError,
        PeopleError,
        PlanError,
        RuleError,
        NotifyError,
        SignInError,
        SpreadsheetError,
        UnknownCompanyError,
        WarehouseError,
    ) as problem:
        complain(problem)
        sys.exit(1)
    except OSError as problem:  # a disk that is full, a folder that is none, a permission that lacks
        place = problem.filename2 or problem.filename
        advice = "; free some space and run again" if is_full(problem) else ""
        complain(f"{place}: {problem.strerror}{advice}." if place else problem)
        sys.exit(1)
    except Exception as problem:
        found = getattr(problem, "orig", problem)
        if not isinstance(found, sqlite3.OperationalError):
            raise
        complain(not_written(load_settings().home, found))
        sys.exit(1)
    finally:
        gc.freeze()  # or Python, on its way out, looks for cycles in all that was imported: up to half a second


@app.command()
def init(path: Annotated[Path, typer.Argument()] = Path("pipeline.yaml")) -> None:
    """Write a commented pipeline.yaml to start from."""
    if path.exists():
        raise ConfigError(f"{path} exists already; it was left as it is.")
    path.write_text(STARTER, encoding="utf-8")
    console.print(f"Wrote {path}. Next: gusto-pipeline connect")


@config_app.command("check")
def config_check() -> None:
    """Read pipeline.yaml and say whether it is right."""
    settings = load_settings()
    console.print(f"pipeline.yaml is right. Home folder: {settings.home}")


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of pipeline.yaml, for editors."""
    typer.echo(json.dumps(Settings.model_json_schema(), indent=2))


@app.command()
def connect(
    what: Annotated[str, typer.Argument(metavar="[gusto|google|APP]")] = "gusto",
    company: Annotated[
        str | None, typer.Option(help="An app's company; for gusto: sign in without a browser as this sandbox company.")
    ] = None,
    no_browser: NoBrowserOption = False,
    paste: PasteOption = False,
    credentials: CredentialsOption = None,
    way: Annotated[
        cli_accounts.Way | None, typer.Option("--with", help="For an app that takes both; asked for by default.")
    ] = None,
) -> None:
    """Connect a Gusto company (sign in with a browser as its admin, once per company), Google Sheets, or an app."""
    settings, obtain = load_settings(), _obtain(no_browser, paste)
    if what == "google":
        _connect_google(settings, credentials, obtain)
        return
    if what != "gusto":
        made = cli_accounts.connect(settings, what, company, obtain, way)
        console.print(f"Connected {what} for {made.company.slug}: {made.tenant.name} ({made.tenant.id}).")
        if made.tenant.granted:
            console.print(f"Granted: {', '.join(made.tenant.granted)}.")
        return
    oauth = oauth_app(settings)
    answer = login_without_browser(oauth, company) if company else login(oauth, obtain)
    connected = connect_company(oauth, answer, open_store(settings), settings.connections)
    console.print(f"Connected {connected.name} as [bold]{connected.slug}[/bold]. Next: gusto-pipeline sync")


@app.command()
def reconnect(
    company: Annotated[
        list[str] | None,
        typer.Argument(help="Name, short name or uuid; not needed if there is only one. Or: google"),
    ] = None,
    sandbox_company: Annotated[
        str | None, typer.Option("--as", help="Sign in without a browser as this sandbox company.")
    ] = None,
    no_browser: NoBrowserOption = False,
    paste: PasteOption = False,
    credentials: CredentialsOption = None,
) -> None:
    """Sign in again where an authorization was revoked or has lapsed. Schedules, jobs and files go on."""
    settings, names, obtain = load_settings(), company or [], _obtain(no_browser, paste)
    if names == ["google"]:
        _connect_google(settings, credentials, obtain)
        return
    oauth, store = oauth_app(settings), open_store(settings)
    expected = known_company(store, " ".join(names[1:] if names[:1] == ["gusto"] else names))
    answer = login_without_browser(oauth, sandbox_company) if sandbox_company else login(oauth, obtain)
    connect_company(oauth, answer, store, settings.connections, expected=expected)
    console.print(f"{expected.slug} is connected again. The next scheduled sync takes it along; nothing else to do.")


@app.command()
def disconnect(
    company: Annotated[str, typer.Argument(help="Name, short name or uuid. Or: google, or an app")],
    of: Annotated[str | None, typer.Option("--company", help="The app's company, if there are several.")] = None,
    purge: Annotated[bool, typer.Option(help="Also delete what was synced: its rows and spreadsheets.")] = False,
) -> None:
    """End an authorization, a company's at Gusto or Google's, and forget it here. What was synced or written stays,
    unless it is a company's and purged."""
    settings = load_settings()
    if company == "google":
        from gusto_pipeline.google_connection import disconnect_google

        left = disconnect_google(settings, by="gusto-pipeline disconnect")
        console.print("Disconnected Google: its credentials are deleted, no job writes there any more.")
        if left:
            complain(f"Left to do: {left}.")
        return
    if company in EVERY:
        there = cli_accounts.disconnect(settings, company, of)
        said = "its credentials are deleted, its accounts are as they were" if there else "it was not connected"
        console.print(f"Disconnected {company}: {said}.")
        return
    store = open_store(settings)
    found = known_company(store, company)
    if found in connected_companies(store):
        done = end_connection(oauth_app(settings), store, found, by="gusto-pipeline disconnect")
        console.print(f"Disconnected {found.name} ({found.slug}): its tokens are deleted, nothing syncs it any more.")
        if done.problem:
            complain(
                f"Gusto was not told: {done.problem}. End it there too: in Gusto, as the company's admin, remove this "
                "application from the connected apps."
            )
    else:
        console.print(f"{found.name} ({found.slug}) is disconnected already.")
    if purge:
        deleted = purge_company(settings, found)
        console.print(
            f"Deleted {deleted.rows} rows and {deleted.files} spreadsheets. Copies that jobs of pipeline.yaml put "
            "elsewhere are still there.",
            highlight=False,
        )


@app.command()
def status(
    as_json: JsonOption = False,
    check: Annotated[bool, typer.Option(help="Ask Gusto too: one request per company.")] = False,
) -> None:
    """How each connection stands, and the last sync of each category. Exit code 1 unless all are well."""
    from gusto_pipeline.google_connection import google_standing

    settings = load_settings()
    google = google_standing(settings, check=check)
    store = open_store(settings)
    found = standings(settings, store, app=oauth_app(settings) if check and connected_companies(store) else None)
    next_sync = next_daily_sync(settings) if found and _daily_sync_is_on(settings) else None
    rows: list[dict[str, Any]] = [
        {
            "side": "gusto",
            "company": one.company.slug,
            "name": one.company.name,
            "uuid": one.company.uuid,
            "connection": one.state,
            "since": one.since,
            "why": one.why,
            "last_good_sync": one.last_good_sync,
            "next_sync": next_sync if one.state != DISCONNECTED else None,
            "categories": _last_syncs(settings, one.company.uuid),
        }
        for one in found
    ]
    if google:
        rows.append(
            {
                "side": "google",
                "name": google.account,
                "connection": google.state,
                "since": google.since,
                "why": google.why,
            }
        )
    if as_json:
        show(rows, [], as_json)
    else:
        _show_standings(rows, settings)
    if any(row["connection"] != AUTHORIZED for row in rows):
        sys.exit(1)


@app.command()
def sync(
    categories: Annotated[list[str] | None, typer.Argument(help="Categories; without any, everything.")] = None,
    company: CompanyOption = None,
    accept_shrink: Annotated[bool, typer.Option(help="Let tables lose more than half of their rows.")] = False,
) -> None:
    """Sync categories and write their spreadsheets, as a Dagster run per company."""
    settings = load_settings()
    for name in categories or ():
        if name not in CATEGORIES:
            raise ConfigError(f"There is no category {name!r}. Categories: {', '.join(CATEGORIES)}.")
    store = open_store(settings)
    wanted = [find_company(store, company)] if company else connected_companies(store)
    if not wanted:
        raise UnknownCompanyError("No company is connected yet. Connect one: gusto-pipeline connect")
    oauth_app(settings)
    jobs = [f"sync_{name}_only" for name in categories] if categories else ["sync_everything"]
    if not _materialize(settings, jobs, [c.slug for c in wanted], accept_shrink=accept_shrink):
        sys.exit(1)


@app.command()
def flatten(
    name: Annotated[str, typer.Argument(help="A job of pipeline.yaml.")],
    company: CompanyOption = None,
) -> None:
    """Run a flatten job of pipeline.yaml now: sync what it needs and write its files."""
    settings = load_settings()
    job = settings.job(name)
    oauth_app(settings)
    wanted = [find_company(open_store(settings), company)] if company else job_companies(job, settings)
    if not wanted:
        raise UnknownCompanyError("No company is connected yet. Connect one: gusto-pipeline connect")
    if not _materialize(settings, [f"flatten_{name}"], [c.slug for c in wanted]):
        sys.exit(1)


@app.command()
def preroll(name: Annotated[str, typer.Argument(help="A job of pipeline.yaml.")]) -> None:
    """Say everything that would go wrong with a flatten job, and what it will cost, before it runs."""
    from gusto_pipeline.preroll import preroll as check

    settings = load_settings()
    job, oauth = settings.job(name), oauth_app(settings)
    found = check(job, settings, partial(gusto_client, settings, oauth))
    for warning in found.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    for problem in found.problems:
        complain(problem)
    cost = f"{found.requests} requests, {found.rows:,} rows, {found.bytes / 1e6:.1f} MB, {found.minutes:.1f} minutes"
    count = f"{len(found.problems) or 'No'} problem{'s' if len(found.problems) != 1 else ''}"
    console.print(f"{count}. About {cost}, going by the last sync.", highlight=False, soft_wrap=True)
    if found.problems:
        sys.exit(1)


@app.command()
def notify(
    job: Annotated[str, typer.Argument(help="A job of pipeline.yaml; else whoever is told of all.")] = "",
) -> None:
    """Send a test message to whom pipeline.yaml says."""
    settings = load_settings()
    told = settings.notify_of(settings.job(job).name if job else "")
    addresses = {variable: os.environ.get(variable, "") for variable in told.to}
    if not any(addresses.values()):
        raise ConfigError(
            f"{' and '.join(addresses)} not set: put apprise URLs there, such as mailtos://user:password@host"
        )
    send(Message("Gusto: a test", f"Messages about {job or 'runs'} arrive here."), addresses)
    console.print("Sent.")


@app.command()
def sandbox(
    companies: int = 1,
    employees: int = 40,
    seed: int = 7,
    port: int = 8455,
    applicants: Annotated[bool, typer.Option(help="Serve job applicants, as the undated API did.")] = False,
    apps: Annotated[bool, typer.Option(help="Serve every app as well, with the first company's people.")] = False,
    fault: Annotated[
        list[str] | None, typer.Option(help="Such as 429:every=5 or missing-scope=employees:read.")
    ] = None,
) -> None:
    """Serve a Gusto of your own on 127.0.0.1: same paths, limits and errors, people made up from a seed."""
    from gusto_pipeline.sandbox.server import GustoSandbox, serve

    def announce(gusto: GustoSandbox) -> None:
        names = ", ".join(company.name for company in gusto.world.companies)
        console.print(f"A sandbox Gusto with {names} is at {gusto.base_url} (stop with Ctrl-C). To use it:")
        console.print(
            f"export GUSTO_BASE_URL={gusto.base_url} GUSTO_CLIENT_ID={gusto.client_id} "
            f"GUSTO_CLIENT_SECRET={gusto.client_secret}\ngusto-pipeline connect --company {names.split(', ')[0]!r}",
            highlight=False,
            soft_wrap=True,
        )
        if apps:
            from gusto_pipeline.sandbox.apps import running_apps

            people, clock = gusto.world.companies[0], gusto.world.clock
            found = stack.enter_context(running_apps(*SLUGS, company=people, clock=clock))
            console.print("Its apps, under provisioning.apps in pipeline.yaml, and what to connect them with:")
            for slug, one in found.items():
                record = {variable(slug, name): value for name, value in one.simulator.record.items()}
                exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in record.items())
                console.print(f"    {slug}: {{base_url: {one.base_url}}}", highlight=False)
                console.print(f"export {exports}", highlight=False, soft_wrap=True, markup=False)

    with ExitStack() as stack:
        serve(
            announce,
            companies=companies,
            employees=employees,
            seed=seed,
            port=port,
            applicants=applicants,
            faults=fault or (),
        )


@app.command()
def demo(
    companies: int = 2,
    employees: int = 60,
    home: Annotated[Path, typer.Option(help="Where the demo keeps its files.")] = Path(".gusto_pipeline/demo"),
) -> None:
    """Start sandboxes of Gusto, Google and all apps, connect to them, sync everything, run a job per format, carry out
    the plans for accounts and learners, and say what came out."""
    from gusto_pipeline.cli_demo import demo_sandboxes, show_accounts

    started = time.monotonic()
    with demo_sandboxes(home, companies=companies, employees=employees) as sandboxes:
        settings, slugs = sandboxes.settings, [company.slug for company in sandboxes.companies]
        console.print(
            f"A sandbox Gusto is up at {settings.gusto.base_url} and connected by OAuth: {', '.join(slugs)}. So "
            f"are a sandbox Google at {settings.google.base_url}, {len(settings.provisioning.apps)} apps and a portal "
            "of learners."
        )
        good = _materialize(settings, ["sync_everything", "reconcile_accounts"], slugs, with_jobs=True)
        if good:
            show_accounts(sandboxes)
    console.print(f"Done in {time.monotonic() - started:.1f} s.\n")
    if not good:
        sys.exit(1)
    console.print(
        f"Spreadsheets  {_short(settings.spreadsheets_folder / slugs[0])}/employees.xlsx and more beside it\n"
        f"Report        {_short(settings.reports / slugs[0])}/reconciliation.html, .xlsx and learners.xlsx beside it\n"
        "Dagster's UI  make ui\n"
        f"DuckDB        .venv/bin/python -c \"import duckdb; duckdb.connect('{_short(settings.analytics)}', "
        "read_only=True).sql('SELECT first_name, last_name, job__title FROM flat.employees LIMIT 5').show()\"",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def ui(
    port: int = 3000,
    demo: Annotated[bool, typer.Option("--demo", help="Show the demo, with a sandbox Gusto behind it.")] = False,
    home: Annotated[Path, typer.Option(help="The demo's home folder.")] = Path(".gusto_pipeline/demo"),
) -> None:
    """Open Dagster's UI and daemon on 127.0.0.1. There is no sign-in: never put it on another address unprotected."""
    from gusto_pipeline.automation.launch import serve_ui
    from gusto_pipeline.cli_demo import demo_sandboxes

    if not demo:
        sys.exit(serve_ui(load_settings(), port))
    with demo_sandboxes(home, companies=2, employees=60, fixed_ports=True) as sandboxes:
        console.print(f"Dagster's UI: http://127.0.0.1:{port} (stop with Ctrl-C)")
        sys.exit(serve_ui(sandboxes.settings, port))


def _obtain(no_browser: bool, paste: bool) -> Obtain:
    """How a person signs in: with the browser of this machine, or one elsewhere."""

    def visit(url: str) -> None:
        console.print(f"Visit {url}", markup=False, highlight=False, soft_wrap=True)

    def ask(url: str) -> str:
        visit(url)
        return str(typer.prompt("Then paste the address your browser ended at (it cannot open it)"))

    if paste:
        return partial(by_paste, ask=ask)
    return partial(by_browser, open_browser=not no_browser, timeout=600, announce=visit)


def _connect_google(settings: Settings, credentials: Path | None, obtain: Obtain) -> None:
    from gusto_pipeline.google_connection import connect_google
    from gusto_pipeline.spreadsheets.google_http import SCOPES

    if credentials:
        account = connect_google(settings, _google_credentials(credentials))
        console.print(f"Google is connected. Share the spreadsheets of your jobs with {account} as Editor.")
        return
    if missing := [name for name in ("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET") if not os.environ.get(name)]:
        raise ConfigError(
            f"{' and '.join(missing)} not set. Make an OAuth client of type Desktop app in Google Cloud's console and "
            "put its id and secret into the environment or a .env file. Or name a service account's key: "
            "gusto-pipeline connect google --credentials FILE"
        )
    app = GoogleApp(
        os.environ["GOOGLE_CLIENT_ID"],
        os.environ["GOOGLE_CLIENT_SECRET"],
        settings.google.redirect_uri,
        settings.google.base_url,
    )
    account = connect_google(settings, consent(app, SCOPES, obtain))
    console.print(f"Google is connected: jobs write to the spreadsheets that {account} may edit.")


def _materialize(
    settings: Settings, jobs: list[str], companies: list[str], *, accept_shrink: bool = False, with_jobs: bool = False
) -> bool:
    """Run jobs for companies one after the other with a progress bar, then show what came out.

    `with_jobs`: also the flatten jobs of pipeline.yaml, and all of it in one run for all companies, which is quickest
    but lets one company's failure keep the others' files from being written.
    """
    from gusto_pipeline.automation.launch import instance, neighbours, run_job, with_flatten_jobs
    from gusto_pipeline.definitions import defs

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    results = Table(box=None, pad_edge=False)
    for heading in ("company", "what"):
        results.add_column(heading, no_wrap=True)
    for heading in ("rows", "requests", "seconds"):
        results.add_column(heading, justify="right")
    results.add_column("file", no_wrap=True)
    problems: list[str] = []
    with instance(settings) as dagster, Progress(*columns, console=console) as progress:
        groups = neighbours(dagster, companies)
        for group in groups if with_jobs else [[company] for company in companies]:
            all_at_once = [with_flatten_jobs(defs, jobs, settings)] if with_jobs else []
            for job in all_at_once or map(defs.resolve_job_def, jobs):
                who = ", ".join(group)
                task = progress.add_task(who, total=len(job.graph.nodes))

                def step(key: str, task: Any = task, who: str = who) -> None:
                    progress.update(task, advance=1, description=f"{who}: {key}")

                outcome = run_job(dagster, job, group, run_config=_run_config(job, accept_shrink), on_step=step)
                progress.update(task, description=who)
                problems += outcome.problems
                for company, made in outcome.made.items():
                    for row in _result_rows(company, made):
                        results.add_row(*row)
    console.print(results)
    console.print(f"Files are in {_short(settings.spreadsheets_folder)}/<company>.", highlight=False, soft_wrap=True)
    for problem in problems:
        complain(problem)
    return not problems


def _google_credentials(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise ConfigError(f"{file} is not the JSON file that Google gives for a service account or a client.") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{file} is not the JSON file that Google gives for a service account or a client.")
    return found


def _run_config(job: Any, accept_shrink: bool) -> dict[str, Any]:
    if not accept_shrink:
        return {}
    syncs = [node.name for node in job.graph.nodes if node.name.startswith("sync_")]
    return {"ops": {name: {"config": {"accept_shrink": True}} for name in syncs}}


def _result_rows(company: str, made: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """A row per category that was synced, then one per flatten job that was written."""
    rows: list[tuple[str, ...]] = []
    for name, category in CATEGORIES.items():
        tables = [made[f"staging/{table.name}"] for table in category.tables() if f"staging/{table.name}" in made]
        if tables:
            count = sum(table["dagster/row_count"] for table in tables)
            seconds = f"{tables[0]['seconds']:.2f}"
            rows.append((company, name, str(count), str(tables[0]["requests"]), seconds, _file(made, name)))
    for key, written in made.items():
        job = key.removeprefix("spreadsheets/")
        if job != key and job not in CATEGORIES:
            rows.append((company, job, str(written["dagster/row_count"]), "", "", _file(made, job)))
    return rows


def _file(made: dict[str, dict[str, Any]], name: str) -> str:
    written = made.get(f"spreadsheets/{name}")
    if not written:
        return ""
    name = "Google Sheets" if written["path"].startswith("https://docs.google.com/") else Path(written["path"]).name
    return name + (" (unchanged)" if written["unchanged"] else "")


def _last_syncs(settings: Settings, company_uuid: str) -> dict[str, dict[str, Any]]:
    from gusto_pipeline.sync import open_warehouse

    with open_warehouse(settings).read() as connection:
        found = bind(
            connection,
            "SELECT category, status, finished_at, rows, requests, problem FROM meta.syncs WHERE company_uuid = $1 "
            "QUALIFY row_number() OVER (PARTITION BY category ORDER BY started_at DESC) = 1",
            [company_uuid],
        ).fetchall()
    names = ("status", "finished_at", "rows", "requests", "problem")
    by_category = {row[0]: dict(zip(names, row[1:], strict=True)) for row in found}
    return {name: by_category[name] for name in CATEGORIES if name in by_category}


def _daily_sync_is_on(settings: Settings) -> bool:
    if not settings.dagster.is_dir():  # spares loading Dagster
        return False
    from gusto_pipeline.automation.launch import schedule_is_on

    return schedule_is_on(settings, "daily_sync")


def _show_standings(found: list[dict[str, Any]], settings: Settings) -> None:
    if not found:
        console.print("No company is connected yet. Connect one: gusto-pipeline connect")
        return

    def shown(when: datetime | None, otherwise: str) -> str:
        return f"{when.astimezone(settings.zone):%Y-%m-%d %H:%M %Z}" if when else otherwise

    times = {"since": "", "last_good_sync": "none yet", "next_sync": "not scheduled"}
    rows = [
        {"company": one["side"], **one, **{key: shown(one[key], times[key]) for key in times if key in one}}
        for one in found
    ]
    show(rows, ["company", "connection", *times], as_json=False)
    for row in rows:
        if row["why"]:
            console.print(f"{row['company']}: {row['why']}", markup=False, highlight=False, soft_wrap=True)
    syncs = [
        {"company": one["company"], "category": category, **last}
        for one in found
        for category, last in one.get("categories", {}).items()
    ]
    if syncs:
        console.print()
        show(syncs, ["company", "category", "status", "finished_at", "rows", "requests"], as_json=False)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
