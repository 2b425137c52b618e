"""Ways to sign in to an app, as data: what a person is asked for, and how a request proves itself.

A connection's record is a flat JSON object: the fields asked for, and what sign-in adds (`access_token`,
`refresh_token`, `expires_at`). It lives encrypted in the connection store and is never logged.
"""

from __future__ import annotations

import base64
import json as jsonlib
import re
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import httpx
import jwt

from gusto_pipeline.clock import Clock
from gusto_pipeline.provisioning.errors import RateLimitedError, ServerError, SignInError

Record = dict[str, Any]
EARLY = timedelta(seconds=60)  # renewed this long before expiry, so that no request carries a dying token


@dataclass(frozen=True)
class Field:
    """One thing to ask a person for. `name` is its key in the record; a field with a `default` may be left empty.

    file: a person names a file, and what is in it is kept.
    """

    name: str
    label: str
    secret: bool = False
    default: str | None = None
    file: bool = False


@dataclass(frozen=True, kw_only=True)
class Consent:
    """Where a person consents in the browser (RFC 6749 section 4.1.1). `extra` goes into the query as it is."""

    url: str
    scopes: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    pkce: bool = False


OFFLINE = {"access_type": "offline", "prompt": "consent"}  # Google's and Zoho's words for a new refresh token each time


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """How one app signs in. `kind` is what its settings page would call it.

    headers: what proves each request, from the record. or_else: other headers, tried when those are refused, for apps
    of which both is told. token: the form that is posted to `token_url` for an access
    token, None where the credentials themselves prove the request. basic: client id and secret go into the header
    (RFC 6749 section 2.3.1) and not the form. advice: what to do when the token endpoint refuses, by words (a regular
    expression) of its `error` and `error_description`. URLs and advice may hold `{field}`s of the record.
    """

    kind: Literal["OAuth", "API key", "client credentials", "service account"]
    fields: tuple[Field, ...]
    headers: Callable[[Record], Mapping[str, str]]
    or_else: Callable[[Record], Mapping[str, str]] | None = None
    token_url: str | None = None
    token: Callable[[Record, datetime], Mapping[str, str]] | None = None
    basic: bool = False
    consent: Consent | None = None
    advice: tuple[tuple[str, str], ...] = ()


def bearer(record: Record) -> dict[str, str]:
    """RFC 6750 section 2.1."""
    return {"Authorization": f"Bearer {record['access_token']}"}


def api_key(
    *fields: Field,
    headers: Callable[[Record], Mapping[str, str]],
    or_else: Callable[[Record], Mapping[str, str]] | None = None,
) -> SignIn:
    """Keys that are sent with every request."""
    return SignIn(kind="API key", fields=fields, headers=headers, or_else=or_else)


def basic_auth(user: Field, password: Field, *others: Field) -> SignIn:
    """HTTP Basic (RFC 7617) with two of the fields."""

    def headers(record: Record) -> dict[str, str]:
        pair = f"{record[user.name]}:{record[password.name]}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    return SignIn(kind="API key", fields=(user, password, *others), headers=headers)


CLIENT = (Field("client_id", "Client id"), Field("client_secret", "Client secret", secret=True))


def oauth(
    consent: Consent,
    token_url: str,
    *others: Field,
    basic: bool = False,
    headers: Callable[[Record], Mapping[str, str]] = bearer,
) -> SignIn:
    """Consent in a browser, then refresh tokens (RFC 6749 sections 4.1 and 6). The client's own id is asked for."""

    def token(record: Record, now: datetime) -> dict[str, str]:
        if not record.get("refresh_token"):
            raise SignInError("the access token has ended and there is no refresh token")
        return {"grant_type": "refresh_token", "refresh_token": record["refresh_token"]}

    return SignIn(
        kind="OAuth",
        fields=(*CLIENT, *others),
        headers=headers,
        token_url=token_url,
        token=token,
        basic=basic,
        consent=consent,
    )


def client_credentials(
    token_url: str, *others: Field, basic: bool = False, form: Callable[[Record], Mapping[str, str]] | None = None
) -> SignIn:
    """A client that signs in as itself (RFC 6749 section 4.4). `form`: what else its token request says."""

    def token(record: Record, now: datetime) -> dict[str, str]:
        return {"grant_type": "client_credentials", **(form(record) if form else {})}

    return SignIn(
        kind="client credentials",
        fields=(*CLIENT, *others),
        headers=bearer,
        token_url=token_url,
        token=token,
        basic=basic,
    )


ASSERTION_LIFE = timedelta(hours=1)  # the longest that apps take
CLOCK = ("timeframe|expired|not_yet", "Set the clock of this computer")


def signed_assertion(
    token_url: str,
    *fields: Field,
    key: Callable[[Record], str],
    claims: Callable[[Record], Mapping[str, str]],
    advice: tuple[tuple[str, str], ...],
) -> SignIn:
    """A service account that signs a JWT (RFC 7523 section 3, RS256), and nobody who consents each time.

    key: the private key in the record (PEM). claims: `iss`, `sub`, `aud` and `scope` as the app wants them. Either may
    raise SignInError.
    """

    def token(record: Record, now: datetime) -> dict[str, str]:
        issued = int(now.timestamp())
        payload = {**claims(record), "iat": issued, "exp": issued + int(ASSERTION_LIFE.total_seconds())}
        try:
            assertion = jwt.encode(payload, key(record), algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):  # whose text might show some of it
            raise SignInError("the key is not a private RSA key in PEM form; download or make one again") from None
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}

    advice = (*advice, CLOCK)
    return SignIn(
        kind="service account", fields=fields, headers=bearer, token_url=token_url, token=token, advice=advice
    )


