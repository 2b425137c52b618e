"""What the modules of the command line share."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gusto_pipeline.config import ConfigError, Settings
from gusto_pipeline.gusto.auth import GustoAuth, OAuthApp
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.sync import Company, open_store

console = Console()

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def oauth_app(settings: Settings) -> OAuthApp:
    """The application registered with Gusto, by the environment. Raises ConfigError when it lacks."""
    missing = [name for name in ("GUSTO_CLIENT_ID", "GUSTO_CLIENT_SECRET") if not os.environ.get(name)]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} not set. They are on the application's page in Gusto's developer portal; "
            "put them into the environment or a .env file, never into pipeline.yaml."
        )
    return OAuthApp(
        settings.gusto.base_url,
        os.environ["GUSTO_CLIENT_ID"],
        os.environ["GUSTO_CLIENT_SECRET"],
        settings.gusto.redirect_uri,
    )


def gusto_client(settings: Settings, oauth: OAuthApp, company: Company, reserve: int = 0) -> GustoClient:
    """A client that uses the company's stored grant, and leaves `reserve` requests a minute to others."""
    grant = f"gusto/{company.slug}"
    auth = GustoAuth(oauth, open_store(settings), grant)
    state = settings.connections
    return GustoClient(oauth.base_url, auth, grant=grant, state_folder=state, reserve=reserve)


def complain(problem: object) -> None:
    """One line on stderr, in red."""
    Console(stderr=True).print(str(problem), style="red", markup=False, highlight=False, soft_wrap=True)


def show(rows: list[dict[str, Any]], columns: list[str], as_json: bool) -> None:
    """Rows as a table of these columns, or all of them as JSON."""
    if as_json:
        typer.echo(json.dumps(rows, default=str, indent=2))
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(row.get(column, "") or "") for column in columns))
    console.print(table)
