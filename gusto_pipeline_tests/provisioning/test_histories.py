"""Whatever happens in whatever order, from deciding to carrying out: no promise is broken, and all comes to rest.

Each history is one person's, with accounts in two apps; two dozen of them happen in one company, where they meet
brakes, approvals and troubles of the apps. `GUSTO_HISTORIES` says how many are lived through.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.links import Mark
from gusto_pipeline_tests.provisioning.office import DAY, HOUR, MINUTE, PEOPLE, SECOND, Memory, Office, at_work

HISTORIES = int(os.environ.get("GUSTO_HISTORIES", "240"))
STARTS = (  # about the days on which California's clocks change, and others
    datetime(2026, 3, 6, 12, tzinfo=UTC),
    datetime(2026, 3, 8, 7, 30, tzinfo=UTC),
    datetime(2026, 10, 31, 20, tzinfo=UTC),
    datetime(2026, 6, 15, 19, tzinfo=UTC),
    datetime(2026, 12, 30, 3, tzinfo=UTC),
)

RUNS = (
    "swept", "swept on approval", "planned and approved", "last plan applied", "dies before a call",
    "dies after a call", "dies at the end",
)  # fmt: skip
EVENTS: dict[str, tuple[Any, ...]] = {
    "swept": (Office.sweeps,),
    "swept on approval": (Office.sweeps, "", True),
    "planned and approved": (Office.plans,),
    "last plan applied": (Office.applies,),
    "dies before a call": (Office.sweeps, "intended", True),
    "dies after a call": (Office.sweeps, "called", True),
    "dies at the end": (Office.sweeps, "ended", True),
    "hired for today": (Office.hired, 0),
    "hired for next week": (Office.hired, 7),
    "leaves today": (Office.dismissed, 0),
    "leaves in three days": (Office.dismissed, 3),
    "left last week": (Office.dismissed, -7),
    "stays after all": (Office.stays,),
    "rehired today": (Office.rehired, 0),
    "rehired in a month": (Office.rehired, 30),
    "renamed": (Office.renamed,),
    "has another address": (Office.other_address,),
    "vanishes from Gusto": (Office.vanishes,),
    "is back in Gusto": (Office.is_back,),
    "account made by hand": (Office.made_by_hand,),
    "account made under a name": (Office.made_under_a_name,),
    "account made for two": (Office.made_for_two,),
    "suspended by hand": (Office.turned, Status.SUSPENDED, Status.ACTIVE),
    "reopened by hand": (Office.turned, Status.ACTIVE, Status.SUSPENDED, Status.DELETED),
    "binned by hand": (Office.turned, Status.DELETED, Status.ACTIVE, Status.SUSPENDED),
    "removed by hand": (Office.turned, None, *Status),
    "invitation accepted": (Office.turned, Status.ACTIVE, Status.INVITED),
    "becomes an owner": (Office.becomes, {"owner": True}),
    "is an owner no more": (Office.becomes, {"owner": False}),
    "turns out a bot": (Office.becomes, {"bot": True}),
    "matched by hand": (Office.decides, {"what": "match"}),
    "unmatched by hand": (Office.decides, {"what": "unmatch"}),
    "ruled out by hand": (Office.decides, {"what": "refuse"}),
    "refusal lifted": (Office.decides, {"what": "lift_refusal"}),
    "marked as a bot": (Office.decides, {"what": "mark", "kind": Mark.BOT}),
    "ignored": (Office.decides, {"what": "mark", "kind": Mark.IGNORE}),
    "mark lifted": (Office.decides, {"what": "lift_mark"}),
    "should not have it": (Office.wants, False),
    "should have it": (Office.wants, True),
    "app lists a part": (Office.in_trouble, "short"),
    "app lists nobody": (Office.in_trouble, "empty"),
    "app lists somebody twice": (Office.in_trouble, "twice"),
    "app signs us out": (Office.in_trouble, "signed out"),
    "app is down": (Office.in_trouble, "down"),
    "app is well": (Office.in_trouble, ""),
    "next answer is lost": (Office.next_change, "lost"),
    "next change is refused": (Office.next_change, "refused"),
    "next change is too many": (Office.next_change, "limited"),
    "Gusto is down": (Office.gusto_is, True),
    "Gusto is back": (Office.gusto_is, False),
    "only observed": (Office.set_mode, "observe"),
    "only planned": (Office.set_mode, "plan"),
    "goes by itself": (Office.set_mode, "auto"),
    "all approved": (Office.approves,),
    "first item approved": (Office.approves, True),
    "approval taken back": (Office.approves, False, False),
    "a question answered yes": (Office.answers, True),
    "a question answered no": (Office.answers, False),
    "a minute passes": (Office.waits, MINUTE),
    "an hour passes": (Office.waits, HOUR + MINUTE),
    "a day passes": (Office.waits, DAY),
    "a month passes": (Office.waits, 31 * DAY),
    "the clock is set back": (Office.turns_back,),
    "the last minute of access": (Office.to_the_end, -MINUTE),
    "the first minute after it": (Office.to_the_end, MINUTE),
}
SHARED = list(EVENTS)[list(EVENTS).index("app lists a part") :]
PERSONAL = [name for name in EVENTS if name not in (*RUNS, *SHARED)]
DAYS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(PERSONAL), st.integers(0, PEOPLE), st.sampled_from(("okta", "asana"))),
            max_size=18,
        ),
        st.tuples(st.sampled_from(SHARED), st.just(0), st.sampled_from(("okta", "asana"))),
        st.tuples(st.sampled_from(RUNS), st.just(0), st.just("okta")),
    ),
    min_size=8,
    max_size=8,
)


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    made = Memory()
    yield made
    made.connection.close()


def live_through(memory: Memory, start: datetime, days: list[Any]) -> None:
    with at_work(memory, start) as office:
        office.sweep()
        for personal, shared, run in days:
            for event, person, slug in (*personal, shared, run):
                happens, *details = EVENTS[event]
                named = details.pop() if details and isinstance(details[-1], dict) else {}
                office.now += 7 * SECOND  # no two things happen at the same instant
                people = list(office.gusto.values())
                happens(office, people[person % len(people)], office.apps[slug], *details, **named)
        office.comes_to_rest()


@settings(max_examples=max(1, HISTORIES // PEOPLE), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(STARTS), DAYS)
def test_the_eight_promises_hold_from_gusto_to_the_app_whatever_happens(memory, start, days):
    live_through(memory, start, days)
