"""Job applicants: from the endpoint where it still answers, else from a CSV file people drop, else from nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gusto_pipeline_tests.conftest import Pipeline, connected

CSV = "first_name,last_name,email,job_title\nAda,Lovelace,ada@example.com,Analyst\nGrace,Hopper,,Rear Admiral\n"


@pytest.fixture
def gone(tmp_path: Path) -> Iterator[Pipeline]:
    """A company whose API no longer has the endpoint."""
    with connected(tmp_path, employees=1, applicants=False) as pipeline:
        yield pipeline


def drop(pipeline: Pipeline, text: str, name: str = "") -> Path:
    file = pipeline.settings.sync.applicants_folder / (name or f"{pipeline.company.slug}.csv")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def said(pipeline: Pipeline) -> dict[str, Any]:
    """Metadata of the applicants' materialization of a run that succeeded."""
    result = pipeline.run("sync_applicants_only")
    assert result.success
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key.path == ["staging", "applicants"]]
    materialization = event.step_materialization_data.materialization
    return {name: value.value for name, value in materialization.metadata.items()}


def applicants(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    return pipeline.query("SELECT first_name, last_name, email, job_title FROM staging.applicants ORDER BY last_name")


def test_they_come_from_the_endpoint_where_it_answers(pipeline):
    metadata = said(pipeline)
    assert (metadata["source"], metadata["dagster/row_count"]) == ("api", 3)
    assert len(applicants(pipeline)) == 3


def test_they_come_from_a_dropped_file_where_the_endpoint_is_gone(gone):
    drop(gone, CSV)
    metadata = said(gone)
    assert (metadata["source"], metadata["dagster/row_count"]) == ("csv", 2)
    expected = [("Grace", "Hopper", None, "Rear Admiral"), ("Ada", "Lovelace", "ada@example.com", "Analyst")]
    assert applicants(gone) == expected
    assert "ada@example.com" in gone.spreadsheet("applicants.csv").read_text(encoding="utf-8-sig")


def test_with_neither_the_run_succeeds_and_says_so(gone):
    metadata = said(gone)
    assert (metadata["source"], metadata["dagster/row_count"]) == ("none", 0)
    assert "no CSV was dropped" in metadata["notes"]


def test_those_known_stay_when_the_endpoint_goes(pipeline):
    said(pipeline)
    pipeline.sandbox.world.applicants_offered = False
    metadata = said(pipeline)
    assert (metadata["source"], metadata["dagster/row_count"]) == ("none", 3)
    assert len(applicants(pipeline)) == 3


def test_the_same_person_keeps_the_same_id(gone):
    drop(gone, CSV)
    gone.sync("applicants")
    before = gone.query("SELECT uuid FROM staging.applicants ORDER BY uuid")
    drop(gone, "\n".join([CSV.splitlines()[0], *reversed(CSV.splitlines()[1:])]))
    gone.sync("applicants")
    assert gone.query("SELECT uuid FROM staging.applicants ORDER BY uuid") == before


def test_several_files_of_a_company_are_read_together(gone):
    drop(gone, CSV)
    drop(gone, "last_name,first_name\nTuring,Alan\n", f"{gone.company.slug}/more.csv")
    assert said(gone)["dagster/row_count"] == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("first_name,surname\nAda,Lovelace\n", "line 1: unknown column 'surname'"),
        ("first_name,lastname\nAda,Lovelace\n", "did you mean last_name?"),
        ("first_name,last_name\nAda\n", "line 2: not as many values as columns"),
        (
            "first_name,last_name,email\nAda,Lovelace,a@b.c\n,,x@b.c\n",
            "line 3: first_name and last_name are both empty",
        ),
        ('first_name,last_name\nAda,"Lovelace\n', "cannot be read as CSV"),
    ],
)
def test_a_file_that_is_wrong_is_named_and_replaces_nothing(gone, text, words):
    drop(gone, CSV)
    gone.sync("applicants")
    file = drop(gone, text)
    result = gone.run("sync_applicants_only")
    [failure] = result.get_step_failure_events()
    assert str(file) in failure.step_failure_data.user_failure_data.description
    assert words in failure.step_failure_data.user_failure_data.description
    assert len(applicants(gone)) == 2


def test_a_file_that_is_no_text_is_named(gone):
    drop(gone, "").write_bytes(b"first_name,last_name\n\xff\xfe,x\n")
    with pytest.raises(Exception, match="cannot be read as CSV"):
        gone.sync("applicants")
