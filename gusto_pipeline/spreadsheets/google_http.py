"""How requests reach Google: signed in, paced, repeated when that can help, and refused in words people understand."""

import email.utils
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import google.auth.credentials
import google.auth.exceptions
import google.oauth2.credentials
import google.oauth2.service_account
import gspread
import requests
import tenacity
from gspread.exceptions import APIError

from gusto_pipeline.clock import Clock, utcnow
from gusto_pipeline.spreadsheets.sheets import SpreadsheetError

# What we may do: see and edit spreadsheets, and create files. Other files in Drive stay out of reach.
SCOPES = ("https://www.googleapis.com/auth/spreadsheets", "https://www.googleapis.com/auth/drive.file")
TOKEN_URI = "https://oauth2.googleapis.com/token"

PER_MINUTE = 55  # reads, and as many writes; Google allows 60 of each per user and project
BUDGET = timedelta(minutes=10)  # for a request, or a write, with all its repetitions
TIMEOUT = (10, 180)  # seconds to connect, and for an answer: Google itself gives up after 180
LONGEST_WAIT = 64.0  # seconds between two attempts, unless Google asks for more

RATE_REASONS = {"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"}


class GoogleSheetsError(SpreadsheetError):
    """Google refused or could not be reached; says why and what to do next."""


class GoogleAccessError(GoogleSheetsError):
    """Google no longer signs us in: a person must connect it again."""


