"""The commands that read and write people in Gusto, and call any other endpoint. Like `cli`: parse, call, show.

What they print goes to stdout as a table or as JSON, warnings go to stderr. Exit code 0 when all was done, 1 when not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gusto_pipeline.cli_accounts import one_company
from gusto_pipeline.cli_common import JsonOption, complain, console, gusto_client, oauth_app, show
from gusto_pipeline.config import load_settings
from gusto_pipeline.gusto import actions
from gusto_pipeline.gusto import call as calls
from gusto_pipeline.gusto.actions import PARTS, Created, Person, Status
from gusto_pipeline.gusto.auth import system_token
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import NotSentError
from gusto_pipeline.sync import Bearer, Company, open_store

commands = typer.Typer()
employees = typer.Typer(no_args_is_help=True, help="Employees in Gusto: look them up, take them on, change them.")
commands.add_typer(employees, name="employees")

CompanyOption = Annotated[str | None, typer.Option("--company", help="Which company, if there are several.")]
EmployeeArgument = Annotated[str, typer.Argument(metavar="UUID", help="The employee's uuid.")]
PartsArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[JSON]",
        help="JSON, @FILE or - for stdin: an object of employee, home_address, work_address, job, compensation.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Such as last_name=Low or job.title=Taster; may be repeated."),
]
AskSsnOption = Annotated[bool, typer.Option("--ask-ssn", help="Ask for the social security number, unseen.")]


@employees.command("list")
def employees_list(
    search: Annotated[str | None, typer.Option(help="In their names.")] = None,
    location: Annotated[str | None, typer.Option(help="Where they work: uuid, street or city.")] = None,
    active: Annotated[bool | None, typer.Option(help="Onboarded and here today.")] = None,
    onboarded: Annotated[bool | None, typer.Option()] = None,
    terminated: Annotated[bool | None, typer.Option(help="Gone, or with a day to go.")] = None,
    page: Annotated[int | None, typer.Option(help="Only this page; without it, everyone.")] = None,
    per: Annotated[int, typer.Option(help="Employees per page, 100 at most.")] = 100,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Employees, all of them or by page, search and filters."""
    with _connected(company) as (_, client):
        found = actions.list_employees(
            client, search=search, location=location, page=page, per=per,
            onboarded_active=active, onboarded=onboarded, terminated=terminated,
        )  # fmt: skip
    if as_json:
        _echo(found.rows)
        return
    table = Table("uuid", "name", "email", "department", "title", box=None, pad_edge=False)
    table.columns[0].no_wrap, table.columns[0].min_width = True, 36  # half a uuid is none
    for row in found.rows:
        title = (row.get("jobs") or [{}])[0].get("title")
        said = [f"{row['first_name']} {row['last_name']}", row.get("email"), row.get("department"), title]
        table.add_row(row["uuid"], *(escape(each or "") for each in said))
    console.print(table)


