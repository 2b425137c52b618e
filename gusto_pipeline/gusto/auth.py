"""Authorization by OAuth 2: signing in, and keeping a grant's tokens fresh while they are used.

Gusto rotates refresh tokens: a refresh gives a new pair, and the old refresh token dies at the first use of
the new access token (Gusto's guide, refresh an access token). Hence the order kept here: refresh under a lock,
store the new pair, only then use it.
"""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import httpx

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.connections.sign_in import Obtain, SignInError, Visit, unattended
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.gusto.errors import (
    GustoError,
    MalformedAnswerError,
    ReauthorizeError,
    error_for,
    unreachable,
)
from gusto_pipeline.tls import trusted

EARLY = timedelta(seconds=60)  # refreshed this long before expiry, so that no request carries a dying token


@dataclass(frozen=True)
class OAuthApp:
    """An application registered with Gusto, and which Gusto: `https://api.gusto.com` or the demo."""

    base_url: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str = "http://127.0.0.1:8765/callback"

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))


def authorize_url(app: OAuthApp, state: str) -> str:
    """Where a company's admin consents (RFC 6749 section 4.1.1). Scopes belong to the application at Gusto."""
    query = {
        "client_id": app.client_id,
        "redirect_uri": app.redirect_uri,
        "response_type": "code",
        "state": state,
    }
    return str(httpx.URL(f"{app.base_url}/oauth/authorize", params=query))


def exchange_code(app: OAuthApp, code: str) -> dict[str, Any]:
    """The token answer for an authorization code (single use, 10 minutes).

    Raises ReauthorizeError when the code is used up, ClientCredentialsError, UnreachableError, GustoError.
    """
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": app.redirect_uri}
    return _token_answer(app, _post(app, "/oauth/token", grant), "refresh_token")


def system_token(app: OAuthApp) -> dict[str, Any]:
    """The application's own token (grant system_access, 2 h, no refresh token), for events and webhooks."""
    return _token_answer(app, _post(app, "/oauth/token", {"grant_type": "system_access"}))


def revoke(app: OAuthApp, token: str) -> None:
    """Ends a token's grant at Gusto (POST /oauth/revoke)."""
    _post(app, "/oauth/revoke", {"token": token})


def connection_record(
    app: OAuthApp, answer: dict[str, Any], *, company_uuid: str | None, company_name: str | None, now: datetime
) -> dict[str, Any]:
    """What the connection store keeps of a token answer. `now`: when it was received."""
    return {
        "access_token": answer["access_token"],
        "refresh_token": answer["refresh_token"],
        "previous_refresh_token": None,
        "expires_at": _expires_at(answer, now),
        "scope": answer.get("scope", ""),
        "company_uuid": company_uuid,
        "company_name": company_name,
        "connected_at": now.isoformat(),
        "base_url": app.base_url,
    }


class GustoAuth(httpx.Auth):
    """Sends the stored access token of connection `name`; refreshes it shortly before expiry and once on a 401.

    Safe to share by threads, and by processes that share the store: one refreshes, the others take what it
    stored. Raises ReauthorizeError when the grant is dead or the connection is missing.
    """

    def __init__(self, app: OAuthApp, store: ConnectionStore, name: str, *, clock: Clock = utcnow) -> None:
        self._app = app
        self._store = store
        self._name = name
        self._clock = clock
        self._record: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"GustoAuth({self._name!r})"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        record = self._record = self._record or self._stored()
        if self._expiring(record):
            record = yield from self._renewed(record, request)
        request.headers["Authorization"] = f"Bearer {record['access_token']}"
        response = yield request
        if response.status_code == 401:
            record = yield from self._renewed(record, request)
            request.headers["Authorization"] = f"Bearer {record['access_token']}"
            response = yield request
        if response.status_code != 401:
            self._proven(record)

    def _renewed(
        self, stale: dict[str, Any], request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, dict[str, Any]]:
        with self._store.lock(self._name):
            stored = self._stored()
            if stored["access_token"] != stale["access_token"] and not self._expiring(stored):
                self._record = stored  # another thread or process was faster
                return stored
            # The older refresh token still works as long as the newer access token was never used.
            tokens = [stored["refresh_token"], stored.get("previous_refresh_token")]
            for token in filter(None, tokens):
                response = yield _refresh_request(self._app, token, request)
                response.read()
                if response.is_success:
                    break
                error = error_for(response, received_at=self._clock())
                if not isinstance(error, ReauthorizeError):
                    raise error
            else:
                raise self._dead(stored, error) from None
            answer = _token_answer(self._app, response, "refresh_token")
            renewed = stored | {
                "access_token": answer["access_token"],
                "refresh_token": answer["refresh_token"],
                "previous_refresh_token": token,
                "expires_at": _expires_at(answer, self._clock()),
                "scope": answer.get("scope", stored.get("scope", "")),
            }
            self._store.write(self._name, renewed)
            self._record = renewed
            return renewed

    def _proven(self, record: dict[str, Any]) -> None:
        """After the first use of a new access token the previous refresh token is dead: forget it."""
        if not record.get("previous_refresh_token"):
            return
        with self._store.lock(self._name):
            stored = self._store.read(self._name)
            if stored and stored["access_token"] == record["access_token"]:
                if stored["previous_refresh_token"]:
                    stored["previous_refresh_token"] = None
                    self._store.write(self._name, stored)
                self._record = stored

    def _stored(self) -> dict[str, Any]:
        record = self._store.read(self._name)
        if record is None:
            raise ReauthorizeError(
                f"there is no connection {self._name}: connect it first, run: gusto-pipeline connect gusto"
            )
        return record

    def _expiring(self, record: dict[str, Any]) -> bool:
        return datetime.fromisoformat(record["expires_at"]) - self._clock() <= EARLY

    def _dead(self, record: dict[str, Any], cause: GustoError) -> ReauthorizeError:
        text = f"Gusto no longer accepts the connection {self._name}: its authorization was revoked or has lapsed"
        if record.get("base_url") not in (None, self._app.base_url):
            text = (
                f"{self._app.base_url} does not accept the connection {self._name}, "
                f"which was made with {record['base_url']} (GUSTO_BASE_URL)"
            )
        return ReauthorizeError(
            f"{text}. To connect again, run: gusto-pipeline reconnect {self._name.replace('/', ' ')}",
            status=cause.status,
            request_id=cause.request_id,
            path=cause.path,
        )


