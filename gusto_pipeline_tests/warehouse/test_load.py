"""Loading: records become exactly the rows the catalog declares, or nothing changes."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gusto_pipeline.schema import DATE, FLAG, HOURS, INSTANT, JSON, LIST, MONEY, TEXT, WHOLE, Column, Table
from gusto_pipeline.warehouse.flatten import inline, read_records, rows
from gusto_pipeline.warehouse.load import Landing, LoadError, LoadRefusedError, load
from gusto_pipeline.warehouse.warehouse import Warehouse
from gusto_pipeline_tests.warehouse.landing import (
    COMPANY,
    NOW,
    SOURCES,
    expected,
    landing,
    load_landed,
    load_records,
    open_warehouse,
    staged,
)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return open_warehouse(tmp_path)


def person(number: int, **more: object) -> dict[str, object]:
    return {"uuid": f"e-{number}", "first_name": "Ada", "last_name": f"No {number}", "jobs": [], **more}


def count(warehouse: Warehouse, table: str) -> int:
    with warehouse.read() as connection:
        return connection.execute(f"SELECT count(*) FROM staging.{table}").fetchall()[0][0]


def test_an_array_of_objects_becomes_a_child_table_with_its_parents_key_and_position(warehouse, tmp_path):
    jobs = [{"uuid": "j-1", "title": "Cook"}, {"uuid": "j-2", "title": "Waiter"}]
    load_records(warehouse, tmp_path, "employees", [person(1, jobs=jobs)])
    with warehouse.read() as connection:
        found = connection.execute("SELECT employee_uuid, position, uuid, title FROM staging.jobs").fetchall()
    assert sorted(found) == [("e-1", 1, "j-1", "Cook"), ("e-1", 2, "j-2", "Waiter")]


def test_a_scalar_and_an_object_of_nearly_the_same_name_both_keep_their_value(warehouse, tmp_path):
    job = {"uuid": "j-1", "location_uuid": "scalar", "location": {"uuid": "nested"}}
    load_records(warehouse, tmp_path, "employees", [person(1, jobs=[job])])
    with warehouse.read() as connection:
        found = connection.execute("SELECT location_uuid, location__uuid FROM staging.jobs").fetchall()
    assert found == [("scalar", "nested")]


def test_decimal_strings_and_json_numbers_keep_every_digit(warehouse, tmp_path):
    pay_types = [{"name": "Overtime", "multiple": 1.5}, {"name": "Odd", "multiple": 0.1}]
    company = {"uuid": COMPANY, "compensations": {"hourly": pay_types}}
    load_records(warehouse, tmp_path, "company", [company])
    with warehouse.read() as connection:
        found = connection.execute("SELECT CAST(multiple AS VARCHAR) FROM staging.company_pay_types").fetchall()
    assert sorted(found) == [("0.100000",), ("1.500000",)]


def test_leading_zeros_stay(warehouse, tmp_path):
    load_records(warehouse, tmp_path, "employees", [person(1, employee_code="000042")])
    with warehouse.read() as connection:
        assert connection.execute("SELECT employee_code FROM staging.employees").fetchall() == [("000042",)]


def test_an_undeclared_field_is_reported_and_kept_in_raw(warehouse, tmp_path):
    jobs = [{"uuid": "j", "grade": {"x": 1}}]
    done = load_records(warehouse, tmp_path, "employees", [person(1, shoe_size=44, jobs=jobs)])
    assert done.drift == {"employees": ["jobs[].grade.x", "shoe_size"]}
    with warehouse.read() as connection:
        assert connection.execute("SELECT record->>'shoe_size' FROM raw.employees").fetchall() == [("44",)]
        fields = connection.execute("SELECT field FROM meta.drift ORDER BY field").fetchall()
    assert fields == [("jobs[].grade.x",), ("shoe_size",)]


def test_a_field_seen_before_keeps_the_day_it_was_first_seen(warehouse, tmp_path):
    for _ in range(2):
        load_records(warehouse, tmp_path, "employees", [person(1, shoe_size=44)])
    with warehouse.read() as connection:
        assert connection.execute("SELECT first_seen FROM meta.drift").fetchall() == [(NOW,)]


def employee_with(path: str, value: object) -> dict[str, object]:
    """Employee e-2, whose one job and garnishment have `value` at a path that begins with their list's name."""
    record = person(2, jobs=[{"uuid": "j-1"}], garnishments=[{"uuid": "g-1"}])
    place, _, rest = path.partition("[].")
    _put(record[place][0] if rest else record, rest or place, value)  # type: ignore[index]
    return record


