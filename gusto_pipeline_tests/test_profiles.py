"""Profile exports: a table and a feed of changes that make each other, whatever fails in between."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import duckdb
import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gusto_pipeline import profiles
from gusto_pipeline.config import ConfigError, Profile, load_settings
from gusto_pipeline.lifecycle import purge
from gusto_pipeline.profiles import export
from gusto_pipeline.spreadsheets.sheets import SpreadsheetError
from gusto_pipeline.sync import open_warehouse
from gusto_pipeline_tests.conftest import connected

FIELDS = ["work_email", "last_name", {"column": "job__title", "name": "title"}, "phone", "date_of_birth", "terminated"]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    with connected(tmp_path_factory.mktemp("profiles"), companies=2, employees=8) as pipeline:
        for company in pipeline.companies:
            pipeline.sync("employees", company)
        yield pipeline


@pytest.fixture
def profile(request, tmp_path):
    """A profile of a name of its own."""
    name = request.node.name.partition("[")[0].removeprefix("test_")[:59]

    def made(**given):
        return Profile.model_validate(
            {"name": name, "fields": FIELDS, "format": "jsonl", "destination": str(tmp_path)} | given
        )

    return made


def change(pipeline, sql, *parameters):
    with open_warehouse(pipeline.settings).write() as connection:
        connection.execute(sql, parameters)


def lines(folder, company, name):
    path = Path(folder) / company.slug / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def written(profile, company):
    """(table, feed) as another program reads them."""
    return (lines(profile.destination, company, name) for name in (profile.name, f"{profile.name}_changes"))


def replayed(feed):
    """The table that a feed makes: values as text, by person."""
    return taken_in({}, feed)


def taken_in(table, feed):
    """What further changes make of a table."""
    people = {person: dict(fields) for person, fields in table.items()}
    for row in sorted(feed, key=lambda row: row["seq"]):
        if row["kind"] == "removed":
            del people[row["employee_uuid"]][row["field"]]
        else:
            people.setdefault(row["employee_uuid"], {})[row["field"]] = row["to"]
    return {person: fields for person, fields in people.items() if fields}


def as_text(table):
    """A table as the feed has its values."""
    return {
        row["employee_uuid"]: {
            name: json.dumps(value) if isinstance(value, bool) else value
            for name, value in row.items()
            if name not in ("company_uuid", "employee_uuid")
        }
        for row in table
    }


def test_the_first_export_has_everybody_and_adds_everything(pipeline, profile):
    one = profile()
    done = export(one, pipeline.company, pipeline.settings)
    table, feed = written(one, pipeline.company)
    assert len(table) == done.people == pipeline.count("employees")
    assert list(table[0]) == [
        "company_uuid", "employee_uuid", "work_email", "last_name", "title", "phone", "date_of_birth", "terminated",
    ]  # fmt: skip
    assert {row["kind"] for row in feed} == {"added"}
    assert [row["seq"] for row in feed] == list(range(1, done.seq + 1))
    assert done.changes == {"added": done.people * len(FIELDS), "changed": 0, "removed": 0}
    assert replayed(feed) == as_text(table)


def test_a_change_says_what_from_to_and_when_the_sync_brought_it(pipeline, profile):
    one = profile()
    before = export(one, pipeline.company, pipeline.settings)
    employee, email = pipeline.query("SELECT uuid, work_email FROM staging.employees WHERE work_email IS NOT NULL")[0]
    change(pipeline, "UPDATE staging.employees SET work_email = 'new@acme.example' WHERE uuid = $1", employee)
    after = export(one, pipeline.company, pipeline.settings)
    *_, last = list(written(one, pipeline.company))[1]
    (synced,) = pipeline.query(
        "SELECT strftime(max(finished_at), '%Y-%m-%dT%H:%M') FROM meta.syncs WHERE company_uuid = $1",
        pipeline.company.uuid,
    )[0]
    assert (last.pop("at")[:16], last) == (
        synced,
        {
            "seq": before.seq + 1, "company_uuid": pipeline.company.uuid, "employee_uuid": employee,
            "field": "work_email", "kind": "changed", "from": email, "to": "new@acme.example",
        },
    )  # fmt: skip
    assert after.changes == {"added": 0, "changed": 1, "removed": 0}


def test_what_is_as_it_was_is_not_written_again(pipeline, profile):
    one = profile()
    first = export(one, pipeline.company, pipeline.settings)
    again = export(one, pipeline.company, pipeline.settings)
    assert (first.unchanged, again.unchanged, again.seq) == (False, True, first.seq)


def test_who_no_longer_meets_the_filter_is_removed_field_by_field(pipeline, profile):
    export(profile(), pipeline.company, pipeline.settings)
    done = export(profile(filter="NOT terminated"), pipeline.company, pipeline.settings)
    table, feed = written(profile(), pipeline.company)
    assert done.changes["removed"] == len(FIELDS) * (pipeline.count("employees") - done.people) > 0
    assert replayed(feed) == as_text(table)


def test_a_field_that_is_declared_later_or_no_longer_is_added_or_removed(pipeline, profile):
    export(profile(fields=["last_name", "phone"]), pipeline.company, pipeline.settings)
    export(profile(fields=["last_name", "department"]), pipeline.company, pipeline.settings)
    table, feed = written(profile(), pipeline.company)
    assert {(row["field"], row["kind"]) for row in feed} == {
        ("last_name", "added"), ("phone", "added"), ("phone", "removed"), ("department", "added"),
    }  # fmt: skip
    assert replayed(feed) == as_text(table)


def test_each_company_has_its_own_files_and_numbers(pipeline, profile):
    one = profile()
    done = [export(one, company, pipeline.settings) for company in pipeline.companies]
    for company, exported in zip(pipeline.companies, done, strict=True):
        table, feed = written(one, company)
        assert {row["company_uuid"] for row in (*table, *feed)} == {company.uuid}
        assert [row["seq"] for row in feed] == list(range(1, exported.seq + 1))


def test_a_crash_between_the_state_and_the_files_loses_no_change_and_repeats_none(pipeline, profile, monkeypatch):
    one = profile()
    export(one, pipeline.company, pipeline.settings)
    change(pipeline, "UPDATE staging.employees SET phone = '1' WHERE company_uuid = $1", pipeline.company.uuid)
    with monkeypatch.context() as patch:
        patch.setattr(profiles, "replace_file", lambda path, fill: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            export(one, pipeline.company, pipeline.settings)
    change(pipeline, "UPDATE staging.employees SET phone = '2' WHERE company_uuid = $1", pipeline.company.uuid)
    done = export(one, pipeline.company, pipeline.settings)
    table, feed = written(one, pipeline.company)
    assert [row["seq"] for row in feed] == list(range(1, done.seq + 1))
    assert {(row["from"], row["to"]) for row in feed if row["from"] == "1"} == {("1", "2")}
    assert replayed(feed) == as_text(table)


def test_a_crash_inside_the_state_leaves_it_as_it_was(pipeline, profile, monkeypatch):
    one = profile()
    before = export(one, pipeline.company, pipeline.settings)
    change(pipeline, "UPDATE staging.employees SET phone = '3' WHERE company_uuid = $1", pipeline.company.uuid)
    with monkeypatch.context() as patch:
        patch.setattr(profiles, "KINDS", None)  # what is asked for last of all
        with pytest.raises(TypeError):
            export(one, pipeline.company, pipeline.settings)
    after = export(one, pipeline.company, pipeline.settings)
    assert after.seq - before.seq == after.changes["changed"] > 0


def in_tables(one):
    """(table, feed) of a DuckDB file, in the form the lines have."""
    with duckdb.connect(one.destination, read_only=True) as theirs:
        for name in (one.name, f"{one.name}_changes"):
            found = theirs.execute(f"FROM {name}")
            names = [column[0] for column in found.description]
            yield [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_tables_of_a_database_are_appended_to_and_replaced_beside_what_is_theirs(pipeline, profile, tmp_path):
    one = profile(format="duckdb", destination=str(tmp_path / "it.duckdb"))
    for company in pipeline.companies:
        export(one, company, pipeline.settings)
    with duckdb.connect(one.destination) as theirs:
        theirs.execute("CREATE TABLE theirs AS SELECT 1")
    change(pipeline, "UPDATE staging.employees SET phone = '4' WHERE company_uuid = $1", pipeline.company.uuid)
    for _ in range(2):
        export(one, pipeline.company, pipeline.settings)
    table, feed = in_tables(one)
    for company in pipeline.companies:
        own = [row for row in feed if row["company_uuid"] == company.uuid]
        assert [row["seq"] for row in own] == list(range(1, len(own) + 1))
        assert replayed(own).keys() == {row["employee_uuid"] for row in table if row["company_uuid"] == company.uuid}
    assert {row["phone"] for row in table if row["company_uuid"] == pipeline.company.uuid} == {"4"}
    assert {type(row["date_of_birth"]).__name__ for row in table} <= {"date", "NoneType"}
    with duckdb.connect(one.destination, read_only=True) as theirs:
        assert theirs.execute("FROM theirs").fetchall() == [(1,)]


def test_a_database_that_is_open_elsewhere_gets_the_changes_the_next_time(pipeline, profile, tmp_path):
    one = profile(format="duckdb", destination=str(tmp_path / "it.duckdb"))
    export(one, pipeline.company, pipeline.settings)
    held = subprocess.Popen(
        [sys.executable, "-c", f"import duckdb; c = duckdb.connect({one.destination!r}); print(flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with held:
        held.stdout.readline()
        change(pipeline, "UPDATE staging.employees SET phone = '5' WHERE company_uuid = $1", pipeline.company.uuid)
        with pytest.raises(SpreadsheetError, match="no change is lost"):
            export(one, pipeline.company, pipeline.settings)
        held.communicate(b"\n")
    export(one, pipeline.company, pipeline.settings)
    table, feed = in_tables(one)
    assert {row["to"] for row in feed if row["kind"] == "changed"} == {"5"}
    assert len({row["seq"] for row in feed}) == len(feed)
    assert {row["phone"] for row in table} == {"5"}


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_other_formats_hold_the_same(pipeline, profile, tmp_path, format):
    one = profile(format=format)
    done = export(one, pipeline.company, pipeline.settings)
    folder = tmp_path / pipeline.company.slug
    if format == "csv":
        with (folder / f"{one.name}_changes.csv").open(encoding="utf-8-sig", newline="") as file:
            seqs = [int(row["seq"]) for row in csv.DictReader(file)]
    else:
        found = duckdb.sql(f"SELECT seq FROM read_parquet('{folder / one.name}_changes.parquet')")
        seqs = [row[0] for row in found.fetchall()]
    assert seqs == list(range(1, done.seq + 1))


def test_files_go_to_any_filesystem(pipeline, profile):
    one = profile(destination="memory://it/people")
    done = export(one, pipeline.company, pipeline.settings)
    held = fsspec.filesystem("memory")
    found = [path for path in held.find("/it/people") if one.name in path]
    assert len(found) == 2
    assert len(held.cat(f"/it/people/{pipeline.company.slug}/{one.name}.jsonl").splitlines()) == done.people
    assert export(one, pipeline.company, pipeline.settings).unchanged


def test_a_destination_that_fails_gets_the_changes_the_next_time(pipeline, profile, monkeypatch):
    one = profile(destination="memory://it/failing")
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "put_file", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(SpreadsheetError, match="full"):
            export(one, pipeline.company, pipeline.settings)
    done = export(one, pipeline.company, pipeline.settings)
    feed = fsspec.filesystem("memory").cat(f"/it/failing/{pipeline.company.slug}/{one.name}_changes.jsonl")
    assert [json.loads(line)["seq"] for line in feed.splitlines()] == list(range(1, done.seq + 1))


def test_files_are_private(pipeline, profile, tmp_path):
    one = profile()
    export(one, pipeline.company, pipeline.settings)
    assert {path.stat().st_mode & 0o77 for path in tmp_path.rglob("*.jsonl")} == {0}


def test_a_policy_masks_or_hashes_in_table_and_feed(pipeline, profile):
    (email,) = pipeline.query("SELECT work_email FROM staging.employees WHERE work_email IS NOT NULL")[0]
    one = profile(fields=["work_email", "ssn", "last_name"], pii={"work_email": "hash", "ssn": "mask"})
    change(pipeline, "UPDATE staging.employees SET ssn = '078051120'")
    export(one, pipeline.company, pipeline.settings)
    said = json.dumps(list(written(one, pipeline.company)))
    assert "1120" in said
    assert "078051120" not in said
    assert email not in said
    assert "078051120" not in str(pipeline.query("FROM profiles.current WHERE profile = $1", one.name))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fields": ["ssn"]}, "`pii`, with keep, mask or hash"),
        ({"fields": ["phone", "phone"]}, "named twice"),
        ({"fields": ["phone", {"column": "email", "name": "Phone"}]}, "two columns would be called 'Phone'"),
        ({"pii": {"fone": "mask"}}, "did you mean phone"),
        ({"name": "No Name"}, "lower-case"),
        ({"frequency": "sometimes"}, "cron expression"),
        ({"format": "duckdb", "destination": "s3://bucket/x"}, "file of this machine"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused_naming_the_line(tmp_path, given, words):
    file = tmp_path / "pipeline.yaml"
    file.write_text(json.dumps({"profiles": [{"name": "it", "fields": ["phone"], **given}]}))
    with pytest.raises(ConfigError, match=words) as refused:
        load_settings(file)
    assert "line 1" in str(refused.value)


def test_a_column_that_is_not_there_gets_the_nearest_suggested(pipeline, profile):
    with pytest.raises(SpreadsheetError, match="'work_mail'; did you mean work_email"):
        export(profile(fields=["work_mail"]), pipeline.company, pipeline.settings)


def test_a_field_that_is_new_in_gusto_and_sounds_private_has_to_be_named(pipeline, profile):
    change(
        pipeline,
        'UPDATE raw.employees SET record = json_merge_patch(record, \'{"bank_account": "CANARY"}\')',
    )
    change(
        pipeline,
        "INSERT INTO meta.drift BY NAME SELECT company_uuid, 'employees' AS source, 'bank_account' AS field, "
        "now() AS first_seen FROM meta.companies",
    )
    with pytest.raises(SpreadsheetError, match="bank_account may be a government or bank number"):
        export(profile(fields=["bank_account"]), pipeline.company, pipeline.settings)


def test_a_company_that_was_never_synced_exports_nothing(profile, tmp_path):
    with connected(tmp_path, employees=3) as fresh, pytest.raises(SpreadsheetError, match="was not synced yet"):
        export(profile(), fresh.company, fresh.settings)


def test_a_purged_company_is_forgotten_and_its_numbers_go_on(profile, tmp_path):
    with connected(tmp_path, employees=3) as own:
        own.sync("employees")
        one = profile()
        before = export(one, own.company, own.settings)
        purge(own.settings, own.company)
        assert own.query("FROM profiles.current") == own.query("FROM profiles.changes") == []
        own.sync("employees")
        export(one, own.company, own.settings)
        assert next(iter(list(written(one, own.company))[1]))["seq"] == before.seq + 1


VALUES = st.none() | st.sampled_from(["", "a", "=1+1", 'x"y', "ä\n\u2028"])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.tuples(st.booleans(), VALUES, VALUES), min_size=3, max_size=3), min_size=1, max_size=4
    )
)  # fmt: skip
def test_the_feed_taken_in_from_any_cursor_makes_the_table(pipeline, tmp_path_factory, states):
    company = pipeline.companies[1]
    people = [row[0] for row in pipeline.query(
        "SELECT uuid FROM staging.employees WHERE company_uuid = $1 ORDER BY uuid LIMIT 3", company.uuid
    )]  # fmt: skip
    folder = tmp_path_factory.mktemp("any")
    one = Profile(
        name=f"any_{folder.name}", fields={"phone": "phone", "preferred_first_name": "given"}, format="jsonl",
        destination=str(folder), filter="employee_code = 'in'",
    )  # fmt: skip
    taken, cursor = {}, 0
    for state in states:
        with open_warehouse(pipeline.settings).write() as connection:
            for uuid, (there, phone, given_name) in zip(people, state, strict=True):
                connection.execute(
                    "UPDATE staging.employees SET employee_code = $2, phone = $3, preferred_first_name = $4 "
                    "WHERE uuid = $1",
                    [uuid, "in" if there else "out", phone, given_name],
                )
        done = export(one, company, pipeline.settings)
        table, feed = written(one, company)
        fresh = [row for row in feed if row["seq"] > cursor]
        taken, cursor = taken_in(taken, fresh), done.seq
        expected = {
            uuid: {"phone": phone, "given": given_name}
            for uuid, (there, phone, given_name) in zip(people, state, strict=True)
            if there
        }
        assert taken == replayed(feed) == as_text(table) == expected


def test_a_profile_is_exported_by_command(pipeline, command, tmp_path, monkeypatch):
    config = tmp_path / "pipeline.yaml"
    config.write_text("profiles: [{name: by_command, fields: [work_email], destination: out}]")
    monkeypatch.setenv("GUSTO_PIPELINE_CONFIG", str(config))
    ended = command("profiles", "--json")
    rows = json.loads(ended.out)
    assert {(row["profile"], row["company"]) for row in rows} == {("by_command", c.slug) for c in pipeline.companies}
    assert rows[0]["added"] == rows[0]["people"] == rows[0]["seq"]
    assert (tmp_path / "out" / pipeline.company.slug / "by_command.csv").is_file()
    wrong = command("profiles", "by_comand")
    assert (wrong.code, "did you mean by_command" in wrong.err) == (1, True)
