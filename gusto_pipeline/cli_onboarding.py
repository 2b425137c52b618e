"""The command that takes on who is in a file of new hires. Like `cli`: parse, call, show."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from gusto_pipeline import onboarding
from gusto_pipeline.accounts import connected_apps
from gusto_pipeline.cli_accounts import CompanyOption, one_company
from gusto_pipeline.cli_common import complain, console, gusto_client, oauth_app
from gusto_pipeline.config import Settings, load_settings
from gusto_pipeline.gusto.client import RESERVE
from gusto_pipeline.new_hires import HiresError
from gusto_pipeline.onboarding import Result
from gusto_pipeline.sync import Company, open_store

commands = typer.Typer()


@commands.command("onboard")
def onboard(
    file: Annotated[Path, typer.Argument(help="CSV, xlsx, YAML or JSON; its columns are in docs/onboarding.md.")],
    check: Annotated[
        bool, typer.Option("--check", help="Only check it, with what Gusto knows; nothing is done.")
    ] = False,
    company: CompanyOption = None,
) -> None:
    """Take on everybody in a file of new hires, each once; running it again does what was left undone.

    Exit code 0: all are there, or with --check all is right; 1: the file is wrong and nobody was created, or Gusto
    could not be asked; 2: not everybody could be created.
    """
    settings = load_settings()
    of = one_company(settings, company or settings.onboarding.company or None)
    connect = partial(gusto_client, settings, oauth_app(settings), of, reserve=RESERVE)
    try:
        if check:
            _show(onboarding.check_file(settings, of, file, connect))
            return
        with Progress(TextColumn("Creating"), BarColumn(), MofNCompleteColumn(), console=console) as progress:
            task = progress.add_task("", total=None)
            done = onboarding.process(
                settings, of, file, connect, on_result=lambda _, total: progress.update(task, total=total, advance=1)
            )
    except HiresError as wrong:
        complain(wrong)
        sys.exit(1)
    _show(done.results)
    for result in done.results:
        for warning in result.warnings:
            complain(f"row {result.row}: {warning}")
    console.print(f"Wrote {done.result_file}.", highlight=False, soft_wrap=True)
    if done.created and connected_apps(open_store(settings), of):
        _plan_apps(settings, of)
    if done.unfinished:
        complain("Correct what is named and run this again: only what is left is done, and nobody is created twice.")
        sys.exit(2)


def _plan_apps(settings: Settings, company: Company) -> None:
    from gusto_pipeline.automation.launch import instance, neighbours, run_job
    from gusto_pipeline.definitions import definitions

    with instance(settings) as dagster:
        neighbours(dagster, [company.slug])
        outcome = run_job(dagster, definitions(settings).resolve_job_def("reconcile_accounts"), [company.slug])
    for problem in outcome.problems:
        complain(f"Their apps are not planned yet: {problem}")
    if outcome.success:
        console.print("Planned their apps; see them with: gusto-pipeline plan", highlight=False, soft_wrap=True)


def _show(results: list[Result] | tuple[Result, ...]) -> None:
    table = Table("row", "e-mail", "status", "employee", box=None, pad_edge=False)
    for one in results:
        table.add_row(str(one.row), escape(one.email), str(one.outcome), one.employee_uuid)
    console.print(table)