@employees.command("get")
def employees_get(uuid: EmployeeArgument, company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """One employee, with current home address and all compensations."""
    with _connected(company) as (_, client):
        person = actions.get_employee(client, uuid)
    if as_json:
        _echo(asdict(person))
        return
    rows = [(name, value) for name, value in person.employee.items() if not isinstance(value, list | dict)]
    if home := person.home_address:
        rows.append(("home_address", ", ".join(str(home[name]) for name in ("street_1", "city", "state", "zip"))))
    for pay in person.compensations:
        said = f"{pay['rate']} per {pay['payment_unit']}, {pay['title'] or 'no title'}"
        rows.append((f"pay from {pay['effective_date']}", said))
    _facts(rows)


@employees.command("create")
def employees_create(
    parts: PartsArgument = None,
    sets: SetOption = None,
    ask_ssn: AskSsnOption = False,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take somebody on. What could not be done is kept, to be resumed; nobody is created twice."""
    given = _parts(parts, sets, ask_ssn)
    with _connected(company) as (_, client):
        made = actions.create_employee(client, given.pop("employee", {}), **given, progress=_keep)
    _created(made, _unfinished(made), as_json)


@employees.command("resume")
def employees_resume(
    file: Annotated[str, typer.Argument(help="What `employees create` left unfinished: its file, or - for stdin.")],
    sets: SetOption = None,
    ask_ssn: AskSsnOption = False,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do what taking somebody on left undone; --set corrects what Gusto refused."""
    left = Created.from_json(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    path = _unfinished(left) if file == "-" else Path(file)
    corrections = _parts(None, sets, ask_ssn=False) if sets else {}
    ssn = _ask_ssn() if ask_ssn else None
    with _connected(company or left.company_uuid) as (_, client):
        made = actions.resume(client, left, corrections=corrections, ssn=ssn, progress=lambda now: now.keep(path))
    _created(made, path, as_json)


@employees.command("update")
def employees_update(
    uuid: EmployeeArgument,
    parts: PartsArgument = None,
    sets: SetOption = None,
    base: Annotated[
        Path | None, typer.Option(help="What `employees get --json` showed when the change was decided.")
    ] = None,
    ask_ssn: AskSsnOption = False,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change fields of an employee. What others changed meanwhile is never overwritten: both values are shown."""
    given, seen = _parts(parts, sets, ask_ssn), _seen(base)
    with _connected(company) as (_, client):
        done = actions.update_employee(client, uuid, given.pop("employee", None), **given, base=seen)
    if as_json:
        _echo(asdict(done))
    else:
        rows = [{"part": part, "changed": ", ".join(fields)} for part, fields in done.changed.items()]
        show(rows, ["part", "changed"], as_json=False)
        clashes = [asdict(conflict) for conflict in done.conflicts]
        if clashes:
            console.print("Others changed these too; they were left as they are:")
            show(clashes, ["part", "field", "base", "theirs", "ours"], as_json=False)
    _end(done.status, done.warnings)


@employees.command("time-off")
def employees_time_off(
    uuid: EmployeeArgument,
    start: Annotated[str | None, typer.Option("--from", help="Requests with days from this date on.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="And up to this one.")] = None,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Somebody's time off: balances, requests, and how the balances came about."""
    with _connected(company) as (_, client):
        found = actions.time_off(client, uuid, start=start, end=end)
    if as_json:
        _echo(asdict(found))
    else:
        show(found.balances, ["policy_name", "accrual_balance", "accrual_rate", "accrual_period"], as_json=False)
        asked = [{**row, "days": ", ".join(sorted(row["days"]))} for row in found.requests]
        show(asked, ["status", "policy_type", "days"], as_json=False)
        events = [row for rows in found.activities.values() for row in rows]
        show(events, ["effective_time", "time_off_type", "event_description", "balance_change"], as_json=False)
    _end(found.status, found.warnings)


@commands.command("call")
def call_command(
    method: Annotated[str, typer.Argument(help="GET, POST, PUT, PATCH or DELETE.")],
    path: Annotated[str, typer.Argument(help="Such as /v1/employees/{employee_id}, or with the ids in it.")],
    params: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="Of the path or the query.")
    ] = None,
    body: Annotated[str | None, typer.Option(help="JSON, @FILE or - for stdin.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send what changes something without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check, and show what would be sent.")] = False,
    company: CompanyOption = None,
) -> None:
    """Call any endpoint of Gusto's API, checked against its description first. Writes wait for --yes, or a yes."""
    settings, given = load_settings(), _assignments(params)
    for name in ("company_id", "company_uuid"):
        if f"{{{name}}}" in path and name not in given:
            given[name] = one_company(settings, company).uuid
    planned = calls.plan(method, path, given, _json(body) if body is not None else None)
    if dry_run or (planned.writes and not yes):
        _echo(planned.shown())
        if dry_run or not sys.stdin.isatty() or not typer.confirm("Send it?", err=True):
            complain("Nothing was sent." if dry_run else "Nothing was sent. To send it, add --yes.")
            return
    if planned.endpoint.system:
        oauth = oauth_app(settings)
        with GustoClient(oauth.base_url, Bearer(system_token(oauth)["access_token"])) as client:
            _echo(calls.send(client, planned))
    else:
        with _connected(company) as (_, client):
            _echo(calls.send(client, planned))


@commands.command("token")
def token_command(company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """Whose authorization it is, at which Gusto, and what it lacks for each action. The token is never shown."""
    settings = load_settings()
    with _connected(company) as (of, client):
        made_with = (open_store(settings).read(f"gusto/{of.slug}") or {}).get("base_url")
        standing = actions.validate(client, settings.gusto.base_url, made_with)
    if as_json:
        _echo({"company": of.slug, **asdict(standing)})
    else:
        lacking = [(f"{name} lacks", ", ".join(scopes)) for name, scopes in standing.lacking.items() if scopes]
        _facts(
            [
                ("company", f"{of.slug} ({of.uuid})"),
                ("environment", standing.environment),
                ("of", standing.owner_type or "nobody we know"),
                ("scopes", ", ".join(standing.scopes) or "none"),
                *(lacking or [("lacks", "nothing")]),
            ]
        )
    if standing.status is Status.FAILED:
        _end(standing.status, standing.warnings)


@contextmanager
def _connected(company: str | None) -> Iterator[tuple[Company, GustoClient]]:
    settings = load_settings()
    of, oauth = one_company(settings, company), oauth_app(settings)
    with gusto_client(settings, oauth, of) as client:
        yield of, client


def _unfinished(made: Created) -> Path:
    return load_settings().unfinished / f"{made.id}.json"


def _keep(made: Created) -> None:
    made.keep(_unfinished(made))


def _created(made: Created, file: Path, as_json: bool) -> None:
    kept = made.keep(file)
    if as_json:
        typer.echo(made.to_json())
    else:
        done, todo = ", ".join(made.done) or "nothing", ", ".join(made.todo) or "nothing"
        _facts([("status", made.status), ("employee", made.employee_uuid or "none"), ("done", done), ("left", todo)])
    if kept:
        complain(f"To do the rest: gusto-pipeline employees resume {file}")
    _end(made.status, made.warnings)


def _end(status: Status, warnings: tuple[actions.Warned, ...]) -> None:
    for warned in warnings:
        complain(warned)
    if status is not Status.DONE:
        raise typer.Exit(1)


def _parts(text: str | None, sets: list[str] | None, ask_ssn: bool) -> dict[str, dict[str, Any]]:
    """The parts of an employee by JSON and `--set`, which wins."""
    given = _json(text) if text is not None else {}
    if not isinstance(given, dict) or not all(name in PARTS and isinstance(body, dict) for name, body in given.items()):
        raise NotSentError(f"the JSON must be an object of {', '.join(PARTS)}, each an object. Nothing was sent.")
    for name, value in _assignments(sets).items():
        part, _, field = name.rpartition(".")
        if field == "ssn":
            raise NotSentError("a social security number would stay in the shell's history: use --ask-ssn")
        if (part or "employee") not in PARTS:
            raise NotSentError(f"there is no part {part}; there are {', '.join(PARTS)}. Nothing was sent.")
        given.setdefault(part or "employee", {})[field] = {"true": True, "false": False}.get(value, value)
    if ask_ssn:
        given.setdefault("employee", {})["ssn"] = _ask_ssn()
    if not given:
        raise NotSentError("nothing was given: say it with --set FIELD=VALUE or as JSON")
    return given


def _ask_ssn() -> str:
    return str(typer.prompt("Social security number", hide_input=True, err=True)).replace("-", "").strip()


def _assignments(texts: list[str] | None) -> dict[str, str]:
    found = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise NotSentError(f"{name or text!r} has no value: write NAME=VALUE. Nothing was sent.")
        found[name] = value
    return found


def _json(text: str) -> Any:
    """JSON as it is, of @FILE, or of stdin for -."""
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError as error:
        raise NotSentError(f"that is not JSON: {error}. Nothing was sent.") from None


def _seen(file: Path | None) -> Person | None:
    if file is None:
        return None
    try:
        return Person(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise NotSentError(f"{file} is not what `employees get --json` prints. Nothing was sent.") from None


def _facts(rows: Iterable[tuple[str, Any]]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows:
        table.add_row(name, "" if value is None else escape(str(value)))
    console.print(table)


def _echo(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))
