"""Taking on who is in a file of new hires: each exactly once, with a result beside the file.

What is done is kept by company and e-mail address in the home folder (`onboarding/`), from before the first write on:
after a kill the same file goes on where it stopped, and no other file with the same person creates them again. Files
lie in the folder of pipeline.yaml's section `onboarding`; what is finished moves to `done/`, what a person has to look
at to `set-aside/`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import Settings
from gusto_pipeline.gusto import actions
from gusto_pipeline.gusto.actions import AlreadyEmployedError, Created, Record, Status
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import NotSentError
from gusto_pipeline.new_hires import Hire, Hires, HiresError, Problem, read_hires
from gusto_pipeline.spreadsheets.files import replace_file, sha256_of
from gusto_pipeline.spreadsheets.writers import FORMULA_START
from gusto_pipeline.sync import Company

DONE, ASIDE = "done", "set-aside"
RESULT, WHY = ".result.csv", ".why.txt"
QUIET = timedelta(seconds=60)  # a file that has not changed for so long is whole
AGAIN = timedelta(hours=1)  # after this, a file that could not be finished is tried again

# What may be over when the same is tried again.
_PASSING = {"UnreachableError", "ServerError", "RateLimitedError", "MalformedAnswerError"}
_UNFINISHED_NAMES = re.compile(r"^(\.|~\$)|(~|\.(part|partial|tmp|temp|crdownload|download|swp|lock))$", re.IGNORECASE)


# -- creating -----------------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """What became of a row. WAITING: it is right, and creating them has not begun."""

    CREATED = "created"
    PARTIAL = "partial"
    ALREADY = "already there"
    FAILED = "failed"
    WAITING = "new"


@dataclass(frozen=True)
class Result:
    """What became of a row, and what a person should do. passing: the same may go well when it is tried again."""

    row: int
    email: str
    outcome: Outcome
    employee_uuid: str = ""
    warnings: tuple[str, ...] = ()
    to_do: str = ""
    brief: tuple[str, ...] = ()  # the warnings without a word about anybody
    passing: bool = False

    @property
    def finished(self) -> bool:
        return self.outcome in (Outcome.CREATED, Outcome.ALREADY)


@dataclass(frozen=True)
class Processed:
    """A file that was gone through: where it is now, its results by row, and the file these were written to."""

    file: Path
    results: tuple[Result, ...]
    result_file: Path

    def counts(self) -> dict[str, int]:
        """How many rows ended how."""
        return dict(Counter(str(result.outcome) for result in self.results))

    @property
    def created(self) -> bool:
        """Whether anybody is in Gusto because of this file."""
        return any(one.employee_uuid and one.outcome is not Outcome.ALREADY for one in self.results)

    @property
    def unfinished(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not result.finished)


Connect = Callable[[], AbstractContextManager[GustoClient]]


def check_file(settings: Settings, company: Company, file: Path, connect: Connect) -> list[Result]:
    """Check a file with what Gusto knows, and say what each row would become; nothing is done.

    Raises HiresError, GustoError and OSError.
    """
    hires = read_hires(file)
    with connect() as client:
        rows, there = _looked_up(client, hires)
    ledger = _Ledger(settings, company)
    found = []
    for hire in rows:
        entry = ledger.load(hire)
        finished = entry.made.employee_uuid if entry and entry.made.status is Status.DONE else None
        uuid = finished or (not entry and _employed(hire, there)) or ""
        found.append(Result(hire.row, hire.person.email, Outcome.ALREADY if uuid else Outcome.WAITING, uuid))
    return found


def process(
    settings: Settings,
    company: Company,
    file: Path,
    connect: Connect,
    *,
    clock: Clock = utcnow,
    on_result: Callable[[Result, int], object] = lambda result, of: None,
) -> Processed:
    """Create everybody in a file whom nobody has created yet, and write `<file>.result.csv`.

    A file of the onboarding folder then moves to `done/`, or to `set-aside/` with `<file>.why.txt` when a person has to
    look at it; where only Gusto was in trouble it stays, to be tried again. Other files stay where they are. One file
    of a company at a time. connect: opens a client. on_result: is told each row, and of how many.

    Raises HiresError when the file is wrong (nobody was created then), GustoError when Gusto cannot be asked (running
    it again goes on), SpreadsheetError and OSError.
    """
    ledger, file = _Ledger(settings, company), file.absolute()
    with ledger.alone():
        try:
            hires = read_hires(file)
            with connect() as client:
                rows, there = _looked_up(client, hires)
                results = []
                for hire in rows:
                    results.append(_taken_on(client, ledger, hire, hires.digest, there, clock))
                    on_result(results[-1], len(rows))
        except HiresError as problem:
            if not _is_ours(settings, file):
                raise
            kept_at = _file_away(settings, file, ASIDE, {WHY: f"{problem}\n"})
            raise HiresError(file, problem.problems, kept_at) from None
        unfinished = [result for result in results if not result.finished]
        beside = {RESULT: _csv_of(results)}
        where = ASIDE if unfinished else DONE
        if not _is_ours(settings, file) or (unfinished and all(result.passing for result in unfinished)):
            where = ""
        if where == ASIDE:
            beside[WHY] = "".join(
                f"row {one.row}: {one.outcome}: {line}\n" for one in unfinished for line in (*one.warnings, one.to_do)
            )
        now_at = _file_away(settings, file, where, beside)
    return Processed(now_at, tuple(results), now_at.with_name(now_at.name + RESULT))


def _looked_up(client: GustoClient, hires: Hires) -> tuple[list[Hire], dict[str, str]]:
    """The rows with the uuids of their locations, and who is in Gusto already, by e-mail address.

    Raises HiresError for locations that the company does not have.
    """
    places = actions.locations(client).rows if any(hire.person.work_location for hire in hires.rows) else []
    known = "; ".join(f"{row['street_1']}, {row['city']}" for row in places if row.get("active", True))
    rows, problems = [], []
    for hire in hires.rows:
        if name := hire.person.work_location:
            try:
                hire = replace(hire, location_uuid=actions.find_location(places, name))
            except NotSentError:
                text = f"is not one of the company's locations, or fits several; there are: {known or 'none'}"
                problems.append(Problem(hire.place, "work_location", text))
        rows.append(hire)
    if problems:
        raise HiresError(hires.file, problems)
    there = {
        row[name].casefold(): str(row["uuid"])
        for row in actions.list_employees(client).rows
        for name in ("email", "work_email")
        if row.get(name)
    }
    return rows, there


def _employed(hire: Hire, there: dict[str, str]) -> str | None:
    return next((there[address] for address in sorted(hire.addresses) if address in there), None)


_UPDATE = "Nothing was changed. Update them, or rehire them if they have left"
_AGAIN = "Correct what is named and hand the file in again: only what is left is done, and nobody is created twice"


def _taken_on(
    client: GustoClient, ledger: _Ledger, hire: Hire, digest: str, there: dict[str, str], clock: Clock
) -> Result:
    """Create one person, or go on where an earlier attempt stopped."""
    said = Result(hire.row, hire.person.email, Outcome.FAILED, to_do=_AGAIN)
    try:
        entry = ledger.load(hire)
        if entry and entry.made.status is Status.DONE:
            uuid = entry.made.employee_uuid or ""
            if entry.file == digest:
                return replace(said, outcome=Outcome.CREATED, employee_uuid=uuid, to_do="")
            same = "" if entry.row == hire.digest else " This row says something else now."
            warning = f"they were created on {entry.at[:10]} from another file.{same}"
            return replace(said, outcome=Outcome.ALREADY, employee_uuid=uuid, warnings=(warning,), to_do=_UPDATE)
        if not entry and (employed := _employed(hire, there)):
            raise AlreadyEmployedError((employed,))

        def note(made: Created) -> None:
            ledger.save(hire, _Entry(hire.digest, digest, clock().isoformat(), made))

        if entry:
            made = _resumed(client, entry.made, hire.parts(), note)
        else:
            parts = hire.parts()
            made = actions.create_employee(client, parts.pop("employee"), **parts, progress=note)
        note(made)  # with its warnings
    except AlreadyEmployedError as error:
        uuids = ", ".join(error.employees)
        warning = "an employee has this e-mail address"
        return replace(said, outcome=Outcome.ALREADY, employee_uuid=uuids, warnings=(warning,), to_do=_UPDATE)
    except NotSentError as error:
        return replace(said, warnings=(str(error),), brief=(type(error).__name__,))
    if made.status is Status.DONE:
        return replace(said, outcome=Outcome.CREATED, employee_uuid=made.employee_uuid or "", to_do="")
    return replace(
        said,
        outcome=Outcome.PARTIAL if made.employee_uuid else Outcome.FAILED,
        employee_uuid=made.employee_uuid or "",
        warnings=tuple(map(str, made.warnings)),
        brief=tuple(warned.brief for warned in made.warnings),
        passing=all(warned.kind in _PASSING for warned in made.warnings if warned.text != "waits for the job"),
    )


def _resumed(client: GustoClient, left: Created, given: dict[str, Record], note: Callable[[Created], None]) -> Created:
    """Do the rest, with what the row says now of the parts that are not done."""
    employee = left.todo.get("employee")
    todo = {part: body for part, body in given.items() if part not in left.done and part != "employee"}
    corrections = {"employee": given["employee"]} if employee else {}
    left = replace(left, todo=({"employee": employee} if employee else {}) | todo)
    if not left.todo:  # what was left to do is no longer in the file
        return replace(left, status=Status.DONE, warnings=())
    return actions.resume(client, left, corrections=corrections, progress=note)


@dataclass(frozen=True)
class _Entry:
    """How far somebody has come: SHA-256 of the row and of the file it was last done from, and when."""

    row: str
    file: str
    at: str
    made: Created


class _Ledger:
    """Who was created from files, by company and e-mail address: a file each, which names nobody who is finished."""

    def __init__(self, settings: Settings, company: Company) -> None:
        self._folder = settings.taken_on / company.slug

    def alone(self) -> FileLock:
        """One file of a company at a time, across processes."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileLock(self._folder / "lock", mode=0o600)

    def load(self, hire: Hire) -> _Entry | None:
        """Raises NotSentError for an entry that is damaged."""
        path = self._path(hire)
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            return _Entry(held["row"], held["file"], held["at"], Created.from_json(json.dumps(held["made"])))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, NotSentError):
            raise NotSentError(
                f"{path}, which says how far they have come, is damaged: put it back, or delete it"
            ) from None

    def save(self, hire: Hire, entry: _Entry) -> None:
        held = {"row": entry.row, "file": entry.file, "at": entry.at, "made": json.loads(entry.made.to_json())}
        _write(self._path(hire), json.dumps(held, indent=2))

    def _path(self, hire: Hire) -> Path:
        return self._folder / f"{sha256(hire.person.email.casefold().encode()).hexdigest()[:40]}.json"


