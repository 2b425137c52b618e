"""From what the warehouse knows to decisions and plans: cases that only come about over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from email.utils import format_datetime

import httpx
import pytest

from gusto_pipeline import reconcile
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.errors import AppError, OutcomeUnknownError
from gusto_pipeline.provisioning.links import HandDecisionError
from gusto_pipeline.provisioning.plans import Item, PlanError
from gusto_pipeline.reconcile import Removal
from gusto_pipeline_tests.provisioning.office import (
    COMPANY,
    DAY,
    HOUR,
    MINUTE,
    PEOPLE,
    SECOND,
    Human,
    Memory,
    Office,
    at_work,
    end_of_access,
)

START = datetime(2026, 6, 15, 19, tzinfo=UTC)
MEMORY = Memory()


@pytest.fixture
def office() -> Iterator[Office]:
    with at_work(MEMORY, START) as made:
        yield made


def someone(office: Office, n: int = 0) -> Human:
    return office.gusto[f"p{n}"]


def planned(office: Office, human: Human, slug: str = "okta") -> list[Item]:
    office.read_and_plan()
    assert office.plan
    return [item for item in office.plan.items if (item.person_id, item.app) == (human.id, slug)]


def rules(office: Office, human: Human, slug: str = "okta") -> list[str]:
    """Ids of the rows that fit the person now."""
    office.read_and_plan()
    rows = office.memory.query(
        f"SELECT rule FROM provisioning.decisions WHERE person_id = '{human.id}' AND app = '{slug}' ORDER BY rule"
    )
    return [row[0] for row in rows]


def test_an_invitation_that_lapsed_is_sent_again_also_where_nobody_is_invited_by_rule(office):
    office.who, human, asana = "", someone(office), office.apps["asana"]
    asana.put(replace(asana.of(human), status=Status.INVITED, invited_until=office.now))
    assert rules(office, human, "asana") == ["I5"]
    office.sweep()
    assert asana.of(human).invited_until > office.now


def test_an_invitation_that_lapsed_before_somebody_starts_is_not_sent_again(office):
    office.who, asana = "", office.apps["asana"]
    office.join(office.today + 60 * DAY)
    human = list(office.gusto.values())[-1]
    asana.add(emails=(human.email,), status=Status.INVITED, invited_until=office.now, **human.names())
    assert rules(office, human, "asana") == ["I7"]


def swept(office: Office) -> None:
    """Everything is approved and done."""
    office.sweep(approved=True)
    office.now += MINUTE


def test_no_other_account_is_made_while_one_may_be_theirs(office):
    human, asana = someone(office), office.apps["asana"]
    office.dismissed(human, asana, -7)
    swept(office)
    assert asana.of(human) is None
    office.now += DAY
    office.rehired(human, asana, 0)
    asana.add(emails=("private@example.com",), display_name=human.name)
    assert rules(office, human, "asana") == ["C2"]
    assert planned(office, human, "asana") == []


@pytest.mark.parametrize("until", [None, 40])
def test_who_has_left_and_is_to_return_loses_access_at_the_end_of_the_first_employment(office, until):
    human = someone(office)
    first_end = office.today
    last = until and office.today + until * DAY
    human.spells = [[office.today - 100 * DAY, first_end], [office.today + 30 * DAY, last]]
    ahead = planned(office, human)
    assert [item.due_at for item in ahead] == [end_of_access(first_end).isoformat()]
    assert str(first_end) in ahead[0].reason
    office.now = end_of_access(first_end) + HOUR
    due = planned(office, human)
    assert [item.due_at for item in due] == [end_of_access(first_end).isoformat()]
    swept(office)
    assert office.apps["okta"].of(human).status is Status.SUSPENDED


def test_of_somebody_hired_again_who_leaves_again_the_coming_end_counts(office):
    human, today = someone(office), office.today
    human.spells = [[today - 400 * DAY, today - 200 * DAY], [today - 100 * DAY, today + 5 * DAY]]
    assert [item.due_at for item in planned(office, human)] == [end_of_access(today + 5 * DAY).isoformat()]
    office.now += 2 * DAY
    swept(office)
    office.now = end_of_access(today + 5 * DAY) + MINUTE
    assert reconcile.sweep_due(office.settings, COMPANY, office.now) == "the access of 2 accounts has ended"
    swept(office)
    assert office.apps["okta"].of(human).status is Status.SUSPENDED


def test_the_end_of_an_earlier_employment_is_no_end_of_access_for_somebody_hired_again(office):
    human, today = someone(office), office.today
    human.spells = [[today - 400 * DAY, today - 200 * DAY], [today - 100 * DAY, None]]
    office.read_and_plan()
    ends = office.memory.query(f"SELECT DISTINCT removal_at FROM provisioning.decisions WHERE person_id = '{human.id}'")
    assert ends == [(None,)]


def test_no_removal_is_announced_where_the_next_employment_follows_without_a_day_between(office):
    human = someone(office)
    human.spells = [[office.today - 100 * DAY, office.today + 5 * DAY], [office.today + 6 * DAY, None]]
    assert planned(office, human) == []


def test_no_account_is_made_under_an_address_that_another_account_has(office):
    office.join(office.today)
    human, okta = office.gusto["p24"], office.apps["okta"]
    other = okta.add(emails=(human.email.upper(),), bot=True)
    assert planned(office, human) == []
    asked = [one for one in office.plan.questions if (one.person_id, one.app) == (human.id, "okta")]
    assert [(one.rule, one.action) for one in asked] == [("M1", "identify")]
    assert f"has the login {human.email}" in asked[0].reason
    del okta.accounts[other.id]
    assert [item.action for item in planned(office, human)] == ["create"]


def test_what_others_closed_after_opening_it_again_stays_closed(office):
    human, okta = someone(office), office.apps["okta"]
    office.dismissed(human, okta, -7)
    swept(office)
    office.turned(human, okta, Status.ACTIVE, Status.SUSPENDED)
    office.stays(human, okta)
    assert rules(office, human) == ["A2"]
    office.now += MINUTE
    office.turned(human, okta, Status.SUSPENDED, Status.ACTIVE)
    assert rules(office, human) == ["S5"]


def test_where_no_rule_says_who_a_cancelled_dismissal_gives_back_what_it_took(office):
    human, office.who = someone(office), ""
    office.dismissed(human, office.apps["okta"], -7)
    swept(office)
    assert office.apps["okta"].of(human).status is Status.SUSPENDED
    assert office.apps["asana"].of(human) is None
    office.stays(human, office.apps["okta"])
    assert (rules(office, human), rules(office, human, "asana")) == (["S2"], ["G1"])
    swept(office)
    assert office.apps["okta"].of(human).status is Status.ACTIVE
    assert office.apps["asana"].of(human).status is Status.INVITED


def test_where_no_rule_says_who_a_person_is_asked_about_what_a_rehire_had(office):
    human, office.who = someone(office), ""
    office.dismissed(human, office.apps["okta"], -7)
    swept(office)
    office.now += DAY
    office.rehired(human, office.apps["okta"], 0)
    assert (rules(office, human), rules(office, human, "asana")) == (["S6"], ["G3"])


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({}, "With it come back: what it was allowed before."),
        (
            {"admin": True, "role": "Editor", "licence": "E3", "groups": ("Sales", "Board")},
            "With it come back: administrator, role Editor, licence E3, groups Sales, Board.",
        ),
    ],
)
def test_who_approves_a_rehire_is_told_which_rights_come_back(office, held, words):
    human, okta = someone(office), office.apps["okta"]
    office.becomes(human, okta, **held)
    office.dismissed(human, okta, -7)
    swept(office)
    office.now += DAY
    office.rehired(human, okta, 0)
    [item] = planned(office, human)
    assert (item.rule, item.needs_approval) == ("S6", True)
    assert item.reason.endswith(words)


def test_who_starts_later_is_told_the_day_on_which_the_account_is_made(office):
    first = office.today + 10 * DAY
    office.join(first)
    office.read_and_plan()
    steps = office.memory.query("SELECT DISTINCT rule, next_step FROM provisioning.decisions WHERE person_id = 'p24'")
    assert steps == [("M2", f"An account is created on {first - 3 * DAY}.")]


def test_where_no_rule_says_who_what_was_taken_from_somebody_who_stayed_is_not_given_back(office):
    human, office.who = someone(office), ""
    office.sweep()
    reconcile.decide_want(
        office.settings, None, COMPANY, human.id, "okta", wanted=False, until=office.today, who="kim",
        why="no longer needed", clock=office.clock,
    )  # fmt: skip
    office.unwanted.add((human.id, "okta"))
    swept(office)
    office.now += 2 * DAY
    assert rules(office, human) == ["S3"]


def test_an_invitation_that_gets_another_id_each_time_is_sent_again_three_times_at_most(office):
    office.join(office.today)
    human, asana = office.gusto["p24"], office.apps["asana"]

    def another(session, account):
        until = office.now + 7 * DAY
        asana._change("invite_again", account.id, None, lambda: asana.accounts.pop(account.id))
        asana.add(emails=account.emails, status=Status.INVITED, invited_until=until)

    asana.app.invite_again = another
    swept(office)
    for _ in range(3):
        office.now += 8 * DAY
        assert [item.action for item in planned(office, human, "asana")] == ["invite_again"]
        swept(office)
        assert asana.of(human).invited_until > office.now
    office.now += 8 * DAY
    assert planned(office, human, "asana") == []
    asked = [one for one in office.plan.questions if (one.person_id, one.app) == (human.id, "asana")]
    assert ["it was sent 3 times already" in one.reason for one in asked] == [True]


def remove(office: Office, person: str, *slugs: str) -> Removal:
    found = reconcile.remove_accounts(
        office.settings, None, COMPANY, person, slugs, who="kim", why="long leave", clock=office.clock
    )
    office.unwanted |= {(item.person_id or "", item.app) for item in found.items}
    return found


def test_all_accounts_of_a_person_are_planned_to_go_and_go_once_approved(office):
    human = someone(office)
    office.sweep()
    found = remove(office, human.name)
    assert [(item.app, item.action, item.needs_approval) for item in found.items] == [
        ("okta", "suspend", True),
        ("asana", "suspend", True),
    ]
    assert "kim said on 2026-06-15 that they should not have it: long leave" in found.items[0].evidence
    office.sweep()
    assert office.effects == 0, "nobody has approved it"
    swept(office)
    assert office.apps["okta"].of(human).status is Status.SUSPENDED
    assert office.apps["asana"].of(human) is None
    assert rules(office, human, "okta") == ["S3"]
    office.sweep(approved=True)
    assert office.apps["okta"].of(human).status is Status.SUSPENDED, "it is not given back"


def test_one_app_can_be_named_and_the_rest_is_kept(office):
    human = someone(office)
    office.sweep()
    assert [item.app for item in remove(office, human.id, "asana").items] == ["asana"]
    swept(office)
    assert office.apps["okta"].of(human).status is Status.ACTIVE


def test_a_removed_account_comes_back_when_it_is_wanted_again(office):
    human, okta = someone(office), office.apps["okta"]
    office.sweep()
    remove(office, human.id, "okta")
    swept(office)
    office.wants(human, okta, wanted=True)
    office.sweep()
    assert okta.of(human).status is Status.ACTIVE


def test_a_protected_account_stays_when_all_of_a_person_are_removed(office):
    human, okta = someone(office), office.apps["okta"]
    office.becomes(human, okta, owner=True)
    office.sweep()
    found = remove(office, human.id)
    assert [item.app for item in found.items] == ["asana"]
    assert [(one.app, one.rule.id) for one in found.left] == [("okta", "P2")]


@pytest.mark.parametrize(
    ("person", "slugs", "words"),
    [
        ("Nobody Atall", (), "Found: nobody"),
        ("Same Name", (), "Found: Same Name .*, Same Name"),
        ("p0", ("slack",), "slack is not connected for acme; connected: okta, asana"),
        ("p24", (), "No open account in any connected app is known to be"),
        ("p24", ("okta",), "No open account in okta is known to be"),
    ],
)
def test_a_removal_that_names_nobody_several_or_nothing_is_refused_and_nothing_noted(office, person, slugs, words):
    office.join(office.today + 30 * DAY)
    for n in (1, 2):
        someone(office, n).given, someone(office, n).family = "Same", "Name"
    office.sweep()
    with pytest.raises(HandDecisionError, match=words):
        remove(office, person, *slugs)
    assert office.memory.query("FROM provisioning.wants") == []


@pytest.mark.parametrize(
    ("person", "slug", "until", "words"),
    [
        ("p0", "slak", None, "slak is not connected for acme; connected: okta, asana"),
        ("p1", "okta", None, "Nothing is ever done about Given1 Family1: International employee"),
        ("p2", "okta", date(2026, 6, 14), "2026-06-14, has passed already"),
    ],
)
def test_a_wish_that_can_never_come_true_is_refused_and_not_noted(office, person, slug, until, words):
    office.sync()
    office.memory.query("UPDATE provisioning.people SET out_of_scope = 'International employee' WHERE person_id = 'p1'")
    with pytest.raises(HandDecisionError, match=words):
        reconcile.decide_want(
            office.settings, None, COMPANY, person, slug, wanted=True, until=until, who="kim", why="asked",
            clock=office.clock,
        )  # fmt: skip
    assert office.memory.query("FROM provisioning.wants") == []


def test_while_the_clock_is_behind_what_was_written_down_nothing_is_done(office):
    human = someone(office)
    office.dismissed(human, office.apps["okta"], -7)
    office.read_and_plan()
    office.approve()
    office.now -= HOUR
    office.read_and_plan()
    with pytest.raises(PlanError, match=r"it was turned back.*Set it right"):
        reconcile.carry_out(office.settings, None, COMPANY, office.plan, who="run", just_made=True, clock=office.clock)
    assert office.effects == 0
    office.now += HOUR + MINUTE
    office.sweep(approved=True)
    assert office.apps["okta"].of(human).status is Status.SUSPENDED


def test_nobody_is_removed_while_gusto_says_that_the_clock_is_ahead(office):
    human = someone(office)
    office.dismissed(human, office.apps["okta"], -7)
    answered = httpx.Request("GET", "https://api.gusto.test")
    date = format_datetime(office.now - HOUR, usegmt=True)
    office.server_time(httpx.Response(200, headers={"date": date}, request=answered))
    applied = office.sweep(approved=True)
    assert "the clock is ahead" in {one.problem for one in applied.done if one.item.person_id == human.id}.pop()
    assert office.apps["okta"].of(human).status is Status.ACTIVE


def test_a_list_that_was_read_when_the_clock_was_ahead_is_not_trusted_and_the_next_one_is(office):
    human, okta = someone(office), office.apps["okta"]
    office.dismissed(human, okta, -7)
    office.read_and_plan()
    office.now -= HOUR
    reconcile.reconcile(office.settings, None, COMPANY, clock=office.clock)
    assert [row[0] for row in office.memory.query("SELECT DISTINCT reading FROM provisioning.decisions")] == ["stale"]
    assert rules(office, human) == ["A3"]
    okta.trouble = "down"
    assert rules(office, human) == ["U1"]


def test_the_last_word_by_hand_counts_whatever_the_clock_said(office):
    human, okta = someone(office), office.apps["okta"]
    office.sweep()
    office.wants(human, okta, wanted=False)
    office.now -= HOUR
    office.wants(human, okta, wanted=True)
    assert rules(office, human) == ["A2"]


def late(office: Office, human: Human) -> list[tuple[str, int]]:
    """In which apps the person's access is known to be open too long, and the last alert that is due, in minutes."""
    found = reconcile.late_removals(office.settings, COMPANY, office.now)
    return [(one.app, int(one.alert / MINUTE)) for one in found if one.person_id == human.id]


