"""The connection to Google from its making to its end: signing in, using it, how it stands, ending it.

It is one record of the connection store, called `google`: the credentials, who they are, and since when Google refuses
them, if it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import gspread

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import Settings
from gusto_pipeline.connections.google import GoogleApp, revoke
from gusto_pipeline.connections.sign_in import SignInError
from gusto_pipeline.lifecycle import AUTHORIZED, DISCONNECTED, NEEDS_ATTENTION
from gusto_pipeline.spreadsheets.google_http import GoogleAccessError, google_client
from gusto_pipeline.spreadsheets.writers import SpreadsheetError
from gusto_pipeline.sync import open_store

NAME = "google"
_ABOUT = "https://www.googleapis.com/drive/v3/about"
_ADDRESSES = ("https://sheets.googleapis.com", "https://www.googleapis.com", "https://oauth2.googleapis.com")


@dataclass(frozen=True)
class GoogleStanding:
    """How the connection to Google stands: one of lifecycle's three states, since when and why (empty if all is well).

    `account` is the e-mail address of who signs in.
    """

    account: str
    state: str
    since: datetime | None
    why: str


def connect_google(settings: Settings, credentials: Mapping[str, Any], clock: Clock = utcnow) -> str:
    """Keep the JSON of a service account's key or a person's credentials, encrypted, once Google has accepted it.

    Gives the account's e-mail address. Raises SpreadsheetError, having kept nothing.
    """
    base_url = settings.google.base_url
    base_urls = dict.fromkeys(_ADDRESSES, base_url) if base_url else None
    account = _account(google_client(credentials, base_urls=base_urls))
    record = {
        "credentials": dict(credentials),
        "base_urls": base_urls,
        "account": account,
        "connected_at": clock().isoformat(),
    }
    store = open_store(settings)
    with store.lock(NAME):
        store.write(NAME, record)
    return account


@contextmanager
def google(settings: Settings, clock: Clock = utcnow) -> Iterator[gspread.Client]:
    """A Google client for what is done inside; whether Google still accepts the credentials is noted for `standing`.

    Raises SpreadsheetError.
    """
    record = open_store(settings).read(NAME)
    if record is None or "credentials" not in record:
        raise SpreadsheetError("Google is not connected; run: gusto-pipeline connect google")
    try:
        yield google_client(record["credentials"], base_urls=record.get("base_urls"))
    except GoogleAccessError as error:
        _note(settings, record, {"at": clock().isoformat(), "why": str(error)})
        raise
    if record.get("refused"):
        _note(settings, record, None)


def google_standing(settings: Settings, *, check: bool = False, clock: Clock = utcnow) -> GoogleStanding | None:
    """How Google stands; with `check`, after asking it once (GET /drive/v3/about). None if it was never connected."""
    store = open_store(settings)
    if check and "credentials" in (store.read(NAME) or {}):
        try:
            with google(settings, clock) as client:
                _account(client)
        except GoogleAccessError:
            pass  # noted
        except SpreadsheetError as problem:
            record = store.read(NAME) or {}
            return GoogleStanding(_who(record), NEEDS_ATTENTION, clock(), str(problem))
    found = store.read(NAME)
    if found is None:
        return None
    if ended := found.get("disconnected"):
        return GoogleStanding(_who(found), DISCONNECTED, datetime.fromisoformat(ended["at"]), f"by {ended['by']}")
    if refused := found.get("refused"):
        return GoogleStanding(_who(found), NEEDS_ATTENTION, datetime.fromisoformat(refused["at"]), refused["why"])
    connected_at = found.get("connected_at")
    return GoogleStanding(_who(found), AUTHORIZED, connected_at and datetime.fromisoformat(connected_at), "")


def disconnect_google(settings: Settings, *, by: str, clock: Clock = utcnow) -> str:
    """End the grant at Google and delete the credentials here; only when and by what it was ended stays.

    Gives what a person has to end at Google themselves, and why; empty if nothing is left. Raises SpreadsheetError
    when Google is not connected.
    """
    store = open_store(settings)
    with store.lock(NAME):
        record = store.read(NAME)
        if record is None or "credentials" not in record:
            raise SpreadsheetError("Google is not connected.")
        credentials, left = record["credentials"], ""
        store.write(NAME, {"account": _who(record), "disconnected": {"at": clock().isoformat(), "by": by}})
        if "refresh_token" in credentials:
            try:
                revoke(credentials.get("token_uri") or GoogleApp("", "", "").token_uri, credentials["refresh_token"])
            except SignInError as problem:
                left = f"{problem}. Remove this application at https://myaccount.google.com/connections"
        else:
            left = f"delete the key of {_who(record)} in the Google Cloud console: it works until then"
    return left


def _account(client: gspread.Client) -> str:
    """Who signs in, by their e-mail address. Raises SpreadsheetError."""
    answer = client.http_client.request("get", _ABOUT, params={"fields": "user(emailAddress)"})
    return str(answer.json()["user"]["emailAddress"])


def _who(record: Mapping[str, Any]) -> str:
    return str(record.get("account") or record.get("credentials", {}).get("client_email") or "")


def _note(settings: Settings, record: dict[str, Any], refused: dict[str, str] | None) -> None:
    """Since when and why Google refuses the credentials; the first time counts until it accepts them again."""
    store = open_store(settings)
    with store.lock(NAME):
        stored = store.read(NAME)
        if not stored or stored.get("credentials") != record["credentials"]:
            return  # connected anew, or ended, meanwhile
        if refused and stored.get("refused"):
            refused = {**refused, "at": stored["refused"]["at"]}
        store.write(NAME, stored | {"refused": refused})
