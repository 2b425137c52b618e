"""Who is told what: questions in words, asked by all kinds of callers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gusto_pipeline.answers import answering, callers
from gusto_pipeline.answers.callers import Caller
from gusto_pipeline.clock import utcnow
from gusto_pipeline.sync import open_warehouse
from gusto_pipeline_tests.conftest import connected


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    with connected(tmp_path_factory.mktemp("answers")) as pipeline:
        for category in ("employees", "time_off", "pay_schedules", "payrolls", "work_addresses"):
            pipeline.sync(category)
        with open_warehouse(pipeline.settings).write() as connection:
            connection.execute("UPDATE staging.compensations SET rate = 987654.32")
        yield pipeline


@pytest.fixture(scope="module")
def people(pipeline):
    """(callers by kind, the report asked about)."""
    company = pipeline.company.uuid
    here = "onboarded AND NOT terminated AND NOT historical AND work_email IS NOT NULL"
    report, manager = pipeline.query(
        f"SELECT e.uuid, m.uuid FROM (FROM staging.employees WHERE {here}) e "
        f"JOIN (FROM staging.employees WHERE {here}) m ON m.uuid = e.manager_uuid ORDER BY e.uuid LIMIT 1"
    )[0]
    (stranger,) = pipeline.query(
        f"SELECT uuid FROM staging.employees WHERE {here} AND uuid NOT IN ($1, $2) AND uuid NOT IN "
        "(SELECT manager_uuid FROM staging.employees WHERE manager_uuid IS NOT NULL) ORDER BY uuid LIMIT 1",
        report, manager,
    )[0]  # fmt: skip
    (gone,) = pipeline.query(
        "SELECT uuid FROM flat.employees WHERE terminated AND termination__effective_date < today() LIMIT 1"
    )[0]
    asking = {"self": report, "manager": manager, "stranger": stranger, "gone": gone, "unknown": "nobody"}
    return {kind: Caller(company, uuid) for kind, uuid in asking.items()}


def asked(pipeline, caller, question):
    return answering.ask(pipeline.settings, caller, question, via="cli")


def test_a_stranger_sees_the_directory_a_manager_more(pipeline, people):
    question = f"who is {people['self'].employee}"
    stranger, manager = (asked(pipeline, people[kind], question).rows[0] for kind in ("stranger", "manager"))
    assert set(stranger) == {"name", "work_email", "title", "department"}
    assert set(manager) == {*stranger, "location", "out_of_office"}


def test_pay_is_shown_to_its_owner_where_the_policy_says_so(pipeline, people):
    policy = pipeline.settings.answers.model_copy(update={"fields": ("name", "pay")})
    settings = pipeline.settings.model_copy(update={"answers": policy})
    own = answering.ask(settings, people["self"], "what is my salary", via="cli")
    other = answering.ask(settings, people["manager"], f"what is {people['self'].employee}'s salary", via="cli")
    assert "987654.32" in own.text
    assert (other.outcome, "987654" in other.text) == ("refused", False)


def test_time_off_is_told_by_policy_and_to_its_owner_alone(pipeline, people):
    me = people["self"]
    expected = pipeline.query(
        "SELECT p.name, p.accrual_method = 'unlimited', m.balance FROM staging.time_off_policy_members m "
        "JOIN staging.time_off_policies p ON p.uuid = m.time_off_policy_uuid WHERE m.uuid = $1 AND p.is_active "
        "ORDER BY p.name",
        me.employee,
    )
    rows = asked(pipeline, me, "what is my vacation balance").rows
    assert [(row["policy"], row["balance"] == "unlimited") for row in rows] == [row[:2] for row in expected]
    told = [float(row["balance"]) for row in rows if row["balance"] != "unlimited"]
    assert told == pytest.approx([float(balance) for _, unlimited, balance in expected if not unlimited], abs=0.01)
    for kind in ("manager", "stranger"):
        reply = asked(pipeline, people[kind], f"what is {me.employee}'s vacation balance")
        assert (reply.outcome, reply.rows) == ("refused", ())


def test_approved_time_off_that_is_not_taken_yet_stands_apart(pipeline, people):
    me = people["self"].employee
    with open_warehouse(pipeline.settings).write() as connection:
        connection.execute(
            "INSERT INTO staging.time_off BY NAME SELECT company_uuid, 'r' || n AS uuid, uuid AS employee__uuid, "
            "time_off_policy_uuid AS policy_uuid, CASE n WHEN 3 THEN 'pending' ELSE 'approved' END AS status "
            "FROM staging.time_off_policy_members, range(1, 4) days(n) WHERE uuid = $1",
            [me],
        )
        connection.execute(
            "INSERT INTO staging.time_off_days BY NAME SELECT company_uuid, 'r' || n AS time_off_request_uuid, "
            "current_date + CAST(n * 10 - 15 AS INTEGER) AS key, 4 AS value FROM meta.companies, range(1, 4) days(n)"
        )
    rows = asked(pipeline, people["self"], "my time off").rows
    assert [row["approved_not_taken"] for row in rows] == ["4"] * len(rows)  # one is past, one not approved


def test_an_answer_has_source_and_age_and_is_recorded_without_content(pipeline, people):
    reply = asked(pipeline, people["self"], "How much time off do I have left?")
    assert "Source: Gusto (employees, time_off), synced " in reply.text
    assert reply.synced_at is not None
    last = pipeline.query(
        "SELECT company_uuid, employee_uuid, via, topic, about, outcome FROM answers.log ORDER BY asked_at DESC LIMIT 1"
    )
    me = people["self"]
    assert last == [(me.company, me.employee, "cli", "time_off", [me.employee], "answered")]


def test_the_next_pay_day_is_ahead(pipeline, people):
    reply = asked(pipeline, people["self"], "when is the next pay day?")
    assert reply.outcome == "answered"
    assert reply.rows
    assert all(row["pay_day"] >= utcnow().astimezone(pipeline.settings.zone).date().isoformat() for row in reply.rows)


def test_a_token_is_its_owner_s_until_it_expires_or_is_revoked(pipeline, people):
    settings, me = pipeline.settings, people["self"]
    secret, token = callers.issue_token(settings, me, days=1)
    assert callers.caller_of_token(settings, secret) == me
    assert callers.caller_of_token(settings, secret + "x") is None
    assert callers.caller_of_token(settings, secret, clock=lambda: utcnow() + timedelta(days=2)) is None
    assert callers.revoke_tokens(settings, token.id) == 1
    assert callers.caller_of_token(settings, secret) is None
    assert secret not in str(pipeline.query("FROM answers.tokens"))


def test_who_has_left_is_nobody(pipeline, people):
    assert callers.find_caller(pipeline.settings, people["gone"].employee) is None
    assert callers.find_caller(pipeline.settings, people["self"].employee) == people["self"]
