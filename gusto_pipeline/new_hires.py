"""Files of new hires: what may be in them, and reading one as a whole, so that all that is wrong is said at once.

YAML and JSON (a list of objects), CSV and xlsx (a row that names the columns, then a row each) have the same fields:
those of `NewHire`. What is wrong is said by row and field, and no message quotes what a cell holds.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from gusto_pipeline.config import nearest
from gusto_pipeline.gusto.actions import FlsaStatus, PaymentUnit, Record

LARGEST = 10_000_000  # bytes; about 50,000 people
PAYMENT_UNITS: tuple[str, ...] = get_args(PaymentUnit)
FLSA_STATUSES: tuple[str, ...] = get_args(FlsaStatus)

_SECRETS = {"ssn", "social_security_number", "social_security", "tax_id", "sin"}
_NO_COLUMN = "the column is missing"


def _printable(text: str) -> str:
    if len(text) > 255:
        raise ValueError("must be at most 255 characters")
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in text):
        raise ValueError("must be one line of text that can be printed")
    return text


def _like(pattern: str, what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"must be {what}")
        return text

    return AfterValidator(check)


def _one_of(options: Sequence[str]) -> AfterValidator:
    plain = {re.sub(r"[\W_]", "", option).casefold(): option for option in options}

    def check(text: str) -> str:
        asked = re.sub(r"[\W_]", "", text).casefold()
        if asked not in plain:
            near = get_close_matches(asked, plain, n=1)
            raise ValueError(
                f"must be one of {', '.join(options)}{f'; did you mean {plain[near[0]]}?' if near else ''}"
            )
        return plain[asked]

    return AfterValidator(check)


def _day(text: str) -> str:
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            raise ValueError
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a date like 2027-01-04") from None
    return text


def _yes(text: str) -> bool:
    try:
        return {"yes": True, "true": True, "no": False, "false": False}[text.casefold()]
    except KeyError:
        raise ValueError("must be yes or no") from None


Line = Annotated[str, AfterValidator(_printable)]
Letter = Annotated[str, _like(r"[A-Za-z]", "one letter")]
Day = Annotated[str, AfterValidator(_day)]
Email = Annotated[
    Line, _like(r"[^@\s<>,;:\"()]+@[^@\s<>,;:\"()]+\.[^@\s<>,;:\"()]+", "one e-mail address: ada@example.com")
]
State = Annotated[str, _like(r"[A-Z]{2}", "two capital letters, such as CA")]
Zip = Annotated[
    str,
    _like(
        r"\d{5}(-\d{4})?",
        "five digits, such as 02134 (spreadsheets drop a leading 0 unless the column is formatted as text)",
    ),
]
Amount = Annotated[str, _like(r"\d{1,9}(\.\d{1,2})?", "an amount like 61000.00, without currency and commas")]


class NewHire(BaseModel):
    """One person to take on. All values are text, as they are in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_name: Line
    last_name: Line
    email: Email = Field(description="Their own. It says who they are: a file never creates two with the same")
    start_date: Day = Field(description="First day of work, such as 2027-01-04")
    job_title: Line
    middle_initial: Letter | None = None
    preferred_first_name: Line | None = None
    work_email: Email | None = None
    date_of_birth: Day | None = Field(None, description="Such as 1990-12-10")
    self_onboarding: Annotated[bool, BeforeValidator(_yes)] | None = Field(
        None, description="yes: Gusto asks the person for the rest, social security number and bank account among it"
    )
    home_street_1: Line | None = Field(None, description="An address needs street, city, state and ZIP code")
    home_street_2: Line | None = None
    home_city: Line | None = None
    home_state: State | None = Field(None, description="Two capital letters")
    home_zip: Zip | None = Field(None, description="Five digits; format the column as text, so that a leading 0 stays")
    work_location: Line | None = Field(None, description="Street, city or uuid of one of the company's locations")
    rate: Amount | None = Field(
        None, description="Pay per payment unit, such as 61000.00. Pay needs rate, payment unit and FLSA status"
    )
    payment_unit: Annotated[str, _one_of(PAYMENT_UNITS)] | None = Field(None, description=", ".join(PAYMENT_UNITS))
    flsa_status: Annotated[str, _one_of(FLSA_STATUSES)] | None = Field(None, description=", ".join(FLSA_STATUSES))


