"""pipeline.yaml and the environment, read once into validated settings.

The file says what to sync and where to put it, never a secret: those come from environment variables
(`GUSTO_CLIENT_ID`, `GUSTO_CLIENT_SECRET`, `GUSTO_PIPELINE_KEY`) or the connection store. Every error names file, line
and key. Without a file the defaults hold.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

PRODUCTION = "https://api.gusto.com"
DEMO = "https://api.gusto-demo.com"


class ConfigError(Exception):
    """pipeline.yaml or the environment is wrong; the message says where and what would be right."""


def _known_zone(zone: str) -> str:
    if zone not in available_timezones():
        near = get_close_matches(zone, available_timezones(), n=1) or ["America/Los_Angeles"]
        raise ValueError(f"is not a time zone; nearest: {near[0]}")
    return zone


def _http(url: str) -> str:
    if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise ValueError("has to start with https:// (http:// only for this machine)")
    return url.rstrip("/")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Gusto(_Section):
    """Where Gusto is."""

    base_url: Annotated[str, AfterValidator(_http)] = PRODUCTION
    redirect_uri: str = "http://127.0.0.1:8765/callback"
    companies: tuple[str, ...] = Field(
        default=(), description="Companies by their name in Gusto; empty means every connected one"
    )


class Sync(_Section):
    """What is synced and when."""

    hour: int = Field(default=5, ge=0, le=23, description="Hour of the daily sync")
    timezone: Annotated[str, AfterValidator(_known_zone)] = "America/Los_Angeles"
    applicants_folder: Path = Path("applicants")


class Spreadsheets(_Section):
    """Where spreadsheets go and in which formats."""

    folder: Path | None = Field(default=None, description="Default: `spreadsheets` in the home folder")
    formats: tuple[Literal["xlsx", "csv", "parquet"], ...] = ("xlsx", "csv")
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"


class Settings(_Section):
    """Everything pipeline.yaml may say."""

    home: Path = Path(".gusto_pipeline")
    gusto: Gusto = Gusto()
    sync: Sync = Sync()
    spreadsheets: Spreadsheets = Spreadsheets()

    @property
    def warehouse(self) -> Path:
        return self.home / "warehouse.duckdb"

    @property
    def analytics(self) -> Path:
        return self.home / "analytics.duckdb"

    @property
    def connections(self) -> Path:
        return self.home / "connections"

    @property
    def landing(self) -> Path:
        return self.home / "landing"

    @property
    def dagster(self) -> Path:
        return self.home / "dagster"

    @property
    def spreadsheets_folder(self) -> Path:
        return self.spreadsheets.folder or self.home / "spreadsheets"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.sync.timezone)


def load_settings(path: Path | None = None) -> Settings:
    """Settings from `path`, `$GUSTO_PIPELINE_CONFIG` or ./pipeline.yaml, with `$GUSTO_PIPELINE_HOME` and
    `$GUSTO_BASE_URL` laid over them. Relative paths count from the file's folder.

    Raises ConfigError naming file, line and key.
    """
    named = path or (Path(os.environ["GUSTO_PIPELINE_CONFIG"]) if "GUSTO_PIPELINE_CONFIG" in os.environ else None)
    file = named or Path("pipeline.yaml")
    if named and not file.is_file():
        raise ConfigError(f"{file} does not exist. Write one with: gusto-pipeline init")
    tree: Any = _read(file) if file.is_file() else {}
    override = {
        "home": os.environ.get("GUSTO_PIPELINE_HOME"),
        ("gusto", "base_url"): os.environ.get("GUSTO_BASE_URL"),
    }
    plain: dict[str, Any] = dict(tree)
    if override["home"]:
        plain["home"] = override["home"]
    if override[("gusto", "base_url")]:
        plain["gusto"] = {**(plain.get("gusto") or {}), "base_url": override[("gusto", "base_url")]}
    try:
        settings = Settings.model_validate(plain)
    except ValidationError as error:
        raise ConfigError("\n".join(_problem(file, tree, problem) for problem in error.errors())) from None
    return _anchored(settings, file.resolve().parent)


def _read(file: Path) -> Any:
    try:
        tree = YAML().load(file.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}, line {line}: this is not YAML: {error.problem or error.context}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}, line 1: expected keys such as `gusto:` and `sync:`.")
    return tree


def _problem(file: Path, tree: Any, problem: Any) -> str:
    """One line: file, line and key of a validation error, and for an unknown key the nearest one that exists."""
    line = 1
    here: Any = tree
    model: Any = Settings
    *_, last = problem["loc"]
    for part in problem["loc"]:
        position = getattr(here, "lc", None)
        if position and part in (here if isinstance(here, dict) else range(len(here))):
            line = (position.key(part) if isinstance(here, dict) else position.item(part))[0] + 1
            here = here[part]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        for part in problem["loc"][:-1]:
            model = model.model_fields[part].annotation
        near = get_close_matches(str(last), model.model_fields, n=1, cutoff=0.5)
        known = f"did you mean {near[0]}?" if near else f"known here: {', '.join(model.model_fields)}."
        return f"{file}, line {line}: unknown key {key}; {known}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{file}, line {line}: {key}: {message[0].lower()}{message[1:].rstrip('.')}."


def _anchored(settings: Settings, folder: Path) -> Settings:
    def anchor(path: Path) -> Path:
        return Path(os.path.abspath(folder / path.expanduser()))  # noqa: PTH100 - resolve() would follow links

    sheets = settings.spreadsheets
    return settings.model_copy(
        update={
            "home": anchor(settings.home),
            "sync": settings.sync.model_copy(update={"applicants_folder": anchor(settings.sync.applicants_folder)}),
            "spreadsheets": sheets.model_copy(update={"folder": sheets.folder and anchor(sheets.folder)}),
        }
    )
