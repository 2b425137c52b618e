"""The commands that answer people's questions and serve the answers. Like `cli`: parse, call, show.

`--as` is for administrators: whoever can run these commands can read the warehouse anyway.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer

from gusto_pipeline.answers import answering, callers
from gusto_pipeline.cli_common import JsonOption, console, gusto_client, oauth_app, show
from gusto_pipeline.config import ConfigError, Settings, load_settings
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.sync import find_company, open_store

commands = typer.Typer()
tokens = typer.Typer(no_args_is_help=True, help="Tokens with which people ask over HTTP.")
commands.add_typer(tokens, name="answers")

AsOption = Annotated[str, typer.Option("--as", help="Who asks: work e-mail address or uuid of an employee.")]


@commands.command("ask")
def ask(question: Annotated[str, typer.Argument()], caller: AsOption) -> None:
    """Answer a question as one employee may have it answered. Exit code 1 when there is no answer."""
    settings = load_settings()
    reply = answering.ask(settings, callers.find_caller(settings, caller), question, via="cli")
    typer.echo(reply.text)
    if reply.outcome != "answered":
        sys.exit(1)


@commands.command("mcp")
def mcp(
    caller: Annotated[str | None, typer.Option("--as", help="Over stdio: who asks.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Over HTTP on this machine, with tokens.")] = None,
    allow_writes: Annotated[
        bool, typer.Option("--allow-writes", help="With tools that write to Gusto, for those in answers.hr.")
    ] = False,
) -> None:
    """Serve the answers by the Model Context Protocol: over stdio (--as) or HTTP (--port)."""
    from gusto_pipeline import mcp_server  # starting without it takes half the time

    settings = load_settings()
    if (caller is None) == (port is None):
        raise ConfigError("Say either --as, for stdio, or --port, for HTTP.")
    writes = _gusto(settings) if allow_writes or settings.answers.writes else None
    if port is not None:
        mcp_server.serve_http(settings, port, writes)
    elif caller is not None:
        mcp_server.stdio_server(settings, callers.find_caller(settings, caller), writes=writes).run()


def _gusto(settings: Settings) -> Callable[[str], GustoClient]:
    """How clients for a company's grant are opened, by its uuid. Raises ConfigError when nobody may use them."""
    if not settings.answers.hr:
        raise ConfigError("Nobody may write: name them under answers.hr in pipeline.yaml, by work e-mail address.")
    oauth, store = oauth_app(settings), open_store(settings)
    return lambda company: gusto_client(settings, oauth, find_company(store, company))


@tokens.command("token")
def token(
    person: Annotated[str, typer.Argument(help="Work e-mail address or uuid of an employee.")],
    days: Annotated[int | None, typer.Option(min=1, max=366, help="How long it is valid.")] = None,
) -> None:
    """Issue a token for one employee. It is shown this once."""
    settings = load_settings()
    found = callers.find_caller(settings, person)
    if found is None:
        raise ConfigError(f"{person} is not exactly one employee of today. Name the work e-mail address or the uuid.")
    secret, made = callers.issue_token(settings, found, days=days or settings.answers.token_days)
    typer.echo(secret)
    console.print(f"Token {made.id}, valid until {made.expires_at:%Y-%m-%d}. It is not shown again.", highlight=False)


@tokens.command("tokens")
def list_tokens(as_json: JsonOption = False) -> None:
    """Every token that was issued, without its secret."""
    rows = [asdict(each) for each in callers.list_tokens(load_settings())]
    show(rows, ["id", "employee", "issued_at", "expires_at", "revoked_at"], as_json)


@tokens.command("revoke")
def revoke(
    which: Annotated[str, typer.Argument(help="A token's id, or an employee's uuid for all of theirs.")],
) -> None:
    """End tokens at once."""
    console.print(f"Revoked {callers.revoke_tokens(load_settings(), which)}.", highlight=False)