def test_access_that_is_still_open_after_its_end_is_alerted_after_30_and_60_minutes(office):
    human = office.gusto["p3"]
    office.read_and_plan()
    ends = end_of_access(human.spells[-1][1])
    for minutes, alert in ((29, None), (30, 30), (59, 30), (60, 60), (600, 60)):
        office.now = ends + minutes * MINUTE
        assert late(office, human) == [(slug, alert) for slug in ("asana", "okta") if alert], "nobody looked since"
    office.read_and_plan()
    assert late(office, human) == [("asana", 60), ("okta", 60)], "somebody looked, and it is"
    office.apps["asana"].trouble = "down"
    swept(office)
    assert late(office, human) == [("asana", 60)], "the other is closed, whether or not it was read since"


def test_what_is_said_to_be_done_by_hand_is_alerted_again_when_a_reading_still_shows_it(office):
    human = office.gusto["p3"]
    office.now = end_of_access(human.spells[-1][1]) + HOUR
    office.read_and_plan()
    office.now += MINUTE
    for slug in office.apps:
        office.decides(human, office.apps[slug], "say_done")
    assert late(office, human) == []
    office.now += MINUTE
    office.read_and_plan()
    assert late(office, human) == [("asana", 60), ("okta", 60)]


@pytest.mark.parametrize("days", [1, 7])
def test_after_people_vanished_from_gusto_nothing_is_taken_away_however_seldom_it_is_read(office, days):
    human, okta = someone(office), office.apps["okta"]
    office.sweep(approved=True)
    office.now += days * DAY
    office.sweep(approved=True)
    office.now += days * DAY
    office.dismissed(human, okta, -3)
    for n in (4, 8, 12):
        office.vanishes(someone(office, n), okta)
    office.sweep()
    assert okta.of(human).status is Status.ACTIVE
    held = reconcile.carry_out(
        office.settings, None, COMPANY, office.plan, who="run", just_made=True, clock=office.clock
    )
    assert [one.why[:43] for one in held.waiting if one.item.person_id == human.id] == [
        "3 people vanished from Gusto's list within "
    ] * 2
    office.now += DAY + HOUR
    office.sweep()
    assert okta.of(human).status is Status.SUSPENDED, "who vanished longer ago does not count"


