"""The commands about accounts in apps. Like `cli`: parse, call, show."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gusto_pipeline import reconcile
from gusto_pipeline.accounts import AppConnection, connect_app, disconnect_app
from gusto_pipeline.cli_common import JsonOption, complain, console, gusto_client, oauth_app, show
from gusto_pipeline.clock import utcnow
from gusto_pipeline.config import ConfigError, Settings, load_settings, nearest
from gusto_pipeline.connections.sign_in import Obtain
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.provisioning import links
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.apply import Applied
from gusto_pipeline.provisioning.apps import EVERY, SLUGS, app
from gusto_pipeline.provisioning.planning import how_to_answer
from gusto_pipeline.provisioning.plans import Item, Plan
from gusto_pipeline.provisioning.reconciliation import Decision
from gusto_pipeline.provisioning.signin import SignIn
from gusto_pipeline.reconcile import Explained
from gusto_pipeline.sync import Company, UnknownCompanyError, connected_companies, find_company, open_store
from gusto_pipeline.warehouse.flatten import bind

commands = typer.Typer()

MATRIX = ("app", "sign-in", "new", "suspend", "groups", "hand over", "removing", "invitations", "plan", "rate limit")


@commands.command("apps")
def apps(
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option(help="Print the table of the README.")] = False,
) -> None:
    """What can be done in which app, and what removing somebody really does there."""
    rows = [capabilities(app(slug)) for slug in SLUGS]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif markdown:
        typer.echo(matrix(rows))
    else:
        columns = MATRIX[:6]
        table = Table(*columns, "removing", box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(row[column] for column in columns), row["removing"].partition(":")[0])
        console.print(table)
        for row in rows:
            said = row["removing"].partition(": ")[2], *(f"{column}: {row[column]}" for column in MATRIX[7:])
            console.print(f"\n{row['app']}: {'; '.join(said)}", highlight=False)


def matrix(rows: list[dict[str, str]]) -> str:
    """The README's table of what can be done in which app."""
    columns = (*MATRIX[:6], "removing", "plan")
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        short = row | {"removing": row["removing"].partition(":")[0]}
        lines.append(f"| {' | '.join(short[column] for column in columns)} |")
    return "\n".join(lines)


class Way(StrEnum):
    """How to sign in to an app that takes both."""

    CONSENT = "consent"
    KEY = "key"


def connect(settings: Settings, slug: str, company: str | None, obtain: Obtain, way: Way | None) -> AppConnection:
    """Ask for what the app's sign-in needs, try it, keep it. `company` may be left out when there is only one.

    Each field may come from the environment, as `<APP>_<FIELD>`, such as ASANA_CLIENT_SECRET.
    """
    if slug not in EVERY:
        raise ConfigError(f"{slug!r} cannot be connected; {nearest(slug, ['gusto', 'google', *EVERY])}")
    wanted, store = app(slug), open_store(settings)
    of = one_company(settings, company)
    fields = {}
    for field in sign_in_of(wanted, way).fields:
        given = os.environ.get(variable(slug, field.name))
        if given is None:
            hidden = field.secret and not field.file
            given = typer.prompt(field.label, hide_input=hidden, default=field.default or "", show_default=True)
        if field.file and given and not given.lstrip().startswith(("{", "-----BEGIN")):
            given = Path(given).expanduser().read_text(encoding="utf-8", errors="replace")
        fields[field.name] = given
    return connect_app(settings, store, slug, of, fields, obtain)


def sign_in_of(wanted: App, way: Way | None) -> SignIn:
    """The way to sign in: as told, by whose secret the environment has, or as a person then says."""
    if wanted.by_key is None:
        if way is Way.KEY:
            raise ConfigError(f"{wanted.name} does not sign in with a service account's key: leave --with key out")
        return wanted.sign_in
    ways = {Way.KEY: wanted.by_key, Way.CONSENT: wanted.sign_in}
    for one, how in ways.items():
        if not way and any(field.secret and variable(wanted.slug, field.name) in os.environ for field in how.fields):
            way = one
    if not way:
        keyed = typer.confirm("Sign in with a service account's key, and not by consent in a browser?")
        way = Way.KEY if keyed else Way.CONSENT
    return ways[way]


def variable(slug: str, field: str) -> str:
    """The environment variable for a field of an app's sign-in; its name may not begin with a digit."""
    name = f"{slug}_{field}".upper()
    return f"_{name}" if name[0].isdigit() else name


