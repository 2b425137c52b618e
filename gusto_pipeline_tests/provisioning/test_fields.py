"""What fits a custom field, and what is said of what does not."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gusto_pipeline.provisioning.account import CustomField
from gusto_pipeline.provisioning.fields import Misfit, fit, fit_all, same

OFFICE = CustomField("1", "Office", "text", ("Paris", "São Paulo"))


@pytest.mark.parametrize(
    ("kind", "choices", "value", "sent"),
    [
        ("text", None, "anything", "anything"),
        ("text", None, True, "true"),
        ("text", ("Paris",), "Paris", "Paris"),
        ("text", ("Paris",), "paris", None),
        ("text", ("Paris",), "Paris ", None),
        ("decimal", None, Decimal("1.50"), "1.50"),
        ("decimal", None, "much", None),
        ("decimal", None, "NaN", None),
        ("decimal", ("1.5", "2"), Decimal("1.50"), "1.5"),
        ("decimal", ("1.5", "2"), "2.5", None),
        ("integer", None, "3.0", "3"),
        ("integer", None, "3.5", None),
        ("integer", ("1", "2"), 2, "2"),
        ("integer", ("1", "2"), 3, None),
        ("date", None, date(2026, 3, 7), "2026-03-07"),
        ("date", None, datetime(2026, 3, 7, 9, tzinfo=UTC), "2026-03-07"),
        ("date", None, "7 March", None),
    ],
)
def test_a_value_is_sent_as_the_field_takes_it_or_not_at_all(kind, choices, value, sent):
    assert fit(CustomField("1", "F", kind, choices), value) == sent


@given(st.text(), st.lists(st.text(), min_size=1))
def test_of_a_drop_down_nothing_but_a_choice_is_ever_sent(value, choices):
    for kind in ("text", "decimal", "integer"):
        sent = fit(CustomField("1", "F", kind, tuple(choices)), value)
        assert sent is None or sent in choices
    assert fit(CustomField("1", "F", "text", tuple(choices)), choices[0]) == choices[0]


@pytest.mark.parametrize(
    ("a", "b", "kind", "equal"),
    [
        ("2.50", "2.5", "decimal", True),
        ("2.50", "2.5", "text", False),
        ("", "0", "decimal", False),
        ("2026-03-07T00:00:00", "2026-03-07", "date", True),
        ("x", "y", "date", False),
    ],
)
def test_numbers_and_days_are_the_same_by_what_they_mean(a, b, kind, equal):
    assert same(a, b, kind) is equal


def test_every_misfit_is_listed_with_its_people_and_the_nearest_choice():
    names = {"1": "Ada", "2": "Bo", "3": "Cy", "4": "Di", "5": "Ed"}
    given_ = {"1": "Sao Paulo", "2": "Paris", "3": "Sao Paulo", "4": None, "5": "qqq"}
    fitting, misfits = fit_all(OFFICE, "location", given_, names)
    assert fitting == {"2": "Paris"}
    common = {"attribute": "location", "field": "Office"}
    assert misfits == [
        Misfit(value="Sao Paulo", people=("Ada", "Cy"), nearest="São Paulo", **common),
        Misfit(value="qqq", people=("Ed",), nearest="", **common),
    ]
    said = "Office does not take 'Sao Paulo', which location of Ada, Cy is; nearest: 'São Paulo'"
    assert str(misfits[0]) == said
