"""The answer of a consent reaches the terminal from a browser elsewhere too, and only the answer that was asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gusto_pipeline.connections.sign_in import SignInError, by_paste, unattended
from gusto_pipeline.sandbox.server import running

HERE = "http://127.0.0.1:8766/"


def pasting(answer: Callable[[str], str]) -> tuple[str, str]:
    """Signs in as a person who pastes what `answer` gives for the state asked with."""
    asked: list[str] = []

    def visit(redirect_uri: str, state: str) -> str:
        asked.append(state)
        return f"https://example.com/?redirect_uri={redirect_uri}"

    return by_paste(HERE, visit, ask=lambda url: answer(asked[-1]))


def address(**query: str) -> str:
    return f"{HERE}?{urlencode(query)}"


@pytest.mark.parametrize(
    "answer",
    [
        lambda state: address(state=state, code="4/the+code"),
        lambda state: f"  {address(code='4/the+code', state=state)}\n",
        lambda state: urlencode({"state": state, "code": "4/the+code"}),
        lambda state: "4/the+code",
    ],
)
def test_the_whole_address_its_query_or_the_code_alone_will_do(answer):
    assert pasting(answer) == ("4/the+code", HERE)


@pytest.mark.parametrize("state", ["", "of another sign-in", "ünïcode"])
def test_an_address_of_another_sign_in_is_refused(state):
    with pytest.raises(SignInError, match="does not belong to this sign-in"):
        pasting(lambda _: address(state=state, code="x"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda state: address(state=state, error="access_denied"), "nobody consented: access_denied"),
        (lambda state: "", "no code came back"),
    ],
)
def test_what_holds_no_code_is_refused(answer, words):
    with pytest.raises(SignInError, match=words):
        pasting(answer)


@given(st.text())
def test_whatever_is_pasted_ends_in_a_code_or_in_words(text):
    with suppress(SignInError):
        code, _ = pasting(lambda state: text)
        assert code


def test_a_code_is_in_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    with running(employees=1) as gusto:
        address = f"{gusto.base_url}/oauth/authorize?response_type=code&client_id={gusto.client_id}"
        code, _ = unattended(HERE, lambda redirect_uri, state: f"{address}&redirect_uri={redirect_uri}&state={state}")
        assert code in gusto.authority.codes
    assert code not in caplog.text
