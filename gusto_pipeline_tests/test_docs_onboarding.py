"""docs/onboarding.md: what it shows is read and carried out as it stands, and what it says of trouble is provoked."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from ruamel.yaml import YAML

from gusto_pipeline.automation.onboarding import onboard_new_hires
from gusto_pipeline.config import load_settings
from gusto_pipeline.new_hires import HiresError, NewHire, read_hires
from gusto_pipeline.onboarding import find_file, process
from gusto_pipeline_tests.conftest import Pipeline, connected

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "onboarding.md").read_text(encoding="utf-8")
[CSV] = re.findall(r"```csv\n(.*?)```", TEXT, re.DOTALL)
PEOPLE, SECTION, LAUNCHPAD = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
[COMMANDS] = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
SAID = [
    line.removeprefix("| ").split(" | ")[0].removesuffix(" |")
    for line in TEXT.partition("## When it goes wrong")[2].splitlines()
    if line.startswith("| `")
]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with connected(tmp_path_factory.mktemp("home"), employees=5) as pipeline:
        yield pipeline


def columns() -> str:
    lines = ["| column | needed | what |", "|---|---|---|"]
    for name, field in NewHire.model_fields.items():
        lines.append(f"| `{name}` | {'yes' if field.is_required() else ''} | {field.description or ''} |")
    return "\n".join(lines)


def test_the_columns_are_those_that_are_read():
    assert f"<!-- columns -->\n{columns()}\n<!-- /columns -->" in TEXT


def test_the_files_shown_are_right(tmp_path):
    for name, content in (("hires.csv", CSV), ("hires.yaml", PEOPLE)):
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert read_hires(tmp_path / name).rows


def test_every_command_shown_does_what_it_says(tmp_path, command, monkeypatch):
    with connected(tmp_path, employees=2, jobs=True):
        Path("hires.csv").write_text(CSV, encoding="utf-8")
        for line in COMMANDS.splitlines():
            said = command(*shlex.split(line)[1:])
            assert said.code == 0, said.err
        assert Path("hires.csv.result.csv").exists()


def test_the_section_shown_is_one_of_pipeline_yaml(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(SECTION, encoding="utf-8")
    section = load_settings(tmp_path / "pipeline.yaml").onboarding
    assert (section.folder, section.company) == (tmp_path / "new-hires", "acme-tea-co")


def test_what_is_filled_into_the_launchpad_fits_it():
    assert dg.validate_run_config(onboard_new_hires, YAML(typ="safe").load(LAUNCHPAD))


# -- trouble ------------------------------------------------------------------------------------------------------

CY = {"first_name": "Cy", "last_name": "Orr", "email": "cy@example.com", "start_date": "2027-01-04", "job_title": "T"}


def refused(pipeline: Pipeline, name: str, content: str) -> str:
    Path(name).write_text(content, encoding="utf-8")
    with pytest.raises(HiresError) as error:
        process(pipeline.settings, pipeline.company, Path(name), pipeline.client)
    return str(error.value)


def wrong(pipeline: Pipeline, **change: str) -> str:
    return refused(pipeline, "hires.json", json.dumps([CY | change]))


def result(pipeline: Pipeline, **change: str) -> str:
    """The status of a row, and its warnings."""
    Path("hires.json").write_text(json.dumps([CY | change]), encoding="utf-8")
    [one] = process(pipeline.settings, pipeline.company, Path("hires.json"), pipeline.client).results
    return "\n".join((str(one.outcome), *one.warnings))


def from_another_file(pipeline: Pipeline) -> str:
    result(pipeline)  # partial: this sandbox lets nobody write jobs
    for path in (pipeline.settings.home / "onboarding").rglob("*.json"):
        held = json.loads(path.read_text())
        held["made"] |= {"status": "done", "todo": {}}
        path.write_text(json.dumps(held))
    return result(pipeline, last_name="Orr-Low")


def damaged(pipeline: Pipeline) -> str:
    email = "di@example.com"
    result(pipeline, email=email)
    for path in (pipeline.settings.home / "onboarding").rglob("*.json"):
        path.write_text("{")
    return result(pipeline, email=email)


def gone(pipeline: Pipeline) -> str:
    with pytest.raises(HiresError) as error:
        find_file(pipeline.settings, "hires.json", "0" * 64)
    return str(error.value)


def there(pipeline: Pipeline) -> str:
    row = next(row for row in pipeline.sandbox.world.companies[0].employees.values() if row["email"])
    return result(pipeline, email=row["email"])


HOME = {"home_street_1": "1", "home_city": "Oakland", "home_state": "CA"}
TROUBLE: list[Callable[[Pipeline], str]] = [
    lambda pipeline: wrong(pipeline, **HOME, home_zip="2134"),
    lambda pipeline: wrong(pipeline, start_date="1/4/2027"),
    lambda pipeline: wrong(pipeline, jobtitle="T"),
    lambda pipeline: refused(pipeline, "hires.csv", "first_name,last_name,email,job_title\nCy,Orr,cy@example.com,T\n"),
    lambda pipeline: refused(pipeline, "hires.json", json.dumps([CY, CY])),
    lambda pipeline: wrong(pipeline, work_location="Atlantis"),
    lambda pipeline: refused(pipeline, "hires.pages", ""),
    there,
    from_another_file,
    lambda pipeline: result(pipeline, email="ed@example.com"),
    lambda pipeline: result(pipeline, email="wrong@example.com"),
    damaged,
    gone,
]


def test_all_trouble_is_provoked():
    assert len(TROUBLE) == len(SAID)


@pytest.mark.parametrize(("said", "provoke"), list(zip(SAID, TROUBLE, strict=True)), ids=SAID)
def test_trouble_is_said_in_these_words(pipeline, said, provoke):
    text = provoke(pipeline)
    for quoted in re.findall(r"`([^`]+)`", said):
        pattern = ".*".join(map(re.escape, quoted.split("…")))
        assert re.search(pattern, text, re.DOTALL), text


def test_every_part_of_pipeline_yaml_is_in_its_schema(command):
    schema: dict[str, Any] = json.loads(command("config", "schema").out)
    assert {"folder", "company"} == set(schema["$defs"]["Onboarding"]["properties"])
