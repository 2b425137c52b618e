"""A plan is a file that says all of itself: the same facts make the same one, and one that was changed is no plan."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gusto_pipeline.provisioning import plans
from gusto_pipeline.provisioning.plans import Item, Plan, PlanError, compare, in_order, read_plan, since, write_plan

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def item(**given):
    base = {
        "app": "slack", "action": "suspend", "rule": "A3", "state": "REMOVAL_DUE", "mode": "limited",
        "effect": "stop it from signing in", "reason": "Left on 2026-11-20.", "next_step": "Suspended now.",
        "person_id": "p1", "person": "Ann Lee", "account_id": "U1", "account": "ann@acme.example",
        "due_at": "2026-11-21T08:00:00+00:00", "inputs": {"acct": "active", "hr": "ended"},
    }  # fmt: skip
    return Item(**base | given)


def plan(*items, **given):
    return Plan(**{"company": "acme", "company_uuid": "c1", "made_at": NOW, "items": items} | given)


def test_what_is_written_is_what_is_read(tmp_path):
    made = plan(item(), item(person_id="p2", evidence=("work e-mail",)), questions=(item(mode="ask"),))
    assert read_plan(write_plan(made, tmp_path)) == made


def test_the_same_facts_make_the_same_file_whenever_it_is_made(tmp_path):
    first = write_plan(plan(item()), tmp_path)
    second = write_plan(plan(item(), made_at=datetime(2026, 11, 22, tzinfo=UTC)), tmp_path)
    assert first == second
    assert len(list(tmp_path.iterdir())) == 1


def test_only_its_owner_can_read_the_file(tmp_path):
    assert write_plan(plan(item()), tmp_path).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [("account_id", "U2"), ("action", "delete"), ("due_at", None), ("person", "Bob"), ("needs_approval", True)],
)
def test_a_plan_that_was_edited_is_refused(tmp_path, key, value):
    path = write_plan(plan(item()), tmp_path)
    tree = json.loads(path.read_text())
    tree["items"][0][key] = value
    path.write_text(json.dumps(tree))
    with pytest.raises(PlanError, match="was changed after it was written"):
        read_plan(path)


def test_an_item_that_was_moved_to_the_questions_is_refused(tmp_path):
    path = write_plan(plan(item(), item(person_id="p2")), tmp_path)
    tree = json.loads(path.read_text())
    tree["questions"] = [tree["items"].pop()]
    path.write_text(json.dumps(tree))
    with pytest.raises(PlanError, match="was changed"):
        read_plan(path)


def test_a_plan_of_another_version_is_said_to_be_that_and_not_changed(tmp_path):
    path = write_plan(plan(item()), tmp_path)
    tree = json.loads(path.read_text())
    del tree["items"][0]["employed_since"]  # as it was written before items had it
    path.write_text(json.dumps(tree | {"gusto_pipeline_plan": 1}))
    with pytest.raises(PlanError, match=r"was written by another version\. .*: gusto-pipeline plan$"):
        read_plan(path)


def test_a_plan_made_anew_does_not_leave_another_versions_file_in_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "VERSION", plans.VERSION - 1)
    write_plan(plan(), tmp_path)
    monkeypatch.undo()
    assert read_plan(write_plan(plan(), tmp_path)) == plan()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"gusto_pipeline_plan": 2}', "not json"])
def test_a_file_that_is_no_plan_is_refused(tmp_path, content):
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(PlanError):
        read_plan(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(PlanError, match=r"nowhere\.json"):
        read_plan(tmp_path / "nowhere.json")


def test_an_approval_ahead_of_time_names_the_same_item_when_its_day_has_come():
    ahead = item(reason="Leaves on 2026-11-20; access ends at …", inputs={"acct": "active", "hr": "leaving"})
    assert ahead.id == item().id


def test_another_account_day_or_action_is_another_item():
    others = [item(account_id="U2"), item(due_at="2026-11-22T08:00:00+00:00"), item(action="delete"), item(app="box")]
    assert len({item().id, *(other.id for other in others)}) == 5


def test_a_new_account_under_another_address_is_another_item():
    created = item(action="create", account_id=None, due_at=None, new={"email": "a@acme.example"})
    assert created.id != replace(created, new={"email": "b@acme.example"}).id


def test_a_plan_holds_while_the_facts_ask_for_the_same():
    assert not since(plan(item()), plan(item(), questions=(item(mode="ask"),)))
    assert since(plan(item()), plan(item(), item(person_id="p2")))
    assert since(plan(item()), plan(item(reason="Left on 2026-11-19.")))


def test_a_plan_holds_when_it_has_been_carried_out_in_part():
    done, left, follows = item(), item(person_id="p2"), item(action="delete", due_at="2026-12-20T08:00:00+00:00")
    assert not since(plan(done, left), plan(left, follows), {done.id})
    assert since(plan(done, left), plan(follows), {done.id}).gone == (left,)
    news = item(person_id="p3")
    assert since(plan(done, left), plan(left, news), {done.id}).come == (news,)


def test_two_plans_differ_in_what_went_and_came():
    changed = compare(plan(item(), item(person_id="p2")), plan(item(), item(person_id="p3")))
    assert [one.person_id for one in changed.gone] == ["p2"]
    assert [one.person_id for one in changed.come] == ["p3"]


def test_removals_come_first_and_identity_providers_first_of_those():
    items = [item(app="asana", action="create"), item(app="box"), item(app="okta"), item(app="okta", action="create")]
    ordered = [(one.app, one.action) for one in in_order(items, frozenset({"okta"}))]
    assert ordered == [("okta", "suspend"), ("box", "suspend"), ("okta", "create"), ("asana", "create")]