def disconnect(settings: Settings, slug: str, company: str | None) -> bool:
    """Forget an app's credentials."""
    return disconnect_app(open_store(settings), slug, one_company(settings, company))


def one_company(settings: Settings, name: str | None) -> Company:
    """The connected company of this name; without one, the only there is. Raises UnknownCompanyError."""
    store = open_store(settings)
    if name:
        return find_company(store, name)
    companies = connected_companies(store)
    if len(companies) != 1:
        listed = ", ".join(company.slug for company in companies) or "none; run: gusto-pipeline connect"
        raise UnknownCompanyError(f"Which company? Say --company. Connected: {listed}.")
    return companies[0]


def capabilities(one: App) -> dict[str, str]:
    """What an app can do, in words, by the columns of MATRIX."""
    new = "invited" if one.invites else "created"
    life = one.invitation_life
    return {
        "app": one.name,
        "sign-in": f"{one.sign_in.kind} or {one.by_key.kind}" if one.by_key else one.sign_in.kind,
        "new": f"{new}, with mailbox" if one.creates_mailbox else new,
        "suspend": _yes(one.suspend) + ("" if one.reactivate or not one.suspend else ", for good"),
        "groups": _yes(one.join),
        "hand over": _yes(one.hand_over),
        "removing": f"{one.removal}: {one.removal_note}",
        "invitations": _days(life) if life else ("do not lapse, or it does not say" if one.invites else "none"),
        "plan": one.plan or "any",
        "rate limit": one.rate_limit,
    }


def _yes(call: Any) -> str:
    return "yes" if call else "no"


def _days(life: timedelta) -> str:
    return f"live {life.days} days" if life.days else f"live {life.total_seconds() / 3600:.0f} hours"


CompanyOption = Annotated[str | None, typer.Option("--company", help="Which company, if there are several.")]
WhoOption = Annotated[str | None, typer.Option("--by", help="Who decides, for the record; you by default.")]


