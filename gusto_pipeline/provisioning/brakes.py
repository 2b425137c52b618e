"""What holds decided actions back: too many at once, an app whose calls fail, a list that cannot be trusted.

Pure functions of what is planned, what was done and an instant. Everything is counted per company: one company's
plan is never held for another's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gusto_pipeline.provisioning.decisions import RULES, Action, Hr, Reading

WINDOW = timedelta(hours=24)


class Brake(StrEnum):
    """A class of actions that is counted and held on its own."""

    REMOVALS = "removals"
    EXTRAS = "extras"
    CREATES = "creates"
    RELINKS = "relinks"


@dataclass(frozen=True)
class Limit:
    """So many are let through in 24 hours, or so many percent of the accounts if that is more."""

    floor: int
    percent: int

    def of(self, total: int) -> int:
        return max(self.floor, total * self.percent // 100)


LIMITS = {
    Brake.REMOVALS: Limit(5, 10),  # of people whose dismissal is dated
    Brake.EXTRAS: Limit(3, 5),  # invitations cancelled, accounts suspended that nobody is meant to have
    Brake.CREATES: Limit(10, 20),  # and invitations
    Brake.RELINKS: Limit(2, 2),  # links that change owner
}
VANISHED = Limit(1, 2)
"""People who leave Gusto's list without a dismissal, in percent of the people listed."""

DESTRUCTIVE = (Brake.REMOVALS, Brake.EXTRAS)
HR_MAX_AGE = timedelta(hours=6)
APP_MAX_AGE = timedelta(minutes=60)
CLOCK_SLACK = timedelta(minutes=5)
"""So much may the clock be set back without anything that was written down becoming doubtful."""
KEPT_PERCENT = 80
"""Of the accounts of the last good reading, so many must be there again."""

FAILED_PERCENT = 40
FEWEST_CALLS = 10
PAUSES = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6), timedelta(days=1))

_ROWS = {rule.id: rule for rule in RULES}
_PLURALS = {
    Brake.REMOVALS: "removals",
    Brake.EXTRAS: "cancelled invitations and suspensions of extra access",
    Brake.CREATES: "new accounts and invitations",
    Brake.RELINKS: "links that change owner",
}


@dataclass(frozen=True)
class Planned:
    """An action that is due now. id: its own, the same when it is planned again; approvals name it."""

    id: str
    app: str
    brake: Brake


@dataclass(frozen=True)
class Done:
    """An action that was begun, whatever became of it. approved: somebody had said yes to this very one."""

    id: str
    app: str
    brake: Brake
    at: datetime
    approved: bool = False


@dataclass(frozen=True)
class HrList:
    """Gusto's last complete lists of a company: how many people, how many of them vanished from it without a dated
    dismissal within 24 hours, and when it was read."""

    people: int
    vanished: int
    read_at: datetime


@dataclass(frozen=True)
class Hold:
    """Actions that wait, by their ids, and why."""

    app: str
    brake: Brake
    actions: tuple[str, ...]
    why: str


def brake_of(row: str) -> Brake | None:
    """The class in which the action of the table's row of this id is counted; None for those that are never held."""
    rule = _ROWS[row]
    if rule.action in {Action.CREATE, Action.INVITE_AGAIN}:
        return Brake.CREATES
    if rule.action in {Action.SUSPEND, Action.DELETE} and dict(rule.when).get("hr") == (Hr.ENDED,):
        return Brake.REMOVALS
    if rule.action in {Action.SUSPEND, Action.CANCEL_INVITATION}:
        return Brake.EXTRAS
    return None


def holds(
    planned: Iterable[Planned],
    done: Iterable[Done],
    *,
    now: datetime,
    linked: Mapping[str, int],
    hr: HrList,
    approved: Collection[str] = frozenset(),
    quotas: Mapping[str, int] | None = None,
) -> list[Hold]:
    """Which of a company's planned actions wait; the others may go on.

    A class trips for an app when what is planned and what was done there in the last 24 hours exceed its limit for
    the linked accounts; then all of the class waits there. An action tried again counts once. What somebody approved,
    in advance or now, passes and is not counted. quotas: how many accounts an app itself takes in 24 hours; what
    exceeds that waits even if approved, the last of `planned` first.
    """
    recent = [act for act in done if act.at > now - WINDOW]
    before: dict[tuple[str, Brake], set[str]] = defaultdict(set)
    for act in recent:
        if not act.approved:
            before[act.app, act.brake].add(act.id)
    groups: dict[tuple[str, Brake], list[str]] = defaultdict(list)
    creates: dict[str, list[str]] = defaultdict(list)
    for action in planned:
        if action.id not in approved:
            groups[action.app, action.brake].append(action.id)
        if action.brake == Brake.CREATES:
            creates[action.app].append(action.id)

    found = []
    for (app, brake), ids in groups.items():
        why = _hr_trouble(brake, hr, now) or _too_many(brake, set(ids), before[app, brake], linked.get(app, 0))
        if why:
            found.append(Hold(app, brake, tuple(ids), why))

    held = {action for hold in found for action in hold.actions}
    for app, quota in (quotas or {}).items():
        made = sum(act.app == app and act.brake == Brake.CREATES for act in recent)
        going = [action for action in creates[app] if action not in held]
        if excess := going[max(0, quota - made) :]:
            why = (
                f"{app} takes {quota} new accounts and invitations in 24 hours, and {made} were made. "
                f"{len(excess)} wait for their turn."
            )
            found.append(Hold(app, Brake.CREATES, tuple(excess), why))
    return found


