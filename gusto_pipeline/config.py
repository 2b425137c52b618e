"""pipeline.yaml and the environment, read once into validated settings.

The file says what to sync and where to put it, never a secret: those come from environment variables
(`GUSTO_CLIENT_ID`, `GUSTO_CLIENT_SECRET`, `GUSTO_PIPELINE_KEY`, `GUSTO_PIPELINE_NOTIFY`) or the connection store. Every
error names file, line and key. Without a file the defaults hold.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.provisioning.apps import LEARNING, SLUGS

PRODUCTION = "https://api.gusto.com"
DEMO = "https://api.gusto-demo.com"
EVERYBODY = "GUSTO_PIPELINE_NOTIFY"  # the variable that is told of all runs, and need not be set


class ConfigError(Exception):
    """pipeline.yaml or the environment is wrong; the message says where and what would be right."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that does not exist: the one most like it, else all there are."""
    known = list(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"


@lru_cache
def _zones() -> set[str]:
    return available_timezones()  # looks through all their files


def _known_zone(zone: str) -> str:
    if zone not in _zones():
        near = get_close_matches(zone, _zones(), n=1) or ["America/Los_Angeles"]
        raise ValueError(f"is not a time zone; nearest: {near[0]}")
    return zone


def _http(url: str) -> str:
    if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise ValueError("has to start with https:// (http:// only for this machine)")
    return url.rstrip("/")


def _http_if_any(url: str) -> str:
    return _http(url) if url else url


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        # Without the value: whoever puts an address here has put a secret here.
        raise ValueError("is not the name of an environment variable; addresses themselves never go into this file")
    return name


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Gusto(_Section):
    """Where Gusto is."""

    base_url: Annotated[str, AfterValidator(_http)] = PRODUCTION
    redirect_uri: str = "http://127.0.0.1:8765/callback"
    companies: tuple[str, ...] = Field(
        default=(), description="Companies by their name in Gusto; empty means every connected one"
    )


class Google(_Section):
    """Where Google is, for `gusto-pipeline connect google` and jobs of format google_sheets."""

    base_url: Annotated[str, AfterValidator(_http_if_any)] = Field(
        default="", description="A stand-in for all of Google's addresses; empty: Google"
    )
    redirect_uri: str = Field(
        default="http://127.0.0.1:8766/", description="Where Google sends the browser back; its port has to be free"
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


class Pick(_Section):
    """One column of a job's output: a column of the flat table, or an SQL expression over it with a header."""

    column: str = ""
    sql: str = ""
    header: str = ""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.column) == bool(self.sql):
            raise ValueError("needs either `column` or `sql`")
        if self.sql and not self.header:
            raise ValueError("needs a `header` for its `sql`")
        return self


FREQUENCIES = {
    "hourly": "0 * * * *",
    "daily": "0 {hour} * * *",
    "weekly": "0 {hour} * * 1",
    "monthly": "0 {hour} 1 * *",
}


def _plain_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name):
        raise ValueError(f"{name!r} is no name: lower-case letters, digits and underscores, a letter first")
    return name


def _known_frequency(frequency: str) -> str:
    from croniter import croniter  # takes longer to import than most commands to run

    if frequency not in ("once", *FREQUENCIES) and not croniter.is_valid(frequency):
        raise ValueError(f"is neither once, {', '.join(FREQUENCIES)} nor a cron expression of five fields")
    return frequency


def _cron(frequency: str, hour: int) -> str | None:
    return None if frequency == "once" else FREQUENCIES.get(frequency, frequency).format(hour=hour)


_PLACEHOLDERS = {"job": "a", "company": "a", "date": "2026-01-01"}


class Notify(_Section):
    """What people are told and whom: the apprise URLs in environment variables, because they hold secrets."""

    to: tuple[Annotated[str, AfterValidator(_variable)], ...] = Field(
        default=(EVERYBODY,), description="Names of environment variables that hold apprise URLs"
    )
    on_failure: bool = Field(default=True, description="A run failed: for which company, why, what to do next")
    on_recovery: bool = Field(default=True, description="The first good run after one that failed")
    on_success: bool = Field(default=False, description="Every other good run, with what changed in its spreadsheets")
    on_change: bool = Field(default=False, description="Good runs that changed a spreadsheet")
    on_drift: bool = Field(default=True, description="Gusto's answers have new fields, or lack some they had")


