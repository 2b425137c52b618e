"""The analysts' file is read by others while it is replaced; everything they see is whole."""

from __future__ import annotations

import json
import stat
import subprocess
import sys

import duckdb
import pytest

from gusto_pipeline.sync import open_warehouse
from gusto_pipeline.warehouse.publish import publish
from gusto_pipeline.warehouse.warehouse import WarehouseError
from gusto_pipeline_tests.conftest import connected

# Reads until told to stop, through one connection or through a new one each time; says what it saw.
READER = """
import json, sys, threading, duckdb
path, keep = sys.argv[1], sys.argv[2] == "keep"
sql = "SELECT count(*), count(DISTINCT preferred_first_name), min(preferred_first_name) FROM {}.employees"
seen = []
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
connection = duckdb.connect(path, read_only=True)
print("reading", flush=True)
last_round = False
while not last_round:
    last_round = stop.is_set()
    if not keep:
        connection.close()
        connection = duckdb.connect(path, read_only=True)
    seen += [connection.execute(sql.format(schema)).fetchall()[0] for schema in ("staging", "flat")]
print(json.dumps(sorted(set(seen))))
"""


def named(pipeline, name: str) -> None:
    with open_warehouse(pipeline.settings).write() as connection:
        connection.execute("UPDATE staging.employees SET preferred_first_name = $1", [name])


@pytest.mark.parametrize("way", ["keep", "reopen"])
def test_a_reader_in_another_process_never_fails_and_always_sees_one_whole_state(pipeline, way):
    pipeline.start("employees")
    path = pipeline.settings.analytics
    states = [f"state {number}" for number in range(3)]
    named(pipeline, states[0])
    publish(open_warehouse(pipeline.settings), path)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(path), way], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "reading\n"
    for state in states[1:]:
        named(pipeline, state)
        publish(open_warehouse(pipeline.settings), path)
    out, _ = reader.communicate("")
    assert reader.returncode == 0
    seen = json.loads(out)
    assert all((count, different) == (40, 1) for count, different, _ in seen)
    last_seen = seen[-1][2]
    assert last_seen == (states[0] if way == "keep" else states[-1])


def test_it_is_for_its_owner_only_and_leaves_nothing_beside_it(pipeline):
    pipeline.start("departments")
    publish(open_warehouse(pipeline.settings), pipeline.settings.analytics)
    assert stat.S_IMODE(pipeline.settings.analytics.stat().st_mode) == 0o600
    assert [file.name for file in pipeline.settings.home.iterdir() if "analytics" in file.name] == ["analytics.duckdb"]


def test_it_says_what_its_columns_mean(pipeline):
    pipeline.start("departments")
    publish(open_warehouse(pipeline.settings), pipeline.settings.analytics)
    with duckdb.connect(pipeline.settings.analytics, read_only=True) as published:
        comments = published.execute(
            "SELECT comment FROM duckdb_columns() WHERE (schema_name, table_name) = ('staging', 'departments')"
        ).fetchall()
    assert comments
    assert all(comment for (comment,) in comments)


def test_a_new_field_of_gustos_is_the_last_column_of_its_flat_table_unless_it_may_be_private(tmp_path):
    with connected(tmp_path, companies=2, employees=3) as pipeline:
        for world, field in zip(pipeline.sandbox.world.companies, ("floor", "cost_center"), strict=True):
            for department in world.departments.values():
                department |= {"salary_band": "secret", field: department["title"]}
        for company in pipeline.companies:
            pipeline.sync("departments", company)
        publish(open_warehouse(pipeline.settings), pipeline.settings.analytics)
        first, second = (company.uuid for company in pipeline.companies)
        before = pipeline.query("DESCRIBE flat.departments")
    with duckdb.connect(pipeline.settings.analytics, read_only=True) as published:
        columns = published.execute("DESCRIBE flat.departments").fetchall()
        of_first = published.execute(
            "SELECT bool_and(floor = title AND cost_center IS NULL) FROM flat.departments WHERE company_uuid = $1",
            [first],
        ).fetchall()
        of_second = published.execute(
            "SELECT bool_and(cost_center = title AND floor IS NULL) FROM flat.departments WHERE company_uuid = $1",
            [second],
        ).fetchall()
        comments = published.execute(
            "SELECT DISTINCT comment FROM duckdb_columns() WHERE column_name IN ('floor', 'cost_center')"
        ).fetchall()
        fields = published.execute("SELECT DISTINCT field FROM meta.drift ORDER BY ALL").fetchall()
    assert columns[: len(before)] == before
    assert {name for name, *_ in columns[len(before) :]} == {"floor", "cost_center"}
    assert of_first == of_second == [(True,)]
    assert comments == [("A new field of Gusto's; what it means is not known here yet",)]
    assert fields == [("cost_center",), ("floor",), ("salary_band",)]


def test_where_it_cannot_be_written_the_old_one_is_kept_and_the_error_says_so(pipeline, tmp_path):
    in_the_way = tmp_path / "folder.duckdb"
    in_the_way.mkdir()
    (in_the_way / "something").touch()
    with pytest.raises(WarehouseError, match=r"folder\.duckdb cannot be written"):
        publish(open_warehouse(pipeline.settings), in_the_way)
    assert [file.name for file in in_the_way.iterdir()] == ["something"]
    assert not list(tmp_path.glob(".folder*"))
