"""The commands about learners. Like `cli`: parse, call, show."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gusto_pipeline import learners
from gusto_pipeline.cli_accounts import CompanyOption, WhoOption, gusto_if_set_up, one_company, show_applied, show_plan
from gusto_pipeline.cli_common import JsonOption, complain, console, show
from gusto_pipeline.config import Settings, load_settings
from gusto_pipeline.provisioning.learners import Drafted
from gusto_pipeline.sync import Company, open_store

commands = typer.Typer()
group = typer.Typer(no_args_is_help=True, help="Learners of a learning portal: keep them in line with Gusto.")
commands.add_typer(group, name="learners")

ShrinkOption = Annotated[
    bool, typer.Option("--accept-shrink", help="Take a portal's list that has lost more than a fifth.")
]
NowOption = Annotated[bool, typer.Option("--now", help="Read the portal afresh first.")]


@group.command("plan")
def plan(
    company: CompanyOption = None,
    accept_shrink: ShrinkOption = False,
    who: WhoOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the portal and say what should be done there. Exit code 0: nothing; 2: something; nothing is done."""
    settings = load_settings()
    of = one_company(settings, company)
    by = who or getpass.getuser()
    made = learners.plan(settings, open_store(settings), of, accept_shrink=accept_shrink, who=by)
    if as_json:
        typer.echo(json.dumps({"plan": json.loads(made.path.read_text("utf-8"))} | _said(made.drafted), indent=2))
    else:
        show_plan(made.drafted.plan, made.path)
        _complain(made.drafted)
        if made.drafted.plan.items:
            console.print(
                f"To carry it out: gusto-pipeline approve {made.drafted.plan.id}, where a person has to say yes, then "
                "gusto-pipeline learners sync.", highlight=False, soft_wrap=True,
            )  # fmt: skip
    if made.drafted.plan.items:
        raise typer.Exit(2)


@group.command("sync")
def sync(
    who: WhoOption = None,
    company: CompanyOption = None,
    accept_shrink: ShrinkOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the portal in line with Gusto, as far as mode, approvals and brakes allow; once an hour at most.

    Exit code 0: nothing was to do; 2: done, or waiting for a person; 1: something failed.
    """
    settings = load_settings()
    of = one_company(settings, company)
    done = learners.sync(
        settings, open_store(settings), of, who=who or getpass.getuser(), by_hand=True,
        gusto=gusto_if_set_up(settings, of), accept_shrink=accept_shrink,
    )  # fmt: skip
    if as_json:
        said = {"state": done.applied.state, "plan": done.planned.drafted.plan.id, "report": str(done.report)}
        typer.echo(json.dumps(said | {"counts": done.counts()} | _said(done.planned.drafted), indent=2))
    else:
        show_applied(done.applied)
        _complain(done.planned.drafted)
        console.print(f"Pending invitations and all learners: {done.report}", highlight=False, soft_wrap=True)
    if any(str(one.result) in ("failed", "unknown") for one in done.applied.done):
        raise typer.Exit(1)
    if done.applied.done or done.applied.waiting:
        raise typer.Exit(2)


@group.command("pending")
def pending(company: CompanyOption = None, now: NowOption = False, as_json: JsonOption = False) -> None:
    """Open invitations and when each link ends, as of the last reading of the portal."""
    settings = load_settings()
    of = _looked_at(settings, company, now)
    rows = learners.pending(settings, of)
    show(rows, ["person", "email", "invited_at", "link_ends_at", "expired", "mails_from_us"], as_json)
    Console(stderr=True).print(_as_of(settings, of), highlight=False, soft_wrap=True)


@group.command("export")
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; else among the reports.")] = None,
    company: CompanyOption = None,
    now: NowOption = False,
) -> None:
    """Write all learners with when they were invited, as of the last reading of the portal, as CSV."""
    settings = load_settings()
    of = _looked_at(settings, company, now)
    written = learners.export(settings, of, file.absolute() if file else None)
    count = sum(written.sheets.values())
    console.print(f"Wrote {count} learners to {written.path}. {_as_of(settings, of)}", highlight=False, soft_wrap=True)


@group.command("attributes")
def attributes(company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """What is known of people that `learners.fields` and `learners.groups` of pipeline.yaml may use, by example."""
    settings = load_settings()
    rows = [asdict(one) for one in learners.attributes(settings, one_company(settings, company))]
    show(rows, ["name", "type", "example"], as_json)


def _looked_at(settings: Settings, company: str | None, now: bool) -> Company:
    """The company of that name, its portal read afresh if that is wanted."""
    of = one_company(settings, company)
    if now:
        learners.read(settings, open_store(settings), of)
    return of


def _as_of(settings: Settings, company: Company) -> str:
    read_at = learners.last_read(settings, company)
    if read_at is None:
        return "The portal was never read; --now reads it."
    return f"As of {read_at.astimezone(settings.zone):%Y-%m-%d %H:%M %Z}; --now reads the portal afresh."


def _said(drafted: Drafted) -> dict[str, object]:
    return {
        "misfits": [asdict(each) for each in drafted.misfits],
        "problems": list(drafted.problems),
        "pending_invitations": drafted.waiting,
    }


def _complain(drafted: Drafted) -> None:
    for text in (*map(str, drafted.misfits), *drafted.problems):
        complain(text)