class TestAChangedType:
    """A value that its column's type would round, cut or complete is refused; the last good rows stay."""

    @pytest.mark.parametrize(
        ("path", "value", "said"),
        [
            ("date_of_birth", "14 May, private", "employees: field date_of_birth of record e-2 is not a DATE but text"),
            ("date_of_birth", "2026-01-01T10:00:00Z", "is not a DATE but an instant"),
            ("date_of_birth", "2026-01-01T00:00:00", "is not a DATE but a time without a zone"),
            ("date_of_birth", "2026-02-30", "is not a DATE but a date out of its range"),
            ("date_of_birth", "2026-01-1x", "is not a DATE but text"),
            ("date_of_birth", "epoch", "is not a DATE but text"),
            ("date_of_birth", ["2026-01-01"], "is not a DATE but a list"),
            ("partner_portal_invitation_sent", 1, "is not a BOOLEAN but a whole number"),
            ("partner_portal_invitation_sent", "yes", "is not a BOOLEAN but text"),
            ("garnishments[].times", 1.5, "record e-2 / g-1 is not a BIGINT but a decimal number"),
            ("garnishments[].times", "1.5", "is not a BIGINT but a decimal number"),
            ("garnishments[].times", "1_000", "is not a BIGINT but text"),
            ("garnishments[].times", 2**63, "is not a BIGINT but a whole number out of its range"),
            ("garnishments[].times", True, "is not a BIGINT but true or false"),
            ("jobs[].rate", "12.34567", "is not a DECIMAL(18,4) but a decimal number (5 after the point)"),
            ("jobs[].rate", 12.34567, "employees, jobs: field rate of record e-2 / j-1 is not a DECIMAL(18,4)"),
            ("jobs[].rate", "1e-5", "is not a DECIMAL(18,4) but a number with an exponent"),
            ("jobs[].rate", {"amount": 1}, "is not a DECIMAL(18,4) but an object"),
            ("jobs[].rate", "NaN", "is not a DECIMAL(18,4) but text"),
            ("jobs[].location.created_at", "2026-01-01", "field location.created_at"),
            ("jobs[].location.created_at", "2026-01-01", "is not a TIMESTAMPTZ but a date"),
            ("jobs[].location.created_at", "2026-01-01T10:00:00", "but a time without a zone"),
            ("jobs[].location.created_at", "2026-01-01T10:00:00.1234567Z", "but an instant (7 after the point)"),
        ],
    )
    def test_is_named_with_the_record_and_what_came_but_not_the_value(self, warehouse, tmp_path, path, value, said):
        load_records(warehouse, tmp_path, "employees", [person(1)])
        with pytest.raises(LoadError) as caught:
            load_records(warehouse, tmp_path, "employees", [person(1), employee_with(path, value)])
        assert said in str(caught.value)
        assert str(value) not in str(caught.value)
        assert count(warehouse, "employees") == 1

    @pytest.mark.parametrize(
        ("path", "value", "stored"),
        [
            ("date_of_birth", "", None),
            ("partner_portal_invitation_sent", "true", True),
            ("garnishments[].times", 3.0, 3),
            ("garnishments[].times", "3.00", 3),
            ("garnishments[].times", 1e2, 100),
            ("jobs[].rate", "12.50", Decimal("12.5")),
            ("jobs[].rate", "12.500000", Decimal("12.5")),
            ("jobs[].rate", 12, Decimal(12)),
            ("jobs[].location.created_at", "2026-01-01T12:00:00.5+02:00", datetime(2026, 1, 1, 10, 0, 0, 500000, UTC)),
            ("employee_code", 42, "42"),
        ],
    )
    def test_is_none_where_the_same_value_is_only_written_otherwise(self, warehouse, tmp_path, path, value, stored):
        load_records(warehouse, tmp_path, "employees", [employee_with(path, value)])
        place, _, rest = path.partition("[].")
        table, column = (place, rest) if rest else ("employees", place)
        with warehouse.read() as connection:
            found = connection.execute(f"SELECT {column.replace('.', '__')} FROM staging.{table}").fetchall()
        assert found == [(stored,)]

    def test_of_a_key_is_not_quoted_as_the_records_id_and_others_are_counted(self, warehouse, tmp_path):
        days = {"14 May, private": "8.0", "15 May, private": "8.0"}
        with pytest.raises(LoadError) as caught:
            load_records(warehouse, tmp_path, "time_off", [{"uuid": "r-1", "days": days}])
        assert str(caught.value).startswith(
            "time_off, time_off_days: field key of record r-1 is not a DATE but text, and so in 1 more."
        )
        assert "private" not in str(caught.value)


