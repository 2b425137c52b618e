"""Messages to people about runs: what they say, and sending them to any service apprise knows, e-mail first.

A message holds counts, ids, times and the pipeline's own error texts, which never quote a person's data.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

LONGEST = 600  # characters of one cause: enough for every text of ours, and a phone still shows it
MOST = 5  # causes in one message


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


def failure(
    job: str,
    company: str,
    problems: Iterable[Problem],
    *,
    failed_at: datetime,
    last_good: datetime | None,
    run_id: str,
    zone: ZoneInfo,
) -> Message:
    """A run failed for `company` (its short name, "" for a run about none): why, and what to do next."""
    steps: dict[str, list[str]] = {}
    for problem in problems:
        steps.setdefault(problem.text, []).append(problem.step)
    causes = [f"- {_listed(names)}: {_cut(text)}" for text, names in steps.items()]
    if len(causes) > MOST:
        causes[MOST:] = [f"- and {len(causes) - MOST} more, shown with the run"]
    again = f"gusto-pipeline sync --company {company}" if company else "start the job again in Dagster's UI"
    if any("gusto-pipeline reconnect" in text for text in steps):
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
    job: str, company: str, *, good_at: datetime, categories: int, rows: int, requests: int, run_id: str, zone: ZoneInfo
) -> Message:
    """A run went well: how much it brought."""
    lines = [
        f"{job} went well{_for(company)} at {_time(good_at, zone)}.",
        f"{categories} categories, {rows} rows, {requests} requests to Gusto.",
        "",
        f"Run: {run_id}",
    ]
    return Message(f"Gusto: {job} went well{_for(company)}", "\n".join(lines))


def send(message: Message, urls: str, kind: str = "info") -> None:
    """Send to every apprise URL in `urls` (apart by commas or spaces); `kind` is info, success or failure.

    Raises NotifyError after all were tried, when one is not understood or did not take the message.
    """
    if not urls.strip():
        return
    import apprise  # takes a moment, which who sends nothing need not wait for

    # Its own log quotes addresses, and with them their secrets.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    services = apprise.Apprise()
    troubles = [] if services.add(urls) else ["an address in GUSTO_PIPELINE_NOTIFY is none that apprise knows"]
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


def _for(company: str) -> str:
    return f" for {company}" if company else ""


def _time(when: datetime, zone: ZoneInfo) -> str:
    return f"{when.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} …"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
