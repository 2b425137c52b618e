"""What Dagster is given: it loads anywhere, is described throughout, guards what it makes and shows no secret."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from gusto_pipeline.automation.schedules import wanted_companies
from gusto_pipeline.automation.sensors import company_partitions, failed_runs
from gusto_pipeline.definitions import defs
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.resources.pipeline import PipelineResource
from gusto_pipeline_tests.conftest import Pipeline, connected

ROOT = Path(__file__).parents[1]

ASSETS = [
    "analytics",
    "spreadsheets/admins",
    "spreadsheets/applicants",
    "spreadsheets/company",
    "spreadsheets/company_benefits",
    "spreadsheets/contractor_payments",
    "spreadsheets/contractors",
    "spreadsheets/custom_fields",
    "spreadsheets/departments",
    "spreadsheets/earning_types",
    "spreadsheets/employee_benefits",
    "spreadsheets/employees",
    "spreadsheets/employment_history",
    "spreadsheets/home_address_history",
    "spreadsheets/locations",
    "spreadsheets/pay_schedules",
    "spreadsheets/payroll_lines",
    "spreadsheets/payrolls",
    "spreadsheets/rehires",
    "spreadsheets/time_off",
    "spreadsheets/time_off_activities",
    "spreadsheets/work_addresses",
    "staging/admins",
    "staging/applicants",
    "staging/company",
    "staging/company_addresses",
    "staging/company_benefits",
    "staging/company_pay_types",
    "staging/compensations",
    "staging/contractor_payments",
    "staging/contractors",
    "staging/custom_fields",
    "staging/department_members",
    "staging/department_pay_schedules",
    "staging/departments",
    "staging/earning_types",
    "staging/employee_benefits",
    "staging/employee_custom_fields",
    "staging/employee_pay_schedules",
    "staging/employees",
    "staging/employment_history",
    "staging/garnishments",
    "staging/home_address_history",
    "staging/home_addresses",
    "staging/jobs",
    "staging/locations",
    "staging/minimum_wages",
    "staging/pay_periods",
    "staging/pay_schedule_assignments",
    "staging/pay_schedules",
    "staging/payroll_benefits",
    "staging/payroll_deductions",
    "staging/payroll_employees",
    "staging/payroll_fixed",
    "staging/payroll_hourly",
    "staging/payroll_paid_time_off",
    "staging/payroll_reimbursements",
    "staging/payroll_taxes",
    "staging/payroll_taxes_withheld",
    "staging/payrolls",
    "staging/rehires",
    "staging/terminations",
    "staging/time_off",
    "staging/time_off_activities",
    "staging/time_off_balances",
    "staging/time_off_days",
    "staging/time_off_policies",
    "staging/time_off_policy_members",
    "staging/work_addresses",
]

JOBS = [
    "sync_admins_only",
    "sync_applicants_only",
    "sync_company_benefits_only",
    "sync_company_only",
    "sync_contractor_payments_only",
    "sync_contractors_only",
    "sync_custom_fields_only",
    "sync_departments_only",
    "sync_earning_types_only",
    "sync_employee_benefits_only",
    "sync_employees_only",
    "sync_employment_history_only",
    "sync_everything",
    "sync_home_address_history_only",
    "sync_locations_only",
    "sync_pay_schedules_only",
    "sync_payroll_lines_only",
    "sync_payrolls_only",
    "sync_rehires_only",
    "sync_time_off_activities_only",
    "sync_time_off_only",
    "sync_work_addresses_only",
]

HR_JOBS = ["create_employee", "onboard_new_hires", "update_employee"]

GRAPH = defs.resolve_asset_graph()
MADE = sorted(GRAPH.materializable_asset_keys)


def test_it_loads_in_a_fresh_interpreter_with_an_empty_environment(tmp_path):
    code = "import dagster as dg; from gusto_pipeline.definitions import defs; dg.Definitions.validate_loadable(defs)"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_these_are_the_assets():
    assert sorted(key.to_user_string() for key in MADE) == ASSETS


def test_these_are_the_jobs():
    assert sorted(job.name for job in defs.jobs or ()) == sorted(JOBS + HR_JOBS)


def test_every_category_of_the_catalog_has_its_assets():
    tables = {f"staging/{table.name}" for category in CATEGORIES.values() for table in category.tables()}
    assert tables | {f"spreadsheets/{name}" for name in CATEGORIES} | {"analytics"} == set(ASSETS)


@pytest.mark.parametrize("key", MADE, ids=dg.AssetKey.to_user_string)
def test_every_asset_says_what_it_is_whose_and_made_with_what(key):
    node = GRAPH.get(key)
    assert len(node.description or "") > 20
    assert node.owners
    assert node.kinds
    assert node.group_name in {"staging", "spreadsheets"}
    assert node.partitions_def == dg.DynamicPartitionsDefinition(name="companies")


@pytest.mark.parametrize("key", [key for key in MADE if key.path[0] == "staging"], ids=dg.AssetKey.to_user_string)
def test_every_staging_table_shows_its_columns_with_meaning_and_sensitivity(key):
    schema = GRAPH.get(key).metadata["dagster/column_schema"]
    assert schema.columns[0].name == "company_uuid"
    for column in schema.columns:
        assert column.description
        assert column.type
        assert column.tags["sensitivity"] in {"open", "personal", "pay", "secret"}


def test_lineage_starts_at_gusto_and_ends_at_spreadsheets():
    connections = {"connections/gusto", "connections/google"}
    assert {key.to_user_string() for key in GRAPH.external_asset_keys} == {"gusto", "new_hires", *connections}
    assert {key.to_user_string() for key in GRAPH.get(dg.AssetKey("gusto")).parent_keys} == {"connections/gusto"}
    ends = {key.to_user_string() for key in MADE if not GRAPH.get(key).child_keys}
    starts = {key.to_user_string() for key in MADE if not GRAPH.get(key).parent_keys}
    assert ends == {"analytics"} | {f"spreadsheets/{name}" for name in CATEGORIES}
    assert starts == set()


@pytest.mark.parametrize("name", JOBS)
def test_every_job_selects_something_and_publishes_it(name):
    selected = {key.to_user_string() for key in defs.resolve_job_def(name).asset_layer.selected_asset_keys}
    assert "analytics" in selected
    assert any(key.startswith("staging/") for key in selected)
    assert any(key.startswith("spreadsheets/") for key in selected)


def test_everything_is_synced_but_what_is_asked_one_by_one():
    layer = defs.resolve_job_def("sync_everything").asset_layer
    selected = {key.path[-1] for key in layer.selected_asset_keys if key.path[0] == "spreadsheets"}
    assert selected == {name for name, category in CATEGORIES.items() if not category.parents}


@pytest.mark.parametrize(
    ("table", "parent"),
    [
        ("work_addresses", "employees"),
        ("rehires", "terminations"),
        ("employee_benefits", "company_benefits"),
        ("payroll_fixed", "payrolls"),
        ("employees", None),
    ],
)
def test_what_is_asked_one_by_one_stands_on_the_table_that_says_about_whom(table, parent):
    [upstream] = GRAPH.get(dg.AssetKey(["staging", table])).parent_keys
    assert upstream == dg.AssetKey(["staging", parent] if parent else ["gusto"])


def test_every_check_blocks_and_sits_on_a_table_that_is_made():
    checks = [GRAPH.get(key) for key in GRAPH.asset_check_keys if key.asset_key.path[0] != "connections"]
    assert all(check.blocking for check in checks)
    assert {check.key.asset_key for check in checks} == {key for key in MADE if key.path[0] == "staging"}
    assert all(check.description for check in checks)


def test_no_resource_shows_a_secret(monkeypatch):
    monkeypatch.setenv("GUSTO_CLIENT_ID", "id-canary")
    monkeypatch.setenv("GUSTO_CLIENT_SECRET", "secret-canary")
    shown = {
        name: resource.get_resource_definition().config_schema.default_value
        for name, resource in (defs.resources or {}).items()
    }
    assert shown["gusto"]["client_id"] == {"env": "GUSTO_CLIENT_ID"}
    assert shown["gusto"]["client_secret"] == {"env": "GUSTO_CLIENT_SECRET"}
    assert "canary" not in str(shown)


def test_runs_stay_in_one_process():
    """DuckDB has one writer; and a step in a process of its own costs seconds."""
    assert defs.executor is dg.in_process_executor


def test_pyproject_names_no_code_location():
    """Such a table would silently outrank workspace.yaml."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert not {"dagster", "dg"} & tools.keys()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Pipeline]:
    with connected(tmp_path, companies=2, employees=1) as pipeline:
        yield pipeline


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def test_the_schedule_is_off_until_switched_on():
    [schedule] = defs.schedules or ()
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 5 * * *", "America/Los_Angeles")


