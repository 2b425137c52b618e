"""Accounts from the command line: connect, look, plan, approve, apply, decide by hand."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from gusto_pipeline.accounts import connect_app
from gusto_pipeline.cli_accounts import gusto_if_set_up
from gusto_pipeline.config import load_settings
from gusto_pipeline.connections.sign_in import unattended
from gusto_pipeline.provisioning.plans import read_plan, write_plan
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.reconcile import approve, carry_out, reconcile, refresh_accounts
from gusto_pipeline.sandbox.apps import SimulatedApp, running_apps
from gusto_pipeline.sync import open_store, open_warehouse
from gusto_pipeline_tests.conftest import Pipeline, Said, connected

APPS = ("asana", "okta")


class Office:
    """One company of 40 people, synced, with two apps connected in mode auto."""

    def __init__(self, pipeline: Pipeline, apps: dict[str, SimulatedApp]) -> None:
        self.pipeline = pipeline
        self.apps = apps

    def leavers(self, slug: str) -> list[str]:
        """Logins of leavers whose account is alive."""
        world = self.pipeline.sandbox.world
        left = {
            person["work_email"]
            for person in world.companies[0].employees.values()
            if (day := person["spells"][-1]["termination_date"]) and day < world.clock.today().isoformat()
        }
        members = self.apps[slug].directory.members.values()
        return [m.email for m in members if m.email in left and m.state == "active"]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    with connected(tmp_path) as pipeline:
        world = pipeline.sandbox.world
        pipeline.start("locations", "departments", "admins", "employees", "contractors", "time_off")
        with running_apps(*APPS, company=world.companies[0], clock=world.clock) as apps:
            monkeypatch.setitem(Session.__init__.__kwdefaults__, "sleep", pipeline.sandbox.advance)
            for slug in APPS:
                for person in list(world.companies[0].employees.values())[:8]:
                    day = person["spells"][-1]["termination_date"]
                    known = apps[slug].directory.by_email(person["work_email"] or "-")
                    if day and day < world.clock.today().isoformat() and person["work_email"] and not known:
                        since = datetime.fromisoformat(f"{person['spells'][0]['hire_date']}T12:00+00:00")
                        directory, name = apps[slug].directory, (person["first_name"], person["last_name"])
                        directory.add(person["work_email"], *name, created_at=since, last_seen=since)
            lines = [f"    {slug}: {{base_url: '{app.base_url}', mode: auto}}\n" for slug, app in apps.items()]
            Path("pipeline.yaml").write_text("provisioning:\n  apps:\n" + "".join(lines), encoding="utf-8")
            settings, store = load_settings(), open_store(pipeline.settings)
            for slug, app in apps.items():
                connect_app(settings, store, slug, pipeline.company, app.simulator.record, unattended)
            yield Office(pipeline, apps)


Command = Callable[..., Said]


def plan(command: Command) -> dict[str, list[dict[str, object]]]:
    said = command("plan", "--json")
    assert said.code in (0, 2), said.err
    return json.loads(said.out)


def test_a_plan_is_read_approved_and_applied_and_then_nothing_is_left(office, command):
    leavers = office.leavers("okta")
    assert leavers
    first = plan(command)
    assert {item["account"] for item in first["items"] if item["app"] == "okta"} >= set(leavers)

    assert command("apply", first["hash"][:12]).code == 2
    assert office.leavers("okta") == leavers, "the first removal in an app needs a person"

    assert command("approve", first["hash"][:12], "--by", "ann", "--why", "read it").code == 0
    applied = command("apply", first["hash"][:12], "--by", "ann", "--json")
    assert applied.code == 2
    assert json.loads(applied.out)["state"] == "ok"
    assert office.leavers("okta") == []
    assert office.leavers("asana") == []

    again = plan(command)
    assert [item for item in again["items"] if not item["due_at"]] == []
    assert not {item["account"] for item in again["items"]} & set(leavers)


def test_a_plan_whose_facts_have_changed_is_refused(office, command):
    first = plan(command)
    command("approve", first["hash"][:12], "--by", "ann")
    gone, others = office.leavers("okta")[0], office.leavers("asana")
    directory = office.apps["okta"].directory
    directory.change(directory.by_email(gone), "suspended")
    said = command("apply", first["hash"][:12])
    assert said.code == 1
    assert "no longer fits the facts" in said.err
    assert gone in said.err
    assert office.leavers("asana") == others


def test_somebody_rehired_a_minute_ago_keeps_their_account(office, command):
    first = plan(command)
    command("approve", first["hash"][:12], "--by", "ann")
    stays = office.leavers("okta")[0]
    for person in office.pipeline.sandbox.world.companies[0].employees.values():
        if person["work_email"] == stays:
            person["spells"][-1]["termination_date"] = None
    said = command("apply", first["hash"][:12], "--json")
    assert office.apps["okta"].directory.by_email(stays).state == "active"
    dropped = [row for row in json.loads(said.out)["items"] if row["result"] == "dropped"]
    assert "has not left" in dropped[0]["why"]


def test_nobody_loses_access_about_whom_hr_cannot_be_asked(office):
    settings, company, before = load_settings(), office.pipeline.company, office.leavers("okta")
    store = open_store(settings)
    refresh_accounts(settings, store, company)
    made = reconcile(settings, store, company).plan
    approve(settings, made, [], who="ann")
    with open_warehouse(settings).write() as connection:
        connection.execute("DELETE FROM provisioning.people")
    gusto = gusto_if_set_up(settings, company)
    applied = carry_out(settings, store, company, made, who="ann", gusto=gusto, just_made=True)
    dropped = [one for one in applied.done if one.item.account in before]
    assert {(one.result, "is not known any more" in one.problem) for one in dropped} == {("dropped", True)}
    assert office.leavers("okta") == before


def test_why_is_answered_for_one_person_in_one_app(office, command):
    email = office.leavers("okta")[0]
    plan(command)
    said = json.loads(command("explain", email, "okta", "--json").out)
    assert (said[0]["rule"], said[0]["state"]) == ("A3", "REMOVAL_DUE")
    assert said[0]["why"].startswith("Left on ")


def test_the_command_that_explain_names_answers_the_question_and_is_remembered(office, command):
    text = Path("pipeline.yaml").read_text(encoding="utf-8")
    Path("pipeline.yaml").write_text(text.replace("mode: auto", "mode: plan, who: 'true'"), encoding="utf-8")
    plan(command)
    directory, staff = office.apps["okta"].directory, office.pipeline.sandbox.world.companies[0].employees.values()
    stays = {person["work_email"] for person in staff if not person["spells"][-1]["termination_date"]}
    email = next(m.email for m in directory.members.values() if m.email in stays and m.state == "active")
    del directory.members[directory.by_email(email).id]
    asked = next(item for item in plan(command)["questions"] if item["rule"] == "G2")

    def explained() -> dict[str, str]:
        found: list[dict[str, str]] = json.loads(command("explain", email, "okta", "--json").out)
        return found[0]

    first = explained()
    assert (asked["rule"], first["rule"], first["answer"]) == ("G2", "G2", "none")
    yes = re.search(r"Yes \(.*?\): gusto-pipeline (approve \w+ \w+) --why …", first["question"])
    assert yes
    assert command(*yes[1].split(), "--why", "a mistake", "--by", "ann").code == 0
    assert re.match(r"yes, by ann on .*\. a mistake$", explained()["answer"])
    command("apply", yes[1].split()[1], "--by", "ann")
    assert directory.by_email(email).state == "invited"
    assert email not in {item["account"] for item in plan(command)["questions"]}


def test_who_is_not_known_is_said_to_be_unknown(office, command):
    plan(command)
    said = command("explain", "Nobody Atall", "okta")
    assert said.code == 1
    assert "Nobody Atall" in said.err


def test_what_is_unmatched_by_hand_is_never_matched_again_and_left_alone(office, command):
    email = office.leavers("okta")[0]
    plan(command)
    assert command("accounts", "unmatch", "okta", email, "--why", "somebody else's", "--by", "ann").code == 0
    for _ in range(2):
        assert email not in {item["account"] for item in plan(command)["items"] if item["app"] == "okta"}
    assert email in office.leavers("okta")


def test_a_decision_about_nobody_or_nothing_is_refused(office, command):
    plan(command)
    before = command("accounts", "audit", "--json").out
    login = office.leavers("okta")[0]
    for arguments, words in (
        (("match", "okta", "nobody@acme.example", "Ann Lee"), "Which account of okta is 'nobody@acme.example'?"),
        (("match", "okta", login, "Nobody Atall"), "Which person is 'Nobody Atall'?"),
        (("want", "okta", "Nobody Atall"), "Which person is 'Nobody Atall'?"),
        (("done", "okta", "nobody@acme.example"), "Which account of okta is"),
        (("end", login, "--at", "five o'clock"), "is no instant"),
        (("end", "Nobody Atall"), "Which person is 'Nobody Atall'?"),
        (("remove", login, "--app", "slack"), "slack is not connected"),
        (("same", "employee/e1", "employee/e2", "--lift"), "Nobody has said whether employee/e1 and employee/e2"),
    ):
        said = command("accounts", *arguments, "--why", "because")
        assert said.code == 1, arguments
        assert words in said.err.replace("\n", " ")
    assert command("accounts", "audit", "--json").out == before


def test_the_accounts_of_an_app_that_is_not_connected_are_not_an_empty_list(office, command):
    said = command("accounts", "list", "nosuchapp")
    assert said.code == 1
    assert "nosuchapp is not connected" in said.err
    assert "connected: asana, okta" in said.err.replace("\n", " ")


def test_a_decision_that_contradicts_another_is_refused(office, command):
    email = office.leavers("okta")[0]
    plan(command)
    command("accounts", "mark-bot", "okta", email, "--why", "runs the nightly build")
    said = command("accounts", "mark", "okta", email, "shared", "--why", "no, a team's")
    assert said.code == 1
    assert "Lift that mark first" in said.err


def test_a_bots_account_is_protected_even_when_its_holder_has_left(office, command):
    email = office.leavers("okta")[0]
    plan(command)
    command("accounts", "mark-bot", "okta", email, "--why", "runs the nightly build")
    after = plan(command)
    assert email not in {item["account"] for item in after["items"] if item["app"] == "okta"}
    asked = [item for item in after["questions"] if item["account"] == email and item["app"] == "okta"]
    assert asked[0]["rule"] == "P1"


def test_the_audit_says_who_did_what(office, command, tmp_path):
    first = plan(command)
    command("approve", first["hash"][:12], "--by", "ann", "--why", "=read it")
    command("apply", first["hash"][:12], "--by", "ann")
    assert command("accounts", "audit", "--csv", str(tmp_path / "audit.csv")).code == 0
    with (tmp_path / "audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    done = {row["what"] for row in rows if row["who"] == "ann"}
    assert done >= {"approved: suspend", "intended: suspend", "outcome: done"}
    assert not [value for row in rows for value in row.values() if value.startswith(("=", "+", "@"))]


def test_the_audit_is_read_in_80_columns(office, command):
    email = office.leavers("okta")[0]
    plan(command)
    why = "somebody else's, who left years ago and whose name nobody remembers any more but the one who says so"
    command("accounts", "unmatch", "okta", email, "--why", why, "--by", "ann")
    shown = command("accounts", "audit").out.splitlines()
    assert max(map(len, shown)) <= 80
    beginnings = [n for n, line in enumerate(shown) if re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC \S", line)]
    assert len(beginnings) == len(json.loads(command("accounts", "audit", "--json").out))
    account = office.apps["okta"].directory.by_email(email).id
    said = next(n for n in beginnings if f"ann: unmatched, okta {account}" in shown[n])
    assert " ".join(line.strip() for line in shown[said + 1 : said + 3]) == why


def test_the_audit_says_who_took_a_list_that_is_much_shorter(office, command):
    plan(command)
    members = office.apps["okta"].directory.members
    for id in [id for id, one in members.items() if one.role == "member"]:
        del members[id]
    assert "listed only" in command("plan").err
    command("plan", "--accept-shrink", "--by", "ann")
    said = [row for row in json.loads(command("accounts", "audit", "--json").out) if row["who"] == "ann"]
    assert [(row["what"], row["app"]) for row in said] == [("shorter list accepted", "okta")]


def test_all_accounts_of_somebody_are_removed_by_one_command_and_an_approval(office, command):
    plan(command)
    listed = json.loads(command("accounts", "list", "--json").out)
    okta = office.apps["okta"].directory
    email = next(
        row["login"]
        for row in listed
        if row["app"] == "okta" and row["outcome"] == "linked" and row["status"] == "active"
        and row["login"] not in office.leavers("okta") and okta.by_email(row["login"]).role == "member"
    )  # fmt: skip
    removal = ("accounts", "remove", email, "--why", "long leave", "--by", "ann")
    said = command(*removal, "--json")
    assert said.code == 2, said.err
    found = json.loads(said.out)
    ids = [item["id"] for item in found["items"]]
    assert {item["app"] for item in found["items"]} >= {"okta"}
    assert okta.by_email(email).state == "active"
    assert f"gusto-pipeline approve {found['plan']}" in command(*removal).out

    command("approve", found["plan"], *ids, "--by", "ann")
    command("apply", found["plan"], "--by", "ann")
    assert okta.by_email(email).state == "suspended"

    unknown = command("accounts", "remove", "Nobody Atall", "--why", "gone")
    assert unknown.code == 1
    assert "Which person is" in unknown.err


def test_what_was_done_by_hand_is_noted_under_a_name(office, command):
    email = office.leavers("okta")[0]
    plan(command)
    assert command("accounts", "done", "okta", email, "--why", "in the console", "--by", "ann").code == 0
    again = command("accounts", "done", "okta", email, "--why", "in the console")
    assert again.code == 1
    assert "ann said on" in again.err
    said = [row for row in json.loads(command("accounts", "audit", "--json").out) if row["who"] == "ann"]
    assert [(row["what"], row["detail"]) for row in said] == [("said to be done by hand", f"{email} in the console")]
    assert email in {item["account"] for item in plan(command)["items"] if item["app"] == "okta"}, "nothing is proven"


def test_disconnecting_an_app_touches_nobody(office, command):
    before = {m.id: m.state for m in office.apps["okta"].directory.members.values()}
    assert command("disconnect", "okta").code == 0
    assert {m.id: m.state for m in office.apps["okta"].directory.members.values()} == before
    assert "okta" not in {item["app"] for item in plan(command)["items"]}


def test_a_plan_of_another_company_is_refused(office, command, tmp_path):
    first = plan(command)
    made = read_plan(next((office.pipeline.settings.plans / office.pipeline.company.slug).glob("*.json")))
    path = write_plan(replace(made, company="other", company_uuid="other"), tmp_path)
    said = command("apply", str(path))
    assert said.code == 1
    assert "is a plan for other" in said.err
    assert first["company"] == office.pipeline.company.slug