FIELDS = tuple(NewHire.model_fields)
_REQUIRED = tuple(name for name, field in NewHire.model_fields.items() if field.is_required())
_GROUPS = {
    "an address needs street, city, state and ZIP code": (
        ("home_street_1", "home_city", "home_state", "home_zip"),
        ("home_street_2",),
    ),
    "pay needs rate, payment unit and FLSA status": (("rate", "payment_unit", "flsa_status"), ()),
}


@dataclass(frozen=True)
class Hire:
    """A row of a file. `row` counts as a spreadsheet does, the names of columns being row 1; in YAML and JSON the first
    object is row 1. location_uuid: what `work_location` is in Gusto, once that was looked up."""

    row: int
    place: str
    person: NewHire
    location_uuid: str | None = None

    @property
    def digest(self) -> str:
        return sha256(self.person.model_dump_json().encode()).hexdigest()

    @property
    def addresses(self) -> set[str]:
        return {address.casefold() for address in (self.person.email, self.person.work_email) if address}

    def parts(self) -> dict[str, Record]:
        """What is sent to Gusto, by part (`actions.PARTS`)."""
        one = self.person
        names = ("first_name", "last_name", "middle_initial", "preferred_first_name", "email", "work_email")
        parts: dict[str, Record] = {
            "employee": {name: getattr(one, name) for name in (*names, "date_of_birth", "self_onboarding")},
            "home_address": {
                name: getattr(one, f"home_{name}") for name in ("street_1", "street_2", "city", "state", "zip")
            },
            "work_address": {
                "location_uuid": self.location_uuid,
                "effective_date": one.start_date if self.location_uuid else None,
            },
            "job": {"title": one.job_title, "hire_date": one.start_date},
            "compensation": {name: getattr(one, name) for name in ("rate", "payment_unit", "flsa_status")},
        }
        told = {
            part: {name: value for name, value in body.items() if value is not None} for part, body in parts.items()
        }
        return {part: body for part, body in told.items() if body}


@dataclass(frozen=True)
class Hires:
    """A file that is right as a whole. digest: SHA-256 of its content."""

    file: Path
    digest: str
    rows: tuple[Hire, ...]


@dataclass(frozen=True)
class Problem:
    """What is wrong where: `place` is empty for the whole file, `field` for a whole row."""

    place: str
    field: str
    text: str

    def __str__(self) -> str:
        where = ", ".join(filter(None, (self.place, self.field)))
        return f"{where}: {self.text}" if where else self.text


class HiresError(Exception):
    """A file of new hires is wrong, and nobody in it was created. kept_at: where it was set aside."""

    def __init__(self, file: Path, problems: Sequence[Problem], kept_at: Path | None = None) -> None:
        self.file, self.problems, self.kept_at = file, tuple(problems), kept_at
        super().__init__(self.said())

    def said(self, most: int | None = None) -> str:
        """All problems, or so many and how many more there are."""
        shown = [f"{self.file.name}: {problem}" for problem in self.problems[:most]]
        if more := len(self.problems) - len(shown):
            shown.append(f"and {more} more")
        lies = f" It lies in {self.kept_at}, with the reasons beside it." if self.kept_at else ""
        return "\n".join([*shown, f"Nobody was created. Correct the file and hand it in again.{lies}"])


# -- reading ------------------------------------------------------------------------------------------------------

_Pairs = list[tuple[str, str | None]]
_Records = list[tuple[int, str, _Pairs]]  # row, how it is called, and fields as they are named there