def test_the_schedule_asks_for_one_run_of_everything_per_connected_company(two, instance):
    [schedule] = defs.schedules or ()
    tick = datetime(2026, 7, 1, 5, tzinfo=ZoneInfo("America/Los_Angeles"))
    resources = {"pipeline": PipelineResource()}
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=tick, resources=resources) as context:
        requests = list(schedule(context))
    slugs = [company.slug for company in two.companies]
    assert schedule.job_name == "sync_everything"
    assert [request.partition_key for request in requests] == slugs
    assert len({request.run_key for request in requests}) == 2
    assert set(instance.get_dynamic_partitions("companies")) == set(slugs)


def test_only_companies_that_pipeline_yaml_names_are_wanted(two, tmp_path, monkeypatch):
    assert len(wanted_companies(PipelineResource())) == 2
    second = two.companies[1]
    (tmp_path / "pipeline.yaml").write_text(f"gusto:\n  companies: ['{second.name}']\n")
    assert wanted_companies(PipelineResource()) == [second.slug]


def test_the_sensor_adds_partitions_for_new_companies_and_then_rests(two, instance):
    def tick() -> dg.SensorResult:
        resources = {"pipeline": PipelineResource()}
        with dg.build_sensor_context(instance=instance, resources=resources) as context:
            return company_partitions(context)

    [request] = tick().dynamic_partitions_requests
    assert request.partitions_def_name == "companies"
    assert set(request.partition_keys) == {company.slug for company in two.companies}
    instance.add_dynamic_partitions("companies", list(request.partition_keys))
    assert not tick().dynamic_partitions_requests
    assert "every connected company" in str(tick().skip_reason)


def test_a_failed_run_says_for_whom_and_why(pipeline, capsys):
    pipeline.sandbox.fault("missing-scope=departments:read")
    failed = pipeline.run("sync_departments_only")
    event = next(event for event in failed.all_events if event.event_type_value == "PIPELINE_FAILURE")
    with dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_event=event,
        dagster_instance=pipeline.instance,
        dagster_run=failed.dagster_run,
        resources={"pipeline": PipelineResource()},
    ) as context:
        failed_runs(context.for_run_failure())
    said = capsys.readouterr().err
    assert f"sync_departments_only failed for {pipeline.company.slug}: " in said
    assert "lacks the scope departments:read" in said