def json_key(file: str) -> dict[str, str]:
    """`client_email` and `private_key` of a service account's JSON key, as Google's Cloud console makes it."""
    try:
        key = jsonlib.loads(file)
        return {name: key[name] for name in ("client_email", "private_key")}
    except (ValueError, LookupError, TypeError):
        raise SignInError("that is not the JSON key of a service account, as the Cloud console makes it") from None


class Credentials(Protocol):
    """Where one connection's record is kept. `lock` keeps threads and processes from renewing it at the same time."""

    def read(self) -> Record: ...
    def write(self, record: Record) -> None: ...
    def lock(self) -> AbstractContextManager[object]: ...


class AppAuth(httpx.Auth):
    """Proves each request; fetches or renews the access token when there is none, before it expires, and once on 401.

    A new token is stored before its first use: some apps end the old refresh token as soon as a new one is issued.
    Raises SignInError when the app refuses, naming it and what to run.
    """

    def __init__(
        self,
        name: str,
        slug: str,
        sign_in: SignIn,
        credentials: Credentials,
        locate: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._named = name, slug
        self._sign_in = sign_in
        self._credentials = credentials
        self._locate = locate
        self._clock = clock
        self._record: Record | None = None
        self._headers = sign_in.headers

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        record = self._record = self._record or self._credentials.read()
        renewed = False
        if self._sign_in.token and self._ended(record):
            record, renewed = (yield from self._renewed(record, request)), True
        request.headers.update(self._headers(record))
        response = yield request
        if response.status_code == 401 and self._sign_in.token and not renewed:
            record = yield from self._renewed(record, request)
            request.headers.update(self._headers(record))
            yield request
        elif response.status_code == 401 and self._sign_in.or_else and self._headers is not self._sign_in.or_else:
            request.headers.update(self._sign_in.or_else(record))
            response = yield request
            if response.status_code != 401:
                self._headers = self._sign_in.or_else

    def _ended(self, record: Record) -> bool:
        if not record.get("access_token"):
            return True
        expires_at: str | None = record.get("expires_at")
        return expires_at is not None and self._clock() >= datetime.fromisoformat(expires_at) - EARLY

    def _renewed(self, stale: Record, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, Record]:
        with self._credentials.lock():
            record = self._credentials.read()
            if record.get("access_token") == stale.get("access_token") or self._ended(record):
                response = yield token_request(self._sign_in, record, self._grant(record), self._locate, request)
                response.read()
                advice = [(words, step.format_map(record)) for words, step in self._sign_in.advice]
                record = {**record, **token_answer(*self._named, response, self._clock(), advice)}
                self._credentials.write(record)
            self._record = record
            return record

    def _grant(self, record: Record) -> Mapping[str, str]:
        assert self._sign_in.token
        try:
            return self._sign_in.token(record, self._clock())
        except SignInError as error:
            name, slug = self._named
            raise SignInError(f"{name}: {error}. {_again(slug)}") from error


def token_request(
    sign_in: SignIn,
    record: Record,
    grant: Mapping[str, str],
    locate: Callable[[str], str],
    before: httpx.Request | None = None,
) -> httpx.Request:
    """The POST to the token endpoint with a grant (RFC 6749 section 4.1.3 and so on), the client proving itself."""
    assert sign_in.token_url
    form, headers = dict(grant), {"Accept": "application/json"}
    if sign_in.basic:
        pair = f"{record['client_id']}:{record['client_secret']}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    elif "client_secret" in record:
        form |= {"client_id": record["client_id"], "client_secret": record["client_secret"]}
    extensions = {"timeout": before.extensions.get("timeout", {})} if before else None
    url = locate(sign_in.token_url.format_map(record))
    return httpx.Request("POST", url, data=form, headers=headers, extensions=extensions)


def token_answer(
    name: str, slug: str, response: httpx.Response, now: datetime, advice: Iterable[tuple[str, str]] = ()
) -> Record:
    """What the record keeps of a token endpoint's answer. Some apps refuse with status 200 and an `error`.

    advice: as in SignIn. Raises SignInError; RateLimitedError and ServerError when it may be asked again.
    """
    if response.status_code == 429:
        raise RateLimitedError(f"{name} gives no access token now: too many were asked for. Try later", status=429)
    if response.is_server_error:
        status = response.status_code
        raise ServerError(f"{name} failed to give an access token ({status}). Try later", status=status)
    try:
        answer = response.json()
    except ValueError:
        answer = None
    answer = answer if isinstance(answer, dict) else {}
    if not response.is_success or not answer.get("access_token"):
        said = str(answer.get("error_description") or answer.get("error") or f"status {response.status_code}")
        words = f"{answer.get('error')} {said}"
        step = next((f"{step}. " for wanted, step in advice if re.search(wanted, words)), "")
        text = f"{name} gave no access token: {said.rstrip('.')}. {step}{_again(slug)}"
        raise SignInError(text, status=response.status_code)
    kept = {"access_token": answer["access_token"], "expires_at": None}
    if isinstance(answer.get("expires_in"), int | float):
        # From our own clock and the lifetime, so that a server's clock that is off does no harm.
        kept["expires_at"] = (now + timedelta(seconds=answer["expires_in"])).isoformat()
    for also in ("refresh_token", "scope", "api_domain", "instance_url"):
        if answer.get(also):
            kept[also] = answer[also]
    return kept


def _again(slug: str) -> str:
    return f"Connect it again, run: gusto-pipeline connect {slug}"
