"""Connecting apps, and reading their accounts into the warehouse: what joins connectors, store and warehouse.

A connection is one record of the connection store, called `<app>/<company>`: the fields its sign-in asks for, its
tokens, and the tenant it reaches. Ending one removes nobody's account anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import httpx

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.config import Settings
from gusto_pipeline.connections.sign_in import Obtain
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.provisioning.account import Tenant
from gusto_pipeline.provisioning.actions import Snapshot, read_accounts
from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.apps import SLUGS, app
from gusto_pipeline.provisioning.errors import AppError, NotFoundError, SignInError
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import CLIENT, Record, token_answer, token_request
from gusto_pipeline.sync import Company
from gusto_pipeline.tls import trusted

REDIRECT_URI = "http://127.0.0.1:8767/callback"


@dataclass(frozen=True)
class AppConnection:
    """A connected app: its tenant, since when, and how it signs in."""

    slug: str
    company: Company
    tenant: Tenant
    connected_at: datetime


class StoredCredentials:
    """One connection's record in the store, as a session wants it. Raises SignInError when there is none."""

    def __init__(self, store: ConnectionStore, slug: str, company: Company) -> None:
        self._store = store
        self._slug = slug
        self._name = f"{slug}/{company.slug}"

    def read(self) -> Record:
        record = self._store.read(self._name)
        if record is None:
            raise SignInError(f"{self._slug} is not connected; run: gusto-pipeline connect {self._slug}")
        return record

    def write(self, record: Record) -> None:
        self._store.write(self._name, record)

    def lock(self) -> AbstractContextManager[object]:
        return self._store.lock(self._name)


class Unstored:
    """Credentials that are being tried out: kept in memory, and nowhere when they do not work."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def read(self) -> Record:
        return dict(self.record)

    def write(self, record: Record) -> None:
        self.record = dict(record)

    def lock(self) -> AbstractContextManager[object]:
        return nullcontext()


def connect_app(
    settings: Settings,
    store: ConnectionStore,
    slug: str,
    company: Company,
    fields: Mapping[str, str],
    obtain: Obtain | None = None,
    clock: Clock = utcnow,
) -> AppConnection:
    """Keep the credentials for an app, encrypted, once one harmless request has shown that they work.

    fields: what `App.sign_in.fields` asks for, or those of `App.by_key`. obtain: how a person consents, for apps that
    want it. Raises AppError and SignInError, having kept nothing.
    """
    wanted = app(slug)
    sign_in = wanted.signs_in(fields)
    record: Record = {f.name: fields.get(f.name) or f.default or "" for f in sign_in.fields}
    if missing := [f.label for f in sign_in.fields if not record[f.name] and f.default is None]:
        raise SignInError(f"{wanted.name} needs {', '.join(missing)}")
    credentials = Unstored(record)
    with _session(settings, wanted, credentials, clock=clock) as session:
        if sign_in.consent and obtain:
            credentials.record |= _consented(wanted, session, record, obtain, clock)
    with _session(settings, wanted, credentials, clock=clock) as session:
        try:
            tenant = wanted.tenant(session)
        except NotFoundError as error:
            places = [f.label for f in sign_in.fields if f.default is None and not f.secret and f not in CLIENT]
            raise SignInError(f"{error}. Look up {', '.join(places)} again") from error
    granted = tenant.granted or tuple(str(credentials.record.get("scope") or "").replace(",", " ").split())
    now = clock()
    kept = {"tenant_id": tenant.id, "tenant_name": tenant.name, "connected_at": now.isoformat()}
    name = f"{slug}/{company.slug}"
    with store.lock(name):  # a renewal of the old tokens under way must not win
        store.write(name, credentials.record | kept)
    return AppConnection(slug, company, replace(tenant, granted=granted), now)


def disconnect_app(store: ConnectionStore, slug: str, company: Company) -> bool:
    """Forget an app's credentials; False when there were none. No account is touched, links stay."""
    name = f"{slug}/{company.slug}"
    with store.lock(name):
        there = name in store.names(f"{slug}/")
        store.delete(name)
    return there


def connected_apps(store: ConnectionStore, company: Company) -> list[AppConnection]:
    """The apps that are connected for a company, in the order of their names."""
    found = []
    for slug in SLUGS:
        record = store.read(f"{slug}/{company.slug}") if f"{slug}/{company.slug}" in store.names(f"{slug}/") else None
        if record:
            tenant = Tenant(record["tenant_id"], record["tenant_name"])
            found.append(AppConnection(slug, company, tenant, datetime.fromisoformat(record["connected_at"])))
    return found


def slugs_in_use(store: ConnectionStore) -> list[str]:
    """The apps that are connected for any company, without opening a record."""
    names = {name.partition("/")[0] for name in store.names()}
    return [slug for slug in SLUGS if slug in names]


def open_session(
    settings: Settings, store: ConnectionStore, slug: str, company: Company, *, clock: Clock = utcnow, **options: Any
) -> Session:
    """A session with a connected app. Raises SignInError when it is not connected."""
    return _session(settings, app(slug), StoredCredentials(store, slug, company), clock=clock, **options)


def read_app(
    settings: Settings, store: ConnectionStore, slug: str, company: Company, *, clock: Clock = utcnow
) -> Snapshot:
    """All accounts of the tenant that was connected, or an AppError."""
    with open_session(settings, store, slug, company, clock=clock) as session:
        return read_accounts(session, session.record["tenant_id"])


def _session(settings: Settings, wanted: App, credentials: Any, **options: Any) -> Session:
    return Session(wanted, credentials, base_url=settings.base_url(wanted.slug) or None, **options)


def _consented(wanted: App, session: Session, record: Record, obtain: Obtain, clock: Clock) -> Record:
    """What the record gets from a person's consent (RFC 6749 section 4.1, RFC 7636)."""
    consent = wanted.sign_in.consent
    assert consent
    verifier = secrets.token_urlsafe(64)

    def visit(redirect_uri: str, state: str) -> str:
        query = {
            "response_type": "code",
            "client_id": record["client_id"],
            "redirect_uri": redirect_uri,
            "state": state,
            **({"scope": " ".join(consent.scopes)} if consent.scopes else {}),
            **consent.extra,
        }
        if consent.pkce:
            digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
            query |= {"code_challenge": digest, "code_challenge_method": "S256"}
        return str(httpx.URL(session.locate(consent.url.format_map(record)), params=query))

    code, redirect_uri = obtain(REDIRECT_URI, visit)
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    if consent.pkce:
        grant["code_verifier"] = verifier
    request = token_request(wanted.sign_in, record, grant, session.locate)
    try:
        with httpx.Client(verify=trusted(str(request.url))) as http:
            response = http.send(request)
    except httpx.RequestError as error:
        raise AppError(f"cannot reach {wanted.name} at {request.url.host}: check the network") from error
    return token_answer(wanted.name, wanted.slug, response, clock())