def google_client(
    credentials: Mapping[str, Any],
    *,
    base_urls: Mapping[str, str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Clock = utcnow,
) -> gspread.Client:
    """A gspread client that paces and repeats its requests and raises GoogleSheetsError.

    `credentials` is the JSON of a service account's key, or an OAuth record with refresh_token, client_id and
    client_secret (token_uri if it is not Google's). `base_urls` maps Google's addresses, such as
    "https://sheets.googleapis.com", to others. Raises GoogleSheetsError if the credentials are not complete.
    """
    urls = dict(base_urls or {})
    auth, who = _signed_in(credentials, urls)
    http = partial(GoogleHTTPClient, who=who, base_urls=urls, sleep=sleep, clock=clock)
    return gspread.Client(auth, http_client=cast(type[gspread.HTTPClient], http))


def _signed_in(
    record: Mapping[str, Any], base_urls: Mapping[str, str]
) -> tuple[google.auth.credentials.Credentials, str]:
    """The credentials and, in words, whose they are."""
    service = record.get("type") == "service_account" or "private_key" in record
    needed = ("client_email", "private_key") if service else ("refresh_token", "client_id", "client_secret")
    if missing := [name for name in needed if not record.get(name)]:
        raise GoogleSheetsError(
            f"the credentials for Google lack {', '.join(missing)}; give the JSON key of a service account, "
            "or the refresh_token, client_id and client_secret of an OAuth client"
        )
    token_uri = _moved(record.get("token_uri") or TOKEN_URI, base_urls)
    if not service:
        # Without naming scopes: the token has those that were consented to.
        user = google.oauth2.credentials.Credentials(
            None,
            refresh_token=record["refresh_token"],
            token_uri=token_uri,
            client_id=record["client_id"],
            client_secret=record["client_secret"],
        )
        return user, "the Google account that gave its consent"
    try:
        account = google.oauth2.service_account.Credentials.from_service_account_info(
            {**record, "token_uri": token_uri}, scopes=SCOPES
        )
    except ValueError:
        raise GoogleSheetsError(
            f"the private key of the service account {record['client_email']} is damaged; "
            "give the JSON file exactly as Google made it"
        ) from None
    return ServiceAccount(account), f"the service account {record['client_email']}"


class ServiceAccount(google.auth.credentials.Credentials):
    """A service account's tokens, and nothing more: left alone, google-auth also sends each token to another of
    Google's addresses from a thread of its own, to learn of regional restrictions that spreadsheets do not know."""

    def __init__(self, account: google.oauth2.service_account.Credentials) -> None:
        super().__init__()
        self._account = account

    def refresh(self, request: Any) -> None:
        self._account.refresh(request)
        self.token, self.expiry = self._account.token, self._account.expiry


def _moved(url: str, base_urls: Mapping[str, str]) -> str:
    for public, actual in base_urls.items():
        if url.startswith(public):
            return actual + url.removeprefix(public)
    return url


class GoogleHTTPClient(gspread.HTTPClient):
    """gspread's requests, made to last. `requests_sent` counts them, repeated ones included."""

    def __init__(
        self,
        auth: google.auth.credentials.Credentials,
        session: requests.Session | None = None,
        *,
        who: str,
        base_urls: Mapping[str, str],
        sleep: Callable[[float], None],
        clock: Clock,
    ) -> None:
        super().__init__(auth, session)
        self.set_timeout(TIMEOUT)
        self.requests_sent = 0
        self._who = who
        self._base_urls = base_urls
        self._sleep = sleep
        self._clock = clock
        self._deadline: datetime | None = None
        self._sent: dict[bool, deque[datetime]] = {True: deque(), False: deque()}
        self._lock = threading.Lock()

    @contextmanager
    def budget(self) -> Iterator[None]:
        """All requests made inside share one budget of time; else each has its own."""
        self._deadline = self._clock() + BUDGET
        try:
            yield
        finally:
            self._deadline = None

    def request(
        self,
        method: str,
        endpoint: str,
        params: Any = None,
        data: bytes | None = None,
        json: Mapping[str, Any] | None = None,
        files: Any = None,
        headers: MutableMapping[str, str] | None = None,
    ) -> requests.Response:
        """One request, repeated on 408, 429, 5xx and lost connections until the budget is spent.

        A POST that would do its work twice is repeated only if Google did not take it. Raises GoogleSheetsError.
        """
        deadline = self._deadline or self._clock() + BUDGET
        # Whoever sends a batchUpdate looks at the spreadsheet if a repeated one is refused.
        repeatable = method.lower() != "post" or endpoint.endswith(":batchUpdate")
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: _passing(error, repeatable)),
            wait=self._pause,
            stop=lambda state: self._clock() + timedelta(seconds=state.upcoming_sleep) > deadline,
            sleep=self._sleep,
            reraise=True,
        )
        url = _moved(endpoint, self._base_urls)
        try:
            return attempts(self._attempt, method, url, params, data, json, files, headers)
        except APIError as error:
            kind = GoogleAccessError if error.response.status_code == 401 else GoogleSheetsError
            raise kind(_refusal(error, self._who)) from None
        except google.auth.exceptions.RefreshError as error:
            kind = GoogleSheetsError if error.retryable else GoogleAccessError
            raise kind(_not_signed_in(error, self._who)) from None
        except (requests.RequestException, google.auth.exceptions.TransportError) as error:
            raise GoogleSheetsError(
                f"Google could not be reached ({type(error).__name__}); check the network and run again"
            ) from None

    def _attempt(self, method: str, url: str, *arguments: Any) -> requests.Response:
        self._take_turn(method.lower() == "get")
        self.requests_sent += 1
        response = super().request(method, url, *arguments)
        if "json" in response.headers.get("content-type", ""):
            response.json()  # an answer cut short counts as lost
        return response

    def _take_turn(self, read: bool) -> None:
        """Waits until fewer than PER_MINUTE requests of this sort were sent within a minute."""
        with self._lock:
            sent = self._sent[read]
            if len(sent) == PER_MINUTE:
                wait = (sent.popleft() + timedelta(minutes=1) - self._clock()).total_seconds()
                if wait > 0:
                    self._sleep(wait)
            sent.append(self._clock())

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds to wait: what Google asks for, and a random part so that clients do not come back together."""
        error = state.outcome.exception() if state.outcome else None
        asked = self._asked_for(error.response) if isinstance(error, APIError) else 0.0
        return asked + random.uniform(0, min(LONGEST_WAIT, 2.0**state.attempt_number))

    def _asked_for(self, response: requests.Response) -> float:
        """Retry-After (RFC 9110 section 10.2.3), in seconds or as a date."""
        text = response.headers.get("retry-after", "").strip()
        if text.isdigit():
            return float(text)
        try:
            return max(0.0, (email.utils.parsedate_to_datetime(text) - self._clock()).total_seconds())
        except (ValueError, TypeError):
            return 0.0


def _passing(error: BaseException, repeatable: bool) -> bool:
    """Whether the same request may succeed later, and may be sent again."""
    if isinstance(error, APIError):
        status = error.response.status_code
        if status == 429 or (status == 403 and _reasons(error) & RATE_REASONS):
            return True
        return repeatable and (status == 408 or status >= 500)
    if isinstance(error, google.auth.exceptions.TransportError | google.auth.exceptions.RefreshError):
        return isinstance(error, google.auth.exceptions.TransportError) or error.retryable
    lost = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return repeatable and isinstance(error, (*lost, requests.JSONDecodeError))


def _reasons(error: APIError) -> set[str]:
    """The reasons Google gives, in the form of Drive (errors) or of Sheets (details, status)."""
    entries = [*error.error.get("errors", ()), *error.error.get("details", ())]
    return {str(entry.get("reason")) for entry in entries if isinstance(entry, Mapping)}


def _refusal(error: APIError, who: str) -> str:
    status, reasons, said = error.response.status_code, _reasons(error), str(error.error.get("message", ""))
    minutes = int(BUDGET.total_seconds() // 60)
    if status == 429 or reasons & RATE_REASONS:
        return f"Google allowed no more requests for {minutes} minutes (its quota is spent); run again later"
    if status == 408 or status >= 500:
        return f"Google could not answer for {minutes} minutes (status {status}); run again later"
    if status == 401:
        return f"Google does not accept the token of {who}; run: gusto-pipeline reconnect google"
    if status == 404:
        return (
            f"Google knows no such spreadsheet, or {who} may not know of it; check its address and share it with them"
        )
    if status == 403:
        return _forbidden(reasons, said, who)
    told = said.partition('"')[0].partition("\n")[0][:200]  # after a quotation mark may come a value of somebody's row
    return f"Google refused the request (status {status}: {told})"


def _forbidden(reasons: set[str], said: str, who: str) -> str:
    if "SERVICE_DISABLED" in reasons or "accessNotConfigured" in reasons or "has not been used in project" in said:
        return (
            "the Google Sheets or Drive API is not enabled in the project of these credentials; enable both at "
            "https://console.cloud.google.com/apis/library, wait a minute and run again"
        )
    if "storageQuotaExceeded" in reasons:
        return (
            f"{who} has no storage to own a file: service accounts have none at all; create the spreadsheet in a "
            "shared drive, or as yourself and share it, or connect with OAuth instead"
        )
    if "ACCESS_TOKEN_SCOPE_INSUFFICIENT" in reasons or "insufficient authentication scopes" in said:
        return (
            f"{who} has not consented to editing spreadsheets; run gusto-pipeline reconnect google and tick every box"
        )
    return f"no access to this spreadsheet for {who}; open it in Google Sheets and share it with them as Editor"


def _not_signed_in(error: google.auth.exceptions.RefreshError, who: str) -> str:
    said = str(error.args[0] if error.args else "")
    if "invalid_grant" not in said:
        return f"Google did not sign in {who} ({said.split(':')[0][:100]}); check the credentials and run again"
    if "service account" in who:
        return (
            f"Google no longer accepts the key of {who} (invalid_grant); check that this computer's clock is right, or "
            "make a new key in the Google Cloud console and run: gusto-pipeline connect google --credentials FILE"
        )
    return (
        f"Google no longer accepts the consent of {who} (invalid_grant): it was withdrawn or has expired, after seven "
        "days while the OAuth client is in testing; run: gusto-pipeline reconnect google"
    )
