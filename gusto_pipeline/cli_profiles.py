"""The command that exports profiles. Like `cli`: parse, call, show."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gusto_pipeline.cli_accounts import CompanyOption
from gusto_pipeline.cli_common import JsonOption, complain, show
from gusto_pipeline.config import ConfigError, load_settings
from gusto_pipeline.profiles import export, profile_companies
from gusto_pipeline.spreadsheets.sheets import SpreadsheetError
from gusto_pipeline.sync import find_company, open_store

commands = typer.Typer()


@commands.command("profiles")
def profiles(
    name: Annotated[str | None, typer.Argument(help="A profile of pipeline.yaml; without it, all of them.")] = None,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring profile exports up to date with the last sync. Exit code 1 when one failed; the others are done."""
    settings = load_settings()
    if not settings.profiles:
        raise ConfigError("There are no `profiles` in pipeline.yaml: docs/profiles.md says how to declare one.")
    wanted = [settings.profile(name)] if name else settings.profiles
    rows, problems = [], []
    for profile in wanted:
        of = [find_company(open_store(settings), company)] if company else profile_companies(profile, settings)
        for each in of:
            try:
                done = export(profile, each, settings)
            except SpreadsheetError as error:
                problems.append(error)
                continue
            rows.append(
                {"profile": profile.name, "company": each.slug, "people": done.people, **done.changes}
                | {"seq": done.seq, "place": done.place, "unchanged": done.unchanged}
            )
    show(rows, ["profile", "company", "people", "added", "changed", "removed", "seq", "place"], as_json)
    for problem in problems:
        complain(problem)
    if problems:
        sys.exit(1)