NUMBERS = (
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-1000, 1000, places=5).map(float)
)
DAYS = st.dates().map(str)
INSTANTS = st.datetimes(timezones=st.none() | st.timezones()).map(datetime.isoformat)
TEXTS = (
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
    | NUMBERS.map(str)
    | st.decimals(allow_nan=True, allow_infinity=True).map(str)
    | st.from_regex(r"[ +-]?[0-9_]{1,4}([.eE][0-9]{0,7})?", fullmatch=True)
    | st.sampled_from(["true", "false", "TRUE", "t", "yes", "1", "infinity", "epoch", "today", "0x1F"])
    | DAYS
    | INSTANTS
    | st.tuples(DAYS | INSTANTS, st.text("0123456789 TZx+:", max_size=3)).map("".join)
)


def says(value: object, stored: object, type: str) -> bool:
    """Whether what is stored is what a JSON scalar says, no more and no less."""
    if value is None or (value == "" and type != TEXT):
        return stored is None
    if type == TEXT:
        return stored == value if isinstance(value, str) else json.loads(str(stored)) == value
    if type == FLAG:
        return stored is (value in (True, "true")) and value in (True, False, "true", "false")
    if type in (DATE, INSTANT):
        return (
            isinstance(value, str)
            and value[:4].isdecimal()
            and stored == (date.fromisoformat(value) if type == DATE else datetime.fromisoformat(value))
        )
    return not isinstance(value, bool) and stored == Decimal(str(value))


@pytest.mark.parametrize("type", [TEXT, FLAG, WHOLE, MONEY, HOURS, DATE, INSTANT])
def test_any_json_scalar_is_stored_as_exactly_what_it_says_or_refused(type, tmp_path_factory):
    table = Table(name="things", singular="thing", comment="", columns=(Column("value", type, ""),), key=("position",))
    [things], file = rows(table), tmp_path_factory.mktemp("any") / "things.json"
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")

    @settings(max_examples=100, deadline=None)
    @given(st.none() | st.booleans() | NUMBERS | TEXTS)
    def check(value: object) -> None:
        file.write_text(json.dumps([{"value": value}]))
        records = f"SELECT '{COMPANY}' AS company_uuid, filename, r FROM ({read_records(table, [file])})"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE landed AS {records}")
        try:
            [(stored,)] = connection.execute(f"SELECT value FROM ({things.select()})").fetchall()
        except (duckdb.ConversionException, duckdb.InvalidInputException):
            assert type != TEXT
            return
        assert says(value, stored, type)

    check()


@pytest.mark.parametrize("jobs", [{"uuid": "j-1"}, "none", 7, [["deep"]], ["text"]])
def test_a_list_of_another_shape_is_refused_rather_than_lost(warehouse, tmp_path, jobs):
    load_records(warehouse, tmp_path, "employees", [person(1)])
    with pytest.raises(LoadError, match="jobs"):
        load_records(warehouse, tmp_path, "employees", [person(1, jobs=jobs)])
    assert count(warehouse, "employees") == 1


ENVELOPES = ["custom_field_schema", "earning_type_lists", "contractor_payment_summary", "payroll_lines"]


