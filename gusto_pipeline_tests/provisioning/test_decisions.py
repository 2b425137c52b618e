"""The decision table: all that can occur, against the table written down a second time, and what it must never do."""

from __future__ import annotations

import itertools
import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gusto_pipeline.provisioning import decisions, dismissal
from gusto_pipeline.provisioning.decisions import (
    CALLS,
    PLACEHOLDERS,
    RULES,
    Acct,
    Action,
    By,
    Hr,
    Inputs,
    Link,
    Mode,
    Prot,
    Reading,
    Rule,
    Want,
    decide,
    legal_inputs,
    rows,
)
from gusto_pipeline.provisioning.dismissal import Employment, HrRecord, employment_start, hr_state

REFERENCE = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "decisions.md"

TABLE = """
U1 | app=stale hr=ended link=linked/candidate/disputed acct=active/invited/lapsed      | UNKNOWN             | none              | tell
U2 | app=stale                                                                         | UNKNOWN             | none              | none
V1 | hr=vanished link=linked/candidate/disputed/refused                                | HR_RECORD_MISSING   | none              | tell
V2 | hr=vanished                                                                       | HR_RECORD_MISSING   | none              | none
D1 | hr=ended link=disputed                                                            | DISPUTED            | identify          | ask-urgent
D2 | link=disputed                                                                     | DISPUTED            | identify          | ask
C1 | hr=ended link=candidate                                                           | REVIEW              | identify          | ask-urgent
C2 | hr=future_near/active/leave/leaving/future_far/draft want=yes link=candidate      | REVIEW              | identify          | ask
C3 | link=candidate                                                                    | REVIEW              | identify          | ask
N1 | hr=future_near/active/leave want=yes link=refused                                 | MISSING             | create            | auto
N4 | hr=leaving want=yes link=refused                                                  | MISSING             | create            | ask
N2 | hr=future_far/draft want=yes link=refused                                         | SCHEDULED           | none              | none
N3 | link=refused                                                                      | NOT_WANTED          | none              | none
P1 | hr=ended link=linked acct=active/invited/lapsed prot=protected                    | PROTECTED           | hand_over         | ask-urgent
P2 | link=linked prot=protected                                                        | PROTECTED           | none              | none
M1 | hr=future_near/active/leave want=yes link=none                                    | MISSING             | create            | auto
M4 | hr=leaving want=yes link=none                                                     | MISSING             | create            | ask
M2 | hr=future_far/draft want=yes link=none                                            | SCHEDULED           | none              | none
M3 | link=none                                                                         | NOT_WANTED          | none              | none
I1 | hr=future_near/active/leave/leaving want=yes acct=invited                         | INVITE_SENT         | none              | none
I2 | hr=future_far/draft want=yes acct=invited                                         | INVITE_SENT         | none              | tell
I3 | hr=ended acct=invited                                                             | REMOVAL_DUE         | cancel_invitation | limited
I4 | acct=invited                                                                      | EXTRA               | cancel_invitation | ask
I5 | hr=future_near/active/leave want=yes acct=lapsed                                  | INVITE_LAPSED       | invite_again      | auto
I6 | hr=ended acct=lapsed                                                              | INVITE_LAPSED       | cancel_invitation | limited
I7 | acct=lapsed                                                                       | INVITE_LAPSED       | none              | none
A1 | hr=leaving want=yes acct=active                                                   | LEAVING             | update            | auto
A2 | hr=active/leave/future_near want=yes acct=active                                  | CONNECTED           | update            | auto
A3 | hr=ended acct=active                                                              | REMOVAL_DUE         | suspend           | limited
A4 | hr=future_far/draft want=yes acct=active                                          | EARLY               | none              | tell
A5 | acct=active                                                                       | EXTRA               | suspend           | ask
S1 | hr=ended acct=suspended by=us                                                     | IN_GRACE            | delete            | approve
S2 | hr=future_near/active/leave/leaving want=yes acct=suspended by=us spell=same      | IN_GRACE            | reactivate        | auto
S6 | hr=future_near/active/leave/leaving want=yes acct=suspended by=us spell=new       | IN_GRACE            | reactivate        | approve
S3 | acct=suspended by=us                                                              | SUSPENDED_BY_US     | none              | none
S4 | hr=ended acct=suspended by=others                                                 | SUSPENDED_BY_OTHERS | delete_by_hand    | approve
S5 | acct=suspended by=others                                                          | SUSPENDED_BY_OTHERS | none              | tell
T1 | hr=future_near/active/leave/leaving want=yes acct=trash by=us                     | REMOVED             | restore           | approve
T2 | hr=future_near/active/leave/leaving want=yes acct=trash by=others                 | DELETED_BY_OTHERS   | restore           | ask
T3 | acct=trash                                                                        | REMOVED             | none              | none
G1 | hr=future_near/active/leave want=yes acct=absent by=us                            | GONE                | create            | auto
G4 | hr=leaving want=yes acct=absent by=us                                             | GONE                | create            | ask
G2 | hr=future_near/active/leave/leaving want=yes acct=absent by=others                | DELETED_BY_OTHERS   | create            | ask
G3 | acct=absent                                                                       | GONE                | none              | none
"""  # noqa: E501
ROWS = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]

