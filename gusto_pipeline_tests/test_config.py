"""pipeline.yaml and the environment: what is wrong is named by file, line and key, with what would be right."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import jsonschema
import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from gusto_pipeline.config import PRODUCTION, ConfigError, Settings, load_settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def problem(folder: Path) -> Callable[[str], str]:
    """What is said about a file with this text."""

    def load(text: str) -> str:
        (folder / "pipeline.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load_settings()
        return str(caught.value)

    return load


def keys(model: type[BaseModel] = Settings, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of the file, as the sections around it and its name; those of a job as they stand in the first one."""
    for name, field in model.model_fields.items():
        yield (*above, name)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, (*above, name))
        elif get_origin(inner) is tuple and isinstance(get_args(inner)[0], type) and not above:
            yield from keys(get_args(inner)[0], (*above, name, "0"))


def yaml(path: tuple[str, ...], value: str) -> str:
    """A file that sets one key, in its last line."""
    lines = []
    for depth, part in enumerate(path):
        if part == "0":
            lines.append("  - name: some_job\n    category: employees")
        else:
            lines.append(f"{'  ' * depth}{part}:")
    return "\n".join(["# a comment", *lines]) + f" {value}\n"


def dotted(path: tuple[str, ...]) -> str:
    return ".".join(path)


KEYS = list(keys())


def test_there_are_keys_in_every_section():
    assert {path[0] for path in KEYS} >= {"home", "gusto", "sync", "spreadsheets", "jobs"}
    assert ("jobs", "0", "frequency") in KEYS


@pytest.mark.parametrize("path", KEYS, ids=dotted)
def test_a_key_that_is_misspelt_is_answered_with_the_line_and_the_nearest_one(problem, path):
    misspelt = (*path[:-1], path[-1][:-1] + "x")
    text = yaml(misspelt, "1")
    said = problem(text)
    line = text.count("\n")
    assert f"pipeline.yaml, line {line}: unknown key {dotted(misspelt)}; did you mean {path[-1]}?" in said


@pytest.mark.parametrize("path", KEYS, ids=dotted)
def test_a_value_of_the_wrong_kind_is_named_by_line_and_key(problem, path):
    value = "[[]]" if path[-1] in ("companies", "categories", "formats") else "{a: {b: c}, 1: 2}"
    if path[-1] in ("filter", "pii", "columns"):
        value = "17"
    if path[1:] == ("0", "name"):
        text = f"# a comment\n{path[0]}:\n  - category: employees\n    name: [1]\n"
    elif path == ("jobs", "0", "categories"):
        text = "# a comment\njobs:\n  - name: some_job\n    categories: [[1]]\n"
    else:
        text = yaml(path, value)
    said = problem(text)
    assert re.search(rf"pipeline\.yaml, line {text.count(chr(10))}: {re.escape(dotted(path))}\b", said), said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gusto:\n  base_url: http://example.com", "line 2: gusto.base_url: has to start with https://"),
        ("sync:\n  hour: 24", "line 2: sync.hour: input should be less than or equal to 23"),
        ("sync:\n  timezone: America/New York", "line 2: sync.timezone: is not a time zone; nearest: America/New_York"),
        ("spreadsheets:\n  formats: [xlsx, pdf]", "line 2: spreadsheets.formats.1"),
        ("jobs:\n  - {name: 'A b', category: employees}", "lower-case letters, digits and underscores"),
        ("jobs:\n  - {name: a, category: employes}", "there is no category 'employes'; did you mean employees?"),
        ("jobs:\n  - {name: a, category: employees, file: a/b}", "is no file name"),
        ("jobs:\n  - {name: a, category: employees, file: '{who}'}", "may only hold the placeholders"),
        ("jobs:\n  - {name: a, category: employees, frequency: sometimes}", "nor a cron expression"),
        ("jobs:\n  - {name: a, category: employees, columns: [{header: x}]}", "either `column` or `sql`"),
        ("jobs:\n  - {name: a, category: employees, columns: [{sql: 1+1}]}", "needs a `header`"),
        ("jobs:\n  - {name: a, category: employees, columns: [{colum: x}]}", "did you mean column?"),
        ("jobs:\n- {name: a, category: company}\n- {name: a, category: admins}", "two jobs"),
        ("jobs:\n- {name: employees, category: admins}", "a job and a category, are called 'employees'"),
        ("jobs:\n- {name: a, file: x, category: company}\n- {name: b, file: X, category: admins}", "same file"),
        ("jobs:\n- {name: a, category: company, destination: /srv}", "put {company} into `file`"),
        ("provisioning:\n  removal_at: 24:00", "line 2: provisioning.removal_at: "),
        (
            "provisioning:\n  companies:\n    acme: {removal_timezone: Europe/Berln}",
            "line 3: provisioning.companies.acme.removal_timezone: is not a time zone; nearest: Europe/Berlin",
        ),
        (
            "provisioning:\n  companies:\n    acme:\n      removal_time: 17",
            "line 4: unknown key provisioning.companies.acme.removal_time; did you mean removal_timezone?",
        ),
        (
            "provisioning:\n  companies:\n    acme:\n      removal_at: noon",
            "line 4: provisioning.companies.acme.removal_at: ",
        ),
        ("jobs: employees", "line 1: jobs: "),
        ("jobs:\n  - employees", "line 2: jobs.0: "),
        ("gusto: yes", "line 1: gusto: "),
    ],
)
def test_a_value_that_makes_no_sense_is_named_with_what_would(problem, text, words):
    said = problem(text)
    assert said.startswith("pipeline.yaml, line ")
    assert words in said