class FlattenJob(_Section):
    """These categories, flattened like this, into that place, this often."""

    name: Annotated[str, AfterValidator(_plain_name)] = Field(
        description="Names the job's asset, schedule and files: lower-case letters, digits, underscores"
    )
    categories: tuple[str, ...] = Field(min_length=1, description="Several become sheets of one workbook")
    companies: tuple[str, ...] = Field(default=(), description="By name in Gusto; empty: every connected one")
    file: str = Field(
        default="{job}", description="File name without ending; {job}, {company} and {date} are filled in"
    )
    format: Literal["xlsx", "csv", "parquet", "google_sheets"] = "xlsx"
    destination: str = Field(
        default="", description="A folder, a URL such as s3://bucket/folder, or the Google spreadsheet's address"
    )
    columns: dict[str, tuple[Pick, ...]] = Field(
        default_factory=dict, description="Columns by table, in order; a plain list is for the first category's table"
    )
    filter: dict[str, str] = Field(
        default_factory=dict, description="SQL condition by table; plain text is for the first category's table"
    )
    pii: dict[str, Literal["keep", "drop", "mask", "hash"]] = Field(
        default_factory=dict, description="What becomes of a column; secret columns are dropped unless named"
    )
    frequency: Annotated[str, AfterValidator(_known_frequency)] = Field(
        default="daily", description="once, hourly, daily, weekly, monthly or a cron expression"
    )
    hour: int = Field(default=6, ge=0, le=23, description="Hour of daily, weekly and monthly jobs")
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    notify: Notify = Field(default=Notify(), description="What is said here holds for this job, else the section's")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, given: Any) -> Any:
        """`category: x` for one category; a plain `columns` list or `filter` text for its own table; names as picks."""
        if not isinstance(given, dict):
            return given
        given = dict(given)
        if "category" in given:
            given["categories"] = [given.pop("category")]
        if isinstance(given.get("categories"), str):
            given["categories"] = [given["categories"]]
        own = str((given.get("categories") or [""])[0])
        for key, plain in (("columns", list), ("filter", str)):
            if isinstance(given.get(key), plain):
                given[key] = {own: given[key]}
        if isinstance(given.get("columns"), dict):
            given["columns"] = {
                table: [{"column": pick} if isinstance(pick, str) else pick for pick in picks or ()]
                for table, picks in given["columns"].items()
            }
        return given

    @field_validator("categories")
    @classmethod
    def _known_categories(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in CATEGORIES:
                raise ValueError(f"there is no category {name!r}; {nearest(name, CATEGORIES)}")
        return names

    @field_validator("file")
    @classmethod
    def _one_file_name(cls, file: str) -> str:
        try:
            filled = file.format(**_PLACEHOLDERS)
        except (KeyError, IndexError, ValueError):
            raise ValueError("may only hold the placeholders {job}, {company} and {date}") from None
        if (
            not filled
            or filled != filled.strip(" .")
            or re.search(r'[/\\:*?"<>|\x00-\x1f]', filled)
            or len(filled) > 120
        ):
            raise ValueError('is no file name: no slashes, none of : * ? " < > |, no dot or space at its ends')
        return file

    @model_validator(mode="after")
    def _google_needs_a_spreadsheet(self) -> Self:
        if self.format == "google_sheets" and not self.destination:
            raise ValueError("a google_sheets job needs the spreadsheet's address as its `destination`")
        return self

    @property
    def cron(self) -> str | None:
        """When it runs, as a cron expression; None for a job that is only run by hand."""
        return _cron(self.frequency, self.hour)


class ManagedApp(_Section):
    """What is wanted in one app, and how far it may be carried out without a person."""

    base_url: Annotated[str, AfterValidator(_http_if_any)] = Field(
        default="", description="A stand-in for the app's address; empty: the app itself"
    )
    mode: Literal["observe", "plan", "auto"] = Field(
        default="observe",
        description="observe: report only; plan: do what a person approved; auto: do what rules allow",
    )
    who: str = Field(
        default="",
        description="SQL condition over provisioning.people for who should have an account; empty: whoever has one",
    )
    lead_days: int = Field(default=3, ge=0, le=60, description="Days before the start date that accounts are made")
    address: str = Field(
        default="work",
        description="Login of new accounts: work, personal, or a form such as {given}.{family}@acme.example",
    )
    role: str = Field(default="", description="Role of new accounts, as the app names it")
    licence: str = Field(default="", description="Licence of new accounts, as the app names it")
    groups: tuple[str, ...] = Field(default=(), description="Groups that new accounts join, by name or id")
    delete_after_days: int | None = Field(
        default=None, ge=0, description="Days between suspending and deleting a leaver's account; empty: never deleted"
    )
    hand_over_to: str = Field(
        default="",
        description="Whose account gets what a leaver's owns before that is deleted, by e-mail address, where apps can",
    )
    seat_cost: float | None = Field(default=None, ge=0, description="What a seat costs a month, for the report")


LocalTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class RemovalTimes(_Section):
    """When access ends in one company, where that differs from what `provisioning` says of all."""

    removal_at: LocalTime | None = None
    removal_timezone: Annotated[str, AfterValidator(_known_zone)] | None = None
    removal_by_work_location: bool | None = None


class Provisioning(_Section):
    """Accounts in apps: what people should have, when access ends, what is never touched."""

    apps: dict[str, ManagedApp] = Field(
        default_factory=dict, description="By app; connected ones that lack here are observed"
    )
    removal_at: LocalTime = Field(default="00:00", description="When access ends on the day after somebody's last day")
    removal_timezone: Annotated[str, AfterValidator(_known_zone)] = "America/Los_Angeles"
    removal_by_work_location: bool = Field(
        default=False, description="Access ends at midnight where people work, where that is earlier"
    )
    companies: dict[str, RemovalTimes] = Field(
        default_factory=dict, description="By company, such as acme-tea-co, when access ends there"
    )
    domains: tuple[tuple[str, ...], ...] = Field(
        default=(), description="E-mail domains that mean the same mailbox, such as [acme.com, acme.co.uk]"
    )
    protect: tuple[str, ...] = Field(
        default=("noreply@*", "no-reply@*", "svc-*", "service-*", "break-glass*"),
        description="Addresses of accounts that are never touched",
    )

    @field_validator("apps")
    @classmethod
    def _known_apps(cls, apps: dict[str, ManagedApp]) -> dict[str, ManagedApp]:
        for slug in apps:
            if slug not in SLUGS:
                raise ValueError(f"there is no app {slug!r}; {nearest(slug, SLUGS)}")
        return apps

    def app(self, slug: str) -> ManagedApp:
        """What is said about an app; the defaults where nothing is."""
        return self.apps.get(slug, ManagedApp())

    def removal_times(self, company: str) -> tuple[str, str, bool]:
        """When access ends in a company: local time, time zone, and whether the work location counts where earlier."""
        own = self.companies.get(company, RemovalTimes())
        by_work = own.removal_by_work_location
        return (
            own.removal_at or self.removal_at,
            own.removal_timezone or self.removal_timezone,
            self.removal_by_work_location if by_work is None else by_work,
        )


class Answers(_Section):
    """What people are told about themselves and their reports. Of other colleagues it is the directory, always."""

    fields: tuple[
        Literal[
            "name", "work_email", "title", "department", "location", "manager", "hire_date", "employment", "last_day",
            "phone", "personal_email", "out_of_office", "birth_date", "home_address", "pay",
        ],
        ...,
    ] = Field(
        default=(
            "name", "work_email", "title", "department", "location", "manager", "hire_date", "employment", "last_day",
            "phone", "personal_email", "out_of_office",
        ),
        description="What people may see of themselves; add birth_date, home_address or pay to show those",
    )  # fmt: skip
    manager_fields: tuple[
        Literal["name", "work_email", "title", "department", "location", "hire_date", "employment", "out_of_office"],
        ...,
    ] = Field(
        default=("name", "work_email", "title", "department", "location", "out_of_office"),
        description="What managers may see of those who report to them directly",
    )
    token_days: int = Field(default=90, ge=1, le=366, description="How long a new token is valid")
    writes: bool = Field(default=False, description="Assistants may write to Gusto for those in `hr`, in two steps")
    hr: tuple[str, ...] = Field(
        default=(), description="Who may write through an assistant: work e-mail addresses or uuids of employees"
    )


class Onboarding(_Section):
    """Where files of new hires are put, and whose they are."""

    folder: Path = Field(
        default=Path("new-hires"), description="Files put here create employees, once its sensor is on"
    )
    company: str = Field(default="", description="Name, short name or uuid; not needed if only one is connected")


class LearnerField(_Section):
    """What goes into one custom user data field of the learning portal."""

    field: str = Field(description="The field's label in the portal")
    attribute: str = Field(default="", description="As `gusto-pipeline learners attributes` lists them")
    sql: str = Field(default="", description="In place of an attribute, an SQL expression over them")
    values: dict[str, str] = Field(
        default_factory=dict, description="Gusto's value to the portal's; values that lack here go as they are"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.attribute) == bool(self.sql):
            raise ValueError("needs either `attribute` or `sql`")
        return self


class LearnerGroup(_Section):
    """Who is put into one group of the learning portal."""

    group: str = Field(description="The group's title or id")
    where: str = Field(
        min_length=1,
        description="SQL condition over the attributes, email_domain, created_on (the learner's first day in the "
        "portal) and custom['label of a field']",
    )


class LearnerInvite(_Section):
    """When people become learners, and how they are told."""

    when: Literal["added", "hire_date"] = Field(
        default="hire_date", description="added: as soon as they are in Gusto; hire_date: on their first day"
    )
    how: Literal["active_with_mail", "active", "pending"] = Field(
        default="active_with_mail",
        description="active_with_mail, active: learners at once, welcomed by mail or not (the portal's own setting has "
        "to fit); pending: learners once they accept an invitation",
    )


class Learners(_Section):
    """Who becomes a learner in the connected learning portal, how, and what the portal knows of them."""

    base_url: Annotated[str, AfterValidator(_http_if_any)] = Field(
        default="", description="A stand-in for the portal's address; empty: the portal itself"
    )
    mode: Literal["observe", "plan", "auto"] = Field(
        default="observe",
        description="observe: report only; plan: do what a person approved; auto: do what rules allow",
    )
    who: str = Field(
        default="worker_type IN ('employee', 'contractor')",
        min_length=1,
        description="SQL condition over provisioning.people for who is to be a learner",
    )
    invite: LearnerInvite = LearnerInvite()
    sso: bool = Field(default=False, description="People sign in through an identity provider and need no password")
    address: Literal["work", "personal", "work_or_personal"] = Field(
        default="work", description="Which of their e-mail addresses is the login"
    )
    fields: tuple[LearnerField, ...] = Field(default=(), description="Custom user data, beside name and address")
    groups: tuple[LearnerGroup, ...] = Field(default=(), description="Groups that learners join, and leave, by rule")
    hour: int = Field(default=6, ge=0, le=23, description="Hour of the daily run, in the timezone of `sync`")

    @model_validator(mode="after")
    def _no_passwords_beside_sso(self) -> Self:
        if self.sso and self.invite.how == "pending":
            raise ValueError("`invite.how: pending` makes people set a password, which `sso` says they do not need")
        return self

    @model_validator(mode="after")
    def _each_field_once(self) -> Self:
        names = [rule.field for rule in self.fields]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two rules fill the field {', '.join(repeated)}")
        return self


class Profile(_Section):
    """Fields of employees that another system follows: a table of how they are now, and one of what changed."""

    name: Annotated[str, AfterValidator(_plain_name)] = Field(
        description="Names the asset, schedule and files: lower-case letters, digits, underscores"
    )
    companies: tuple[str, ...] = Field(default=(), description="By name in Gusto; empty: every connected one")
    fields: dict[str, str] = Field(
        min_length=1, description="Columns of the flat table `employees`, and the names they get; a list keeps names"
    )
    filter: str = Field(
        default="", description="SQL condition over the same table for who is followed; empty: everybody"
    )
    pii: dict[str, Literal["keep", "mask", "hash"]] = Field(
        default_factory=dict, description="What becomes of a column; government and bank numbers have to be named here"
    )
    format: Literal["csv", "jsonl", "parquet", "duckdb"] = Field(
        default="csv", description="Two files per company, or two tables of one DuckDB file"
    )
    destination: str = Field(
        default="", description="A folder, or a URL such as s3://bucket/folder; for duckdb the file. Default: in home"
    )
    frequency: Annotated[str, AfterValidator(_known_frequency)] = Field(
        default="daily", description="once, hourly, daily, weekly, monthly or a cron expression"
    )
    hour: int = Field(default=6, ge=0, le=23, description="Hour of daily, weekly and monthly exports")
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"

    @field_validator("fields", mode="before")
    @classmethod
    def _picked_or_renamed(cls, given: Any) -> Any:
        """`- work_email` picks a column, `- {column: job__title, name: title}` renames it."""
        if not isinstance(given, list):
            return given
        named: dict[str, str] = {}
        for pick in given:
            column = pick.get("column") if isinstance(pick, dict) else pick
            if not isinstance(column, str) or (isinstance(pick, dict) and pick.keys() - {"column", "name"}):
                raise ValueError("holds names of columns, or {column: …, name: …}")
            if column in named:
                raise ValueError(f"the column {column} is named twice")
            named[column] = pick.get("name") or column if isinstance(pick, dict) else pick
        return named

    @field_validator("fields")
    @classmethod
    def _names_apart(cls, fields: dict[str, str]) -> dict[str, str]:
        taken = {"company_uuid", "employee_uuid"}
        for name in fields.values():
            if name.casefold() in taken:
                raise ValueError(f"two columns would be called {name!r}")
            taken.add(name.casefold())
        return fields

    @model_validator(mode="after")
    def _policies_fit(self) -> Self:
        table = next(table for table in CATEGORIES["employees"].tables() if table.name == "employees")
        secret = {column.name for column in table.columns if column.sensitivity == "secret"}
        if unknown := sorted(self.pii.keys() - self.fields.keys()):
            hint = nearest(unknown[0], self.fields)
            raise ValueError(f"`pii` names {unknown[0]!r}, which is no column of `fields`; {hint}")
        if unnamed := sorted(secret & self.fields.keys() - self.pii.keys()):
            raise ValueError(f"{', '.join(unnamed)}: name it under `pii`, with keep, mask or hash, or take it out")
        return self

    @model_validator(mode="after")
    def _one_file(self) -> Self:
        if self.format == "duckdb" and "://" in self.destination:
            raise ValueError("a duckdb `destination` is a file of this machine")
        return self

    @property
    def cron(self) -> str | None:
        """When it runs, as a cron expression; None for one that is only run by hand."""
        return _cron(self.frequency, self.hour)


def _files(name: str, categories: Sequence[str], format: str) -> list[str]:
    """The files, without their ending, that an output called `name` is made of, as names that differ in case alone."""
    tables = [table.name for category in categories for table in CATEGORIES[category].tables()]
    several = tables[1:] if format in ("csv", "parquet") else []
    return [file.casefold() for file in (name, *(f"{name}.{table}" for table in several))]


class Settings(_Section):
    """Everything pipeline.yaml may say."""

    home: Path = Path(".gusto_pipeline")
    gusto: Gusto = Gusto()
    google: Google = Google()
    sync: Sync = Sync()
    spreadsheets: Spreadsheets = Spreadsheets()
    jobs: tuple[FlattenJob, ...] = ()
    profiles: tuple[Profile, ...] = ()
    provisioning: Provisioning = Provisioning()
    learners: Learners = Learners()
    answers: Answers = Answers()
    onboarding: Onboarding = Onboarding()
    notify: Notify = Notify()

    @field_validator("jobs")
    @classmethod
    def _jobs_apart(cls, jobs: tuple[FlattenJob, ...]) -> tuple[FlattenJob, ...]:
        names: set[str] = set(CATEGORIES)
        files = {
            ("", file, format): f"the category {name!r}"
            for name in CATEGORIES
            for format in ("xlsx", "csv", "parquet")
            for file in _files(name, [name], format)
        }
        for job in jobs:
            if job.name in names:
                raise ValueError(f"two jobs, or a job and a category, are called {job.name!r}; names have to differ")
            names.add(job.name)
            wanted = _files(job.file.replace("{job}", job.name), job.categories, job.format)
            targets = {(job.destination.rstrip("/"), file, job.format) for file in wanted}
            if taken := targets & files.keys():
                raise ValueError(f"{files[min(taken)]} and the job {job.name!r} would write the same file")
            if job.format == "google_sheets":
                continue  # tabs of several companies have names of their own
            if "{company}" not in job.file and len(job.companies) != 1 and job.destination:
                raise ValueError(
                    f"the job {job.name!r} writes several companies into one place: put {{company}} into `file`"
                )
            files |= dict.fromkeys(targets, f"the job {job.name!r}")
        return jobs

    def job(self, name: str) -> FlattenJob:
        """The flatten job of this name. Raises ConfigError with the nearest one there is."""
        for job in self.jobs:
            if job.name == name:
                return job
        raise ConfigError(
            f"There is no job {name!r} in pipeline.yaml; {nearest(name, [job.name for job in self.jobs])}"
        )

    @field_validator("profiles")
    @classmethod
    def _profiles_apart(cls, profiles: tuple[Profile, ...]) -> tuple[Profile, ...]:
        names = [profile.name for profile in profiles]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two profiles are called {', '.join(repeated)}; names have to differ")
        return profiles

    def profile(self, name: str) -> Profile:
        """The profile export of this name. Raises ConfigError with the nearest one there is."""
        for profile in self.profiles:
            if profile.name == name:
                return profile
        known = [profile.name for profile in self.profiles]
        raise ConfigError(f"There is no profile {name!r} in pipeline.yaml; {nearest(name, known)}")

    def notify_of(self, job: str) -> Notify:
        """What is told of a flatten job, and whom; of anything else, what the section `notify` says."""
        own = next((found.notify for found in self.jobs if found.name == job), Notify())
        return self.notify.model_copy(update=own.model_dump(include=own.model_fields_set))

    def base_url(self, slug: str) -> str:
        """The stand-in for an app's address; empty: the app itself."""
        return self.learners.base_url if slug in LEARNING else self.provisioning.app(slug).base_url

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
    def plans(self) -> Path:
        """Where plans are written, by company."""
        return self.home / "plans"

    @property
    def reports(self) -> Path:
        """Where reconciliation reports are written, by company."""
        return self.home / "reports"

    @property
    def profiles_folder(self) -> Path:
        """Where profile exports go that name no destination, by company."""
        return self.home / "profiles"

    @property
    def unfinished(self) -> Path:
        """Where it is kept how far the creation of an employee has come that could not be finished."""
        return self.home / "unfinished"

    @property
    def taken_on(self) -> Path:
        """Where it is kept who was created from files of new hires, by company."""
        return self.home / "onboarding"

    @property
    def versions(self) -> Path:
        """Where earlier versions of workbooks are remembered, by company and workbook."""
        return self.home / "versions"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.sync.timezone)