# -- the folder ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waiting:
    """A file that waits in the onboarding folder. key: changes with its content, when it is put there anew, and every
    hour, because what could not be finished is then tried again."""

    name: str
    digest: str
    key: str


def waiting_files(settings: Settings, now: datetime) -> list[Waiting]:
    """The files of the onboarding folder that are whole: neither hidden, nor named like one that is being written, nor
    changed within the last minute. Raises OSError."""
    folder = settings.onboarding.folder
    found = []
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not file.is_file() or _UNFINISHED_NAMES.search(file.name) or file.name.endswith((RESULT, WHY)):
            continue
        with suppress(FileNotFoundError):  # a run has just moved it
            stat = file.stat()
            arrived = datetime.fromtimestamp(stat.st_ctime, UTC)  # unlike the time of change, of no sender's clock
            if now - arrived >= QUIET:
                digest = sha256_of(file)
                key = f"{digest}-{stat.st_ctime_ns}-{(now - arrived) // AGAIN}"
                found.append(Waiting(file.name, digest, key))
    return found


def find_file(settings: Settings, name: str, digest: str = "") -> Path:
    """The file of this name: in the onboarding folder, or where it has moved since. `digest`: with this content.

    Raises HiresError.
    """
    folder, path = settings.onboarding.folder, Path(name)
    places = [folder / path, *(folder / moved / path.name for moved in (ASIDE, DONE))]
    if digest:
        places += [_apart(place, digest) for place in places[1:]]
    for place in places:
        if place.is_file() and digest in ("", sha256_of(place)):
            return place
    what = "is not there with the content it had" if digest else "is not there"
    raise HiresError(path, [Problem("", "", f"{what}: neither in {folder} nor in {ASIDE}/ and {DONE}/ below it")])