def login(app: OAuthApp, obtain: Obtain) -> dict[str, Any]:
    """The token answer of a person's consent; `obtain` is one of the ways in `connections.sign_in`.

    Raises ReauthorizeError when nobody consented, and what `exchange_code` raises.
    """
    try:
        code, redirect_uri = obtain(
            app.redirect_uri, lambda address, state: authorize_url(replace(app, redirect_uri=address), state)
        )
    except SignInError as problem:
        raise ReauthorizeError(f"Gusto was not authorized: {problem}") from problem
    return exchange_code(replace(app, redirect_uri=redirect_uri), code)


def login_without_browser(app: OAuthApp, company: str) -> dict[str, Any]:
    """The token answer from a server that consents by itself, which the sandbox does and Gusto does not.

    `company`: name or uuid of the company to sign in as.
    """

    def obtain(redirect_uri: str, visit: Visit) -> tuple[str, str]:
        def as_company(address: str, state: str) -> str:
            return str(httpx.URL(visit(address, state)).copy_merge_params({"company": company}))

        return unattended(redirect_uri, as_company)

    return login(app, obtain)


def _refresh_request(app: OAuthApp, refresh_token: str, before: httpx.Request) -> httpx.Request:
    return httpx.Request(
        "POST",
        f"{app.base_url}/oauth/token",
        json={
            "client_id": app.client_id,
            "client_secret": app.client_secret,
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "redirect_uri": app.redirect_uri,
        },
        headers={"Accept": "application/json", "User-Agent": before.headers.get("user-agent", "")},
        extensions={"timeout": before.extensions.get("timeout", {})},
    )


def _post(app: OAuthApp, path: str, payload: dict[str, str]) -> httpx.Response:
    credentials = {"client_id": app.client_id, "client_secret": app.client_secret}
    url = httpx.URL(f"{app.base_url}{path}")
    try:
        response = httpx.post(url, json=credentials | payload, verify=trusted(str(url)))
    except httpx.RequestError as error:
        raise unreachable(error, "POST", path, url.host) from error
    if not response.is_success:
        raise error_for(response, received_at=utcnow())
    return response


def _token_answer(app: OAuthApp, response: httpx.Response, *also: str) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not all(
        isinstance(answer.get(key), str) and answer[key] for key in ("access_token", *also)
    ):
        raise MalformedAnswerError(
            f"{app.base_url}/oauth/token answered without the tokens it promises: check GUSTO_BASE_URL",
            status=response.status_code,
            path="/oauth/token",
        )
    return answer


def _expires_at(answer: dict[str, Any], now: datetime) -> str:
    # From our own clock and the lifetime, not from created_at, so that a clock that is off does no harm.
    lifetime = answer.get("expires_in")
    return (now + timedelta(seconds=lifetime if isinstance(lifetime, int) else 7200)).isoformat()