@pytest.mark.parametrize("source", ENVELOPES)
@pytest.mark.parametrize("answer", [{}, [], [{}], [{}, {}]])
def test_an_answer_with_nothing_in_it_is_no_rows(warehouse, tmp_path, source, answer):
    table = SOURCES[source].table
    done = load_landed(warehouse, landing(tmp_path, table, [answer]))[COMPANY]
    assert set(done.rows.values()) == {0}
    assert done.drift == {}


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("earning_type_lists", {"error": "a private word"}),
        ("earning_type_lists", [{"uuid": "t-1", "name": "Bonus"}]),
        ("earning_type_lists", [None]),
        ("contractor_payment_summary", [{"uuid": "p-1", "wage": "12.00"}]),
        ("contractor_payment_summary", {"contractor_payments": [{"uuid": "p-1", "wage": "12.00"}]}),
        ("custom_field_schema", [{"uuid": "f-1"}]),
        ("payroll_lines", [{"employee_compensations": []}, {"error": "a private word"}]),
        ("pay_periods", [{"start_date": "2026-01-01"}, {"error": "a private word"}]),
        ("rehires", {"errors": [{"message": "a private word"}]}),
        ("pay_schedule_assignments", {"type": "single", "departments": [{"id": 7}]}),
        ("employees", [{"uuid": "e-1", "terminations": [{"date": "2026-01-01"}]}]),
    ],
)
def test_records_of_another_kind_are_refused_rather_than_loaded_as_nothing(warehouse, tmp_path, source, answer):
    table = SOURCES[source].table
    with pytest.raises(LoadError, match=f"^{source}: .*none of the fields") as caught:
        load_landed(warehouse, landing(tmp_path, table, [answer]))
    assert "private" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "problem"), [({"error": 1}, "have none of the fields declared"), ("text", "is not the object")]
)
def test_of_many_answers_the_one_of_another_shape_is_named(warehouse, tmp_path, bad, problem):
    table = SOURCES["employment_history"].table
    pages = landing(tmp_path, table, [[{"hire_date": None}], [bad], []]).pages
    asked = tuple(dataclasses.replace(page, path=f"/v1/{number}") for number, page in enumerate(pages, 1))
    with pytest.raises(LoadError, match=problem) as caught:
        load_landed(warehouse, Landing(COMPANY, table, asked))
    assert "/v1/2" in str(caught.value)


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([person(1), person(1)], "1 rows repeat the key uuid"),
        ([person(1), {"first_name": "Nobody"}], "1 rows have no uuid"),
    ],
)
def test_bad_keys_refuse_the_load_and_keep_the_last_good_rows(warehouse, tmp_path, records, problem):
    load_records(warehouse, tmp_path, "employees", [person(number) for number in range(3)])
    with pytest.raises(LoadRefusedError, match=problem):
        load_records(warehouse, tmp_path, "employees", records)
    assert count(warehouse, "employees") == 3


def test_fewer_rows_than_the_api_counts_refuse_the_load(warehouse, tmp_path):
    with pytest.raises(LoadRefusedError, match="1 rows arrived where Gusto says there are 2"):
        load_records(warehouse, tmp_path, "employees", [person(1)], total=2)
    assert count(warehouse, "employees") == 0


def test_losing_more_than_half_of_the_rows_needs_a_persons_word(warehouse, tmp_path):
    load_records(warehouse, tmp_path, "employees", [person(number) for number in range(20)])
    few = [person(number) for number in range(9)]
    with pytest.raises(LoadRefusedError, match="only 9 rows where the last good sync had 20"):
        load_records(warehouse, tmp_path, "employees", few)
    assert count(warehouse, "employees") == 20
    load_records(warehouse, tmp_path, "employees", few, accept_shrink=True)
    assert count(warehouse, "employees") == 9


def test_one_companys_load_leaves_the_other_companys_rows(warehouse, tmp_path):
    load_records(warehouse, tmp_path, "employees", [person(1)])
    load_landed(warehouse, landing(tmp_path, SOURCES["employees"].table, [[person(1)]], company="another"))
    with warehouse.read() as connection:
        found = connection.execute("SELECT company_uuid FROM staging.employees").fetchall()
    assert sorted(found) == [("another",), (COMPANY,)]


def without_comment(warehouse: Warehouse, table: Table) -> list[str]:
    names = ", ".join(f"'{of.table.name}'" for of in rows(table))
    with warehouse.read() as connection:
        bare = connection.execute(
            f"SELECT table_name FROM duckdb_tables() WHERE table_name IN ({names}) AND schema_name = 'staging' "
            "AND comment IS NULL UNION ALL SELECT table_name || '.' || column_name FROM duckdb_columns() "
            f"WHERE table_name IN ({names}) AND schema_name = 'staging' AND comment IS NULL"
        ).fetchall()
    return [name for (name,) in bare]


@pytest.mark.parametrize("source", SOURCES)
def test_a_sources_tables_and_columns_have_comments_once_it_was_loaded(warehouse, tmp_path, source):
    table = SOURCES[source].table
    assert without_comment(warehouse, table)
    load_landed(warehouse, landing(tmp_path, table, [[]]))
    assert without_comment(warehouse, table) == []


