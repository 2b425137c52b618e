"""docs/hr.md: what it shows is carried out as it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gusto_pipeline_tests.conftest import Pipeline, connected

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "hr.md").read_text(encoding="utf-8")
[BASH] = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
[PYTHON] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with connected(tmp_path_factory.mktemp("home"), employees=5) as pipeline:
        yield pipeline


@pytest.mark.parametrize("line", BASH.splitlines())
def test_every_command_shown_does_what_it_says(pipeline, command, line):
    uuid = list(pipeline.sandbox.world.companies[0].employees)[3]
    said = command(*shlex.split(line.replace("$UUID", uuid))[1:])
    assert said.code == 0, said.err


def test_the_python_shown_runs(pipeline):
    home = {"street_1": "3 Leaf St", "city": "Oakland", "state": "CA", "zip": "94607"}
    with pipeline.client() as client:
        names: dict[str, Any] = {"client": client, "home": home}
        exec(PYTHON, names)
    assert names["done"].changed == {"employee": ["last_name"]}
    assert names["rows"]