def _is_ours(settings: Settings, file: Path) -> bool:
    folder = settings.onboarding.folder
    return file.absolute().parent in (folder, folder / ASIDE, folder / DONE)


def _file_away(settings: Settings, file: Path, where: str, beside: dict[str, str]) -> Path:
    """Write what goes `beside` a file, then move it to where that is; gives its new path. No `where`: it stays."""
    target, folder = file, settings.onboarding.folder
    if where:
        target = folder / where / file.name
        if not target.parent.exists():
            target.parent.mkdir()
            target.parent.chmod(folder.stat().st_mode)
        if target != file and target.exists() and sha256_of(target) != (digest := sha256_of(file)):
            target = _apart(target, digest)
    for ending in (RESULT, WHY):
        if ending in beside:
            written = target.with_name(target.name + ending)
            _write(written, beside[ending])
            written.chmod(file.stat().st_mode & 0o666)  # for whoever may read the file itself
    if target != file:
        file.replace(target)
    for ending in (RESULT, WHY):  # of an earlier attempt
        if target != file or (where and ending not in beside):
            file.with_name(file.name + ending).unlink(missing_ok=True)
    return target


def _apart(path: Path, digest: str) -> Path:
    """A name for a file whose own is taken by one with other content."""
    return path.with_name(f"{path.stem}.{digest[:8]}{path.suffix}")


def _write(path: Path, text: str) -> None:
    def fill(draft: Path) -> tuple[dict[str, int], tuple[str, ...]]:
        draft.write_text(text, encoding="utf-8", newline="")
        return {}, ()

    replace_file(path, fill)


def _csv_of(results: Iterable[Result]) -> str:
    """Results as CSV; no spreadsheet program takes a cell for a formula."""
    rows = [["row", "email", "status", "employee_uuid", "warnings", "what_to_do"]]
    for one in results:
        rows.append([str(one.row), one.email, str(one.outcome), one.employee_uuid, "; ".join(one.warnings), one.to_do])
    text = io.StringIO()
    plain = ([f"'{cell}" if re.match(FORMULA_START, cell) else cell for cell in row] for row in rows)
    csv.writer(text, lineterminator="\n").writerows(plain)
    return text.getvalue()
