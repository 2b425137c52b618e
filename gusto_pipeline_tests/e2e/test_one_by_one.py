"""What Gusto answers only for one employee, benefit or payroll at a time: what is asked, and that nothing is lost."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from python_calamine import CalamineWorkbook

from gusto_pipeline.clock import utcnow
from gusto_pipeline.config import FlattenJob
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.gusto.errors import NotFoundError
from gusto_pipeline.preroll import preroll
from gusto_pipeline.sandbox.gusto.shapes import full_name

STANDS_ON = {"rehires": "employees", "employee_benefits": "company_benefits", "payroll_lines": "payrolls"}


@pytest.mark.parametrize("category", [*STANDS_ON, "contractor_payments", "company_benefits"])
def test_each_of_them_syncs_and_is_written_to_a_workbook(pipeline, category):
    if before := STANDS_ON.get(category):
        pipeline.start(before)
    assert pipeline.run(f"sync_{category}_only").success
    tables = [table.name for table in CATEGORIES[category].tables()]
    assert all(pipeline.count(table) for table in tables)
    book = CalamineWorkbook.from_path(pipeline.spreadsheet(f"{category}.xlsx"))
    assert set(tables) <= set(book.sheet_names)
    assert pipeline.query("FROM meta.drift") == []


@pytest.mark.parametrize("category", STANDS_ON)
def test_without_what_it_stands_on_nothing_is_asked(pipeline, category):
    synced = pipeline.sync(category)
    assert (synced.requests, sum(synced.rows.values())) == (0, 0)


@pytest.mark.parametrize("category", STANDS_ON)
def test_the_preroll_says_how_many_requests_it_takes(pipeline, category):
    pipeline.sync(STANDS_ON[category])
    synced = pipeline.sync(category)
    job = FlattenJob(name="lines", category=category)
    found = preroll(job, pipeline.settings, pipeline.client)
    assert found.requests == synced.requests


def test_only_the_dismissed_are_asked_whether_they_come_back(pipeline):
    pipeline.sync("employees")
    pipeline.sandbox.requests.clear()
    pipeline.sync("rehires")
    gone = {uuid for (uuid,) in pipeline.query("SELECT employee_uuid FROM staging.terminations")}
    assert {row.path for row in pipeline.sandbox.requests} == {f"/v1/employees/{uuid}/rehire" for uuid in gone}
    people = pipeline.sandbox.world.companies[0].employees
    back = {(uuid, people[uuid]["spells"][-1]["hire_date"]) for uuid in gone if len(people[uuid]["spells"]) > 1}
    assert set(pipeline.query("SELECT employee_uuid, CAST(effective_date AS VARCHAR) FROM staging.rehires")) == back
    assert 0 < len(back) < len(gone)


def test_contractor_payments_are_those_of_the_last_twelve_months(pipeline):
    pipeline.sandbox.requests.clear()
    pipeline.sync("contractor_payments")
    [request] = pipeline.sandbox.requests
    today = utcnow().date()
    assert f"start_date={today - timedelta(days=365)}&end_date={today}&" in request.query

    pipeline.sync("contractors")
    unknown = "FROM staging.contractor_payments WHERE contractor_uuid NOT IN (SELECT uuid FROM staging.contractors)"
    assert pipeline.query(unknown) == []
    assert pipeline.query("SELECT count(*) > 10, min(wage_total) > 0 FROM staging.contractor_payments") == [
        (True, True)
    ]


def test_everyone_enrolled_in_a_benefit_is_found_however_many_pages_it_takes(pipeline):
    people = pipeline.sandbox.world.companies[0].employees.values()
    benefit = next(iter(pipeline.sandbox.world.companies[0].benefits))
    for person in people:
        person["benefits"] += [
            row | {"uuid": str(uuid4())}
            for row in person["benefits"]
            for _ in range(40)
            if row["company_benefit_uuid"] == benefit
        ]
    pipeline.sync("company_benefits")
    synced = pipeline.sync("employee_benefits")
    wanted = {
        (row["company_benefit_uuid"], person["uuid"], row["uuid"]) for person in people for row in person["benefits"]
    }
    found = pipeline.query("SELECT company_benefit_uuid, employee_uuid, uuid FROM staging.employee_benefits")
    assert sorted(found) == sorted(wanted)
    assert synced.requests > pipeline.count("company_benefits")


def test_the_lines_of_every_payroll_add_up_to_its_totals(pipeline):
    pipeline.sync("payrolls")
    pipeline.sync("payroll_lines")
    sums = {
        "gross_pay": "SELECT payroll_uuid, gross_pay FROM staging.payroll_employees",
        "net_pay": "SELECT payroll_uuid, net_pay FROM staging.payroll_employees",
        "employee_bonuses": "SELECT payroll_uuid, amount FROM staging.payroll_fixed",
        "reimbursements": "SELECT payroll_uuid, amount FROM staging.payroll_reimbursements",
        "benefits": "SELECT payroll_uuid, company_contribution FROM staging.payroll_benefits",
        "employee_benefits_deductions": "SELECT payroll_uuid, employee_deduction FROM staging.payroll_benefits",
        "other_deductions": "SELECT payroll_uuid, amount FROM staging.payroll_deductions",
        "employee_taxes": "SELECT payroll_uuid, amount FROM staging.payroll_taxes_withheld WHERE NOT employer",
        "employer_taxes": "SELECT payroll_uuid, amount FROM staging.payroll_taxes_withheld WHERE employer",
    }
    for total, lines in sums.items():
        differing = pipeline.query(
            f"SELECT uuid, totals__{total}, sum(amount) FROM staging.payrolls "
            f"LEFT JOIN ({lines}) lines(payroll, amount) ON uuid = payroll "
            f"GROUP BY ALL HAVING totals__{total} <> coalesce(sum(amount), 0)"
        )
        assert (total, differing) == (total, [])
        assert pipeline.query(f"SELECT sum(totals__{total}) > 0 FROM staging.payrolls") == [(True,)]


def test_an_employees_lines_name_the_payroll_and_the_employee(pipeline):
    pipeline.sync("payrolls")
    pipeline.sync("payroll_lines")
    for table in list(CATEGORIES["payroll_lines"].tables())[1:]:
        stray = f"FROM staging.{table.name} ANTI JOIN staging.payroll_employees USING (payroll_uuid, employee_uuid)"
        assert (table.name, pipeline.query(stray)) == (table.name, [])


def test_what_is_deducted_for_a_court_is_kept_out_of_spreadsheets(pipeline):
    pipeline.run("sync_payrolls_only")
    pipeline.run("sync_payroll_lines_only")
    book = CalamineWorkbook.from_path(pipeline.spreadsheet("payroll_lines.xlsx"))
    header = book.get_sheet_by_name("payroll_deductions").to_python()[0]
    assert "uuid" in header
    assert not {"name", "amount"} & set(header)


def test_a_benefit_that_is_gone_fails_the_sync_whole(pipeline):
    pipeline.sync("company_benefits")
    pipeline.sync("employee_benefits")
    before = pipeline.query("FROM staging.employee_benefits ORDER BY ALL")
    benefits = pipeline.sandbox.world.companies[0].benefits
    benefits.pop(next(iter(benefits)))
    with pytest.raises(NotFoundError, match="employee_benefits"):
        pipeline.sync("employee_benefits")
    assert pipeline.query("FROM staging.employee_benefits ORDER BY ALL") == before


def test_flat_views_name_whom_and_what_a_row_is_about(pipeline):
    for category in ("employees", "contractors", "contractor_payments", "company_benefits", "employee_benefits"):
        pipeline.sync(category)
    company = pipeline.sandbox.world.companies[0]
    paid = pipeline.query("SELECT DISTINCT contractor_uuid, contractor_name FROM flat.contractor_payments")
    assert paid
    assert all(name == full_name(company.contractors[uuid]) for uuid, name in paid)
    enrolled = pipeline.query("SELECT employee_uuid, employee_name, benefit_name FROM flat.employee_benefits")
    assert {benefit for _, _, benefit in enrolled} == {row["description"] for row in company.benefits.values()}
    assert all(company.employees[uuid]["last_name"] in name for uuid, name, _ in enrolled)