def _too_many(brake: Brake, planned: set[str], done: set[str], linked: int) -> str:
    limit = LIMITS[brake].of(linked)
    total = len(planned | done)
    if total <= limit:
        return ""
    return (
        f"{total} {_PLURALS[brake]} in 24 hours ({len(done)} done, {len(planned - done)} more due) are more than the "
        f"{limit} that pass by themselves with {linked} linked accounts. They wait for somebody's approval."
    )


def _hr_trouble(brake: Brake, hr: HrList, now: datetime) -> str:
    if brake in DESTRUCTIVE and hr.vanished > (limit := VANISHED.of(hr.people)):
        return (
            f"{hr.vanished} people vanished from Gusto's list within 24 hours without a dismissal; more than {limit} "
            f"of {hr.people} makes the list doubtful. Nothing is taken away without approval; look in Gusto."
        )
    if brake == Brake.EXTRAS and now - hr.read_at > HR_MAX_AGE:
        return (
            f"Gusto was last read in full at {hr.read_at:%Y-%m-%d %H:%M %Z}. After 6 hours only those are removed "
            "whose dismissal was dated by then; connect Gusto again."
        )
    return ""


def reading(
    *,
    count: int,
    last_good: int | None,
    read_at: datetime | None,
    now: datetime,
    problem: str = "",
) -> tuple[Reading, str]:
    """Whether an app's list can be trusted, and if not, why.

    count: accounts in it. last_good: accounts in the last list that could be trusted, None before the first; a person
    who confirms a drop makes the new count the last good one. problem: what went wrong with signing in or with any
    page. read_at: when the list was read, None if it never was.
    """
    why = ""
    if problem:
        why = f"It could not be read in full: {problem}."
    elif read_at is None:
        why = "It was never read."
    elif read_at - now > CLOCK_SLACK:
        why = f"It was read at {read_at:%Y-%m-%d %H:%M %Z}, which is still to come: the clock was turned back."
    elif now - read_at > APP_MAX_AGE:
        why = f"It was last read in full at {read_at:%Y-%m-%d %H:%M %Z}, more than an hour ago."
    elif last_good and count * 100 < last_good * KEPT_PERCENT:
        why = (
            f"It lists {count} accounts, where the last good reading had {last_good}. Confirm the new number if that "
            "many were removed."
        )
    return (Reading.STALE, why) if why else (Reading.OK, "")


@dataclass(frozen=True)
class Call:
    """One call to an app that was to change something."""

    at: datetime
    failed: bool


@dataclass(frozen=True)
class Quarantine:
    """An app is left alone until an instant. `times`: how often in a row, which makes the next one longer."""

    until: datetime
    times: int
    why: str

    def holds(self, now: datetime) -> bool:
        return now < self.until


def quarantine(calls: Iterable[Call], now: datetime, last: Quarantine | None = None) -> Quarantine | None:
    """Whether an app's failing calls put it into quarantine, given its last one; remember the answer for next time.

    Counts the calls of the last 24 hours that came after the last quarantine. More than 40 % failed of 10 or more: 15
    minutes, then 1 hour, 6 hours, and from then on a day. 10 or more with fewer failures, or a day without another
    quarantine: None, all is forgotten.
    """
    if last is not None and last.holds(now):
        return last
    if last is not None and last.until <= now - WINDOW:
        last = None
    since = now - WINDOW if last is None else last.until
    outcomes = [call.failed for call in calls if call.at >= since]
    if len(outcomes) < FEWEST_CALLS:
        return last
    failed = sum(outcomes)
    if failed * 100 <= len(outcomes) * FAILED_PERCENT:
        return None
    times = 1 if last is None else last.times + 1
    pause = PAUSES[min(times, len(PAUSES)) - 1]
    why = f"{failed} of the last {len(outcomes)} calls failed; it is left alone until {now + pause:%Y-%m-%d %H:%M %Z}."
    return Quarantine(now + pause, times, why)


def waves(ends: Iterable[tuple[datetime, str]], limit: int) -> list[list[tuple[datetime, str]]]:
    """Coming removals of one app that would trip the breaker, as groups within 24 hours, to be approved beforehand.

    ends: end of access and person, as `dismissal.look_ahead` gives them; limit: of `LIMITS`, for the app's accounts.
    """
    found: list[list[tuple[datetime, str]]] = []
    waiting = sorted(ends)
    while waiting:
        group = [end for end in waiting if end[0] < waiting[0][0] + WINDOW]
        if len(group) > limit:
            found.append(group)
            waiting = waiting[len(group) :]
        else:
            waiting = waiting[1:]
    return found
