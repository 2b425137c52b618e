"""When somebody joins, leaves and is gone: a person's HR state, and the instants at which access is due or ends.

Pure functions of dates and an instant. Gusto's flag `terminated` is also true of people who are only scheduled to
leave, and its `effective_date` is the last day of work; so only dates count here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gusto_pipeline.provisioning.decisions import Hr, Spell

GUSTO_ZONE = "America/Los_Angeles"
DAY = timedelta(days=1)
ALERTS = (timedelta(minutes=30), timedelta(minutes=60))
"""How long after the end of access a removal that has not happened is reported, and reported again."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What a company, or an app, chooses of the instants here.

    zone, at: access ends on the day after the last day, at this local time. by_work_location: at midnight where the
    person works instead, where that is earlier. lead_days: how long before the first day access is due.
    """

    zone: str = GUSTO_ZONE
    at: time = time(0, 0)
    by_work_location: bool = False
    lead_days: int = 3


@dataclass(frozen=True)
class Employment:
    """A spell of work. No `last_day`: no dismissal is dated. `removal_at`: the instant chosen for this person."""

    first_day: date | None = None
    last_day: date | None = None
    removal_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class HrRecord:
    """What Gusto's last complete lists tell of one employee or contractor record; a person may have several.

    employments: those in the past, the present one, a scheduled rehire; in any order, empty for a draft without dates.
    leaves: first and last day of every approved time off of a leave kind. work_zone: time zone of the work location.
    listed: it was in the latest complete list; otherwise the rest is what the record said last.
    """

    employments: tuple[Employment, ...] = ()
    onboarded: bool = True
    leaves: tuple[tuple[date, date], ...] = ()
    work_zone: str | None = None
    listed: bool = True


def t_end(last_day: date, zone: str = GUSTO_ZONE, at: time = time(0, 0)) -> datetime:
    """The end of access in UTC: `at` in `zone` on the day after the last day, Gusto's own rule by default.

    A local time that occurs twice means the first. One that the clock skips counts with the offset before the jump
    (RFC 5545 section 3.3.5). Raises ValueError for the last day of the calendar, and ZoneInfoNotFoundError.
    """
    if last_day == date.max:
        raise ValueError(f"A last day of {last_day} has no day after it. Enter the real one in Gusto, or none.")
    return datetime.combine(last_day + DAY, at, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def removal_instant(employment: Employment, timing: Timing, work_zone: str | None = None) -> datetime | None:
    """When access ends by the company's and the person's choice, in UTC, never later than `t_end`.

    None without a dated dismissal. Raises ValueError for a `removal_at` without time zone, and as `t_end` does.
    """
    if employment.last_day is None:
        return None
    instants = [t_end(employment.last_day, timing.zone, timing.at)]
    if timing.by_work_location and work_zone is not None:
        instants.append(t_end(employment.last_day, work_zone))
    if employment.removal_at is not None:
        if employment.removal_at.tzinfo is None:
            raise ValueError(f"The end of access {employment.removal_at} names no time zone. Enter it with one.")
        instants.append(employment.removal_at.astimezone(UTC))
    return min(instants)


def hr_state(records: Sequence[HrRecord], at: datetime, timing: Timing | None = None) -> Hr:
    """The state at an instant of a person with these records (at least one): the most alive employment's.

    With two exceptions. A return that access is not due for yet does not keep alive what ended before it, unless one
    follows the other without a day between. And a record that vanished while employed keeps an older one that ended
    from passing for a dismissal.
    """
    timing = timing or Timing()
    listed = [state for record in records if record.listed for state in _states(record, at, timing)]
    if not listed:
        return Hr.VANISHED
    state = _most_alive(listed)
    if state in {Hr.FUTURE_FAR, Hr.DRAFT} and Hr.ENDED in listed:
        state = Hr.FUTURE_NEAR if _continues(records, at, timing) else Hr.ENDED
    if state == Hr.ENDED:
        vanished = [s for record in records if not record.listed for s in _states(record, at, timing)]
        if vanished and _most_alive(vanished) in {Hr.ACTIVE, Hr.LEAVE, Hr.LEAVING}:
            return Hr.VANISHED
    return state


def employment_start(records: Sequence[HrRecord], at: datetime, timing: Timing | None = None) -> date | None:
    """First day of the employment that access is for at an instant, employments without a day between being one.

    None where no first day is known. It belongs into the log when an account is taken away; `spell` compares it.
    """
    timing = timing or Timing()
    due = _today(at, timing) + timing.lead_days * DAY
    starts: list[date] = []
    until = date.min
    spans = ((e.first_day, e.last_day or date.max) for record in records for e in record.employments if e.first_day)
    for first, last in sorted(spans):
        if not starts or first - until > DAY:
            starts.append(first)
        until = max(until, last)
    return max((start for start in starts if start <= due), default=min(starts, default=None))


def spell(taken_from: date | None, records: Sequence[HrRecord], at: datetime, timing: Timing | None = None) -> Spell:
    """Whether a person is still in the employment whose account we took away; `taken_from` is its `employment_start`.

    In doubt it is a new one, and then somebody has to approve.
    """
    now = employment_start(records, at, timing)
    if taken_from is None or now is None:
        return Spell.SAME if taken_from == now else Spell.NEW
    return Spell.SAME if now <= taken_from else Spell.NEW


def overdue(removal_at: datetime, now: datetime) -> timedelta | None:
    """Which of `ALERTS` a removal that has still not happened has passed; None while there is nothing to report."""
    return max((limit for limit in ALERTS if now >= removal_at + limit), default=None)


def look_ahead(ends: Mapping[str, datetime], now: datetime, days: int = 14) -> list[tuple[datetime, str]]:
    """Whose access ends within the next days, soonest first, out of everybody's end of access by person."""
    return sorted((end, person) for person, end in ends.items() if now < end <= now + days * DAY)


def _states(record: HrRecord, at: datetime, timing: Timing) -> list[Hr]:
    return [_state(record, employment, at, timing) for employment in record.employments or (Employment(),)]


def _state(record: HrRecord, employment: Employment, at: datetime, timing: Timing) -> Hr:
    end = removal_instant(employment, timing, record.work_zone)
    if end is not None and at >= end:
        return Hr.ENDED
    today = _today(at, timing)
    if employment.first_day is None and end is None and not record.onboarded:
        return Hr.DRAFT
    if employment.first_day is not None and employment.first_day > today + timing.lead_days * DAY:
        return Hr.FUTURE_FAR
    if end is not None:
        return Hr.LEAVING
    if employment.first_day is not None and employment.first_day > today:
        return Hr.FUTURE_NEAR
    if any(first <= today <= last for first, last in record.leaves):
        return Hr.LEAVE
    return Hr.ACTIVE


def _most_alive(states: Sequence[Hr]) -> Hr:
    return min(states, key=list(Hr).index)


def _today(at: datetime, timing: Timing) -> date:
    return at.astimezone(ZoneInfo(timing.zone)).date()


def _continues(records: Sequence[HrRecord], at: datetime, timing: Timing) -> bool:
    """Whether a coming employment follows an ended one without a day between."""
    employments = [(record, e) for record in records if record.listed for e in record.employments]
    ended = [e.last_day for record, e in employments if _state(record, e, at, timing) == Hr.ENDED and e.last_day]
    coming = [e.first_day for record, e in employments if _state(record, e, at, timing) == Hr.FUTURE_FAR]
    return any(first - last <= DAY for last in ended for first in coming if first is not None)