def test_several_mistakes_are_told_at_once_a_line_each(problem):
    said = problem("sync:\n  hour: 99\n  timezon: UTC\nhom: x\n").splitlines()
    assert len(said) == 3
    assert all(line.startswith("pipeline.yaml, line ") for line in said)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("gusto:\n  base_url: 'https://api.gusto.com\n", 3),
        ("gusto: {\n", 2),
        ("sync:\n\thour: 5\n", 2),
        ("home: a\nhome: b\n", 2),
        ("home: a\n  sync: b\n", 2),
        ("home: *nobody\n", 1),
        ("- a\n- b\n", 1),
        ("just text\n", 1),
        ("\x00\n", 1),
    ],
)
def test_what_is_not_yaml_is_named_by_its_line(problem, text, line):
    said = problem(text)
    assert re.match(rf"pipeline\.yaml(, line {line}:| cannot be read)", said), said
    assert "\n" not in said


def test_a_file_in_another_encoding_is_named(folder):
    (folder / "pipeline.yaml").write_bytes("home: Müller\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"pipeline\.yaml cannot be read"):
        load_settings()


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n", "{}\n"])
def test_an_empty_file_means_the_defaults(folder, text):
    (folder / "pipeline.yaml").write_text(text)
    assert load_settings() == load_settings_without_file(folder)


def load_settings_without_file(folder: Path) -> Settings:
    (folder / "pipeline.yaml").unlink()
    return load_settings()


def test_without_a_file_the_defaults_hold(folder):
    settings = load_settings()
    assert settings.gusto.base_url == PRODUCTION
    assert settings.home == folder / ".gusto_pipeline"
    assert settings.spreadsheets_folder == folder / ".gusto_pipeline" / "spreadsheets"
    assert settings.sync.applicants_folder == folder / "applicants"


def test_a_file_that_is_asked_for_and_missing_is_an_error(folder, monkeypatch):
    monkeypatch.setenv("GUSTO_PIPELINE_CONFIG", "elsewhere.yaml")
    with pytest.raises(ConfigError, match=r"elsewhere\.yaml does not exist.*gusto-pipeline init"):
        load_settings()


def test_relative_paths_count_from_the_file_and_not_from_here(folder, monkeypatch):
    (folder / "etc").mkdir()
    file = folder / "etc" / "pipeline.yaml"
    file.write_text("home: data\nsync: {applicants_folder: ../drops}\nspreadsheets: {folder: ~/sheets}\n")
    monkeypatch.setenv("HOME", str(folder / "me"))
    settings = load_settings(file)
    assert settings.home == folder / "etc" / "data"
    assert settings.sync.applicants_folder == folder / "drops"
    assert settings.spreadsheets_folder == folder / "me" / "sheets"


def test_the_environment_outranks_the_file(folder, monkeypatch):
    (folder / "pipeline.yaml").write_text(
        "home: data\ngusto: {base_url: https://elsewhere.example, companies: [Acme]}\n"
    )
    monkeypatch.setenv("GUSTO_PIPELINE_HOME", str(folder / "elsewhere"))
    monkeypatch.setenv("GUSTO_BASE_URL", "http://127.0.0.1:8455/")
    settings = load_settings()
    assert settings.home == folder / "elsewhere"
    assert settings.gusto.base_url == "http://127.0.0.1:8455"
    assert settings.gusto.companies == ("Acme",)


def test_a_wrong_value_in_the_environment_is_named_by_its_variable(monkeypatch):
    monkeypatch.setenv("GUSTO_BASE_URL", "ftp://gusto")
    with pytest.raises(ConfigError, match=r"GUSTO_BASE_URL.*https://"):
        load_settings()


def test_an_address_in_the_environment_does_not_hide_a_section_that_is_wrong(problem, monkeypatch):
    monkeypatch.setenv("GUSTO_BASE_URL", "http://127.0.0.1:8455")
    assert "line 1: gusto: " in problem("gusto: yes\n")


def test_the_starter_is_right_and_says_only_what_exists(command, folder):
    assert command("init").code == 0
    assert load_settings() == load_settings_without_file(folder)


def test_the_starter_replaces_no_file_that_is_there(command, folder):
    (folder / "pipeline.yaml").write_text("home: mine\n")
    said = command("init")
    assert (said.code, said.out) == (1, "")
    assert "exists already" in said.err
    assert (folder / "pipeline.yaml").read_text() == "home: mine\n"


def test_check_says_that_a_file_is_right_or_what_is_wrong_with_it(command, folder):
    (folder / "pipeline.yaml").write_text("sync: {hour: 7}\n")
    assert command("config", "check").code == 0
    (folder / "pipeline.yaml").write_text("sync: {our: 7}\n")
    said = command("config", "check")
    assert (said.code, said.out) == (1, "")
    assert "line 1: unknown key sync.our; did you mean hour?" in said.err


def test_the_schema_prints_as_json_and_accepts_the_starter(command, folder):
    said = command("config", "schema")
    schema: dict[str, Any] = json.loads(said.out)
    assert {"home", "gusto", "sync", "spreadsheets"} <= schema["properties"].keys()
    command("init")
    jsonschema.validate(YAML(typ="safe").load((folder / "pipeline.yaml").read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"sync": {"our": 7}}, schema)


def test_a_jobs_notify_is_laid_over_that_of_all(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(
        "notify: {to: [IT], on_recovery: false}\n"
        "jobs:\n"
        "- {name: a, category: employees, notify: {to: [HR], on_change: true}}\n"
        "- {name: b, category: contractors}\n"
    )
    settings = load_settings(tmp_path / "pipeline.yaml")
    told = settings.notify_of("a")
    assert (told.to, told.on_failure, told.on_recovery, told.on_change) == (("HR",), True, False, True)
    assert settings.notify_of("b") == settings.notify_of("sync_everything") == settings.notify


def test_an_address_in_place_of_a_variables_name_is_refused_and_not_shown(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("notify:\n  to: ['mailtos://me:pass-canary@example.com']\n")
    with pytest.raises(
        ConfigError, match=r"line 2: notify\.to\.0: is not the name of an environment variable"
    ) as caught:
        load_settings(tmp_path / "pipeline.yaml")
    assert "canary" not in str(caught.value)
