"""From what the warehouse knows to decisions and plans: cases that only come about over time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.plans import Item
from gusto_pipeline_tests.provisioning.office import DAY, HOUR, MINUTE, Human, Memory, Office, end_of_access

START = datetime(2026, 6, 15, 19, tzinfo=UTC)
MEMORY = Memory()


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office(MEMORY, START)
    with pytest.MonkeyPatch.context() as patch:
        made.replace_parts(patch)
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


def test_no_removal_is_announced_where_the_next_employment_follows_without_a_day_between(office):
    human = someone(office)
    human.spells = [[office.today - 100 * DAY, office.today + 5 * DAY], [office.today + 6 * DAY, None]]
    assert planned(office, human) == []


def test_no_account_is_made_under_an_address_that_another_account_has(office):
    office.join(office.today)
    human, okta = office.gusto["p12"], office.apps["okta"]
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