def test_no_more_people_are_invited_in_a_day_than_the_app_takes_even_if_approved(office):
    asana = office.apps["asana"]
    asana.app.new_per_day = 1
    for _ in range(2):
        office.join(office.today)
    swept(office)
    newcomers = [office.gusto["p24"], office.gusto["p25"]]
    assert [asana.of(one) is not None for one in newcomers] == [True, False]
    office.now += DAY
    swept(office)
    assert [asana.of(one) is not None for one in newcomers] == [True, True]


# -- what an account owns -------------------------------------------------------------------------------------


def grace_over(office: Office, human: Human, handed: list[tuple[str, str]], error: AppError | None = None) -> None:
    """A suspended account of the person is about to be deleted, after what it owns was handed over."""
    okta = office.apps["okta"]

    def hand_over(session, account, to):
        if error:
            raise error
        assert account.status is Status.SUSPENDED
        handed.append((account.id, to.id))

    okta.app.hand_over = hand_over
    office.hand_over_to = "root@acme.example"
    office.dismissed(human, okta, -7)
    swept(office)
    office.now += 31 * DAY


def test_what_a_leavers_account_owns_is_handed_over_before_it_is_deleted(office):
    human, handed = someone(office), list[tuple[str, str]]()
    grace_over(office, human, handed)
    assert [item.effect[:45] for item in planned(office, human)] == ["give what it owns to root@acme.example, then "]
    swept(office)
    assert handed == [("okta1", "root")]
    assert office.apps["okta"].of(human).status is Status.DELETED


