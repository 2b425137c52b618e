"""What holds actions back: the limits over any 24 hours, failing calls, and lists that cannot be trusted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gusto_pipeline.provisioning.brakes import (
    LIMITS,
    VANISHED,
    Brake,
    Call,
    Done,
    HrList,
    Planned,
    Quarantine,
    brake_of,
    holds,
    quarantine,
    reading,
    waves,
)
from gusto_pipeline.provisioning.decisions import RULES, Reading

NOW = datetime(2026, 5, 14, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
CALM = HrList(people=100, vanished=0, read_at=NOW)


def plan(count: int, brake: Brake = Brake.REMOVALS, app: str = "Slack") -> list[Planned]:
    return [Planned(f"{app}-{brake}-{n}", app, brake) for n in range(count)]


def did(
    count: int, brake: Brake = Brake.REMOVALS, app: str = "Slack", *, at: datetime = NOW, **facts: bool
) -> list[Done]:
    return [Done(f"done-{app}-{brake}-{n}", app, brake, at, **facts) for n in range(count)]


def held(planned, done=(), *, linked=0, **rest):
    """Ids that wait."""
    rest = {"hr": CALM, "now": NOW} | rest
    found = holds(planned, done, linked={"Slack": linked, "Zoom": linked}, **rest)
    return {action for hold in found for action in hold.actions}


class TestClasses:
    def test_each_row_is_counted_where_it_belongs(self):
        rows = {brake: {rule.id for rule in RULES if brake_of(rule.id) == brake} for brake in Brake}
        assert rows == {
            Brake.REMOVALS: {"A3", "S1"},
            Brake.EXTRAS: {"I3", "I4", "I6", "A5"},
            Brake.CREATES: {"M1", "M4", "N1", "N4", "G1", "G2", "G4", "I5"},
            Brake.RELINKS: set(),
        }


class TestBreaker:
    @pytest.mark.parametrize(
        ("brake", "linked", "most"),
        [
            (Brake.REMOVALS, 0, 5),
            (Brake.REMOVALS, 1, 5),
            (Brake.REMOVALS, 59, 5),
            (Brake.REMOVALS, 60, 6),
            (Brake.REMOVALS, 500, 50),
            (Brake.EXTRAS, 0, 3),
            (Brake.EXTRAS, 80, 4),
            (Brake.CREATES, 0, 10),
            (Brake.CREATES, 55, 11),
            (Brake.RELINKS, 0, 2),
            (Brake.RELINKS, 150, 3),
        ],
    )
    def test_trips_above_the_limit_from_the_first_day_at_any_size(self, brake, linked, most):
        assert held(plan(most, brake), linked=linked) == set()
        assert held(plan(most + 1, brake), linked=linked) == {action.id for action in plan(most + 1, brake)}

    def test_counts_what_was_done_in_the_last_24_hours(self):
        assert held(plan(2), did(4, at=NOW - DAY + timedelta(seconds=1))) == {action.id for action in plan(2)}
        assert held(plan(2), did(4, at=NOW - DAY)) == set()

    def test_counts_an_action_that_is_tried_again_once(self):
        again = [Done(plan(1)[0].id, "Slack", Brake.REMOVALS, NOW - n * HOUR) for n in range(20)]
        assert held(plan(5), again) == set()

    def test_says_how_many_were_too_many(self):
        (hold,) = holds(plan(3), did(4), now=NOW, linked={"Slack": 30}, hr=CALM)
        assert (hold.app, hold.brake, len(hold.actions)) == ("Slack", Brake.REMOVALS, 3)
        assert hold.why == (
            "7 removals in 24 hours (4 done, 3 more due) are more than the 5 that pass by themselves with 30 linked "
            "accounts. They wait for somebody's approval."
        )

    def test_holds_only_the_class_and_the_app_that_tripped(self):
        others = plan(5, app="Zoom") + plan(10, Brake.CREATES) + plan(3, Brake.EXTRAS) + plan(2, Brake.RELINKS)
        assert held(plan(6) + others) == {action.id for action in plan(6)}

    def test_approved_actions_pass_and_leave_the_limit_to_others(self):
        wave = {action.id for action in plan(40)}
        assert held(plan(40), approved=wave) == set()
        assert held(plan(5, app="Slack"), did(40, approved=True)) == set()
        assert held(plan(46), approved=wave) == {action.id for action in plan(46)} - wave

    def test_no_more_accounts_are_created_than_the_app_takes(self):
        creates = plan(8, Brake.CREATES)
        approved = {action.id for action in creates}
        made = did(45, Brake.CREATES, approved=True)
        assert held(creates, made, approved=approved, quotas={"Slack": 50}) == {action.id for action in creates[5:]}
        assert held(creates, did(60, Brake.CREATES, approved=True), quotas={"Slack": 50}) == approved
        assert held(creates, made, approved=approved, quotas={"Zoom": 1}) == set()

    def test_what_the_breaker_holds_does_not_wait_for_the_quota_too(self):
        found = holds(plan(12, Brake.CREATES), [], now=NOW, linked={}, hr=CALM, quotas={"Slack": 5})
        assert [len(hold.actions) for hold in found] == [12]

    def test_only_new_accounts_count_against_the_quota(self):
        assert held(plan(5, Brake.CREATES), did(5, Brake.EXTRAS), quotas={"Slack": 5}) == set()

    def test_the_quota_is_named(self):
        found = holds(plan(3, Brake.CREATES), [], now=NOW, linked={}, hr=CALM, quotas={"Slack": 2})
        assert [hold.why for hold in found] == [
            "Slack takes 2 new accounts and invitations in 24 hours, and 0 were made. 1 wait for their turn."
        ]

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 20 * 60),  # minutes to the next run
                st.dictionaries(st.sampled_from([(a, b) for a in ("Slack", "Zoom") for b in Brake]), st.integers(0, 9)),
                st.integers(0, 3),  # of each, approved
            ),
            max_size=25,
        ),
        st.integers(0, 120),
    )
    def test_never_more_than_the_limit_go_by_themselves_in_any_24_hours(self, runs, linked):
        now, done, names = NOW, list[Done](), iter(range(10**6))
        for minutes, due, yes in runs:
            now += timedelta(minutes=minutes)
            planned = [Planned(str(next(names)), *key) for key, count in due.items() for _ in range(count)]
            seen = Counter[tuple[str, Brake]]()
            approved = set()
            for action in planned:
                seen[action.app, action.brake] += 1
                if seen[action.app, action.brake] <= yes:
                    approved.add(action.id)
            waiting = held(planned, done, linked=linked, now=now, approved=approved, hr=HrList(100, 0, now))
            assert not waiting & approved
            done += [Done(a.id, a.app, a.brake, now, approved=a.id in approved) for a in planned if a.id not in waiting]
        for start in done:
            window = [act for act in done if start.at <= act.at < start.at + DAY and not act.approved]
            for (_, brake), count in Counter((act.app, act.brake) for act in window).items():
                assert count <= LIMITS[brake].of(linked)

    @given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 50), st.booleans())
    def test_removals_never_hold_creates_or_changes_of_owner(self, planned, done, vanished, stale):
        hr = HrList(people=10, vanished=vanished, read_at=NOW - (DAY if stale else HOUR))
        waiting = held(
            plan(planned) + plan(planned, Brake.EXTRAS) + plan(10, Brake.CREATES) + plan(2, Brake.RELINKS),
            did(done) + did(done, Brake.EXTRAS),
            hr=hr,
        )
        assert not {action for action in waiting if str(Brake.CREATES) in action or str(Brake.RELINKS) in action}


class TestDoubtfulHrList:
    @pytest.mark.parametrize(("people", "most"), [(0, 1), (10, 1), (99, 1), (150, 3), (1000, 20)])
    def test_people_who_vanish_hold_all_that_takes_away(self, people, most):
        planned = plan(1) + plan(1, Brake.EXTRAS, "Zoom") + plan(1, Brake.CREATES)
        assert VANISHED.of(people) == most
        assert held(planned, hr=HrList(people, most, NOW)) == set()
        assert held(planned, hr=HrList(people, most + 1, NOW)) == {action.id for action in planned[:2]}

    def test_the_reason_says_where_to_look(self):
        (hold,) = holds(plan(1), [], now=NOW, linked={}, hr=HrList(40, 3, NOW))
        assert hold.why.startswith("3 people vanished from Gusto's list within 24 hours without a dismissal")

    def test_removals_approved_by_name_pass(self):
        assert held(plan(1), approved={plan(1)[0].id}, hr=HrList(40, 3, NOW)) == set()

    def test_after_six_hours_only_dated_removals_go_on(self):
        planned = plan(1) + plan(1, Brake.EXTRAS) + plan(1, Brake.CREATES)
        assert held(planned, hr=HrList(40, 0, NOW - 6 * HOUR)) == set()
        assert held(planned, hr=HrList(40, 0, NOW - 6 * HOUR - timedelta(seconds=1))) == {planned[1].id}

    def test_the_reason_says_how_old_the_list_is(self):
        (hold,) = holds(plan(1, Brake.EXTRAS), [], now=NOW, linked={}, hr=HrList(40, 0, NOW - 7 * HOUR))
        assert hold.why.startswith("Gusto was last read in full at 2026-05-14 00:00 UTC.")


class TestReading:
    def of(self, count=100, last_good=100, read_at=NOW, problem=""):
        return reading(count=count, last_good=last_good, read_at=read_at, now=NOW, problem=problem)

    def test_a_complete_fresh_list_can_be_trusted(self):
        assert self.of() == (Reading.OK, "")

    @pytest.mark.parametrize(
        ("count", "last_good", "ok"),
        [
            (80, 100, True),
            (79, 100, False),
            (500, 100, True),
            (0, 1, False),
            (0, 0, True),
            (0, None, True),
            (4, 5, True),
            (3, 5, False),
        ],
    )
    def test_four_of_five_accounts_must_be_there_again(self, count, last_good, ok):
        assert (self.of(count, last_good)[0] == Reading.OK) is ok

    def test_a_list_is_good_for_an_hour(self):
        assert self.of(read_at=NOW - HOUR) == (Reading.OK, "")
        assert self.of(read_at=NOW - HOUR - timedelta(seconds=1)) == (
            Reading.STALE,
            "It was last read in full at 2026-05-14 05:59 UTC, more than an hour ago.",
        )

    def test_a_list_that_was_never_read_is_none(self):
        assert self.of(0, None, None) == (Reading.STALE, "It was never read.")

    def test_what_went_wrong_is_told(self):
        assert self.of(problem="page 3 of 5 was refused (403)") == (
            Reading.STALE,
            "It could not be read in full: page 3 of 5 was refused (403).",
        )

    def test_a_shrunken_list_is_told_with_both_numbers(self):
        assert self.of(12)[1].startswith("It lists 12 accounts, where the last good reading had 100.")


class TestQuarantine:
    def calls(self, good: int, bad: int, at: datetime = NOW) -> list[Call]:
        return [Call(at, failed=n < bad) for n in range(good + bad)]

    @pytest.mark.parametrize(
        ("good", "bad", "caught"), [(0, 9, False), (0, 10, True), (6, 4, False), (5, 5, True), (60, 41, True)]
    )
    def test_begins_above_40_percent_of_at_least_10_calls(self, good, bad, caught):
        assert (quarantine(self.calls(good, bad), NOW) is not None) is caught

    def test_counts_the_last_24_hours(self):
        old = self.calls(0, 50, NOW - DAY - timedelta(seconds=1))
        assert quarantine(old + self.calls(10, 0), NOW) is None

    def test_lasts_until_its_end(self):
        found = quarantine(self.calls(0, 10), NOW)
        assert found is not None
        assert found.until == NOW + timedelta(minutes=15)
        assert found.holds(found.until - timedelta(seconds=1))
        assert not found.holds(found.until)
        assert found.why == "10 of the last 10 calls failed; it is left alone until 2026-05-14 07:15 UTC."

    def test_goes_on_unchanged_while_it_lasts(self):
        found = quarantine(self.calls(0, 10), NOW)
        assert quarantine(self.calls(0, 30), NOW + timedelta(minutes=14), found) == found

    def test_gets_longer_each_time(self):
        now, last, calls, lengths = NOW, None, list[Call](), []
        for _ in range(6):
            calls += self.calls(0, 10, now)
            last = quarantine(calls, now, last)
            assert last is not None
            lengths.append(last.until - now)
            now = last.until
        assert lengths == [HOUR / 4, HOUR, 6 * HOUR, DAY, DAY, DAY]

    def test_earlier_failures_do_not_count_again(self):
        last = quarantine(self.calls(0, 10), NOW)
        assert last is not None
        later = last.until + HOUR
        assert quarantine(self.calls(0, 10) + self.calls(0, 9, later), later, last) == last

    def test_good_calls_end_the_series(self):
        last = Quarantine(NOW - HOUR, 3, "")
        assert quarantine(self.calls(10, 0), NOW, last) is None

    def test_a_day_without_another_ends_the_series(self):
        last = Quarantine(NOW - DAY, 3, "")
        assert quarantine([], NOW, last) is None
        again = quarantine(self.calls(0, 10), NOW, last)
        assert again is not None
        assert again.times == 1


class TestWaves:
    def test_a_wave_is_announced_with_everybody_in_it(self):
        soon = [(NOW + n * HOUR, f"person {n}") for n in range(8)]
        late = [(NOW + 3 * DAY, "somebody else")]
        assert waves(late + soon, limit=5) == [soon]
        assert waves(soon[:5] + late, limit=5) == []
        assert waves([(NOW, "a"), (NOW + DAY, "b")], limit=1) == []

    @given(st.lists(st.integers(0, 14 * 24), max_size=60), st.integers(1, 10))
    def test_once_the_waves_are_approved_the_rest_passes_by_itself(self, hours, limit):
        ends = [(NOW + hour * HOUR, str(n)) for n, hour in enumerate(hours)]
        announced = waves(ends, limit)
        members = [end for wave in announced for end in wave]
        assert len(members) == len(set(members))
        rest = sorted(set(ends) - set(members))
        for start, _ in rest:
            assert sum(start <= at < start + DAY for at, _ in rest) <= limit
        for wave in announced:
            assert len(wave) > limit
            assert wave[-1][0] - wave[0][0] < DAY