def load_settings(path: Path | None = None) -> Settings:
    """Settings from `path`, `$GUSTO_PIPELINE_CONFIG` or ./pipeline.yaml, with `$GUSTO_PIPELINE_HOME`,
    `$GUSTO_BASE_URL` and `$GOOGLE_BASE_URL` laid over them. Relative paths count from the file's folder.

    Raises ConfigError naming file, line and key.
    """
    named = path or (Path(os.environ["GUSTO_PIPELINE_CONFIG"]) if "GUSTO_PIPELINE_CONFIG" in os.environ else None)
    file = named or Path("pipeline.yaml")
    if named and not file.is_file():
        raise ConfigError(f"{file} does not exist. Write one with: gusto-pipeline init")
    tree: Any = _read(file) if file.is_file() else {}
    plain: dict[str, Any] = dict(tree)
    if home := os.environ.get("GUSTO_PIPELINE_HOME"):
        plain["home"] = home
    for name in ("gusto", "google"):
        section, base_url = plain.get(name) or {}, os.environ.get(f"{name.upper()}_BASE_URL")
        if base_url and isinstance(section, dict):
            plain[name] = {**section, "base_url": base_url}
    try:
        settings = Settings.model_validate(plain)
    except ValidationError as error:
        raise ConfigError("\n".join(_problem(file, tree, problem) for problem in error.errors())) from None
    return _anchored(settings, file.resolve().parent)


