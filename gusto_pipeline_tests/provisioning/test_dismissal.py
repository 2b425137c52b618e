"""When access is due and when it ends: golden instants, time zones, and a person's state out of dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gusto_pipeline.provisioning.decisions import Hr, Spell
from gusto_pipeline.provisioning.dismissal import (
    Employment,
    HrRecord,
    Timing,
    employment_start,
    hr_state,
    look_ahead,
    overdue,
    removal_instant,
    spell,
    t_end,
)

ZONES = (
    "America/Los_Angeles",
    "Australia/Sydney",
    "America/New_York",
    "Africa/Cairo",
    "America/Havana",
    "Asia/Kathmandu",
)
MAY = ((date(2026, 5, 1), date(2026, 5, 31)),)
DAYS = st.dates(date(2020, 1, 1), date(2036, 12, 31))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def record(*spans: tuple[str | None, str | None], **facts: object) -> HrRecord:
    """An HR record with these first and last days."""
    return HrRecord(employments=tuple(Employment(day(first), day(last)) for first, last in spans), **facts)  # type: ignore[arg-type]


class TestEndOfAccess:
    @pytest.mark.parametrize(
        ("last_day", "instant"),
        [
            ("2026-03-07", "2026-03-08T08:00"),  # the night before the clock goes forward
            ("2026-03-08", "2026-03-09T07:00"),
            ("2026-10-31", "2026-11-01T07:00"),  # the night before it goes back
            ("2026-11-01", "2026-11-02T08:00"),
            ("2026-12-31", "2027-01-01T08:00"),
            ("2028-02-28", "2028-02-29T08:00"),  # a leap year
        ],
    )
    def test_it_is_midnight_in_los_angeles_after_the_last_day(self, last_day, instant):
        assert t_end(date.fromisoformat(last_day)) == utc(instant)

    def test_it_is_in_utc(self):
        assert t_end(date(2026, 5, 1)).tzinfo is UTC

    @given(DAYS, st.sampled_from(ZONES))
    def test_it_is_the_first_moment_of_the_next_day_on_local_clocks(self, last_day, zone):
        end = t_end(last_day, zone)
        tz = ZoneInfo(zone)
        assert end.astimezone(tz).date() == last_day + timedelta(days=1)
        before = (end - timedelta(seconds=1)).astimezone(tz)
        assert before.date() == last_day

    def test_another_local_time_can_be_set(self):
        assert t_end(date(2026, 5, 1), at=time(1, 0)) == utc("2026-05-02T08:00")

    def test_a_time_the_clock_skips_counts_with_the_offset_before(self):
        assert t_end(date(2026, 3, 7), at=time(2, 30)) == utc("2026-03-08T10:30")

    def test_a_midnight_that_the_clock_skips_is_when_the_day_begins(self):
        assert t_end(date(2026, 4, 23), "Africa/Cairo") == utc("2026-04-23T22:00")

    def test_a_day_that_a_zone_skips_ends_when_the_next_one_begins(self):
        assert t_end(date(2011, 12, 29), "Pacific/Apia") == utc("2011-12-30T10:00")

    def test_a_time_that_occurs_twice_is_the_first(self):
        assert t_end(date(2026, 10, 31), at=time(1, 30)) == utc("2026-11-01T08:30")
        assert t_end(date(2026, 10, 31), "America/Havana") == utc("2026-11-01T04:00")

    def test_the_end_of_the_calendar_is_refused_in_words(self):
        with pytest.raises(ValueError, match="9999-12-31 has no day after it"):
            t_end(date.max)

    def test_an_unknown_zone_is_refused(self):
        with pytest.raises(ZoneInfoNotFoundError):
            t_end(date(2026, 5, 1), "America/Gotham")


class TestChosenInstant:
    LOCAL = Timing(by_work_location=True)

    @pytest.mark.parametrize(
        ("zone", "last_day", "hours"),
        [
            ("Australia/Sydney", "2026-01-16", 19),  # its summer
            ("Australia/Sydney", "2026-03-20", 18),
            ("Australia/Sydney", "2026-07-17", 17),  # its winter
            ("America/New_York", "2026-01-16", 3),
            ("America/Los_Angeles", "2026-01-16", 0),
            ("Pacific/Honolulu", "2026-01-16", 0),  # would be later
        ],
    )
    def test_it_can_be_midnight_where_the_person_works_if_that_is_earlier(self, zone, last_day, hours):
        leaver = Employment(None, date.fromisoformat(last_day))
        assert removal_instant(leaver, self.LOCAL, zone) == t_end(date.fromisoformat(last_day)) - timedelta(hours=hours)

    def test_the_work_location_does_not_matter_unless_chosen(self):
        leaver = Employment(None, date(2026, 1, 16))
        assert removal_instant(leaver, Timing(), "Australia/Sydney") == t_end(date(2026, 1, 16))

    def test_it_can_be_an_instant_chosen_for_one_person(self):
        noon = datetime(2026, 1, 16, 12, tzinfo=timezone(timedelta(hours=-8)))
        assert removal_instant(Employment(None, date(2026, 1, 16), noon), Timing()) == utc("2026-01-16T20:00")

    def test_an_instant_without_time_zone_is_refused(self):
        naive = datetime(2026, 1, 16, 12)  # noqa: DTZ001
        with pytest.raises(ValueError, match="names no time zone"):
            removal_instant(Employment(None, date(2026, 1, 16), naive), Timing())

    def test_without_a_dated_dismissal_there_is_none(self):
        assert removal_instant(Employment(date(2020, 1, 1), None, utc("2026-01-16T20:00")), Timing()) is None

    @given(
        DAYS,
        st.sampled_from(ZONES),
        st.sampled_from(ZONES),
        st.times(),
        st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    )
    def test_it_is_never_later_than_the_rule(self, last_day, zone, work_zone, at, chosen):
        timing = Timing(zone=zone, at=at, by_work_location=True)
        end = removal_instant(Employment(None, last_day, chosen), timing, work_zone)
        assert end is not None
        assert end <= t_end(last_day, zone, at)
        assert end.tzinfo is UTC


class TestState:
    NOON = utc("2026-05-13T19:00")  # in Los Angeles

    @pytest.mark.parametrize(
        ("facts", "state"),
        [
            (record(onboarded=False), Hr.DRAFT),
            (record((None, None), onboarded=False), Hr.DRAFT),
            (record(("2026-05-17", None)), Hr.FUTURE_FAR),
            (record(("2026-05-17", None), onboarded=False), Hr.FUTURE_FAR),
            (record(("2026-05-16", None)), Hr.FUTURE_NEAR),
            (record(("2026-05-14", None), onboarded=False), Hr.FUTURE_NEAR),
            (record(("2026-05-13", None)), Hr.ACTIVE),
            (record(("2020-01-01", None)), Hr.ACTIVE),
            (record(), Hr.ACTIVE),
            (record(("2020-01-01", None), leaves=((date(2026, 5, 13), date(2026, 5, 13)),)), Hr.LEAVE),
            (record(("2020-01-01", None), leaves=((date(2026, 5, 14), date(2026, 6, 13)),)), Hr.ACTIVE),
            (record(("2020-01-01", None), leaves=((date(2026, 5, 1), date(2026, 5, 12)),)), Hr.ACTIVE),
            (record(("2020-01-01", "2027-01-01")), Hr.LEAVING),
            (record(("2020-01-01", "2026-05-13")), Hr.LEAVING),
            (record((None, "2026-05-13")), Hr.LEAVING),
            (record((None, "2026-05-13"), onboarded=False), Hr.LEAVING),
            (record(("2020-01-01", "2026-05-20"), leaves=((date(2026, 5, 1), date(2026, 6, 1)),)), Hr.LEAVING),
            (record(("2020-01-01", "2026-05-12")), Hr.ENDED),
            (record((None, "2026-05-12"), onboarded=False), Hr.ENDED),
            (record(("2026-05-15", "2026-08-01")), Hr.LEAVING),  # comes and goes: nothing is created unasked
            (record(("2026-06-15", "2026-08-01")), Hr.FUTURE_FAR),
            (record(("2026-06-15", "2026-05-12")), Hr.ENDED),  # dismissed before the first day
            (record(("2020-01-01", None), listed=False), Hr.VANISHED),
            (record(("2020-01-01", "2026-05-12"), listed=False), Hr.VANISHED),
        ],
    )
    def test_of_one_record(self, facts, state):
        assert hr_state([facts], self.NOON) == state

    def test_it_ends_at_the_very_instant(self):
        leaver = [record(("2020-01-01", "2026-05-13"))]
        end = t_end(date(2026, 5, 13))
        assert hr_state(leaver, end - timedelta(microseconds=1)) == Hr.LEAVING
        assert hr_state(leaver, end) == Hr.ENDED

    def test_today_is_a_day_in_the_zone_of_the_rule(self):
        starts = [record(("2026-05-14", None))]
        assert hr_state(starts, utc("2026-05-14T06:59")) == Hr.FUTURE_NEAR
        assert hr_state(starts, utc("2026-05-14T07:00")) == Hr.ACTIVE

    def test_the_lead_is_a_setting(self):
        starts = [record(("2026-05-16", None))]
        assert hr_state(starts, self.NOON, Timing(lead_days=2)) == Hr.FUTURE_FAR
        assert hr_state(starts, self.NOON, Timing(lead_days=14)) == Hr.FUTURE_NEAR

    @pytest.mark.parametrize(
        ("records", "state"),
        [
            # the most alive one counts
            ([record(("2020-01-01", "2026-05-01")), record(("2026-05-02", None))], Hr.ACTIVE),
            ([record(("2020-01-01", "2026-05-20")), record(("2026-05-14", None))], Hr.LEAVING),
            ([record(("2020-01-01", "2026-05-01")), record(("2026-05-15", None))], Hr.FUTURE_NEAR),
            ([record(("2026-06-15", None)), record(onboarded=False)], Hr.FUTURE_FAR),
            ([record(("2020-01-01", None)), record(("2021-01-01", None), listed=False)], Hr.ACTIVE),
            ([record(("2020-01-01", "2022-01-01"), ("2023-01-01", None))], Hr.ACTIVE),
            # a return far ahead keeps nobody in who has left
            ([record(("2020-01-01", "2026-05-01")), record(("2026-07-01", None))], Hr.ENDED),
            ([record(("2020-01-01", "2026-05-01"), ("2026-07-01", None))], Hr.ENDED),
            ([record(("2020-01-01", "2026-05-01")), record(onboarded=False)], Hr.ENDED),
            # to vanish is not to be dismissed, whatever an older record says
            ([record(("2020-01-01", "2022-01-01")), record(("2022-01-02", None), listed=False)], Hr.VANISHED),
            (
                [record(("2020-01-01", "2022-01-01")), record(("2022-01-02", None), leaves=MAY, listed=False)],
                Hr.VANISHED,
            ),
            ([record(("2020-01-01", "2022-01-01")), record(("2022-01-02", "2023-01-01"), listed=False)], Hr.ENDED),
            ([record(("2020-01-01", "2022-01-01")), record(onboarded=False, listed=False)], Hr.ENDED),
        ],
    )
    def test_of_several_employments(self, records, state):
        assert hr_state(records, self.NOON) == state
        assert hr_state(records[::-1], self.NOON) == state

    def test_an_employment_that_follows_the_day_after_leaves_no_gap(self):
        timing = Timing(lead_days=0, by_work_location=True)
        converted = [record(("2020-01-01", "2026-05-13"), work_zone="Australia/Sydney"), record(("2026-05-14", None))]
        moment = utc("2026-01-01T00:00")
        states = set()
        while moment < utc("2026-06-01T00:00"):
            states.add(hr_state(converted, moment, timing))
            moment += timedelta(hours=1)
        assert states == {Hr.LEAVING, Hr.FUTURE_NEAR, Hr.ACTIVE}

    def test_with_a_day_between_there_is_a_gap(self):
        timing = Timing(lead_days=0)
        converted = [record(("2020-01-01", "2026-05-13")), record(("2026-05-15", None))]
        assert hr_state(converted, t_end(date(2026, 5, 13)), timing) == Hr.ENDED

    @given(
        DAYS,
        st.integers(0, 400),
        st.none() | st.integers(0, 400),
        st.lists(st.datetimes(datetime(2020, 1, 1), datetime(2038, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
        st.integers(0, 14),
    )
    def test_a_life_goes_one_way(self, entered, start_after, stay, instants, lead):
        first = entered + timedelta(days=start_after)
        last = None if stay is None else first + timedelta(days=stay)
        facts = HrRecord(employments=(Employment(first, last),))
        way = [Hr.FUTURE_FAR, Hr.FUTURE_NEAR, Hr.ACTIVE] if last is None else [Hr.FUTURE_FAR, Hr.LEAVING, Hr.ENDED]
        steps = [way.index(hr_state([facts], at, Timing(lead_days=lead))) for at in sorted(instants)]
        assert steps == sorted(steps)


class TestSameEmployment:
    LATER = utc("2026-05-13T19:00")

    def taken_from(self, records: list[HrRecord], at: str) -> date | None:
        return employment_start(records, utc(at))

    def test_after_a_cancelled_dismissal_it_is_the_same(self):
        taken = self.taken_from([record(("2020-01-01", "2026-05-01"))], "2026-05-02T08:00")
        assert taken == date(2020, 1, 1)
        assert spell(taken, [record(("2020-01-01", None))], self.LATER) == Spell.SAME

    @pytest.mark.parametrize("known", [(("2020-01-01", "2026-05-01"), ("2026-05-15", None)), (("2026-05-15", None),)])
    def test_after_a_rehire_it_is_a_new_one_whether_or_not_the_old_one_is_still_told(self, known):
        taken = self.taken_from([record(("2020-01-01", "2026-05-01"))], "2026-05-02T08:00")
        assert spell(taken, [record(*known)], self.LATER) == Spell.NEW

    def test_a_rehire_known_when_the_account_was_taken_is_a_new_one_all_the_same(self):
        rehired = [record(("2020-01-01", "2026-05-01"), ("2026-05-15", None))]
        taken = self.taken_from(rehired, "2026-05-02T08:00")
        assert spell(taken, rehired, self.LATER) == Spell.NEW

    def test_a_rehire_that_is_not_due_yet_does_not_count(self):
        taken = self.taken_from([record(("2020-01-01", "2026-05-01"))], "2026-05-02T08:00")
        assert spell(taken, [record(("2020-01-01", None), ("2026-07-01", None))], self.LATER) == Spell.SAME

    def test_a_rehire_dated_before_the_account_was_taken_is_a_new_one(self):
        taken = self.taken_from([record(("2020-01-01", "2026-03-01"))], "2026-05-02T08:00")
        assert spell(taken, [record(("2020-01-01", "2026-03-01"), ("2026-04-01", None))], self.LATER) == Spell.NEW

    def test_records_that_follow_each_other_are_one_employment(self):
        both = [record(("2026-03-02", None)), record(("2020-01-01", "2026-03-01"))]
        assert spell(date(2020, 1, 1), both, self.LATER) == Spell.SAME
        inner = [
            record(("2020-01-01", "2026-03-01")),
            record(("2021-01-01", "2021-02-01")),
            record(("2026-03-02", None)),
        ]
        assert employment_start(inner, self.LATER) == date(2020, 1, 1)

    def test_a_day_between_records_makes_two(self):
        both = [record(("2020-01-01", "2026-03-01")), record(("2026-03-03", None))]
        assert spell(date(2020, 1, 1), both, self.LATER) == Spell.NEW

    def test_before_the_first_day_there_is_only_the_coming_one(self):
        assert employment_start([record(("2026-09-01", None))], self.LATER) == date(2026, 9, 1)

    @pytest.mark.parametrize(
        ("taken", "records", "answer"),
        [
            (None, [record()], Spell.SAME),
            (None, [record(("2020-01-01", None))], Spell.NEW),
            (date(2020, 1, 1), [record()], Spell.NEW),
        ],
    )
    def test_in_doubt_it_is_a_new_one(self, taken, records, answer):
        assert spell(taken, records, self.LATER) == answer


class TestWatching:
    DUE = utc("2026-05-14T07:00")

    @pytest.mark.parametrize(
        ("minutes", "alert"), [(-1, None), (0, None), (29, None), (30, 30), (59, 30), (60, 60), (600, 60)]
    )
    def test_a_missed_removal_is_reported_after_half_an_hour_and_after_one(self, minutes, alert):
        late = overdue(self.DUE, self.DUE + timedelta(minutes=minutes))
        assert late == (None if alert is None else timedelta(minutes=alert))

    def test_who_leaves_within_two_weeks_is_announced_soonest_first(self):
        now = utc("2026-05-01T00:00")
        ends = {
            "past": now,
            "late": now + timedelta(days=14),
            "beyond": now + timedelta(days=14, seconds=1),
            "soon": now + timedelta(seconds=1),
            "also soon": now + timedelta(seconds=1),
        }
        assert [person for _, person in look_ahead(ends, now)] == ["also soon", "soon", "late"]
        assert look_ahead(ends, now, days=1) == [(ends["soon"], "also soon"), (ends["soon"], "soon")]