@pytest.mark.parametrize(
    ("to", "error", "words"),
    [
        ("nobody@acme.example", None, "has no account nobody@acme.example that could be given what okta1 owns"),
        ("p0@acme.example", None, "has no account p0@acme.example that could be given"),
        ("root@acme.example", OutcomeUnknownError("is still handing over"), "is still handing over"),
    ],
)
def test_an_account_that_cannot_hand_over_what_it_owns_is_kept(office, to, error, words):
    human, handed = someone(office), list[tuple[str, str]]()
    grace_over(office, human, handed, error)
    office.hand_over_to = to
    swept(office)
    assert office.apps["okta"].of(human).status is Status.SUSPENDED
    problems = office.memory.query("SELECT problem FROM provisioning.outcomes WHERE outcome IN ('failed', 'unknown')")
    assert [words in problem for (problem,) in problems] == [True]


# -- what cannot be right -------------------------------------------------------------------------------------


def also_employed(office: Office, account_id: str, *, tenant: str = "t1", last_day: str | None = None) -> None:
    """The Okta account is also that of somebody in another connected company of ours."""
    ends = f"DATE '{last_day}'" if last_day else "NULL"
    office.memory.query(
        "INSERT INTO provisioning.people (company_uuid, person_id, name, vanished, last_day) "
        f"VALUES ('c2', 'p0', 'Given0 Family0', false, {ends}); "
        "INSERT INTO provisioning.links (company_uuid, app, account_id, person_id) "
        f"VALUES ('c2', 'okta', '{account_id}', 'p0'); "
        "INSERT INTO provisioning.account_reads (company_uuid, app, read_at, complete, accounts, tenant_id) "
        f"VALUES ('c2', 'okta', '{office.now.isoformat()}', true, 13, '{tenant}')"
    )