@commands.command("plan")
def plan_command(
    company: CompanyOption = None,
    read: Annotated[bool, typer.Option(help="Read every app's accounts first.")] = True,
    accept_shrink: Annotated[
        bool, typer.Option("--accept-shrink", help="Take lists of accounts that have lost more than a fifth.")
    ] = False,
    who: WhoOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what should be done to which account, and why. Exit code 0: nothing; 2: something; nothing is done."""
    settings, store = load_settings(), open_store(load_settings())
    of = one_company(settings, company)
    if read:
        by = who or getpass.getuser()
        for one in reconcile.refresh_accounts(settings, store, of, accept_shrink=accept_shrink, who=by):
            if one.problem:
                complain(f"{one.slug}: {one.problem}")
    made = reconcile.reconcile(settings, store, of)
    if as_json:
        typer.echo(made.path.read_text(encoding="utf-8"))
    else:
        show_plan(made.plan, made.path)
    if made.plan.items:
        raise typer.Exit(2)


@commands.command()
def approve(
    plan: Annotated[str, typer.Argument(help="A plan's file, or the beginning of its id.")],
    items: Annotated[
        list[str] | None, typer.Argument(help="Ids of items or questions; without any, all there is to do.")
    ] = None,
    who: WhoOption = None,
    why: Annotated[str, typer.Option(help="For the record.")] = "",
    reject: Annotated[bool, typer.Option("--reject", help="Say no, or take a yes back.")] = False,
    company: CompanyOption = None,
) -> None:
    """Say yes to a plan, or to some of its items and questions, under your name. Nothing is done by this; what was
    agreed is done by: gusto-pipeline apply PLAN, or by the next run."""
    settings = load_settings()
    made = reconcile.find_plan(settings, one_company(settings, company), plan)
    said = reconcile.approve(settings, made, items or [], who=who or getpass.getuser(), approved=not reject, why=why)
    word = "Rejected" if reject else "Approved"
    console.print(f"{word} {len(said)} items of plan {made.id} as {who or getpass.getuser()}.", highlight=False)


@commands.command("apply")
def apply_command(
    plan: Annotated[str, typer.Argument(help="A plan's file, or the beginning of its id.")],
    who: WhoOption = None,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Carry out exactly this plan, as far as modes, approvals and brakes allow. Exit code 0: nothing was to do; 2:
    done, or waiting for a person; 1: something failed."""
    settings, store = load_settings(), open_store(load_settings())
    of = one_company(settings, company)
    made = reconcile.find_plan(settings, of, plan)
    applied = reconcile.carry_out(
        settings, store, of, made, who=who or getpass.getuser(), gusto=gusto_if_set_up(settings, of)
    )
    show_applied(applied, as_json)
    if applied.errors:
        raise typer.Exit(1)
    if applied.done or applied.waiting:
        raise typer.Exit(2)


@commands.command()
def explain(
    person: Annotated[str, typer.Argument(help="Name, address, or id.")],
    slug: Annotated[str, typer.Argument(metavar="APP")],
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why somebody has, gets or loses an account: the rule, the facts, what happens next."""
    settings = load_settings()
    found = reconcile.explain(settings, open_store(settings), one_company(settings, company), person, slug)
    if as_json:
        typer.echo(json.dumps([_explained(one) for one in found], indent=2, default=str))
        return
    for one in found:
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, value in _explained(one).items():
            table.add_row(name, str(value))
        console.print(table)


accounts = typer.Typer(no_args_is_help=True, help="Whose accounts are whose: look, and decide by hand.")
commands.add_typer(accounts, name="accounts")

AppArgument = Annotated[str, typer.Argument(metavar="APP")]
AccountArgument = Annotated[str, typer.Argument(help="Its login, address or id.")]
PersonArgument = Annotated[str, typer.Argument(help="Name, address, employee code or id.")]
WhyOption = Annotated[str, typer.Option("--why", help="For the record.")]


@accounts.command("list")
def accounts_list(
    slug: Annotated[str | None, typer.Argument(metavar="[APP]")] = None,
    unmatched: Annotated[bool, typer.Option(help="Only those that are nobody's for certain.")] = False,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accounts of one app or all, whose they are, and why we think so."""
    settings = load_settings()
    of = one_company(settings, company)
    with reconcile.looking(settings) as connection:
        query = bind(
            connection,
            "SELECT m.app, coalesce(a.emails[1], a.user_name, m.account_id) AS login, a.status, p.name AS person, "
            "m.outcome, k.mark, m.sentence, m.account_id, m.person_id FROM provisioning.matches m "
            "LEFT JOIN provisioning.accounts a USING (company_uuid, app, account_id) "
            "LEFT JOIN provisioning.people p USING (company_uuid, person_id) "
            "LEFT JOIN provisioning.marks k ON (k.company_uuid, k.app, k.account_id) = "
            "(m.company_uuid, m.app, m.account_id) "
            "WHERE m.company_uuid = $1 AND ($2 IS NULL OR m.app = $2) AND (NOT $3 OR m.outcome <> 'linked') "
            "ORDER BY m.app, login, person",
            [of.uuid, slug, unmatched],
        )
        names = [column[0] for column in query.description]
        rows = [dict(zip(names, row, strict=True)) for row in query.fetchall()]
    if slug and not rows:  # of one that was connected, what was read last is still shown
        reconcile.require_connected(open_store(settings), of, [slug])
    show(rows, ["app", "login", "status", "person", "outcome", "mark", "sentence"], as_json)


@accounts.command("match")
def accounts_match(
    slug: AppArgument,
    account: AccountArgument,
    person: PersonArgument,
    why: WhyOption,
    who: WhoOption = None,
    company: CompanyOption = None,
) -> None:
    """Say that an account is somebody's. Outranks every rule and lasts."""
    with _deciding(company) as (connection, of):
        found, them = (
            reconcile.find_account(connection, of, slug, account),
            reconcile.find_person(connection, of, person),
        )
        links.match(connection, of.uuid, slug, found.id, them.id, who=who or getpass.getuser(), why=why, now=utcnow())
    console.print(f"{account} in {slug} is {them.name}'s.", highlight=False)


@accounts.command("unmatch")
def accounts_unmatch(
    slug: AppArgument,
    account: AccountArgument,
    why: WhyOption,
    person: Annotated[str | None, typer.Option(help="Whose it is not, if it was only suggested.")] = None,
    who: WhoOption = None,
    company: CompanyOption = None,
) -> None:
    """Say that an account is not somebody's. The account stays as it is; no run will match the two again."""
    by: dict[str, Any] = {"who": who or getpass.getuser(), "why": why, "now": utcnow()}
    with _deciding(company) as (connection, of):
        found = reconcile.find_account(connection, of, slug, account)
        if person:
            links.refuse(connection, of.uuid, slug, found.id, reconcile.find_person(connection, of, person).id, **by)
        else:
            links.unmatch(connection, of.uuid, slug, found.id, **by)
    console.print(f"{account} in {slug} is matched to nobody; it was not touched.", highlight=False)


@accounts.command("mark")
def accounts_mark(
    slug: AppArgument,
    account: AccountArgument,
    kind: Annotated[links.Mark, typer.Argument(help="What it is.")],
    why: WhyOption,
    review_by: Annotated[datetime | None, typer.Option(help="When to look again.", formats=["%Y-%m-%d"])] = None,
    who: WhoOption = None,
    company: CompanyOption = None,
) -> None:
    """Say that an account is a bot's, shared, an external guest's, an admin's who is not in Gusto, or to be ignored."""
    with _deciding(company) as (connection, of):
        found = reconcile.find_account(connection, of, slug, account)
        day = review_by.date() if review_by else None
        by = who or getpass.getuser()
        links.mark(connection, of.uuid, slug, found.id, kind, who=by, why=why, now=utcnow(), review_by=day)
    console.print(f"{account} in {slug} is marked {kind}: it is never touched.", highlight=False)


@accounts.command("mark-bot")
def accounts_mark_bot(
    slug: AppArgument, account: AccountArgument, why: WhyOption, who: WhoOption = None, company: CompanyOption = None
) -> None:
    """Say that an account is a machine's."""
    accounts_mark(slug, account, links.Mark.BOT, why, None, who, company)


@accounts.command("ignore")
def accounts_ignore(
    slug: AppArgument, account: AccountArgument, why: WhyOption, who: WhoOption = None, company: CompanyOption = None
) -> None:
    """Say that nobody is to be asked about an account."""
    accounts_mark(slug, account, links.Mark.IGNORE, why, None, who, company)


@accounts.command("lift")
def accounts_lift(
    slug: AppArgument,
    account: AccountArgument,
    why: WhyOption,
    person: Annotated[str | None, typer.Option(help="Lift what was said of this person instead of the mark.")] = None,
    who: WhoOption = None,
    company: CompanyOption = None,
) -> None:
    """Take back a mark, or with --person that an account is not theirs; evidence decides again."""
    by: dict[str, Any] = {"who": who or getpass.getuser(), "why": why, "now": utcnow()}
    with _deciding(company) as (connection, of):
        found = reconcile.find_account(connection, of, slug, account)
        if person:
            them = reconcile.find_person(connection, of, person)
            links.lift_refusal(connection, of.uuid, slug, found.id, them.id, **by)
        else:
            links.lift_mark(connection, of.uuid, slug, found.id, **by)
    console.print(f"Taken back for {account} in {slug}.", highlight=False)


@accounts.command("want")
def accounts_want(
    slug: AppArgument,
    person: PersonArgument,
    why: WhyOption,
    wanted: Annotated[bool, typer.Option("--yes/--no", help="Whether they should have an account.")] = True,
    until: Annotated[datetime | None, typer.Option(help="The last day it holds.", formats=["%Y-%m-%d"])] = None,
    who: WhoOption = None,
    company: CompanyOption = None,
) -> None:
    """Say whether somebody should have an app, whatever the rules in pipeline.yaml say."""
    settings = load_settings()
    day = until.date() if until else None
    of, by = one_company(settings, company), who or getpass.getuser()
    store = open_store(settings)
    reconcile.decide_want(settings, store, of, person, slug, wanted=wanted, until=day, who=by, why=why)
    console.print(f"{person} should {'' if wanted else 'not '}have {slug}.", highlight=False)


@accounts.command("end")
def accounts_end(
    person: PersonArgument,
    why: WhyOption,
    at: Annotated[
        str | None, typer.Option(help="Such as 2026-03-06T17:00, with -08:00 behind for a zone; without: as usual.")
    ] = None,
    who: WhoOption = None,
    company: CompanyOption = None,
) -> None:
    """Say at which instant the access of somebody who leaves ends, earlier than the rule would have it."""
    settings = load_settings()
    try:
        given = datetime.fromisoformat(at) if at else None
    except ValueError:
        raise links.HandDecisionError(f"{at!r} is no instant; write it like 2026-03-06T17:00-08:00.") from None
    of, by = one_company(settings, company), who or getpass.getuser()
    ends = reconcile.decide_end(settings, of, person, given, who=by, why=why)
    console.print(f"The access of {person} ends at {ends.isoformat()}.", highlight=False)


@accounts.command("remove")
def accounts_remove(
    person: PersonArgument,
    why: WhyOption,
    slugs: Annotated[
        list[str] | None, typer.Option("--app", help="Only in this app; may be given several times.")
    ] = None,
    who: WhoOption = None,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that somebody should have no account any more, and plan to remove all they have. Nothing is done by this;
    exit code 2: something is planned. Taken back with: gusto-pipeline accounts want APP PERSON --yes."""
    settings = load_settings()
    found = reconcile.remove_accounts(
        settings, open_store(settings), one_company(settings, company), person, slugs or (),
        who=who or getpass.getuser(), why=why,
    )  # fmt: skip
    plan, ids = found.made.plan, [item.id for item in found.items]
    if as_json:
        items = [{"id": item.id} | asdict(item) for item in found.items]
        left = [_decided(one) for one in found.left]
        typer.echo(json.dumps({"plan": plan.id, "items": items, "left": left}, indent=2, default=str))
    else:
        _show_items("To be removed", found.items, plan.made_at)
        for one in found.left:
            console.print(
                f"Left alone in {one.app}: {one.login or 'no account'}. {one.reason} {one.next_step}", highlight=False
            )
        if ids:
            console.print(
                f"To carry it out: gusto-pipeline approve {plan.id} {' '.join(ids)}, then gusto-pipeline apply "
                f"{plan.id}.", highlight=False, soft_wrap=True,
            )  # fmt: skip
    if ids:
        raise typer.Exit(2)


@accounts.command("done")
def accounts_done(
    slug: AppArgument, account: AccountArgument, why: WhyOption, who: WhoOption = None, company: CompanyOption = None
) -> None:
    """Say that an account was taken away in the app by hand, where that cannot be done from here. Until the next
    complete reading it counts as said, not as proven; if the account is still there then, it is reported again."""
    with _deciding(company) as (connection, of):
        found = reconcile.find_account(connection, of, slug, account)
        links.say_done(connection, of.uuid, slug, found.id, who=who or getpass.getuser(), why=why, now=utcnow())
    console.print(f"Noted for {account} in {slug}; the next complete reading proves it or not.", highlight=False)


@accounts.command("same")
def accounts_same(
    record: Annotated[str, typer.Argument(help="employee/… or contractor/…")],
    other: Annotated[str, typer.Argument(help="The other record.")],
    why: WhyOption,
    same: Annotated[bool, typer.Option("--yes/--no", help="Whether the two are one person.")] = True,
    lift: Annotated[bool, typer.Option("--lift", help="Take back what was said of the two instead.")] = False,
    who: WhoOption = None,
    company: CompanyOption = None,
) -> None:
    """Answer whether two of Gusto's records are one person's, or that two that were taken for one person's are not."""
    by: dict[str, Any] = {"who": who or getpass.getuser(), "why": why, "now": utcnow()}
    with _deciding(company) as (connection, of):
        if lift:
            links.lift_merge(connection, of.uuid, record, other, **by)
        else:
            links.answer_merge(connection, of.uuid, record, other, same=same, **by)
    console.print("Noted; it counts from the next reconciliation on.")


@accounts.command("audit")
def accounts_audit(
    company: CompanyOption = None,
    csv: Annotated[Path | None, typer.Option(help="Write all of it here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Everything that was done, approved or decided by hand: who, when, what, why."""
    settings = load_settings()
    of = one_company(settings, company)
    with reconcile.looking(settings) as connection:
        # Text that a spreadsheet would take for a formula is quoted, as in every CSV we write.
        plain = "if(left(COLUMNS(* EXCLUDE (company_uuid, happened_at)), 1) IN ('=', '+', '-', '@', chr(9), chr(13)), "
        plain += "chr(39), '') || COLUMNS(* EXCLUDE (company_uuid, happened_at))"
        audit = connection.sql(
            f"SELECT happened_at, {plain} FROM provisioning.audit WHERE company_uuid = $1 ORDER BY happened_at",
            params=[of.uuid],
        )
        if csv:
            audit.write_csv(str(csv), header=True)
            console.print(f"Wrote {csv}.", highlight=False, soft_wrap=True)
            return
        rows = [dict(zip(audit.columns, row, strict=True)) for row in audit.fetchall()]
    if as_json:
        show(rows, [], as_json)
        return
    for row in rows:  # no table: so many columns are too wide for most terminals
        about = f", {row['app']} {row['account_id'] or ''}".rstrip() if row["app"] else ""
        console.print(Text(f"{row['happened_at']:%Y-%m-%d %H:%M %Z} {row['who']}: {row['what']}{about}"))
        if row["detail"]:
            console.print(Padding(Text(row["detail"]), (0, 0, 0, 4), expand=False))


@contextmanager
def _deciding(company: str | None) -> Iterator[tuple[duckdb.DuckDBPyConnection, Company]]:
    settings = load_settings()
    of = one_company(settings, company)
    with reconcile.open_warehouse(settings).write() as connection:
        reconcile.prepare(connection)
        yield connection, of


def gusto_if_set_up(settings: Settings, company: Company) -> Callable[[], GustoClient] | None:
    """Opens a client for the company's grant; None when the credentials of the application are not set."""
    try:
        oauth = oauth_app(settings)
    except ConfigError:
        return None
    return partial(gusto_client, settings, oauth, company)


def show_plan(made: Plan, path: Path) -> None:
    """The plan as tables: what is due, what comes, what is asked."""
    due = [item for item in made.items if not item.due_at or datetime.fromisoformat(item.due_at) <= made.made_at]
    coming = [item for item in made.items if item not in due]
    for title, items in (("To do", due), ("In the next 14 days", coming)):
        if items:
            _show_items(title, items, made.made_at)
    if made.questions:
        said = ((item, f"{item.reason} {item.next_step} {how_to_answer(item, made.id)}") for item in made.questions)
        _show_items("Questions", [replace(item, reason=text) for item, text in said], made.made_at)
    console.print(
        f"{len(made.items)} to do, {len(made.questions)} questions. Plan {made.id}: {path}" if made.items else
        f"Nothing to do; {len(made.questions)} questions.", highlight=False, soft_wrap=True,
    )  # fmt: skip


def _show_items(title: str, items: Iterable[Item], now: datetime) -> None:
    table = Table("id", "app", "what", "who", "account", "why", title=title, title_justify="left", box=None)
    for item in items:
        when = f" at {item.due_at}" if item.due_at and datetime.fromisoformat(item.due_at) > now else ""
        table.add_row(
            item.id, item.app, f"{item.action}{when}", item.person, item.account or (item.new or {}).get("email"),
            f"{item.rule}: {item.reason}",
        )  # fmt: skip
    console.print(table)


def show_applied(applied: Applied, as_json: bool = False) -> None:
    """What was done, and what waits."""
    rows = [
        {"id": d.item.id, "app": d.item.app, "what": d.item.action, "who": d.item.person, "result": str(d.result),
         "why": d.problem} for d in applied.done
    ] + [
        {"id": g.item.id, "app": g.item.app, "what": g.item.action, "who": g.item.person, "result": g.verdict,
         "why": g.why} for g in applied.waiting
    ]  # fmt: skip
    if as_json:
        typer.echo(json.dumps({"state": applied.state, "items": rows}, indent=2))
        return
    table = Table("id", "app", "what", "who", "result", "why", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
    console.print(f"{applied.state}: {len(applied.done)} carried out, {len(applied.waiting)} waiting.", highlight=False)


def _explained(found: Explained) -> dict[str, Any]:
    one, said = found.decision, found.said
    answer = f"{'yes' if said.yes else 'no'}, by {said.who} on {said.at:%Y-%m-%d %H:%M %Z}. {said.why}" if said else ""
    return _decided(one) | {"question": found.asks or "none", "answer": answer.strip() or "none"}


def _decided(one: Decision) -> dict[str, Any]:
    return {
        "person": one.person.name,
        "app": one.app,
        "account": one.login or "none",
        "state": str(one.rule.state),
        "rule": one.rule.id,
        "why": one.reason,
        "next": one.next_step,
        "mode": str(one.rule.mode),
        "access ends": one.subject.removal_at or "no end is dated",
        "facts": ", ".join(f"{name}={value}" for name, value in asdict(one.inputs).items() if value),
        "evidence": "; ".join(one.evidence) or "none",
    }
