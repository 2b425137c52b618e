"""Runs from a terminal: for one company or for several in one run, with each one's own result."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from gusto_pipeline.automation.launch import neighbours, run_job, with_flatten_jobs
from gusto_pipeline.config import load_settings
from gusto_pipeline.definitions import definitions
from gusto_pipeline_tests.conftest import connected


@pytest.mark.parametrize(
    ("known", "wanted", "groups"),
    [
        ([], ["b", "a"], [["b", "a"]]),
        (["a", "b", "c"], ["c", "b"], [["b", "c"]]),
        (["a", "x", "b"], ["b", "a"], [["b"], ["a"]]),
        (["a"], ["b", "a"], [["a", "b"]]),
        (["a"], ["a"], [["a"]]),
    ],
)
def test_companies_share_a_run_if_no_other_is_between_them(known, wanted, groups):
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("companies", known)
        assert neighbours(instance, wanted) == groups


def test_a_run_for_two_companies_makes_flatten_jobs_too_and_tells_of_each(tmp_path: Path):
    with connected(tmp_path, companies=2, employees=2) as pipeline:
        (tmp_path / "pipeline.yaml").write_text("jobs: [{name: list, category: departments, format: csv}]")
        settings = load_settings()
        job = with_flatten_jobs(definitions(settings), ["sync_departments_only"], settings)
        steps: list[str] = []
        slugs = [company.slug for company in pipeline.companies]
        outcome = run_job(pipeline.instance, job, slugs, on_step=steps.append)
        assert (outcome.success, len(steps)) == (True, len(job.graph.nodes))
        for company in pipeline.companies:
            made = outcome.made[company.slug]
            assert made["spreadsheets/list"]["path"] == str(pipeline.spreadsheet("list.csv", company))
            assert made["staging/departments"]["dagster/row_count"] == pipeline.count("departments", company)
