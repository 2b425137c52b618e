"""The connection to Google over HTTP: consented to in a browser, used, withdrawn, healed and ended."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import httpx
import pytest

from gusto_pipeline.config import Settings, load_settings
from gusto_pipeline.connections.google import GoogleApp, consent
from gusto_pipeline.connections.sign_in import Obtain, SignInError, Visit, browse, by_browser, unattended
from gusto_pipeline.google_connection import (
    GoogleStanding,
    connect_google,
    disconnect_google,
    google,
    google_standing,
)
from gusto_pipeline.lifecycle import AUTHORIZED, DISCONNECTED, NEEDS_ATTENTION
from gusto_pipeline.sandbox.google.accounts import CLIENT_ID, CLIENT_SECRET, PERSON, SERVICE_ACCOUNT
from gusto_pipeline.sandbox.server import GoogleSandbox, running_google
from gusto_pipeline.spreadsheets.google_http import SCOPES, GoogleSheetsError
from gusto_pipeline.spreadsheets.writers import SpreadsheetError
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import Said
from gusto_pipeline_tests.mailbox import free_port

Command = Callable[..., Said]
WHEN = datetime(2026, 7, 2, 12, tzinfo=UTC)
LATER = WHEN + timedelta(hours=1)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[GoogleSandbox]:
    with running_google() as sandbox:
        yield sandbox


@pytest.fixture
def settings(sandbox: GoogleSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A home folder of its own, with the sandbox for Google."""
    monkeypatch.setenv("GUSTO_PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("GOOGLE_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("GOOGLE_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("GOOGLE_CLIENT_SECRET", CLIENT_SECRET)
    monkeypatch.chdir(tmp_path)
    yield load_settings()
    sandbox.faults.clear()
    sandbox.accounts.revoked.clear()


def app(settings: Settings, secret: str = CLIENT_SECRET) -> GoogleApp:
    return GoogleApp(CLIENT_ID, secret, settings.google.redirect_uri, settings.google.base_url)


def visited(address: str) -> str:
    """The page that a browser ends at."""
    with urlopen(address) as page:
        return str(page.read().decode())


def clicking(choice: str) -> Obtain:
    """A person who chooses at once."""

    def obtain(redirect_uri: str, visit: Visit) -> tuple[str, str]:
        return unattended(redirect_uri, lambda *asked: f"{visit(*asked)}&consent={choice}")

    return obtain


def connected(settings: Settings) -> str:
    return connect_google(settings, consent(app(settings), SCOPES, clicking("yes")), lambda: WHEN)


def use(settings: Settings, sandbox: GoogleSandbox, clock: datetime = WHEN) -> str:
    """The title of a spreadsheet, asked for over the connection."""
    book = sandbox.new_spreadsheet("Headcount")
    with google(settings, lambda: clock) as client:
        return str(client.open_by_key(book.id).title)


def standing(settings: Settings, *, check: bool = False) -> GoogleStanding:
    found = google_standing(settings, check=check, clock=lambda: LATER)
    assert found
    return found


def test_a_person_consents_in_a_browser_and_jobs_may_write(settings, sandbox):
    pages: list[str] = []

    def person(url: str) -> None:
        page = visited(url)
        allow = re.search(r'href="([^"]+)">Allow', page)
        assert allow
        pages.extend([page, visited(str(httpx.URL(url).join(allow[1].replace("&amp;", "&"))))])

    def announce(url: str) -> None:
        Thread(target=person, args=[url]).start()

    anywhere = GoogleApp(CLIENT_ID, CLIENT_SECRET, "http://127.0.0.1:0/", settings.google.base_url)
    obtain = partial(by_browser, open_browser=False, timeout=10, announce=announce)
    assert connect_google(settings, consent(anywhere, SCOPES, obtain)) == PERSON
    assert all(scope in pages[0] for scope in SCOPES)
    assert "go back to the terminal" in pages[1]
    assert use(settings, sandbox) == "Headcount"


def test_the_consent_is_asked_for_with_state_pkce_and_a_lasting_grant(settings):
    asked: list[httpx.URL] = []

    def obtain(redirect_uri: str, visit: Visit) -> tuple[str, str]:
        asked.append(httpx.URL(visit(redirect_uri, "state")))
        raise SignInError("seen")

    with pytest.raises(SignInError, match="seen"):
        consent(GoogleApp(CLIENT_ID, CLIENT_SECRET, "http://127.0.0.1:1/"), SCOPES, obtain)
    [url] = asked
    query = url.params
    assert str(url).startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    assert (query["state"], query["code_challenge_method"], len(query["code_challenge"])) == ("state", "S256", 43)
    assert (query["access_type"], query["prompt"]) == ("offline", "consent")
    assert set(query["scope"].split()) == set(SCOPES)


def test_a_code_without_its_verifier_is_worth_nothing(settings, sandbox):
    """Whoever reads the code on its way cannot use it."""
    stolen: list[str] = []

    def obtain(redirect_uri: str, visit: Visit) -> tuple[str, str]:
        stolen.append(clicking("yes")(redirect_uri, visit)[0])
        raise SignInError("stolen")

    with pytest.raises(SignInError, match="stolen"):
        consent(app(settings), SCOPES, obtain)
    form = {"grant_type": "authorization_code", "code": stolen[0], "redirect_uri": settings.google.redirect_uri}
    form |= {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "code_verifier": "a guess"}
    answer = httpx.post(f"{sandbox.base_url}/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("no", "nobody consented: access_denied"),
        ("yes spreadsheets", "drive.file: connect again and tick every box"),
    ],
)
def test_a_person_who_declines_or_leaves_a_box_unticked_is_believed(settings, choice, words):
    with pytest.raises(SignInError, match=re.escape(words)):
        consent(app(settings), SCOPES, clicking(choice))


def test_a_wrong_client_secret_is_named(settings):
    with pytest.raises(SignInError, match="GOOGLE_CLIENT_SECRET") as caught:
        consent(app(settings, "not-the-secret"), SCOPES, clicking("yes"))
    assert "not-the-secret" not in str(caught.value)


def test_google_out_of_reach_is_told(settings):
    away = GoogleApp(CLIENT_ID, CLIENT_SECRET, "http://127.0.0.1:1/", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SignInError, match=r"cannot reach 127\.0\.0\.1"):
        consent(away, SCOPES, clicking("yes"))


def test_credentials_are_stored_encrypted(settings):
    connected(settings)
    record = open_store(settings).read("google") or {}
    files = [file.read_bytes() for file in settings.connections.iterdir() if file.is_file()]
    assert record["credentials"]["refresh_token"]
    assert not [file for file in files if record["credentials"]["refresh_token"].encode() in file]


def test_credentials_that_google_refuses_are_not_kept(settings, sandbox):
    sandbox.accounts.revoked.add(PERSON)
    with pytest.raises(GoogleSheetsError, match="no longer accepts the consent"):
        connect_google(settings, sandbox.oauth_record)
    assert google_standing(settings) is None


def test_a_service_account_connects_with_its_key(settings, sandbox):
    assert connect_google(settings, sandbox.service_account_key) == SERVICE_ACCOUNT
    assert use(settings, sandbox) == "Headcount"


def test_without_a_connection_it_says_how_to_make_one(settings):
    with pytest.raises(SpreadsheetError, match="run: gusto-pipeline connect google"), google(settings):
        pass


# How it stands


def test_a_connection_is_authorized_since_it_was_made(settings):
    connected(settings)
    assert standing(settings) == GoogleStanding(PERSON, AUTHORIZED, WHEN, "")


def test_a_withdrawn_consent_needs_attention_since_it_was_noticed(settings, sandbox):
    connected(settings)
    sandbox.accounts.revoked.add(PERSON)
    for clock in (WHEN, LATER):
        with pytest.raises(GoogleSheetsError):
            use(settings, sandbox, clock)
    found = standing(settings)
    assert (found.state, found.since) == (NEEDS_ATTENTION, WHEN)
    assert "it was withdrawn or has expired" in found.why
    assert "gusto-pipeline reconnect google" in found.why


def test_other_troubles_at_google_say_nothing_about_the_connection(settings, sandbox):
    connected(settings)
    with pytest.raises(GoogleSheetsError, match="knows no such spreadsheet"), google(settings) as client:
        client.open_by_key("nosuch")
    assert standing(settings).state == AUTHORIZED


def test_connecting_again_heals(settings, sandbox):
    connected(settings)
    sandbox.accounts.grants.clear()
    with pytest.raises(GoogleSheetsError):
        use(settings, sandbox)
    connected(settings)
    assert use(settings, sandbox) == "Headcount"
    assert standing(settings).state == AUTHORIZED


def test_a_consent_that_works_again_heals_by_itself(settings, sandbox):
    connected(settings)
    sandbox.accounts.revoked.add(PERSON)
    with pytest.raises(GoogleSheetsError):
        use(settings, sandbox)
    sandbox.accounts.revoked.clear()
    use(settings, sandbox)
    assert standing(settings) == GoogleStanding(PERSON, AUTHORIZED, WHEN, "")


def test_what_an_older_connection_meets_is_not_held_against_a_newer_one(settings, sandbox):
    connected(settings)
    sandbox.accounts.grants.clear()
    with suppress(GoogleSheetsError), google(settings) as client:
        connected(settings)
        client.open_by_key("any")
    assert standing(settings).state == AUTHORIZED


def test_a_check_asks_google_once(settings, sandbox):
    connected(settings)
    sandbox.accounts.grants.clear()
    assert standing(settings).state == AUTHORIZED
    sandbox.requests.clear()
    found = standing(settings, check=True)
    assert (found.state, found.since) == (NEEDS_ATTENTION, LATER)
    assert [row.path for row in sandbox.requests] == ["/token"]


def test_a_check_that_cannot_be_made_needs_attention_but_is_not_remembered(settings, sandbox):
    connected(settings)
    sandbox.fault("api-disabled").path = "/drive/"
    assert "is not enabled" in standing(settings, check=True).why
    assert standing(settings).state == AUTHORIZED


# Its end


def test_disconnecting_ends_the_grant_at_google_and_forgets_it_here(settings, sandbox):
    connected(settings)
    token = (open_store(settings).read("google") or {})["credentials"]["refresh_token"]
    assert disconnect_google(settings, by="a test", clock=lambda: LATER) == ""
    assert token not in sandbox.accounts.grants
    assert token not in str(open_store(settings).read("google"))
    assert standing(settings, check=True) == GoogleStanding(PERSON, DISCONNECTED, LATER, "by a test")
    with pytest.raises(SpreadsheetError, match="not connected"):
        disconnect_google(settings, by="a test")


def test_disconnecting_what_was_withdrawn_at_google_is_fine(settings, sandbox):
    connected(settings)
    sandbox.accounts.grants.clear()
    assert disconnect_google(settings, by="a test") == ""


def test_credentials_are_deleted_also_when_google_cannot_be_told(settings, sandbox):
    connect_google(settings, sandbox.oauth_record | {"token_uri": f"{sandbox.base_url}/token"})
    sandbox.faults.add("5xx=503:/revoke")
    assert "myaccount.google.com" in disconnect_google(settings, by="a test")
    assert standing(settings).state == DISCONNECTED


def test_a_service_accounts_key_is_left_to_be_deleted_by_a_person(settings, sandbox):
    connect_google(settings, sandbox.service_account_key)
    assert SERVICE_ACCOUNT in disconnect_google(settings, by="a test")


# The command line


def test_connect_status_and_disconnect_in_the_terminal(settings, sandbox, command: Command, monkeypatch):
    def person(url: str) -> None:
        Thread(target=visited, args=[f"{url}&consent=yes"]).start()

    (settings.home / "pipeline.yaml").write_text(f"google: {{redirect_uri: 'http://127.0.0.1:{free_port()}/'}}\n")
    monkeypatch.setattr("webbrowser.open", person)
    assert PERSON in command("connect", "google").out
    [row] = json.loads(command("status", "--json", "--check").out)
    assert (row["side"], row["name"], row["connection"]) == ("google", PERSON, AUTHORIZED)
    sandbox.accounts.grants.clear()
    said = command("status", "--check")
    assert said.code == 1
    assert "google: Google no longer accepts the consent" in said.out
    assert command("reconnect", "google").code == 0
    assert command("status", "--check").code == 0
    said = command("disconnect", "google")
    assert (said.code, said.err) == (0, "")
    assert (command("status").code, sandbox.accounts.grants) == (1, {})


def test_signing_in_elsewhere_and_pasting_the_address(settings, sandbox, command: Command, monkeypatch):
    def ask(question: str, **_: object) -> str:
        url = re.search(r"Visit (\S+)", capture())
        assert url
        return browse(httpx.URL(f"{url[1]}&consent=yes")).headers["location"]

    shown: list[str] = []
    monkeypatch.setattr("gusto_pipeline.cli.console.print", lambda text="", **_: shown.append(str(text)))
    monkeypatch.setattr("typer.prompt", ask)

    def capture() -> str:
        return "\n".join(shown)

    assert command("connect", "google", "--paste").code == 0
    assert use(settings, sandbox) == "Headcount"


def test_without_a_client_or_a_key_it_says_what_to_make(settings, command: Command, monkeypatch):
    monkeypatch.delenv("GOOGLE_CLIENT_SECRET")
    said = command("connect", "google")
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert "GOOGLE_CLIENT_SECRET not set" in said.err
    assert "--credentials FILE" in said.err