def test_a_newer_catalogs_comments_replace_those_that_are_there(warehouse, tmp_path):
    table = SOURCES["locations"].table
    load_records(warehouse, tmp_path, "locations", [])
    with Warehouse(warehouse.path, [dataclasses.replace(table, comment="Where people work")]).write() as connection:
        found = connection.execute("SELECT comment FROM duckdb_tables() WHERE table_name = 'locations'").fetchall()
    assert ("Where people work",) in found


def test_a_column_a_newer_catalog_adds_is_added_to_the_table_that_exists(tmp_path):
    table = SOURCES["locations"].table
    older = Table(name="locations", singular="location", comment="x", columns=table.columns[:3])
    with Warehouse(tmp_path / "w.duckdb", [older]).write() as connection:
        connection.execute("INSERT INTO staging.locations (uuid) VALUES ('l-1')")
    with Warehouse(tmp_path / "w.duckdb", [table]).write() as connection:
        assert connection.execute("SELECT uuid, city FROM staging.locations").fetchall() == [("l-1", None)]


SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "gusto-openapi.json"

EXAMPLES = {
    "company": ("Company",),
    "locations": ("Location",),
    "departments": ("Department",),
    "admins": ("Admin",),
    "custom_field_schema": ("Company-Custom-Field-List",),
    "employees": ("Show-Employees", "Employee"),
    "contractors": ("Contractor",),
    "pay_schedules": ("Pay-Schedule",),
    "pay_schedule_assignments": ("Pay-Schedule-Assignment",),
    "payrolls": ("Payroll-List",),
    "pay_periods": ("Pay-Period",),
    "earning_type_lists": ("Earning-Type-List",),
    "time_off": ("Time-Off-Request", "Time-Off-Request-List"),
    "time_off_policies": ("Time-Off-Policy",),
    "time_off_activities": ("Time-Off-Activity",),
    "work_addresses": ("Employee-Work-Address", "Employee-Work-Addresses-List"),
    "home_address_history": ("Employee-Address", "Employee-Address-List"),
    "employment_history": ("Employment-History-List",),
    "rehires": ("Rehire",),
    "contractor_payment_summary": ("Contractor-Payment-Summary",),
    "company_benefits": ("Company-Benefit",),
    "employee_benefits": ("Employee-Benefit",),
    "payroll_lines": ("Payroll-Show",),
}


@pytest.mark.skipif(not SHARED.exists(), reason="Gusto's API description is not here")
@pytest.mark.parametrize("source", EXAMPLES)
def test_gustos_published_examples_load_without_loss(warehouse, tmp_path, source):
    schemas = json.loads(SHARED.read_text())["components"]["schemas"]
    for schema in EXAMPLES[source]:
        for example in schemas[schema]["x-examples"].values():
            records = example if isinstance(example, list) else [example]
            done = load_records(warehouse, tmp_path, source, records)
            assert done.drift == {}
            with warehouse.read() as connection:
                for table_rows in rows(SOURCES[source].table):
                    found = staged(connection, table_rows)
                    wanted = expected(table_rows, records)
                    assert sorted(found, key=repr) == sorted(wanted, key=repr)


def records_of(table: Table) -> st.SearchStrategy[dict[str, object]]:
    """Records as the declared table allows them: any text, any value of each type, keys missing or null."""
    text = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
    money = st.decimals(-(10**9), 10**9, places=4).map(str)
    by_type: dict[str, st.SearchStrategy[object]] = {
        TEXT: text,
        LIST: st.lists(text, max_size=3),
        JSON: st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(), max_size=2),
        "DATE": st.dates().map(str) | st.just(""),
        "TIMESTAMPTZ": st.datetimes(timezones=st.just(NOW.tzinfo)).map(lambda t: t.isoformat(timespec="milliseconds")),
        "BOOLEAN": st.booleans(),
        "BIGINT": st.integers(-(2**62), 2**62),
    }

    @st.composite
    def record(draw: st.DrawFn) -> dict[str, object]:
        made: dict[str, object] = {}
        for column in table.columns:
            if draw(st.booleans()) and column.path not in table.key:
                _put(made, column.path, draw(st.none() | by_type.get(column.type, money)))
        for child in table.children:
            for path in child.at:
                if path.endswith("[]"):
                    _put(made, path[:-2], draw(st.none() | st.lists(records_of(child), max_size=3)))
                else:
                    _put(made, path[:-2], draw(st.dictionaries(st.dates().map(str), money, max_size=3)))
        return made

    return record()