def test_who_left_one_company_and_works_for_another_keeps_the_account_both_share(office):
    human, okta = someone(office), office.apps["okta"]
    office.dismissed(human, okta, -7)
    office.read_and_plan()
    also_employed(office, "okta1")
    assert rules(office, human) == ["P1"]
    evidence = office.memory.query("SELECT evidence FROM provisioning.decisions WHERE rule = 'P1'")[0][0]
    assert "it is also Given0 Family0's, who works for another connected company" in evidence
    office.sweep(approved=True)
    assert okta.of(human).status is Status.ACTIVE


@pytest.mark.parametrize("other", [{"tenant": "t2"}, {"last_day": "2026-06-01"}])
def test_an_account_of_another_tenant_or_of_a_former_employee_elsewhere_keeps_nobody_in(office, other):
    human, okta = someone(office), office.apps["okta"]
    office.dismissed(human, okta, -7)
    office.read_and_plan()
    also_employed(office, "okta1", **other)
    swept(office)
    assert okta.of(human).status is Status.SUSPENDED


def test_a_list_that_is_shorter_by_what_we_removed_ourselves_is_believed(office):
    asana = office.apps["asana"]
    for n in range(10):
        office.dismissed(someone(office, n), asana, -7)
    swept(office)
    assert len(asana.accounts) < 0.8 * PEOPLE
    assert rules(office, someone(office), "asana") == ["G3"]