@lru_cache(maxsize=4)  # a run asks for its settings at every step
def _parsed(text: str) -> Any:
    return YAML().load(text)


def _read(file: Path) -> Any:
    try:
        tree = _parsed(file.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}, line {line}: this is not YAML: {error.problem or error.context}.") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(f"{file} cannot be read: {str(error).splitlines()[0]}.") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}, line 1: expected keys such as `gusto:` and `sync:`.")
    return tree


def _problem(file: Path, tree: Any, problem: Any) -> str:
    """One line: file, line and key of a validation error, and for an unknown key the nearest one that exists."""
    message = problem["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:].rstrip('.')}."
    section, *keys = problem["loc"]
    if keys == ["base_url"] and (variable := f"{section}_BASE_URL".upper()) in os.environ:
        return f"The environment variable {variable} {message}"
    line = 1
    here: Any = tree
    *_, last = problem["loc"]
    for part in problem["loc"]:
        position = getattr(here, "lc", None)
        if position and part in (here if isinstance(here, dict) else range(len(here))):
            line = (position.key(part) if isinstance(here, dict) else position.item(part))[0] + 1
            here = here[part]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return (
            f"{file}, line {line}: unknown key {key}; {nearest(str(last), _model_at(problem['loc'][:-1]).model_fields)}"
        )
    return f"{file}, line {line}: {key}: {message}"


def _model_at(path: Sequence[str | int]) -> type[BaseModel]:
    model: Any = Settings
    for part in path:
        if isinstance(part, str) and part in getattr(model, "model_fields", {}):
            model = model.model_fields[part].annotation
        while get_args(model):
            model = next(inner for inner in reversed(get_args(model)) if inner is not Ellipsis)
    return model


def _anchored(settings: Settings, folder: Path) -> Settings:
    def anchor(path: Path) -> Path:
        return Path(os.path.abspath(folder / path.expanduser()))  # noqa: PTH100 - resolve() would follow links

    sheets = settings.spreadsheets
    return settings.model_copy(
        update={
            "home": anchor(settings.home),
            "onboarding": settings.onboarding.model_copy(update={"folder": anchor(settings.onboarding.folder)}),
            "sync": settings.sync.model_copy(update={"applicants_folder": anchor(settings.sync.applicants_folder)}),
            "jobs": tuple(
                job.model_copy(update={"destination": str(anchor(Path(job.destination)))})
                if job.destination and "://" not in job.destination and job.format != "google_sheets"
                else job
                for job in settings.jobs
            ),
            "profiles": tuple(
                profile.model_copy(update={"destination": str(anchor(Path(profile.destination)))})
                if profile.destination and "://" not in profile.destination
                else profile
                for profile in settings.profiles
            ),
            "spreadsheets": sheets.model_copy(update={"folder": sheets.folder and anchor(sheets.folder)}),
        }
    )
