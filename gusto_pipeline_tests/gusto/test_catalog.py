"""The catalog asks for what Gusto's published description offers, and stands on tables it has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gusto_pipeline.gusto.catalog import CATEGORIES, Source
from gusto_pipeline.warehouse.flatten import rows

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "gusto-openapi.json"

SOURCES = [source for category in CATEGORIES.values() for source in category.sources]
COLUMNS = {r.table.name: {column.name for column in r.columns} for source in SOURCES for r in rows(source.table)}
by_name = pytest.mark.parametrize("source", SOURCES, ids=[source.name for source in SOURCES])


@pytest.mark.skipif(not SHARED.exists(), reason="Gusto's API description is not here")
@pytest.mark.parametrize("source", [source for source in SOURCES if not source.gone], ids=lambda source: source.name)
def test_a_request_is_one_that_gusto_describes(source: Source) -> None:
    paths = json.loads(SHARED.read_text())["paths"]
    gets = {re.sub(r"{\w+}", "{}", path): each["get"] for path, each in paths.items() if "get" in each}
    described = gets[re.sub(r"{\w+}", "{}", source.path)]
    known = {parameter.get("name") for parameter in described["parameters"]}
    variants = {name for variant in source.variants for name in variant}
    window = {"start_date", "end_date"} if source.days else set()
    assert {*source.params, *variants, *window} <= known
    assert source.paged == ("page" in known)
    assert re.findall(r"\n\s*scope: `(.+)`", described["description"]) == source.scope.split()[:1]


@by_name
def test_what_is_asked_one_by_one_is_in_a_staging_table(source: Source) -> None:
    asked = re.findall(r"{(\w+)}", source.path)
    assert {name for name in asked if name != "company"} == set(source.table.links)
    assert bool(source.per) == bool(source.table.links)
    if source.per:
        assert source.per.column in COLUMNS[source.per.table]
