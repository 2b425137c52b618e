"""The tests that the documentation names as its proof are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = sorted(
    {
        (page.name, named)
        for page in (ROOT / "docs").glob("*.md")
        for named in re.findall(r"`([\w/]+\.py(?:::\w+)+)`", page.read_text(encoding="utf-8"))
    }
)


def test_the_documentation_names_its_proof():
    assert len(NAMED) >= 20


@pytest.mark.parametrize(("page", "named"), NAMED)
def test_every_test_it_names_exists(page, named):
    file, *path = named.split("::")
    body = ast.parse((ROOT / "gusto_pipeline_tests" / file).read_text(encoding="utf-8")).body
    for name in path:
        body = next(
            node.body for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
        )