NAMES = [f.name for f in fields(Inputs)]
LEGAL = list(legal_inputs())
STAYING = {Hr.FUTURE_NEAR, Hr.ACTIVE, Hr.LEAVE}
LIVE = {Acct.ACTIVE, Acct.INVITED, Acct.LAPSED}
ON_THE_ACCOUNT = CALLS - {Action.CREATE}
BY_ITSELF = {Mode.AUTO, Mode.LIMITED}


def combinations() -> Iterator[dict[str, str]]:
    """All that can occur, put together from what accounts there are; values not set are left out."""
    accounts: list[dict[str, str]] = [{"link": "none", "acct": "absent", "prot": "plain"}]
    taken = [{"by": "others"}, {"by": "us", "spell": "same"}, {"by": "us", "spell": "new"}]
    accounts += [{"link": "linked", "acct": "absent", "prot": "plain"} | log for log in taken]
    for link, prot in itertools.product(("linked", "candidate", "disputed", "refused"), ("plain", "protected")):
        there = {"link": link, "prot": prot}
        accounts += [there | {"acct": acct} for acct in ("invited", "lapsed", "active")]
        accounts += [there | {"acct": acct} | log for acct in ("suspended", "trash") for log in taken]
    states = ("draft", "future_far", "future_near", "active", "leave", "leaving", "ended", "vanished")
    for app, hr, want, account in itertools.product(("ok", "stale"), states, ("yes", "no"), accounts):
        yield {"app": app, "hr": hr, "want": want} | account


def first_fitting(inputs: dict[str, str], table: list[list[str]]) -> list[str]:
    def fits(row: list[str]) -> bool:
        terms = (term.split("=") for term in row[1].split())
        return all(inputs.get(name) in values.split("/") for name, values in terms)

    return next(row for row in table if fits(row))


def found(**which: Any) -> list[tuple[Inputs, Rule]]:
    """Legal inputs with these values, and what is decided for them."""
    sets = {name: values if isinstance(values, set) else {values} for name, values in which.items()}
    return [(i, decide(i)) for i in LEGAL if all(getattr(i, name) in values for name, values in sets.items())]