def _put(record: dict[str, object], path: str, value: object) -> None:
    *parents, last = path.split(".")
    for part in parents:
        inner = record.setdefault(part, {})
        assert isinstance(inner, dict)
        record = inner
    record[last] = value


def _number(table: Table, found: list[dict[str, object]], prefix: str = "u") -> None:
    for number, record in enumerate(found):
        for key in table.key:
            if key in {column.path for column in table.columns} and key != "key":
                record[key] = f"{prefix}-{number}"
        for child in table.children:
            for place, path in enumerate(child.at):
                inner: object = record
                for part in path[:-2].split("."):
                    inner = inner.get(part) if isinstance(inner, dict) else None
                if isinstance(inner, list):
                    _number(child, inner, f"{prefix}-{number}.{place}")


@pytest.mark.parametrize(
    "source",
    [
        "company",
        "employees",
        "contractors",
        "time_off",
        "payrolls",
        "pay_periods",
        "payroll_lines",
        "contractor_payment_summary",
    ],
)
def test_any_record_of_the_declared_shape_becomes_exactly_its_rows(source, tmp_path_factory):
    table = SOURCES[source].table
    folder = tmp_path_factory.mktemp("any")

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(records_of(table), max_size=1 if source == "company" else 3))
    def check(records: list[dict[str, object]]) -> None:
        _number(table, records)
        load(connection, [landing(folder, table, [records])], seen_at=NOW, accept_shrink=True)
        for table_rows in rows(table):
            found = staged(connection, table_rows)
            assert sorted(found, key=repr) == sorted(expected(table_rows, records), key=repr)

    with open_warehouse(folder).write() as connection:
        check()


def test_raw_keeps_every_record_as_it_came_with_its_request(warehouse, tmp_path):
    records = [person(number, oddity={"deep": [number]}) for number in range(3)]
    load_records(warehouse, tmp_path, "employees", records)
    with warehouse.read() as connection:
        found = connection.execute("SELECT record, request_id, received_at FROM raw.employees").fetchall()
    assert sorted(json.loads(row[0])["uuid"] for row in found) == ["e-0", "e-1", "e-2"]
    assert {row[1:] for row in found} == {("request-1", NOW)}


def test_a_file_duckdb_cannot_open_is_a_readable_error(tmp_path):
    from gusto_pipeline.warehouse.warehouse import WarehouseError

    (tmp_path / "warehouse.duckdb").write_text("this is no database")
    with pytest.raises(WarehouseError, match="cannot be opened"), open_warehouse(tmp_path).read():
        pytest.fail("it opened")
    assert (tmp_path / "warehouse.duckdb").read_text() == "this is no database"


def test_a_write_that_fails_leaves_the_last_committed_rows(warehouse, tmp_path):
    load_records(warehouse, tmp_path, "employees", [person(1)])

    def fail_halfway() -> None:
        with warehouse.write() as connection:
            connection.execute("DELETE FROM staging.employees")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    with duckdb.connect(warehouse.path, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM staging.employees").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("job", "field"),
    [({"location": "Paris"}, r"jobs\[\]\.location"), ({"compensations": {}}, r"jobs\[\]\.compensations")],
)
def test_a_nested_field_of_another_shape_is_named_and_nothing_of_it_quoted(warehouse, tmp_path, job, field):
    with pytest.raises(LoadError, match=f"field {field} is not the .* in 1 records") as caught:
        load_records(warehouse, tmp_path, "employees", [person(1, jobs=[{"uuid": "j-1", **job}])])
    assert "Paris" not in str(caught.value)


def test_answers_landed_in_several_batches_become_the_same_rows(warehouse, tmp_path, monkeypatch):
    monkeypatch.setattr("gusto_pipeline.warehouse.load._BATCH", 1)
    pages = [[person(2 * page, jobs=[{"uuid": f"j-{page}"}]), person(2 * page + 1)] for page in range(3)]
    landed = landing(tmp_path, SOURCES["employees"].table, pages, total=6)
    done = load_landed(warehouse, landed)[COMPANY]
    assert (done.rows["employees"], done.rows["jobs"]) == (6, 3)
    with warehouse.read() as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT request_id) FROM raw.employees").fetchall() == [
            (6, 3)
        ]
        found = connection.execute("SELECT employee_uuid, uuid FROM staging.jobs ORDER BY ALL").fetchall()
    assert found == [("e-0", "j-0"), ("e-2", "j-1"), ("e-4", "j-2")]


