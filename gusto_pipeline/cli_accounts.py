"""The commands about accounts in apps. Like `cli`: parse, call, show."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gusto_pipeline.accounts import AppConnection, connect_app, disconnect_app
from gusto_pipeline.config import ConfigError, Settings, nearest
from gusto_pipeline.connections.sign_in import Obtain
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.apps import SLUGS, app
from gusto_pipeline.sync import Company, UnknownCompanyError, connected_companies, find_company, open_store

commands = typer.Typer()
console = Console()

MATRIX = ("app", "sign-in", "new", "suspend", "groups", "hand over", "removing", "invitations", "plan", "rate limit")


@commands.command("apps")
def apps(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    markdown: Annotated[bool, typer.Option(help="Print the table of the README.")] = False,
) -> None:
    """What can be done in which app, and what removing somebody really does there."""
    rows = [_capabilities(app(slug)) for slug in SLUGS]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif markdown:
        typer.echo(f"| {' | '.join(MATRIX)} |\n|{'---|' * len(MATRIX)}")
        for row in rows:
            typer.echo(f"| {' | '.join(row[column] for column in MATRIX)} |")
    else:
        columns = MATRIX[:6]
        table = Table(*columns, "removing", box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(row[column] for column in columns), row["removing"].partition(":")[0])
        console.print(table)
        for row in rows:
            said = [row["removing"].partition(": ")[2], f"plan: {row['plan']}", row["rate limit"]]
            console.print(f"\n{row['app']}: {'; '.join(filter(None, said))}", highlight=False)


def connect(settings: Settings, slug: str, company: str | None, obtain: Obtain) -> AppConnection:
    """Ask for what the app's sign-in needs, try it, keep it. `company` may be left out when there is only one.

    Each field may come from the environment, as `<APP>_<FIELD>`, such as ASANA_CLIENT_SECRET.
    """
    if slug not in SLUGS:
        raise ConfigError(f"{slug!r} cannot be connected; {nearest(slug, ['gusto', 'google', *SLUGS])}")
    wanted, store = app(slug), open_store(settings)
    of = one_company(settings, company)
    fields = {}
    for field in wanted.sign_in.fields:
        variable = f"{slug}_{field.name}".upper()
        given = os.environ.get(variable)
        if given is None:
            given = typer.prompt(field.label, hide_input=field.secret, default=field.default or "", show_default=True)
        fields[field.name] = given
    return connect_app(settings, store, slug, of, fields, obtain)


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


def _capabilities(one: App) -> dict[str, str]:
    new = "invited" if one.invites else "created"
    life = one.invitation_life
    return {
        "app": one.name,
        "sign-in": one.sign_in.kind,
        "new": f"{new}, with mailbox" if one.creates_mailbox else new,
        "suspend": _yes(one.suspend) + ("" if one.reactivate or not one.suspend else ", for good"),
        "groups": _yes(one.join),
        "hand over": _yes(one.hand_over),
        "removing": f"{one.removal}: {one.removal_note}" if one.removal_note else one.removal,
        "invitations": _days(life) if life else ("do not lapse, or the app does not say" if one.invites else "none"),
        "plan": one.plan or "any",
        "rate limit": one.rate_limit,
    }


def _yes(call: Any) -> str:
    return "yes" if call else "no"


def _days(life: timedelta) -> str:
    return f"live {life.days} days" if life.days else f"live {life.total_seconds() / 3600:.0f} hours"