def read_hires(file: Path) -> Hires:
    """Read and check a whole file, asking nobody. Raises HiresError with everything that is wrong, and OSError."""
    kind, problems, found = file.suffix.casefold(), list[Problem](), list[Hire]()
    if kind not in _READERS:
        text = f"is of no kind that can be read; there are {', '.join(_READERS)}"
        raise HiresError(file, [Problem("", "", text)])
    if file.stat().st_size > LARGEST:
        raise HiresError(file, [Problem("", "", f"is larger than {LARGEST // 1_000_000} MB")])
    content = file.read_bytes()
    records = _READERS[kind](content, problems)
    absent = {problem.field for problem in problems if problem.text == _NO_COLUMN}
    seen: dict[str, str] = {}
    for row, place, pairs in records:
        cells = _cells(place, pairs, problems)
        for address in dict.fromkeys(cells[name].casefold() for name in ("email", "work_email") if name in cells):
            if before := seen.get(address):
                problems.append(Problem(place, "email", f"is the address of {before} too"))
            seen[address] = place
        if person := _person(place, cells, absent, problems):
            found.append(Hire(row, place, person))
    if not records and not problems:
        problems.append(Problem("", "", "holds nobody"))
    if problems:
        raise HiresError(file, problems)
    return Hires(file, sha256(content).hexdigest(), tuple(found))


def _person(place: str, cells: dict[str, str], absent: set[str], problems: list[Problem]) -> NewHire | None:
    wrong = []
    for why, (needed, also) in _GROUPS.items():
        if any(name in cells for name in (*needed, *also)):
            wrong += [Problem(place, name, f"is missing: {why}") for name in needed if name not in cells]
    person = None
    try:
        person = NewHire.model_validate(cells)
        if person.date_of_birth and person.date_of_birth >= person.start_date:
            wrong.append(Problem(place, "date_of_birth", "must lie before the start date"))
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            field, lacks = str(each["loc"][0]), each["type"] == "missing"
            if not (lacks and field in absent):
                text = "is missing" if lacks else each["msg"].removeprefix("Value error, ")
                wrong.append(Problem(place, field, text))
    problems += wrong
    return None if wrong else person


def _cells(place: str, pairs: _Pairs, problems: list[Problem]) -> dict[str, str]:
    """Fields by their proper names, without empty ones."""
    cells: dict[str, str] = {}
    names = set[str]()
    for given, value in pairs:
        name = _plain(given)
        if name not in FIELDS:
            problems.append(Problem(place, "", _no_such_field(given)))
        elif name in names:
            problems.append(Problem(place, name, "is there twice"))
        elif value and value.strip():
            cells[name] = value.strip()
        names.add(name)
    return cells


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


def _no_such_field(name: str) -> str:
    if _plain(name) in _SECRETS:
        return (
            "a social security number does not belong into a file. Leave the column out and let Gusto ask the person "
            "(self_onboarding: yes), or afterwards run: gusto-pipeline employees update UUID --ask-ssn"
        )
    if not re.fullmatch(r"[A-Za-z][A-Za-z _-]{0,39}\d{0,2}", name.strip()):
        return "a column has a name that none has"  # it may be somebody's data
    return f"there is no column {name.strip()!r}; {nearest(_plain(name), FIELDS)}"


def _text(content: bytes, problems: list[Problem]) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        problems.append(Problem("", "", 'is not UTF-8; in Excel, save it as "CSV UTF-8" or as xlsx'))
        return ""


