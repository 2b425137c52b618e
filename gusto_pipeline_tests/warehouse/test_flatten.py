"""Values in SQL: what is bound arrives as it was, and binding costs no import of pandas."""

import subprocess
import sys
from datetime import UTC, date, datetime

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gusto_pipeline.warehouse.flatten import bind

texts = st.text(st.characters(exclude_categories=["Cs"]))
instants = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
values = st.one_of(
    st.none(), texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.dates(date(1, 1, 2)), instants,
    st.lists(texts),
)  # fmt: skip


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@given(values)
def test_a_bound_value_arrives_as_it_was(connection, value):
    found = bind(connection, "SELECT $1", [value]).fetchall()
    assert found == [(value,)]


@given(values)
def test_a_value_bound_by_name_arrives_as_it_was(connection, value):
    found = bind(connection, "SELECT $other, $given", {"given": value, "other": "x"}).fetchall()
    assert found == [("x", value)]


def test_a_value_that_sql_has_no_constant_for_is_refused_before_the_statement_runs(connection):
    with pytest.raises(TypeError, match="datetime cannot be bound"):
        bind(connection, "SELECT $1", [datetime(2026, 6, 15)])  # noqa: DTZ001


def test_binding_imports_no_pandas():
    code = (
        "import sys, duckdb; from gusto_pipeline.warehouse.flatten import bind; "
        "bind(duckdb.connect(), 'SELECT $1', ['x']).fetchall(); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