def test_rows_numbered_across_answers_are_numbered_on_whatever_their_size(warehouse, tmp_path, monkeypatch):
    monkeypatch.setattr("gusto_pipeline.warehouse.load._BATCH", 1)
    table = SOURCES["employment_history"].table
    first, second = landing(tmp_path, table, [[{}, {}], [{}]]).pages
    same = dataclasses.replace(second, links=first.links)
    load_landed(warehouse, Landing(COMPANY, table, (first, same)))
    with warehouse.read() as connection:
        found = connection.execute("SELECT position FROM staging.employment_history ORDER BY ALL").fetchall()
    assert found == [(1,), (2,), (3,)]


class TestManyCompanies:
    """Loaded at once, each as if it were alone."""

    @pytest.mark.parametrize("source", ["employees", "employment_history", "payrolls"])
    def test_together_they_become_what_each_becomes_alone(self, source, tmp_path_factory):
        table, folder = SOURCES[source].table, tmp_path_factory.mktemp("many")
        names = [f"raw.{table.name}", *(table_rows.staging for table_rows in rows(table))]

        @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(st.lists(records_of(table), max_size=3), min_size=2, max_size=3))
        def check(answers: list[list[dict[str, object]]]) -> None:
            for records in answers:
                _number(table, records)
            landings = [
                landing(folder, table, [records], company=f"company-{number}") for number, records in enumerate(answers)
            ]
            loads = load(together, landings, seen_at=NOW, accept_shrink=True)
            for one in landings:
                done = load(alone, [one], seen_at=NOW, accept_shrink=True)
                assert done == {one.company_uuid: loads[one.company_uuid]}
            for name in names:
                found = [connection.execute(f"FROM {name}").fetchall() for connection in (alone, together)]
                assert sorted(found[0], key=repr) == sorted(found[1], key=repr)

        with open_warehouse(folder / "alone").write() as alone, open_warehouse(folder / "together").write() as together:
            check()

    def test_what_one_lacks_is_counted_for_it_alone(self, warehouse, tmp_path):
        table = SOURCES["employees"].table
        good = landing(tmp_path, table, [[person(1), person(2)]], total=2, company="good")
        bad = landing(tmp_path, table, [[person(1), person(1), {}]], total=4, company="bad")
        with pytest.raises(LoadRefusedError) as caught:
            load_landed(warehouse, good, bad)
        assert {check.problem for check in caught.value.checks if not check.passed} == {
            "1 rows have no uuid",
            "1 rows repeat the key uuid",
            "3 rows arrived where Gusto says there are 4",
        }
        assert count(warehouse, "employees") == 0

    def test_one_that_nothing_arrived_for_is_emptied(self, warehouse, tmp_path):
        table = SOURCES["employees"].table
        both = [landing(tmp_path, table, [[person(1)]], company=company) for company in ("first", "second")]
        load_landed(warehouse, *both)
        loads = load_landed(warehouse, both[0], Landing("second", table, ()))
        assert [loads[company].rows["employees"] for company in ("first", "second")] == [1, 0]
        assert count(warehouse, "employees") == 1

    def test_memory_holds_the_fields_of_so_many_that_their_answers_are_big(self, warehouse, tmp_path, monkeypatch):
        monkeypatch.setattr("gusto_pipeline.warehouse.load._MEMORY", "200MB")
        table = SOURCES["departments"].table
        fields = {f"field_{number}": number for number in range(300)}
        answer = [{"uuid": f"d-{number}", **fields} for number in range(100)]
        landings = [landing(tmp_path, table, [answer], company=f"company-{number}") for number in range(50)]
        loads = load_landed(warehouse, *landings)
        assert [load.drift for load in loads.values()] == [{"departments": sorted(fields)}] * 50


def test_any_text_goes_into_sql_and_comes_out_as_it_was():
    @settings(deadline=None)
    @given(st.lists(st.tuples(st.text(st.characters(blacklist_categories=("Cs",))), st.integers(0, 2**63 - 1))))
    def check(records: list[tuple[str, int]]) -> None:
        found = connection.execute(inline(("name", "number"), records)).fetchall()
        assert found == [(name, str(number)) for name, number in records]

    with duckdb.connect() as connection:
        check()
