"""Gusto misbehaves: what passes is ridden out, what stays ends in words, and the last good rows stay either way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.gusto.errors import GustoError, MissingScopeError
from gusto_pipeline.sync import sync_category
from gusto_pipeline_tests.conftest import Pipeline, connected


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """One company whose employees fill two pages, synced before."""
    with connected(tmp_path_factory.mktemp("home"), employees=130) as pipeline:
        pipeline.sync("employees")
        yield pipeline


@pytest.fixture
def pipeline(shared: Pipeline) -> Iterator[Pipeline]:
    yield shared
    shared.sandbox.clear_faults()


def renamed(pipeline: Pipeline, name: str) -> None:
    for employee in pipeline.sandbox.world.companies[0].employees.values():
        employee["preferred_first_name"] = name


def names(pipeline: Pipeline) -> set[str]:
    return {row[0] for row in pipeline.query("SELECT DISTINCT preferred_first_name FROM staging.employees")}


@pytest.mark.parametrize(
    "fault",
    [
        "429=30:once:/employees",
        "429=2:every=2:/employees",
        "5xx:once:/employees",
        "5xx=502:every=2:/employees",
        "drop:once:/employees",
        "truncate:once:/employees",
        "truncate:every=2:/employees",
        "expired:once",
    ],
)
def test_what_passes_is_ridden_out(pipeline, fault):
    renamed(pipeline, fault)
    pipeline.sandbox.fault(fault)
    synced = pipeline.sync("employees")
    assert synced.rows["employees"] == 130
    assert synced.requests > 2
    assert names(pipeline) == {fault}


def test_a_token_that_expired_long_ago_is_refreshed(pipeline):
    renamed(pipeline, "after a week")
    pipeline.sandbox.advance(7 * 24 * 3600)
    pipeline.sync("employees")
    assert names(pipeline) == {"after a week"}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing-scope=employees:read", "employees:read"),
        ("5xx=503:/employees", "503"),
        ("429=1:/employees", "too many requests"),
        ("drop:/employees", "broke off"),
        ("truncate:/employees", "not JSON"),
    ],
)
def test_what_stays_is_told_and_changes_no_row(pipeline, fault, words):
    before = pipeline.query("FROM staging.employees ORDER BY ALL")
    renamed(pipeline, fault)
    pipeline.sandbox.fault(fault)
    with pytest.raises(GustoError, match=words):
        pipeline.sync("employees", run_id=fault)
    assert pipeline.query("FROM staging.employees ORDER BY ALL") == before
    [(status, problem)] = pipeline.query("SELECT status, problem FROM meta.syncs WHERE run_id = $1", fault)
    assert status == "failed"
    assert words in problem


def test_a_page_that_fails_late_undoes_the_whole_category(pipeline):
    """The second page fails when the first has long arrived."""
    before = pipeline.query("FROM staging.employees ORDER BY ALL")
    renamed(pipeline, "half")
    pipeline.sandbox.fault("5xx:every=2:/employees")
    with pipeline.client(retries=0) as client, pytest.raises(GustoError, match="500"):
        sync_category(CATEGORIES["employees"], pipeline.company, client, pipeline.settings)
    assert pipeline.query("FROM staging.employees ORDER BY ALL") == before


def test_what_was_landed_is_gone_after_success_and_after_failure(pipeline):
    pipeline.sync("employees")
    assert list(pipeline.settings.landing.iterdir()) == []
    pipeline.sandbox.fault("missing-scope=employees:read")
    with pytest.raises(MissingScopeError):
        pipeline.sync("employees")
    assert list(pipeline.settings.landing.iterdir()) == []
