"""Profile exports: fields of employees for another system, as they are now and as a feed of what changed.

What was exported last is kept in the warehouse, value by value, and compared there with what is so now. The changes are
numbered and committed together with the new state before anything is written, and what is written is made from them
alone: a write that fails loses no change, and the next one repeats none. A reader's cursor is the last `seq` it took in
of a company. Taken in order, the feed makes the table: added and changed set a field, removed takes it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from gusto_pipeline.config import Profile, Settings
from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.jobs import destination_options
from gusto_pipeline.spreadsheets.columns import NOTHING
from gusto_pipeline.spreadsheets.destinations import is_remote, send
from gusto_pipeline.spreadsheets.files import create_private_folder, replace_file
from gusto_pipeline.spreadsheets.layout import Choice, Layout, arrange
from gusto_pipeline.spreadsheets.sheets import Column, Sheet, SpreadsheetError, Written
from gusto_pipeline.spreadsheets.writers import write_csv, write_parquet
from gusto_pipeline.sync import Company, connected_companies, find_company, open_store, open_warehouse
from gusto_pipeline.warehouse.flatten import bind, literal, quote, rows

KINDS = ("added", "changed", "removed")

IDS = (
    Column("company_uuid", "The company's uuid in Gusto"),
    Column("employee_uuid", "The employee's uuid in Gusto, which never changes"),
)
CHANGES = (
    Column("seq", "Counts the company's changes from 1; the last one taken in is a reader's cursor", "BIGINT"),
    *IDS,
    Column("field", "Which field"),
    Column("kind", "added, changed or removed"),
    Column("from", "The value before, as text"),
    Column("to", "The value since, as text"),
    Column("at", "When the sync ended that brought it", "TIMESTAMPTZ"),
)
_CHANGES = ", ".join(quote(column.name) for column in CHANGES)

# `cursors` has no column company_uuid: numbers go on where they were after a company was purged.
_TABLES = """
CREATE SCHEMA IF NOT EXISTS profiles;
CREATE TABLE IF NOT EXISTS profiles.current (
    profile VARCHAR, company_uuid VARCHAR, employee_uuid VARCHAR, field VARCHAR, value VARCHAR
);
CREATE TABLE IF NOT EXISTS profiles.changes (
    profile VARCHAR, seq BIGINT, company_uuid VARCHAR, employee_uuid VARCHAR, field VARCHAR, kind VARCHAR,
    "from" VARCHAR, "to" VARCHAR, "at" TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS profiles.cursors (profile VARCHAR, company VARCHAR, seq BIGINT);
COMMENT ON TABLE profiles.current IS 'What profile exports say now, value by value';
COMMENT ON TABLE profiles.changes IS 'Every change of a profile export, numbered by company';
COMMENT ON TABLE profiles.cursors IS 'The last number given, by profile and company'
"""


@dataclass(frozen=True)
class Exported:
    """An export for one company: where it is, how many people, the last seq, new changes by kind, the columns."""

    place: str
    people: int
    seq: int
    changes: dict[str, int]
    columns: tuple[Column, ...]
    unchanged: bool


def profile_companies(profile: Profile, settings: Settings) -> list[Company]:
    """The companies a profile is for, by their names in Gusto. Raises UnknownCompanyError."""
    store = open_store(settings)
    named = [find_company(store, name) for name in profile.companies]
    return named if profile.companies else connected_companies(store)


def export(profile: Profile, company: Company, settings: Settings) -> Exported:
    """Bring a company's export up to date with the last sync, and write it where the profile says.

    Raises SpreadsheetError or WarehouseError. When it is the writing that fails, the next export writes what this one
    would have.
    """
    warehouse = open_warehouse(settings)
    with warehouse.write() as connection:
        connection.execute(_TABLES)
        columns, counts = _advance(connection, profile, company)
    with warehouse.read() as connection:
        of_company = f"profile = {literal(profile.name)} AND company_uuid = {literal(company.uuid)}"
        people, seq = bind(
            connection,
            f"SELECT (SELECT count(DISTINCT employee_uuid) FROM profiles.current WHERE {of_company}), "
            "(SELECT max(seq) FROM profiles.cursors WHERE (profile, company) = ($1, $2))",
            [profile.name, company.uuid],
        ).fetchall()[0]
        if profile.format == "duckdb":
            place = _into_tables(connection, profile, columns, settings)
            return Exported(str(place), people, seq, counts, columns, not any(counts.values()))
        files = _files(connection, profile, company, of_company, columns, settings)
    if is_remote(profile.destination):
        place_there = f"{profile.destination.rstrip('/')}/{company.slug}"
        options = destination_options(profile.destination, settings)
        sent = [send(file, place_there, options) for file in files]
        return Exported(place_there, people, seq, counts, columns, not any(sent))
    unchanged = all(file.unchanged for file in files)
    return Exported(str(files[-1].path), people, seq, counts, columns, unchanged)


def _advance(
    connection: duckdb.DuckDBPyConnection, profile: Profile, company: Company
) -> tuple[tuple[Column, ...], dict[str, int]]:
    """Take in what the last sync brought; gives the columns, and how many changes there are of each kind."""
    finished = "SELECT max(finished_at) FROM meta.syncs WHERE status = 'ok' AND category = 'employees'"
    synced_at = bind(connection, f"{finished} AND company_uuid = $1", [company.uuid]).fetchall()[0][0]
    if synced_at is None:
        raise SpreadsheetError(
            f"profile {profile.name}: {company.slug} was not synced yet: gusto-pipeline sync employees"
        )
    sheet = _sheet(connection, profile, company)
    columns = sheet.columns[1:]
    places = ", ".join(f"c{i}" for i in range(len(columns)))
    values = ", ".join(
        f"{{'field': {literal(column.name)}, 'value': CAST(c{i} AS VARCHAR)}}" for i, column in enumerate(columns)
    )
    key = [profile.name, company.uuid]
    of_company = f"profile = {literal(profile.name)} AND company_uuid = {literal(company.uuid)}"
    connection.execute(
        f"CREATE TEMP TABLE found AS SELECT employee_uuid, unnest([{values}], recursive := true) "
        f"FROM ({sheet.query}) AS q(employee_uuid, {places})"
    )
    connection.execute(
        "CREATE TEMP TABLE fresh AS SELECT row_number() OVER (ORDER BY employee_uuid, field) AS n, employee_uuid, "
        "field, CASE WHEN o.known IS NULL THEN 'added' WHEN f.known IS NULL THEN 'removed' ELSE 'changed' END AS kind, "
        'o.value AS "from", f.value AS "to" FROM (SELECT *, true AS known FROM found) f '
        f"FULL JOIN (SELECT *, true AS known FROM profiles.current WHERE {of_company}) o USING (employee_uuid, field) "
        "WHERE o.known IS NULL OR f.known IS NULL OR o.value IS DISTINCT FROM f.value",
    )
    last = bind(connection, "SELECT max(seq) FROM profiles.cursors WHERE (profile, company) = ($1, $2)", key)
    seq = last.fetchall()[0][0] or 0
    bind(
        connection,
        f"INSERT INTO profiles.changes (profile, {_CHANGES}) "
        'SELECT $1, $3 + n, $2, employee_uuid, field, kind, "from", "to", $4 FROM fresh',
        [*key, seq, synced_at],
    )
    bind(connection, "DELETE FROM profiles.cursors WHERE (profile, company) = ($1, $2)", key)
    bind(connection, "INSERT INTO profiles.cursors SELECT $1, $2, $3 + count(*) FROM fresh", [*key, seq])
    connection.execute(f"DELETE FROM profiles.current WHERE {of_company}")
    bind(connection, "INSERT INTO profiles.current SELECT $1, $2, employee_uuid, field, value FROM found", key)
    counted = dict(connection.execute("SELECT kind, count(*) FROM fresh GROUP BY kind").fetchall())
    return columns, {kind: counted.get(kind, 0) for kind in KINDS}


def _sheet(connection: duckdb.DuckDBPyConnection, profile: Profile, company: Company) -> Sheet:
    """The employees' uuids and the chosen fields, under their policies. Raises SpreadsheetError."""
    (source,) = CATEGORIES["employees"].sources
    employees = next(rows(source.table))
    choices = [
        Choice("uuid", header=IDS[1].name),
        *(Choice(column, header=name) for column, name in profile.fields.items()),
    ]
    layout = Layout({"employees": choices}, {"employees": profile.filter} if profile.filter else {}, profile.pii)
    try:
        sheet = arrange(connection, [employees], company.uuid, layout, NOTHING).sheets[0]
    except SpreadsheetError as error:
        raise SpreadsheetError(f"profile {profile.name}, {company.slug}: {error}") from None
    shown = {column.name for column in sheet.columns}
    if guarded := [column for column, name in profile.fields.items() if name not in shown]:
        raise SpreadsheetError(
            f"profile {profile.name}: by its name {', '.join(guarded)} may be a government or bank number, pay or a "
            "private matter: name it under `pii`, with keep, mask or hash, or take it out. Nothing was written."
        )
    return sheet


def _current(columns: Sequence[Column], condition: str) -> str:
    """SELECT of the table as it is now: a row per person, the fields with their types."""
    fields = "".join(
        f", CAST(max(value) FILTER (field = {literal(column.name)}) AS {column.type}) AS {quote(column.name)}"
        for column in columns
    )
    rows_of = f"FROM profiles.current WHERE {condition} GROUP BY company_uuid, employee_uuid"
    return f"SELECT company_uuid, employee_uuid{fields} {rows_of} ORDER BY company_uuid, employee_uuid"


def _files(
    connection: duckdb.DuckDBPyConnection,
    profile: Profile,
    company: Company,
    of_company: str,
    columns: tuple[Column, ...],
    settings: Settings,
) -> list[Written]:
    """The feed first: nobody shall see a state that it does not explain."""
    local = "" if is_remote(profile.destination) else profile.destination  # what is to be sent waits at home
    folder = Path(local or settings.profiles_folder)
    feed = f"SELECT {_CHANGES} FROM profiles.changes WHERE {of_company} ORDER BY seq"
    write = {"csv": write_csv, "parquet": write_parquet, "jsonl": _write_jsonl}[profile.format]
    return [
        write(connection, sheet, folder / company.slug / f"{sheet.name}.{profile.format}")
        for sheet in (
            Sheet(f"{profile.name}_changes", feed, CHANGES),
            Sheet(profile.name, _current(columns, of_company), (*IDS, *columns)),
        )
    ]


def _write_jsonl(connection: duckdb.DuckDBPyConnection, sheet: Sheet, path: Path) -> Written:
    """One JSON object per line, instants as RFC 3339 has them."""
    shown = ", ".join(
        f"replace(CAST(timezone('UTC', {quote(column.name)}) AS VARCHAR), ' ', 'T') || 'Z' AS {quote(column.name)}"
        if column.type in ("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")
        else quote(column.name)
        for column in sheet.columns
    )

    def fill(draft: Path) -> tuple[dict[str, int], tuple[str, ...]]:
        copy = f"COPY (SELECT {shown} FROM ({sheet.query})) TO {literal(str(draft))} (FORMAT json, USE_TMP_FILE false)"
        return {sheet.name: connection.execute(copy).fetchall()[0][0]}, ()

    return replace_file(path, fill)


def _into_tables(
    connection: duckdb.DuckDBPyConnection, profile: Profile, columns: tuple[Column, ...], settings: Settings
) -> Path:
    """Append to the feed's table what it lacks of any company, and replace the other, in one transaction."""
    file = Path(profile.destination or settings.profiles_folder / f"{profile.name}.duckdb")
    # What only one company has may be of another type in the next one.
    common = {name: type for name, type, *_ in connection.execute("DESCRIBE flat.employees").fetchall()}
    sources = dict(zip((column.name for column in columns), profile.fields, strict=True))
    plain = [Column(c.name, c.comment, c.type if sources[c.name] in common else "VARCHAR") for c in columns]
    table, feed = quote(profile.name), quote(f"{profile.name}_changes")
    declared = ", ".join(f"{quote(column.name)} {column.type}" for column in CHANGES)
    of_profile = f"profile = {literal(profile.name)}"
    try:
        create_private_folder(file.parent)
        connection.execute(f"ATTACH {literal(str(file))} AS target")
        file.chmod(0o600)
        connection.begin()
        connection.execute(f"CREATE TABLE IF NOT EXISTS target.{feed} ({declared})")
        taken_in = f"SELECT max(seq) FROM target.{feed} t WHERE t.company_uuid = c.company_uuid"
        connection.execute(
            f"INSERT INTO target.{feed} SELECT {_CHANGES} FROM profiles.changes c "
            f"WHERE {of_profile} AND seq > coalesce(({taken_in}), 0) ORDER BY company_uuid, seq"
        )
        connection.execute(f"CREATE OR REPLACE TABLE target.{table} AS {_current(plain, of_profile)}")
        for name, own in ((feed, CHANGES), (table, (*IDS, *plain))):
            for column in own:
                comment = f"COMMENT ON COLUMN target.{name}.{quote(column.name)} IS {literal(column.comment)}"
                connection.execute(comment)
        connection.commit()
    except (duckdb.IOException, OSError) as error:
        raise SpreadsheetError(
            f"profile {profile.name}: {file} was not written: {str(error).splitlines()[0]} Close what has it open; no "
            "change is lost, the next export brings it."
        ) from error
    return file