def test_an_app_that_lists_an_account_twice_is_not_acted_on(office):
    human, okta = someone(office), office.apps["okta"]
    office.sweep()
    office.dismissed(human, okta, -7)
    okta.trouble = "twice"
    swept(office)
    assert okta.of(human).status is Status.ACTIVE
    problem = office.memory.query("SELECT problem FROM provisioning.account_reads WHERE NOT complete")[0][0]
    assert "is listed twice" in problem
    assert rules(office, human) == ["U1"]


# -- what changes in Gusto ------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves", [False, True])
def test_a_name_that_changes_in_gusto_changes_in_an_app_that_can(office, leaves):
    human, okta = someone(office), office.apps["okta"]
    if leaves:
        office.dismissed(human, okta, 5)
    assert not [item for item in planned(office, human) if item.action == "update"]
    office.renamed(human, okta)
    assert [item.new for item in planned(office, human) if item.action == "update"] == [{"family_name": "Family0-Fox"}]
    assert planned(office, human, "asana") == [item for item in office.plan.items if item.app == "asana" and leaves
                                              and item.person_id == human.id]  # fmt: skip
    office.sweep()
    assert okta.of(human).family_name == "Family0-Fox"
    office.now += MINUTE
    assert not [item for item in planned(office, human) if item.action == "update"]


