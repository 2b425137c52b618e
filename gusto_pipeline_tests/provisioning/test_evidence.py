"""How alike two names are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gusto_pipeline.provisioning.evidence import CONTRADICTS, Alike, alike

NAMES = st.tuples(st.text("abcdeé jn", max_size=8), st.text("abcdeé jn", max_size=8)).map(
    lambda name: (" ".join(name[0].split()), " ".join(name[1].split()))
)


def likeness(one: str, other: str) -> Alike:
    """Of names written as given/family."""
    names = [tuple(name.split("/")) for name in (one, other)]
    found = alike([names[0]], [names[1]])  # type: ignore[list-item]
    assert found
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada/moss", "ada/moss"),
        ("ada/moss", "moss/ada"),
        ("william/moss", "bill/moss"),
        ("bill/moss", "will/moss"),
        ("catherine/moss", "katherine/moss"),
        ("mary ann/moss", "mary/moss"),
        ("juan/garcia lopez", "juan/garcia"),
        ("jonathan/forrester", "jonathon/forester"),
        ("j/moss", "john/moss"),
        ("小明/王", "小明/王"),
    ],
)
def test_spellings_of_one_name_are_close(one, other):
    assert likeness(one, other).close


@pytest.mark.parametrize(
    ("one", "other"),
    [("jon/moss", "jan/moss"), ("daniel/moss", "david/moss"), ("albert/moss", "alan/moss"), ("ada/moss", "ada/quirk"),
     ("j/moss", "karl/moss"), ("ada/", "ada/moss")],
)  # fmt: skip
def test_other_names_are_not(one, other):
    assert not likeness(one, other).close


@pytest.mark.parametrize(
    ("one", "other"), [("john/moss", "mary/moss"), ("ada/moss", "zoltan/quirk"), ("ada/", "zoltan/")]
)
def test_another_given_name_contradicts(one, other):
    assert likeness(one, other).score < CONTRADICTS


def test_somebody_is_as_alike_as_any_of_their_names():
    assert alike([("margaret", "moss"), ("zo", "moss")], [("zo", "moss")]) == Alike(100, 100, 100)


def test_without_a_part_that_both_have_nothing_is_said():
    assert alike([("ada", "")], [("", "")]) is None
    assert alike([], [("ada", "moss")]) is None


@given(NAMES, NAMES)
def test_likeness_is_the_same_both_ways_and_whole_for_the_same_name(one, other):
    there, back = alike([one], [other]), alike([other], [one])
    assert (there and there.score) == (back and back.score)
    assert there is None or 0 <= there.score <= 100
    if any(one):
        itself = alike([one], [one])
        assert itself
        assert itself.score == 100
