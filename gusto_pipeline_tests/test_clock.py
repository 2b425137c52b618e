"""Whether this machine's clock can be believed, by what servers that answer say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gusto_pipeline.clock import AHEAD, ServerTime, http_date

NOW = datetime(2026, 3, 9, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def behind(by: timedelta, **headers: str) -> httpx.Response:
    """An answer of a server whose clock is so much behind ours."""
    date = format_datetime(NOW - by, usegmt=True)
    return httpx.Response(200, headers={"date": date} | headers, request=httpx.Request("GET", "https://api.slack.test"))


def told(*answers: httpx.Response) -> str:
    time = ServerTime(lambda: NOW)
    for answer in answers:
        time(answer)
    return time.ahead


def test_a_clock_that_is_ahead_of_a_server_is_noticed_and_both_times_are_named():
    said = told(behind(timedelta(days=1)))
    assert "this machine's clock says 2026-03-09 08:00 UTC" in said
    assert "api.slack.test says 2026-03-08 08:00 UTC" in said
    assert said.endswith("Set it right")


@pytest.mark.parametrize("by", [AHEAD, timedelta(0), -timedelta(days=1)])
def test_a_clock_that_is_little_ahead_or_behind_is_taken_as_it_is(by):
    assert told(behind(by)) == ""


def test_the_limit_is_a_limit():
    assert told(behind(AHEAD + SECOND))


def test_how_long_a_cache_kept_the_answer_is_no_difference_of_clocks():
    assert told(behind(timedelta(days=1), age="86400")) == ""


def test_the_last_word_counts():
    assert told(behind(timedelta(days=1)), behind(timedelta(0))) == ""


def test_an_answer_without_a_date_changes_nothing():
    dateless = httpx.Response(200)
    assert told(dateless) == ""
    assert told(behind(timedelta(days=1)), dateless)


@given(st.text(max_size=60))
def test_what_is_no_date_is_none(value):
    found = http_date(value)
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize("value", ["", "0", "Mon, 32 Jan 2026 00:00:00 GMT", "Mon, 1 Jan 99999999999 00:00:00 GMT"])
def test_a_malformed_date_is_none(value):
    assert http_date(value) is None


@pytest.mark.parametrize("age", ["-5", "soon", "9" * 400, "0x9"])
def test_a_malformed_age_is_none(age):
    assert told(behind(timedelta(days=1), age=age))