def test_an_account_whose_app_says_no_name_or_splits_it_elsewhere_is_left_as_it_is(office):
    human, okta = someone(office), office.apps["okta"]
    human.given = "Mary Ann"
    okta.put(replace(okta.of(human), given_name="Mary", family_name="Ann Family0"))
    assert planned(office, human) == []
    okta.put(replace(okta.of(human), given_name=None, family_name=None))
    assert planned(office, human) == []


def test_a_login_that_was_the_address_in_gusto_is_asked_about_and_never_changed(office):
    human, okta = someone(office), office.apps["okta"]
    old = human.email
    office.sweep()
    assert office.plan.questions == ()
    office.other_address(human, okta)
    office.sweep(approved=True)
    asked = [one for one in office.plan.questions if one.person_id == human.id]
    assert [(one.app, one.rule, one.action, one.mode, one.new) for one in asked] == [
        (slug, "A2", "update", "ask", {"email": human.email}) for slug in ("okta", "asana")
    ]
    assert f"is {old}, which was the address in Gusto; that is {human.email} now" in asked[0].reason
    assert okta.accounts["okta1"].emails == (old,)


def test_a_login_that_was_matched_by_hand_is_not_asked_about(office):
    office.join(office.today - DAY)
    human, okta = office.gusto["p24"], office.apps["okta"]
    okta.add(emails=("private@example.com",), **human.names())
    office.read_and_plan()
    office.decides(human, okta, "match")
    assert rules(office, human) == ["A2"]
    assert not [one for one in office.plan.questions if (one.person_id, one.app) == (human.id, "okta")]


# -- when access ends -----------------------------------------------------------------------------------------


def at(instant: str) -> datetime:
    return datetime.fromisoformat(f"{instant}:00+00:00")


@pytest.mark.parametrize(
    ("options", "zone", "last_day", "ends"),
    [
        ({}, "Australia/Sydney", "2026-03-07", "2026-03-08T08:00"),
        ({}, None, "2026-10-31", "2026-11-01T07:00"),
        ({"removal_at": "01:00"}, None, "2026-11-01", "2026-11-02T09:00"),
        ({"removal_timezone": "America/New_York"}, None, "2026-03-07", "2026-03-08T05:00"),
        ({"removal_timezone": "America/New_York"}, None, "2026-03-08", "2026-03-09T04:00"),
        ({"removal_by_work_location": True}, "America/New_York", "2026-03-07", "2026-03-08T05:00"),
        ({"removal_by_work_location": True}, "America/New_York", "2026-03-08", "2026-03-09T04:00"),
        ({"removal_by_work_location": True}, "Australia/Sydney", "2026-04-04", "2026-04-04T13:00"),
        ({"removal_by_work_location": True}, "Australia/Sydney", "2026-04-05", "2026-04-05T14:00"),
        ({"removal_by_work_location": True}, "Europe/London", "2026-10-24", "2026-10-24T23:00"),
        ({"removal_by_work_location": True}, "Pacific/Honolulu", "2026-10-31", "2026-11-01T07:00"),
        ({"removal_by_work_location": True}, None, "2026-10-31", "2026-11-01T07:00"),
        ({"companies": {"acme": {"removal_timezone": "Europe/Berlin"}}}, None, "2026-03-28", "2026-03-28T23:00"),
        (
            {"companies": {"acme": {"removal_timezone": "Europe/Berlin", "removal_at": "02:30"}}},
            None, "2026-03-28", "2026-03-29T01:30",
        ),
        (
            {"companies": {"acme": {"removal_by_work_location": True}}},
            "Europe/London", "2026-10-24", "2026-10-24T23:00",
        ),
        (
            {"removal_by_work_location": True, "companies": {"acme": {"removal_by_work_location": False}}},
            "Europe/London", "2026-10-24", "2026-10-25T07:00",
        ),
        ({"companies": {"other": {"removal_timezone": "Europe/Berlin"}}}, None, "2026-10-31", "2026-11-01T07:00"),
    ],
)  # fmt: skip
def test_access_ends_to_the_minute_where_and_when_the_company_chose(office, options, zone, last_day, ends):
    human, okta = someone(office), office.apps["okta"]
    office.options, office.early, human.zone = options, {human.id: at(ends)}, zone
    human.spells = [[date(2025, 1, 6), date.fromisoformat(last_day)]]
    office.now = at(ends) - MINUTE
    assert [item.due_at for item in planned(office, human)] == [at(ends).isoformat()]
    office.approve()
    office.now += 59 * SECOND
    office.sweep()
    assert okta.of(human).status is Status.ACTIVE
    office.now = at(ends)
    office.sweep(approved=True)
    assert okta.of(human).status is Status.SUSPENDED