def _yaml(content: bytes, problems: list[Problem]) -> _Records:
    # As nodes: a ZIP code 02134 stays what it is, and every record knows its line.
    try:
        root = YAML().compose(_text(content, problems))
    except (YAMLError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        problems.append(Problem(f"line {mark.line + 1}" if mark else "", "", "this is not YAML"))
        return []
    if root is None:
        return []
    records: _Records = []
    for row, node in enumerate(root.value if isinstance(root, SequenceNode) else [root], 1):
        place = f"row {row} (line {node.start_mark.line + 1})"
        if not isinstance(node, MappingNode):
            problems.append(Problem(place, "", "must be fields such as first_name: Ada"))
            continue
        pairs: _Pairs = []
        for key, value in node.value:
            name = key.value if isinstance(key, ScalarNode) else ""
            if not isinstance(value, ScalarNode):
                problems.append(Problem(place, name if name in FIELDS else "", "a value must be text"))
                pairs += [(name, None)] if name not in FIELDS else []
                continue
            pairs.append((name, None if str(value.tag).endswith(":null") else value.value))
        records.append((row, place, pairs))
    return records


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object as they are there, twice the same name included."""


def _json(content: bytes, problems: list[Problem]) -> _Records:
    try:
        root = json.loads(
            _text(content, problems) or "[]",
            parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_Members,
        )  # fmt: skip
    except (ValueError, RecursionError) as error:
        line = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        problems.append(Problem(line, "", "this is not JSON"))
        return []
    records: _Records = []
    for row, record in enumerate([root] if isinstance(root, _Members) or not isinstance(root, list) else root, 1):
        place = f"row {row}"
        if not isinstance(record, _Members):
            problems.append(Problem(place, "", 'must be an object of fields such as "first_name": "Ada"'))
            continue
        pairs: _Pairs = []
        for name, value in record:
            if isinstance(value, list):
                problems.append(Problem(place, name if name in FIELDS else "", "a value must be text"))
                pairs += [(name, None)] if name not in FIELDS else []
            else:
                pairs.append((name, str(value).lower() if isinstance(value, bool) else value))
        records.append((row, place, pairs))
    return records


def _csv(content: bytes, problems: list[Problem]) -> _Records:
    text = _text(content, problems)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        problems.append(Problem("", "", "this is not CSV: a quotation mark is left open, or stands within a cell"))
        return []
    return _table([list[str | None](row) for row in rows], problems)


def _xlsx(content: bytes, problems: list[Problem]) -> _Records:
    from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum

    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(content)) as book:
            shown = [sheet.name for sheet in book.sheets_metadata if sheet.visible == SheetVisibleEnum.Visible]
            rows = book.get_sheet_by_name(shown[0]).to_python(skip_empty_area=False) if shown else []
    except CalamineError:
        problems.append(Problem("", "", "this is not an xlsx workbook, or it is damaged or has a password"))
        return []
    return _table([[_shown(cell) for cell in row] for row in rows], problems)


def _shown(cell: Any) -> str | None:
    """A cell of a workbook as text: whole numbers without a point, days without a time."""
    match cell:
        case bool():
            return str(cell).lower()
        case float() if cell.is_integer():
            return str(int(cell))
        case datetime() if cell.time() == time():
            return cell.date().isoformat()
        case date() | datetime():
            return cell.isoformat()
    return str(cell)


def _table(rows: list[list[str | None]], problems: list[Problem]) -> _Records:
    numbered = [(number, row) for number, row in enumerate(rows, 1) if any(cell and cell.strip() for cell in row)]
    if not numbered:
        return []
    (top, names), *rest = numbered
    header = [(name or "").strip() for name in names]
    if not {_plain(name) for name in header} & set(FIELDS):
        problems.append(Problem(f"row {top}", "", f"must name the columns; there are: {', '.join(FIELDS)}"))
        return []
    _cells(f"row {top}", [(name, None) for name in header if name], problems)
    lacking = [name for name in _REQUIRED if name not in map(_plain, header)]
    problems += [Problem(f"row {top}", name, _NO_COLUMN) for name in lacking]
    records: _Records = []
    for number, row in rest:
        place = f"row {number}"
        beyond = [cell for index, cell in enumerate(row) if cell and (index >= len(header) or not header[index])]
        if beyond:
            problems.append(Problem(place, "", "has a cell in a column without a name"))
        pairs: dict[str, str | None] = {}
        for name, cell in zip(map(_plain, header), row, strict=False):
            if name in FIELDS:
                pairs.setdefault(name, cell)
        records.append((number, place, list(pairs.items())))
    return records


_READERS: dict[str, Callable[[bytes, list[Problem]], _Records]] = {
    ".csv": _csv,
    ".xlsx": _xlsx,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
}
