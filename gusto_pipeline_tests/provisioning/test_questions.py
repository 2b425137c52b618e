"""Every question has its commands, a yes is carried out once, a no is the end of it, and who said so is kept."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import typer.main

from gusto_pipeline import reconcile
from gusto_pipeline.cli import app as cli
from gusto_pipeline.cli_accounts import show_plan
from gusto_pipeline.provisioning import log
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.decisions import ANSWERS, BY_HAND, CALLS, RULES, Action, Mode
from gusto_pipeline.provisioning.planning import INVITATIONS, how_to_answer
from gusto_pipeline.provisioning.plans import Item, PlanError
from gusto_pipeline_tests.provisioning.office import COMPANY, DAY, HOUR, MINUTE, Human, Memory, Office, at_work

START = datetime(2026, 6, 15, 19, tzinfo=UTC)
MEMORY = Memory()


@pytest.fixture
def office() -> Iterator[Office]:
    with at_work(MEMORY, START) as made:
        yield made


# -- every row that asks ----------------------------------------------------------------------------------------

ASKING = {rule.id for rule in RULES if rule.mode in (Mode.ASK, Mode.ASK_URGENT, Mode.APPROVE)}
COMMANDS = {
    command
    for said in (*ANSWERS.values(), BY_HAND)
    for command in (said.yes_command, said.no_command)
    if command
}  # fmt: skip


def test_every_row_that_asks_names_a_command_for_either_answer():
    assert ANSWERS.keys() >= ASKING
    assert [id for id in ASKING if not (ANSWERS[id].yes_command and ANSWERS[id].no_command)] == []


def test_only_rows_whose_action_somebody_else_does_cannot_be_agreed_to():
    by_hand = {rule.id for rule in RULES if rule.id in ASKING and rule.action not in CALLS}
    assert by_hand == {id for id in ASKING if "approve" not in ANSWERS[id].yes_command}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_there_and_takes_these_arguments(command):
    words = shlex.split(command.format(app="okta", account="00u1", person="p1", plan="3f9a2c", item="1a2b"))
    found: click.Command = typer.main.get_command(cli)
    while isinstance(found, click.Group):
        found = found.commands[words.pop(0)]
    found.make_context("gusto-pipeline", [*words, "--why", "asked them"])


def test_the_documentation_lists_them_all():
    text = (Path(__file__).parents[2] / "docs" / "accounts.md").read_text(encoding="utf-8")
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        for rule in cells[2].split() if len(cells) == 6 else ():
            found[rule] = tuple(re.findall("`(.*?)`", cell) for cell in cells[3:5])
    words = {name: name.upper() for name in ("app", "account", "person", "plan", "item")}
    assert {rule: found[rule] for rule in ANSWERS} == {
        rule: tuple([command.format(**words)] if command else [] for command in (said.yes_command, said.no_command))
        for rule, said in ANSWERS.items()
    }


def test_a_plan_that_is_shown_says_how_each_question_is_answered(office, capsys):
    human = removed_by_others(office)
    (question,) = asked(office, human, "asana")
    capsys.readouterr()
    show_plan(office.plan, Path("plan.json"))
    shown = "".join(capsys.readouterr().out.split())
    assert f"approve{office.plan.id}" in shown
    assert question.id in shown
    assert "accountswantasana" in shown


# -- from the question to what comes of it ----------------------------------------------------------------------


def asked(office: Office, human: Human, slug: str) -> list[Item]:
    """Questions about the person, and what waits for a yes, in a plan of now."""
    office.now += MINUTE
    office.read_and_plan()
    assert office.plan
    mine = [one for one in (*office.plan.questions, *office.plan.items) if one.needs_approval]
    return [one for one in mine if (one.person_id, one.app) == (human.id, slug)]


def leaving_without_account(office: Office) -> Human:
    office.join(office.today - 100 * DAY, office.today + 5 * DAY)
    return list(office.gusto.values())[-1]


def leaving_and_not_this_account(office: Office) -> Human:
    human, okta = leaving_without_account(office), office.apps["okta"]
    office.made_under_a_name(human, okta)
    office.read_and_plan()
    office.decides(human, okta, "refuse")
    return human


def leaving_after_we_removed_it(office: Office, slug: str = "asana") -> Human:
    human = office.gusto["p0"]
    office.dismissed(human, office.apps[slug], -7)
    office.sweep(approved=True)
    office.now += 2 * DAY
    human.spells.append([office.today, office.today + 5 * DAY])
    return human


def removed_by_others(office: Office, slug: str = "asana", status: Status | None = None) -> Human:
    human, one = office.gusto["p0"], office.apps[slug]
    office.sweep()
    office.turned(human, one, status, Status.ACTIVE)
    return human


def in_the_bin_by_others(office: Office) -> Human:
    return removed_by_others(office, "okta", Status.DELETED)


def invited_and_not_meant_to(office: Office) -> Human:
    human, asana = office.gusto["p0"], office.apps["asana"]
    asana.put(replace(asana.of(human), status=Status.INVITED))
    office.who = "person_id <> 'p0'"
    return human


def active_and_not_meant_to(office: Office) -> Human:
    office.who = "person_id <> 'p0'"
    return office.gusto["p0"]


def suspended_by_us(office: Office) -> Human:
    human = office.gusto["p0"]
    office.dismissed(human, office.apps["okta"], -7)
    office.sweep(approved=True)
    office.now += 31 * DAY
    return human


def rehired(office: Office) -> Human:
    human = suspended_by_us(office)
    office.rehired(human, office.apps["okta"], 0)
    return human


def rehired_after_the_grace(office: Office) -> Human:
    human = suspended_by_us(office)
    office.sweep(approved=True)
    office.now += DAY
    office.rehired(human, office.apps["okta"], 0)
    return human


def never_accepted(office: Office) -> Human:
    human, asana = office.gusto["p0"], office.apps["asana"]
    office.sweep()
    asana.put(replace(asana.of(human), status=Status.INVITED, invited_until=office.now))
    for _ in range(INVITATIONS):
        office.sweep()
        office.now += 7 * DAY + HOUR
    return human


STORIES: dict[str, tuple[str, Callable[[Office], Human], Status | None]] = {
    # row: app, what happened, what becomes of the account by a yes
    "M4": ("okta", leaving_without_account, Status.ACTIVE),
    "N4": ("okta", leaving_and_not_this_account, Status.ACTIVE),
    "G4": ("asana", leaving_after_we_removed_it, Status.INVITED),
    "G2": ("asana", removed_by_others, Status.INVITED),
    "T2": ("okta", in_the_bin_by_others, Status.ACTIVE),
    "I4": ("asana", invited_and_not_meant_to, None),
    "A5": ("okta", active_and_not_meant_to, Status.SUSPENDED),
    "S1": ("okta", suspended_by_us, Status.DELETED),
    "S6": ("okta", rehired, Status.ACTIVE),
    "T1": ("okta", rehired_after_the_grace, Status.ACTIVE),
    "I5": ("asana", never_accepted, Status.INVITED),
}


def test_every_question_that_a_yes_answers_has_its_story():
    assert STORIES.keys() == {id for id, said in ANSWERS.items() if "approve" in said.yes_command}


@pytest.mark.parametrize("rule", STORIES)
def test_a_yes_is_carried_out_and_the_question_is_settled(office, rule):
    slug, happens, status = STORIES[rule]
    human = happens(office)
    (question,) = asked(office, human, slug)
    assert question.rule == rule
    assert f"gusto-pipeline approve {office.plan.id} {question.id} --why …" in how_to_answer(question, office.plan.id)
    office.approve([question.id])
    office.now += MINUTE
    before = office.effects
    office.apply()
    assert office.effects > before
    account = office.apps[slug].of(human)
    assert (account.status if account else None) is status
    assert rule not in [one.rule for one in asked(office, human, slug)]


def binned_for_good(office: Office, who: str) -> tuple[Human, Item]:
    """A rehire whose account we deleted, in an app that shows deleted accounts and cannot restore them."""
    office.apps["okta"].app.restore = None
    human = suspended_by_us(office)
    office.sweep(approved=True)
    office.now += DAY
    office.who = who
    office.rehired(human, office.apps["okta"], 0)
    (question,) = asked(office, human, "okta")
    assert question.rule == "T1"
    return human, question


def test_a_rehire_gets_a_new_account_by_a_yes_where_a_deleted_one_cannot_be_restored(office):
    human, question = binned_for_good(office, "true")
    assert question.action == "create"
    assert "cannot restore it" in question.reason
    assert f"approve {office.plan.id} {question.id}" in how_to_answer(question, office.plan.id)
    old = office.apps["okta"].of(human)
    office.approve([question.id])
    office.now += MINUTE
    office.apply()
    new = office.apps["okta"].of(human)
    assert (new.status, new.id != old.id) == (Status.ACTIVE, True)
    assert "T1" not in [one.rule for one in asked(office, human, "okta")]


def test_a_no_to_a_new_account_for_a_rehire_holds_for_that_employment_only(office):
    human, question = binned_for_good(office, "true")
    office.approve([question.id], yes=False)
    assert asked(office, human, "okta") == []
    assert replace(question, employed_since="2027-01-04").id != question.id


def test_where_nobody_is_created_by_rule_somebody_is_asked_what_becomes_of_a_rehire(office):
    _, question = binned_for_good(office, "")
    assert question.action == "identify"


def is_no(office: Office, human: Human, question: Item) -> None:
    """The no of the command that the question names."""
    command = ANSWERS[question.rule].no_command
    if "--reject" in command:
        office.approve([question.id], yes=False)
    else:
        office.wants(human, office.apps[question.app], "--yes" in command)


@pytest.mark.parametrize("rule", STORIES)
def test_a_no_changes_nothing_and_is_not_asked_again(office, rule):
    slug, happens, _ = STORIES[rule]
    human = happens(office)
    (question,) = asked(office, human, slug)
    before = office.apps[slug].of(human)
    is_no(office, human, question)
    for _ in range(3):
        assert asked(office, human, slug) == []
        office.sweep()
        office.now += DAY
    assert office.apps[slug].of(human) == before


def test_a_yes_counts_once(office):
    human = removed_by_others(office)
    (question,) = asked(office, human, "asana")
    office.approve([question.id])
    office.now += MINUTE
    office.sweep()
    office.turned(human, office.apps["asana"], None, Status.INVITED)
    (again,) = asked(office, human, "asana")
    assert again.rule == "G2"
    effects = office.effects
    office.sweep()
    assert office.effects == effects


def test_a_yes_for_somebody_who_stays_is_none_for_somebody_who_leaves(office):
    office.modes["okta"] = "plan"
    office.join(office.today - 100 * DAY)
    human = list(office.gusto.values())[-1]
    office.read_and_plan()
    office.approve()
    office.dismissed(human, office.apps["okta"], 5)
    office.now += MINUTE
    office.sweep()
    assert office.apps["okta"].of(human) is None
    assert [one.rule for one in asked(office, human, "okta")] == ["M4"]


def test_a_no_to_a_rehire_is_none_to_the_next(office):
    human = rehired(office)
    (question,) = asked(office, human, "okta")
    office.approve([question.id], yes=False)
    office.dismissed(human, office.apps["okta"], 1)
    office.now += 5 * DAY
    office.rehired(human, office.apps["okta"], 0)
    assert [one.rule for one in asked(office, human, "okta")] == ["S6"]


def test_an_answer_can_be_changed(office):
    human = active_and_not_meant_to(office)
    (question,) = asked(office, human, "okta")
    first = office.plan
    office.approve([question.id], yes=False)
    assert asked(office, human, "okta") == []
    office.plan = first
    office.approve([question.id])
    office.sweep()
    assert office.apps["okta"].of(human).status is Status.SUSPENDED


def test_who_answered_when_and_why_is_kept(office):
    human = active_and_not_meant_to(office)
    (question,) = asked(office, human, "okta")
    reconcile.approve(office.settings, office.plan, [question.id], who="kim", why="left the team", clock=office.clock)
    said = office.memory.query("SELECT who, what, detail FROM provisioning.audit WHERE person_id = 'p0'")
    assert ("kim", "approved: suspend", f"plan {office.plan.id} left the team") in said
    with office.memory.read() as connection:
        found = log.answers(connection, COMPANY.uuid)[question.id]
    assert (found.yes, found.who, found.at, found.why) == (True, "kim", office.now, "left the team")


# -- questions that are answered in another way -------------------------------------------------------------------


def perhaps_theirs(office: Office, *, left: bool) -> Human:
    human, okta = office.gusto["p0"], office.apps["okta"]
    del okta.accounts[okta.of(human).id]
    office.made_under_a_name(human, okta)
    if left:
        office.dismissed(human, okta, -7)
    return human


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize(("word", "then"), [("match", ("A3", "A2")), ("refuse", ("N3", "N1"))])
def test_whose_it_is_is_said_once(office, left, word, then):
    human = perhaps_theirs(office, left=left)
    (question,) = asked(office, human, "okta")
    assert question.rule == ("C1" if left else "C2")
    told = how_to_answer(question, office.plan.id)
    account = office.apps["okta"].of(human).id
    assert f"gusto-pipeline accounts match okta {account} p0 --why …" in told
    assert f"gusto-pipeline accounts unmatch okta {account} --person p0 --why …" in told
    office.decides(human, office.apps["okta"], word)
    office.now += MINUTE
    office.read_and_plan()
    assert office.memory.query("SELECT rule FROM provisioning.decisions WHERE person_id = 'p0' AND app = 'okta'") == [
        (then[0] if left else then[1],)
    ]


def owner_who_left(office: Office) -> Human:
    human, okta = office.gusto["p0"], office.apps["okta"]
    office.sweep()
    office.becomes(human, okta, owner=True)
    office.dismissed(human, okta, -7)
    return human


def test_a_protected_account_of_a_leaver_may_be_somebody_elses_by_now(office):
    human = owner_who_left(office)
    (question,) = asked(office, human, "okta")
    account = office.apps["okta"].of(human).id
    assert question.rule == "P1"
    assert f"gusto-pipeline accounts done okta {account} --why …" in how_to_answer(question, office.plan.id)
    assert f"gusto-pipeline accounts unmatch okta {account} --why …" in how_to_answer(question, office.plan.id)
    office.decides(human, office.apps["okta"], "unmatch")
    assert asked(office, human, "okta") == []


def test_what_others_suspended_may_stay_so(office):
    human = office.gusto["p0"]
    office.sweep()
    office.dismissed(human, office.apps["okta"], -7)
    office.turned(human, office.apps["okta"], Status.SUSPENDED, Status.ACTIVE)
    (question,) = asked(office, human, "okta")
    assert question.rule == "S4"
    office.approve([question.id], yes=False)
    assert asked(office, human, "okta") == []


def test_a_login_may_stay_as_it_is_until_the_address_changes_again(office):
    human = office.gusto["p0"]
    office.sweep()
    office.other_address(human, office.apps["okta"])
    (question,) = asked(office, human, "okta")
    assert (
        how_to_answer(question, "abc")
        == f"Leave it as it is: gusto-pipeline approve abc {question.id} --reject --why …"
    )
    office.approve([question.id], yes=False)
    assert asked(office, human, "okta") == []
    office.other_address(human, office.apps["okta"])
    assert len(asked(office, human, "okta")) == 1


@pytest.mark.parametrize(
    ("happens", "slug"), [(owner_who_left, "okta"), (lambda office: perhaps_theirs(office, left=False), "okta")]
)
@pytest.mark.parametrize("yes", [True, False])
def test_what_no_yes_or_no_answers_is_refused_and_the_commands_named(office, happens, slug, yes):
    (question,) = asked(office, happens(office), slug)
    with pytest.raises(PlanError, match=r"gusto-pipeline accounts (done|match) okta"):
        office.approve([question.id], yes=yes)
    assert office.memory.query("FROM provisioning.approvals") == []


def test_without_an_address_the_question_says_where_to_enter_it_and_how_to_say_no(office):
    office.join(office.today - DAY)
    human = list(office.gusto.values())[-1]
    human.email = ""
    (question,) = asked(office, human, "okta")
    assert (question.action, question.next_step) == (Action.IDENTIFY, "Enter their address in Gusto.")
    assert how_to_answer(question, "abc") == (
        f"They need none: gusto-pipeline accounts want okta {human.id} --no --why …"
    )
    office.wants(human, office.apps["okta"], wanted=False)
    assert asked(office, human, "okta") == []
