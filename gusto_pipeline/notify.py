"""Messages to people about runs: what they say, and sending them to any service apprise knows, e-mail first.

A message holds counts, ids, times and the pipeline's own error texts, which never quote a person's data.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gusto_pipeline.config import EVERYBODY

LONGEST = 600  # characters of one cause: enough for every text of ours, and a phone still shows it
MOST = 5  # causes in one message
MOST_SHEETS = 30  # in a digest


class NotifyError(Exception):
    """Somebody could not be told; the message says by which service, never its address."""


@dataclass(frozen=True)
class Message:
    """What is sent: a title (an e-mail's subject) and plain text."""

    title: str
    body: str


@dataclass(frozen=True)
class Problem:
    """Why a step of a run failed, in words."""

    step: str
    text: str


@dataclass(frozen=True)
class Changed:
    """How much of one sheet of a spreadsheet changed: rows and cells, never whose."""

    sheet: str
    added: int
    removed: int
    cells: int


def failure(
    job: str,
    company: str,
    problems: Iterable[Problem],
    *,
    failed_at: datetime,
    last_good: datetime | None,
    again: str,
    run_id: str,
    zone: ZoneInfo,
) -> Message:
    """A run failed for `company` (its short name, "" for a run about none): why, and what to do next.

    `again` is how to run it at once.
    """
    steps: dict[str, list[str]] = {}
    for problem in problems:
        steps.setdefault(problem.text, []).append(problem.step)
    causes = [f"- {_listed(names)}: {_cut(text)}" for text, names in steps.items()]
    if len(causes) > MOST:
        causes[MOST:] = [f"- and {len(causes) - MOST} more, shown with the run"]
    if any("gusto-pipeline reconnect google" in text for text in steps):
        title = f"Google must be reconnected: {job} failed{_for(company)}"
        todo = "Whose Google account it is signs in again: gusto-pipeline reconnect google"
    elif any("gusto-pipeline reconnect" in text for text in steps):
        title = f"Gusto: {company} must be reconnected"
        todo = f"An admin of the company signs in to Gusto again: gusto-pipeline reconnect {company}"
    else:
        title = f"Gusto: {job} failed{_for(company)}"
        todo = "Do what the cause above says, or look at the run in Dagster's UI."
    lines = [
        f"{job} failed{_for(company)} at {_time(failed_at, zone)}.",
        "",
        "Why:",
        *causes,
        "",
        "What to do next:",
        f"{todo} No job or schedule has to change. The next scheduled run tries again; to try at once: {again}",
        "",
        f"Last good sync: {_time(last_good, zone) if last_good else 'none yet'}. What it brought is still in place.",
        f"Run: {run_id}",
    ]
    return Message(title, "\n".join(lines))


def recovery(job: str, company: str, *, failed_at: datetime, good_at: datetime, run_id: str, zone: ZoneInfo) -> Message:
    """A run is good again after one that failed."""
    lines = [
        f"{job} went well{_for(company)} at {_time(good_at, zone)}, after it had failed at {_time(failed_at, zone)}.",
        "Nothing is left to do.",
        "",
        f"Run: {run_id}",
    ]
    return Message(f"Gusto: {job} is good again{_for(company)}", "\n".join(lines))


def success(
    job: str,
    company: str,
    changed: Sequence[Changed],
    *,
    good_at: datetime,
    categories: int,
    rows: int,
    requests: int,
    run_id: str,
    zone: ZoneInfo,
) -> Message:
    """A run went well: how much it brought, and how much of which sheet `changed`."""
    what = "changed spreadsheets" if changed else "went well"
    lines = [
        f"{job} {what}{_for(company)} at {_time(good_at, zone)}.",
        f"{categories} categories, {rows} rows, {requests} requests to Gusto.",
        "",
        *(_digest(one) for one in changed[:MOST_SHEETS]),
        *([f"- and {len(changed) - MOST_SHEETS} more sheets"] if len(changed) > MOST_SHEETS else []),
        *([""] if changed else []),
        f"Run: {run_id}",
    ]
    return Message(f"Gusto: {job} {what}{_for(company)}", "\n".join(lines))


def open_access(
    company: str, late: Mapping[str, Sequence[timedelta]], *, noticed_at: datetime, zone: ZoneInfo
) -> Message:
    """Accounts of people who left are open: by app, for how long each has been since the access should have ended."""
    count = sum(map(len, late.values()))
    what = f"{count} account{'s' if count > 1 else ''} of people who left {'are' if count > 1 else 'is'} open"
    lines = [
        f"{what}, or may be, for {company} at {_time(noticed_at, zone)}:",
        *(f"- {app}: {len(spans)}, the longest for {_span(max(spans))}" for app, spans in sorted(late.items())),
        "",
        "What to do next:",
        f"gusto-pipeline plan --company {company} says whose they are and what keeps them from being closed. Approve "
        "and apply it, or close them in the app by hand and say so: gusto-pipeline accounts done",
    ]
    return Message(f"{company}: {what}", "\n".join(lines))


def wrong_config(problem: str) -> Message:
    """pipeline.yaml cannot be read, so nothing that needs it runs; `problem` names file, line and key."""
    lines = [
        _cut(problem),
        "",
        "What to do next:",
        "Put the file right; gusto-pipeline config check says when it is. Until then no schedule starts a run.",
    ]
    return Message("Gusto: pipeline.yaml is wrong", "\n".join(lines))


def drift(job: str, company: str, news: Sequence[str], *, noticed_at: datetime, run_id: str, zone: ZoneInfo) -> Message:
    """A good run noticed fields that are new in Gusto's answers, or gone from them."""
    lines = [
        f"{job} went well{_for(company)} at {_time(noticed_at, zone)}, and noticed that Gusto's answers have changed:",
        *(f"- {_cut(text)}" for text in news),
        "",
        "Nothing has to be done: columns keep their places, new ones come last.",
        "",
        f"Run: {run_id}",
    ]
    return Message(f"Gusto: its answers have changed{_for(company)}", "\n".join(lines))


def send(message: Message, addresses: Mapping[str, str], kind: str = "info") -> None:
    """Send to every apprise URL in `addresses`: by the variable that holds them, URLs apart by commas or spaces.

    `kind` is info, success or failure. Raises NotifyError after all were tried, when one is not understood or did not
    take the message.
    """
    unset = [name for name, urls in addresses.items() if not urls.strip()]
    if unset == list(addresses) == [EVERYBODY]:
        return  # nobody wants to know
    import apprise  # takes a moment, which who sends nothing need not wait for

    # Its own log quotes addresses, and with them their secrets.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    troubles = [f"{variable} is not set" for variable in unset if variable != EVERYBODY]
    services = apprise.Apprise()
    for variable, urls in addresses.items():
        if variable not in unset and not services.add(urls):
            troubles.append(f"an address in {variable} is none that apprise knows")
    for service in services:
        one = apprise.Apprise()
        one.add(service)
        if not one.notify(
            title=message.title,
            body=message.body,
            body_format=apprise.NotifyFormat.TEXT,
            notify_type=apprise.NotifyType(kind),
        ):
            troubles.append(f"{service.service_name} did not take the message")
    if troubles:
        raise NotifyError(f"Not everybody was told ({message.title}): {'; '.join(troubles)}.")


def _digest(changed: Changed) -> str:
    numbers = {"rows added": changed.added, "rows removed": changed.removed, "cells changed": changed.cells}
    return f"- {changed.sheet}: {', '.join(f'{count:,} {what}' for what, count in numbers.items() if count)}"


def _for(company: str) -> str:
    return f" for {company}" if company else ""


def _time(when: datetime, zone: ZoneInfo) -> str:
    return f"{when.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} …"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