def end(office: Office, human: Human, instant: str | None, **given: str) -> datetime:
    who = {"who": "kim", "why": "escorted out"} | given
    when = datetime.fromisoformat(instant) if instant else None
    return reconcile.decide_end(office.settings, COMPANY, human.id, when, clock=office.clock, **who)


@pytest.mark.parametrize(
    ("instant", "ends"),
    [
        ("2026-03-06T17:00", "2026-03-07T01:00"),
        ("2026-03-08T00:00-08:00", "2026-03-08T08:00"),
        ("2026-03-07T09:00+11:00", "2026-03-06T22:00"),
    ],
)
def test_an_exact_instant_can_be_chosen_for_one_person(office, instant, ends):
    office.now = at("2026-03-05T20:00")
    human, other = someone(office), someone(office, 1)
    for one in (human, other):
        one.spells = [[date(2025, 1, 6), date(2026, 3, 7)]]
    office.sweep()
    office.early = {human.id: at(ends)}
    assert end(office, human, instant).astimezone(UTC) == at(ends)
    assert [item.due_at for item in planned(office, human)] == [at(ends).isoformat()]
    assert [item.due_at for item in planned(office, other)] == [at("2026-03-08T08:00").isoformat()]
    office.now = at(ends)
    office.sweep(approved=True)
    assert office.apps["okta"].of(human).status is Status.SUSPENDED


def test_a_chosen_instant_holds_for_the_last_day_it_was_chosen_for_and_can_be_taken_back(office):
    human = someone(office)
    human.spells = [[date(2025, 1, 6), office.today + 5 * DAY]]
    office.sweep()
    usual = end_of_access(office.today + 5 * DAY).isoformat()
    end(office, human, (office.now + HOUR).isoformat())
    assert [item.due_at for item in planned(office, human)] == [(office.now + HOUR).isoformat()]
    office.now += MINUTE
    end(office, human, None)
    assert [item.due_at for item in planned(office, human)] == [usual]
    office.now += MINUTE
    end(office, human, office.now.isoformat())
    office.dismissed(human, office.apps["okta"], 7)
    assert [item.due_at for item in planned(office, human)] == [end_of_access(office.today + 7 * DAY).isoformat()]


@pytest.mark.parametrize(
    ("last_day", "instant", "given", "words"),
    [
        (None, "2026-06-15T17:00", {}, "dates no last day of Given0 Family0. Enter the dismissal there first"),
        ("2026-06-16", "2026-06-17T00:01", {}, "ends at 2026-06-17 00:00 PDT at the latest"),
        ("2026-06-16", "2026-06-16T17:00", {"why": " "}, "Say who decides and why"),
    ],
)
def test_an_instant_that_cannot_be_is_refused_and_nothing_noted(office, last_day, instant, given, words):
    human = someone(office)
    human.spells = [[date(2025, 1, 6), last_day and date.fromisoformat(last_day)]]
    office.sweep()
    with pytest.raises(HandDecisionError, match=words):
        end(office, human, instant, **given)
    assert office.memory.query("FROM provisioning.removal_times") == []