class TestTable:
    def test_2432_combinations_can_occur(self):
        assert len(LEGAL) == len(set(LEGAL)) == 2432
        expected = {tuple(inputs.get(name) for name in NAMES) for inputs in combinations()}
        assert {tuple(getattr(inputs, name) for name in NAMES) for inputs in LEGAL} == expected

    def test_each_is_decided_as_written_down(self):
        for inputs in combinations():
            id_, _, state, action, mode = first_fitting(inputs, ROWS)
            rule = decide(Inputs(**inputs))  # type: ignore[arg-type]
            assert (rule.id, rule.state, rule.action, rule.mode) == (id_, state, action, mode), inputs

    def test_every_one_of_the_44_rows_is_reached(self):
        assert len(RULES) == 44
        assert {decide(inputs).id for inputs in LEGAL} == {rule.id for rule in RULES}

    def test_it_agrees_with_the_reference_but_for_accounts_known_to_be_gone_in_an_unseen_app(self):
        if not REFERENCE.exists():
            pytest.skip("the reference is not there")
        lines = re.findall(r"^\| ([A-Z]\d) \| (.*) \|$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
        table = []
        for id_, rest in lines:
            conditions, state, _, mode = rest.split(" | ")
            terms = re.sub(r"\s*([=/])\s*", r"\1", conditions).replace("=other", "=others").split(" · ")
            every = "link=linked/candidate/disputed/refused"
            table.append([id_, " ".join(every if t == "link ≠ none" else t for t in terms), state, mode.strip("*")])
        assert len(table) == 44
        different = set()
        for inputs in combinations():
            expected = first_fitting(inputs, table)
            rule = decide(Inputs(**inputs))  # type: ignore[arg-type]
            if [rule.id, rule.state, rule.mode] != [expected[0], *expected[2:]]:
                different.add((expected[0], rule.id, inputs["acct"]))
        assert different == {("U1", "U2", acct) for acct in ("absent", "suspended", "trash")}

    @pytest.mark.parametrize(
        ("values", "why"),
        [
            ({"hr": "fired"}, "hr is 'fired', not one of active, leave"),
            ({"by": "them"}, "by is 'them'"),
            ({"link": "none"}, "link is none, so acct must be absent, not active"),
            ({"acct": "absent", "link": "candidate"}, "link is candidate, so there is an account"),
            ({"acct": "absent", "by": "others", "prot": "protected"}, "acct is absent, so prot must be plain"),
            ({"acct": "suspended"}, "acct is suspended with link linked, so by must say who"),
            ({"acct": "absent"}, "acct is absent with link linked, so by must say who"),
            ({"by": "others"}, "acct is active with link linked, so nobody took it away"),
            ({"acct": "trash", "by": "us"}, "by is us, so spell must be set"),
            ({"acct": "trash", "by": "others", "spell": "new"}, "by is not us, so spell must not be set"),
        ],
    )
    def test_what_cannot_occur_is_refused_with_the_reason(self, values, why):
        inputs = {"app": "ok", "hr": "active", "want": "yes", "link": "linked", "acct": "active"} | values
        with pytest.raises(ValueError, match=re.escape(why)):
            decide(Inputs(**inputs))

    def test_a_condition_with_a_misspelt_value_is_refused(self):
        with pytest.raises(ValueError, match="hr cannot be fired"):
            decisions.when(hr="active fired")


class TestSentences:
    def names(self, rule: Rule) -> set[str]:
        text = rule.reason + rule.next_step
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    def test_all_they_leave_open_is_explained(self):
        assert set().union(*(self.names(rule) for rule in RULES)) == PLACEHOLDERS.keys()

    def test_they_speak_only_of_what_is_known_whenever_the_row_fits(self):
        known = {
            "account": lambda i: i.link != Link.NONE,
            "first_day": lambda i: i.hr in {Hr.FUTURE_FAR, Hr.DRAFT},
            "created_on": lambda i: i.hr in {Hr.FUTURE_FAR, Hr.DRAFT},
            "last_day": lambda i: i.hr in {Hr.LEAVING, Hr.ENDED},
            "removal_at": lambda i: i.hr == Hr.LEAVING,
            "read_at": lambda i: i.app == Reading.STALE,
            "taken_on": lambda i: i.by == By.US,
            "rights": lambda i: i.acct == Acct.SUSPENDED,
            "evidence": lambda i: i.link == Link.CANDIDATE,
            "claims": lambda i: i.link == Link.DISPUTED,
        }
        for inputs in LEGAL:
            rule = decide(inputs)
            for name in self.names(rule) - {"app"}:
                assert known[name](inputs), (rule.id, name, inputs)

    def test_they_are_sentences(self):
        for rule in RULES:
            for text in (rule.reason, rule.next_step):
                assert text.endswith(".")
                assert text[0].isupper() or text.startswith("{app}")


class TestRows:
    def test_the_documentation_lists_the_table_in_its_order(self):
        assert [row[0] for row in rows()] == [row[0] for row in ROWS]
        assert rows()[0][1:5] == (
            "app = stale · hr = ended · link = linked / candidate / disputed · acct = invited / lapsed / active",
            "UNKNOWN",
            "none",
            "tell",
        )


class TestPromises:
    """Over all that can occur."""

    def test_an_app_that_is_not_seen_is_left_alone(self):
        assert {rule.action for _, rule in found(app=Reading.STALE)} == {Action.NONE}

    def test_who_vanished_is_not_treated_as_dismissed(self):
        assert {rule.action for _, rule in found(hr=Hr.VANISHED)} == {Action.NONE}

    def test_an_account_is_touched_only_when_it_is_proven_whose_it_is(self):
        for inputs, rule in found(link={Link.NONE, Link.CANDIDATE, Link.DISPUTED, Link.REFUSED}):
            assert rule.action not in ON_THE_ACCOUNT, inputs
        assert not {rule.action for _, rule in found(link={Link.CANDIDATE, Link.DISPUTED})} & CALLS

    def test_protected_accounts_are_not_touched(self):
        assert not {rule.action for _, rule in found(prot=Prot.PROTECTED)} & ON_THE_ACCOUNT
        assert not {rule.action for _, rule in found(prot=Prot.PROTECTED, link=Link.LINKED)} & CALLS

    def test_accounts_are_created_only_for_people_who_are_meant_to_have_them_and_stay(self):
        creating = [(i, rule) for i, rule in found() if rule.action in {Action.CREATE, Action.INVITE_AGAIN}]
        assert {i.want for i, _ in creating} == {Want.YES}
        assert {i.hr for i, rule in creating if rule.mode in BY_ITSELF} == STAYING
        assert {i.hr for i, _ in creating} == {*STAYING, Hr.LEAVING}

    def test_only_our_own_suspensions_are_undone(self):
        undone = [i for i, rule in found() if rule.action == Action.REACTIVATE]
        assert {(i.acct, i.by) for i in undone} == {(Acct.SUSPENDED, By.US)}
        assert {i.by for i, r in found() if r.action == Action.RESTORE and r.mode != Mode.ASK} == {By.US}

    def test_only_accounts_of_people_who_left_are_deleted_and_after_our_own_suspension(self):
        deleted = [(i, rule) for i, rule in found() if rule.action == Action.DELETE]
        assert {(i.hr, i.acct, i.by, i.link) for i, _ in deleted} == {(Hr.ENDED, Acct.SUSPENDED, By.US, Link.LINKED)}
        assert {rule.mode for _, rule in deleted} == {Mode.APPROVE}

    def test_nobody_who_left_keeps_access_in_silence(self):
        for inputs, rule in found(hr=Hr.ENDED, link={Link.LINKED, Link.CANDIDATE, Link.DISPUTED}, acct=LIVE):
            assert rule.mode != Mode.NONE, inputs
        removed = {Action.SUSPEND, Action.CANCEL_INVITATION}
        plain = found(app=Reading.OK, hr=Hr.ENDED, link=Link.LINKED, acct=LIVE, prot=Prot.PLAIN)
        assert {(rule.action in removed, rule.mode) for _, rule in plain} == {(True, Mode.LIMITED)}

    def test_nobody_employed_loses_access_unasked(self):
        taking = {Action.SUSPEND, Action.CANCEL_INVITATION, Action.DELETE}
        for inputs, rule in found(hr={*STAYING, Hr.LEAVING, Hr.FUTURE_FAR, Hr.DRAFT}):
            assert not (rule.action in taking and rule.mode != Mode.ASK), inputs


@dataclass
class Seat:
    """An account, as it is and as it was when the app was last read."""

    link: Link
    status: Acct
    by: By | None = None
    taken_from: date | None = None
    protected: bool = False
    seen: tuple[Acct, By | None, bool] | None = None

    def put(self, status: Acct, by: By | None = None, taken_from: date | None = None) -> None:
        self.status, self.by, self.taken_from = status, by, taken_from


@dataclass
class Hired:
    """An HR record that can change."""

    spans: list[list[date | None]] = field(default_factory=list)
    onboarded: bool = False
    on_leave: bool = False
    listed: bool = True


class World:
    """One person, one app, and a company to which everything happens. After each event the table is obeyed.

    The promises are checked against what is true in this world, not against what was handed to the table.
    """

    def __init__(self, *, suspends: bool, invites: bool, bin_: bool) -> None:
        self.suspends, self.invites, self.bin = suspends, invites, bin_
        self.now = datetime(2026, 1, 12, 20, tzinfo=UTC)
        self.records: list[Hired] = []
        self.seats: list[Seat] = []
        self.wanted = True
        self.reachable = True
        self.reached: set[str] = set()

    # What is true.

    @property
    def today(self) -> date:
        return self.now.astimezone(ZoneInfo("America/Los_Angeles")).date()

    def spans(self, listed: bool) -> list[tuple[date, date]]:
        """First and last days; no last day is the end of time."""
        return [
            (first, last or date.max)
            for record in self.records
            if record.listed == listed
            for first, last in record.spans
            if first
        ]

    def employed(self, listed: bool = True) -> bool:
        return any(first <= self.today <= last for first, last in self.spans(listed))

    def left(self) -> bool:
        """Worked here, does not, and is not about to return."""
        begun = [last for first, last in self.spans(True) if first <= self.today]
        soon = [first for first, _ in self.spans(True) if self.today < first <= self.today + timedelta(days=3)]
        return bool(begun) and max(begun) < self.today and not soon and not self.employed(listed=False)

    # What is known.

    def seat(self) -> Seat | None:
        """The account that counts: the linked one, else the one with the nearest claim."""
        order = [Link.LINKED, Link.DISPUTED, Link.CANDIDATE, Link.REFUSED]
        return min((s for s in self.seats if s.seen), key=lambda s: order.index(s.link), default=None)

    def hr_records(self) -> list[HrRecord]:
        return [
            HrRecord(
                employments=tuple(Employment(*span) for span in record.spans),
                onboarded=record.onboarded,
                leaves=((date.min, date.max),) if record.on_leave else (),
                listed=record.listed,
            )
            for record in self.records
        ]

    def inputs(self) -> Inputs:
        if self.reachable:
            self.seats = [s for s in self.seats if s.link == Link.LINKED or s.status != Acct.ABSENT]
            for seat in self.seats:
                seat.seen = (seat.status, seat.by, seat.protected and seat.status != Acct.ABSENT)
        reading = Reading.OK if self.reachable else Reading.STALE
        want = Want.YES if self.wanted else Want.NO
        records = self.hr_records()
        hr = hr_state(records, self.now)
        seat = self.seat()
        if seat is None or seat.seen is None:
            return Inputs(reading, hr, want, Link.NONE, Acct.ABSENT)
        status, by, protected = seat.seen
        spell = dismissal.spell(seat.taken_from, records, self.now) if by == By.US else None
        return Inputs(reading, hr, want, seat.link, status, by, Prot.PROTECTED if protected else Prot.PLAIN, spell)

    # What we do.

    def settle(self) -> None:
        """Does what the table says until it asks for nothing more, and checks what became of it."""
        for _ in range(3):
            inputs = self.inputs()
            rule = decide(inputs)
            self.reached.add(rule.id)
            if rule.mode not in BY_ITSELF or rule.action == Action.UPDATE:
                break
            self.carry_out(rule, asked=False)
        else:
            raise AssertionError(f"no end to it: {rule.id} after {inputs}")
        self.check_leaver(rule)

    def carry_out(self, rule: Rule, *, asked: bool) -> None:
        seat = self.seat()
        assert self.reachable, "acted on an app that cannot be seen"
        assert not (self.records and not any(record.listed for record in self.records)), "acted on who vanished"
        if rule.action == Action.CREATE:
            assert self.wanted
            near = self.today + timedelta(days=3)
            assert any(first <= near and (asked or last == date.max) for first, last in self.spans(True))
            assert seat is None or seat.link in {Link.REFUSED, Link.LINKED}
            self.seats = [s for s in self.seats if s.link != Link.LINKED]
            self.seats.append(Seat(Link.LINKED, Acct.INVITED if self.invites else Acct.ACTIVE))
            return
        assert seat is not None
        assert seat.link == Link.LINKED, "acted on an account of which it is not proven whose it is"
        assert not seat.protected, "acted on a protected account"
        if rule.action in {Action.SUSPEND, Action.CANCEL_INVITATION, Action.DELETE} and not asked:
            assert not self.employed(), "took access from somebody employed"
            assert not self.employed(listed=False), "took access from somebody who only vanished"
        start = employment_start(self.hr_records(), self.now)
        if rule.action == Action.INVITE_AGAIN:
            assert self.wanted
            seat.put(Acct.INVITED)
        elif rule.action == Action.CANCEL_INVITATION:
            seat.put(Acct.ABSENT, By.US, start)
        elif rule.action == Action.SUSPEND:
            seat.put(Acct.SUSPENDED if self.suspends else Acct.ABSENT, By.US, start)
        elif rule.action == Action.REACTIVATE:
            assert seat.status == Acct.SUSPENDED
            assert seat.by == By.US, "reopened what others closed"
            seat.put(Acct.ACTIVE)
        elif rule.action == Action.DELETE:
            assert seat.status == Acct.SUSPENDED
            assert seat.by == By.US, "deleted what we had not suspended"
            assert asked
            assert not self.employed(), "deleted the account of somebody employed"
            seat.put(Acct.TRASH if self.bin else Acct.ABSENT, By.US, seat.taken_from)
        elif rule.action == Action.RESTORE:
            assert seat.status == Acct.TRASH
            assert asked
            seat.put(Acct.ACTIVE)

    def check_leaver(self, rule: Rule) -> None:
        seat = self.seat()
        if not self.left() or seat is None or seat.seen is None or seat.link == Link.REFUSED:
            return
        if seat.seen[0] in LIVE:
            assert rule.mode in {Mode.TELL, Mode.ASK_URGENT}, f"{rule.id}: somebody who left keeps access in silence"
            assert not self.reachable or seat.protected or seat.link != Link.LINKED, (
                f"{rule.id}: access was not removed"
            )

    # What happens: to the person.

    def current(self) -> Hired | None:
        return self.records[-1] if self.records else None

    def hire(self) -> None:
        if not self.records:
            self.records.append(Hired())

    def start(self, days: int) -> None:
        """A first day is entered or moved, as long as it is to come."""
        record = self.current()
        if record and not record.spans:
            record.spans.append([None, None])
        if record and (record.spans[-1][0] or date.max) > self.today:
            record.spans[-1] = [self.today + timedelta(days=days), None]

    def onboard(self) -> None:
        if (record := self.current()) and record.spans:
            record.onboarded = True

    def withdraw(self) -> None:
        record = self.current()
        if record and not any(first and first <= self.today for first, _ in record.spans):
            record.listed = False

    def dismiss(self, days: int) -> None:
        record = self.current()
        if record and record.spans and (record.spans[-1][0] or date.max) <= self.today:
            record.spans[-1][1] = max(record.spans[-1][0] or date.min, self.today + timedelta(days=days))

    def keep(self) -> None:
        if (record := self.current()) and record.spans:
            record.spans[-1][1] = None

    def rehire(self, days: int) -> None:
        record = self.current()
        if record and record.spans and (record.spans[-1][1] or date.max) < self.today:
            record.spans.append([self.today + timedelta(days=days), None])

    def stay_away(self) -> None:
        """A scheduled rehire is cancelled."""
        record = self.current()
        if record and len(record.spans) > 1 and (record.spans[-1][0] or date.min) > self.today:
            record.spans.pop()

    def convert(self, days: int) -> None:
        """A contractor who leaves is hired as an employee."""
        record = self.current()
        if record and record.spans and (last := record.spans[-1][1]):
            self.records.append(Hired([[last + timedelta(days=days), None]], onboarded=True))

    def leave(self) -> None:
        if record := self.current():
            record.on_leave = not record.on_leave

    def vanish(self, listed: bool) -> None:
        if record := self.current():
            record.listed = listed

    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    # ... to the account, by others ...

    def find(self, link: Link) -> None:
        """An account turns up that others have made."""
        if not any(seat.link == link for seat in self.seats):
            self.seats.append(Seat(link, Acct.ACTIVE))

    def turn(self, status: Acct, *before: Acct) -> None:
        seat = self.seat()
        if seat and seat.status in before:
            seat.put(status, None if status in LIVE else By.OTHERS)

    def protect(self, protected: bool) -> None:
        if seat := self.seat():
            seat.protected = protected

    def match(self) -> None:
        seat = self.seat()
        if seat and seat.link in {Link.CANDIDATE, Link.DISPUTED}:
            seat.link = Link.LINKED

    def unmatch(self) -> None:
        seat = self.seat()
        if seat and seat.seen and seat.seen[0] != Acct.ABSENT:
            seat.link = Link.REFUSED

    # ... and to us.

    def want(self) -> None:
        self.wanted = not self.wanted

    def reach(self, reachable: bool) -> None:
        self.reachable = reachable

    def approve(self) -> None:
        """Somebody says yes to what is proposed."""
        rule = decide(self.inputs())
        if rule.action in CALLS and rule.mode in {Mode.ASK, Mode.APPROVE}:
            self.carry_out(rule, asked=True)


EVENTS: dict[str, tuple[Any, ...]] = {
    "nothing": (World.wait, 0),
    "hire entered": (World.hire,),
    "starts in a month": (World.start, 30),
    "starts in a week": (World.start, 7),
    "starts tomorrow": (World.start, 1),
    "starts today": (World.start, 0),
    "onboarding done": (World.onboard,),
    "offer withdrawn": (World.withdraw,),
    "leaves in ten days": (World.dismiss, 10),
    "leaves today": (World.dismiss, 0),
    "left last week": (World.dismiss, -7),
    "dismissal cancelled": (World.keep,),
    "rehired in a month": (World.rehire, 30),
    "rehired today": (World.rehire, 0),
    "rehire cancelled": (World.stay_away,),
    "contractor hired the day after": (World.convert, 1),
    "contractor hired weeks after": (World.convert, 20),
    "leave starts or ends": (World.leave,),
    "HR record vanishes": (World.vanish, False),
    "HR record is back": (World.vanish, True),
    "an hour passes": (World.wait, 1),
    "a day passes": (World.wait, 24),
    "a week passes": (World.wait, 24 * 7),
    "a month passes": (World.wait, 24 * 31),
    "department changes": (World.want,),
    "account found, linked": (World.find, Link.LINKED),
    "account found, perhaps theirs": (World.find, Link.CANDIDATE),
    "account found, disputed": (World.find, Link.DISPUTED),
    "matched by hand": (World.match,),
    "unmatched by hand": (World.unmatch,),
    "invitation accepted": (World.turn, Acct.ACTIVE, Acct.INVITED),
    "invitation lapsed": (World.turn, Acct.LAPSED, Acct.INVITED),
    "invitation declined": (World.turn, Acct.ABSENT, Acct.INVITED),
    "suspended by hand": (World.turn, Acct.SUSPENDED, Acct.ACTIVE),
    "reopened by hand": (World.turn, Acct.ACTIVE, Acct.SUSPENDED, Acct.TRASH),
    "deleted by hand": (World.turn, Acct.TRASH, Acct.ACTIVE, Acct.SUSPENDED),
    "removed by hand": (World.turn, Acct.ABSENT, Acct.ACTIVE, Acct.SUSPENDED, Acct.TRASH),
    "marked as a bot": (World.protect, True),
    "mark taken off": (World.protect, False),
    "app cannot be reached": (World.reach, False),
    "app is back": (World.reach, True),
    "approved": (World.approve,),
}


JOINED = "hire entered; starts today; invitation accepted"
GONE = f"{JOINED}; leaves today; a day passes; a month passes"
OPENINGS = ("nothing", "hire entered; starts tomorrow", JOINED, f"{JOINED}; leaves in ten days", GONE)


def live_through(world: World, history: str) -> None:
    for event in history.split("; "):
        happens, *details = EVENTS[event]
        happens(world, *details)
        world.settle()


class TestHistories:
    """Over what happens to a person and an account in time, in any order."""

    @settings(max_examples=1000, deadline=None)
    @given(
        st.tuples(st.booleans(), st.booleans(), st.booleans()),
        st.sampled_from(OPENINGS),
        st.lists(st.sampled_from(list(EVENTS)), min_size=40, max_size=40),
    )
    def test_the_promises_hold_at_every_step_and_every_step_comes_to_rest(self, kind, opening, events):
        world = World(suspends=kind[0], invites=kind[1], bin_=kind[2])
        live_through(world, "; ".join([opening, *events]))

    def test_they_lead_to_every_row(self):
        chance = random.Random(11)
        reached: set[str] = set()
        for _ in range(1500):
            world = World(suspends=chance.random() < 0.8, invites=chance.random() < 0.5, bin_=chance.random() < 0.8)
            live_through(world, "; ".join([chance.choice(OPENINGS), *chance.choices(list(EVENTS), k=20)]))
            reached |= world.reached
        assert reached == {rule.id for rule in RULES}

    @pytest.mark.parametrize(
        ("history", "row"),
        [
            ("hire entered", "M2"),
            ("hire entered; starts in a month", "M2"),
            ("hire entered; offer withdrawn", "V2"),
            ("hire entered; starts tomorrow", "I1"),
            ("hire entered; starts tomorrow; starts in a month", "I2"),
            ("hire entered; starts tomorrow; invitation accepted; starts in a month", "A4"),
            ("hire entered; starts tomorrow; offer withdrawn", "V1"),
            (JOINED, "A2"),
            (f"{JOINED}; leave starts or ends", "A2"),
            (f"{JOINED}; department changes", "A5"),
            (f"{JOINED}; suspended by hand", "S5"),
            (f"{JOINED}; deleted by hand", "T2"),
            (f"{JOINED}; marked as a bot", "P2"),
            (f"{JOINED}; unmatched by hand", "I1"),
            (f"{JOINED}; leaves in ten days", "A1"),
            (f"{JOINED}; leaves in ten days; dismissal cancelled", "A2"),
            (f"{JOINED}; left last week; a day passes", "S1"),
            (f"{JOINED}; suspended by hand; leaves today; a day passes", "S4"),
            (f"{JOINED}; marked as a bot; leaves today; a day passes", "P1"),
            (f"{JOINED}; leaves today; app cannot be reached; a day passes", "U1"),
            (f"{JOINED}; leaves today; contractor hired the day after; a day passes", "A2"),
            (f"{JOINED}; leaves today; contractor hired weeks after; a day passes", "S1"),
            (f"{JOINED}; leaves today; contractor hired weeks after; a day passes; a month passes", "S6"),
            (GONE, "S1"),
            (f"{GONE}; app cannot be reached", "U2"),
            (f"{GONE}; dismissal cancelled", "A2"),
            (f"{GONE}; reopened by hand", "S1"),
            (f"{GONE}; rehired in a month", "S1"),
            (f"{GONE}; rehired today", "S6"),
            (f"{GONE}; approved; rehired today", "T1"),
            ("hire entered; starts today; department changes", "I4"),
            ("hire entered; starts today; invitation lapsed", "I1"),
            ("hire entered; starts today; invitation declined", "G2"),
            ("hire entered; starts today; leaves today; a day passes", "G3"),
        ],
    )
    def test_each_event_has_its_effect(self, history, row):
        world = World(suspends=True, invites=True, bin_=True)
        live_through(world, history)
        assert decide(world.inputs()).id == row
