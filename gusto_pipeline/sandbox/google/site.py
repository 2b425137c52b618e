"""The sandbox's Google as one ASGI app: consent, /drive/v3 and /v4/spreadsheets, with quotas and faults.

Beside the faults any site has, `GoogleSite` stages its own (`google.faults`), in the words Google's errors have.
"""

import json
import math
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from gusto_pipeline.clock import Clock
from gusto_pipeline.sandbox.faults import Faults
from gusto_pipeline.sandbox.google import values
from gusto_pipeline.sandbox.google.accounts import (
    DRIVE,
    DRIVE_FILE,
    SERVICE_ACCOUNT,
    SPREADSHEETS,
    Accounts,
    Token,
)
from gusto_pipeline.sandbox.google.consent import oauth_routes
from gusto_pipeline.sandbox.google.faults import REFUSALS
from gusto_pipeline.sandbox.google.workbook import InvalidRequestError, Json, Spreadsheet, mask, new_tab

SHEETS_MIME = "application/vnd.google-apps.spreadsheet"


class GoogleError(Exception):
    """An answer that is an error, in Google's form."""

    def __init__(
        self, code: int, status: str, message: str, *, reason: str = "", drive: bool = False, retry_after: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = {"retry-after": retry_after} if retry_after else {}
        error: Json = {"code": code, "message": message}
        if drive:
            error["errors"] = [{"message": message, "domain": "global", "reason": reason}]
        else:
            error["status"] = status
            if reason:
                kind = "type.googleapis.com/google.rpc.ErrorInfo"
                error["details"] = [{"@type": kind, "reason": reason, "domain": "googleapis.com"}]
        self.body = {"error": error}


def _denied() -> GoogleError:
    return GoogleError(403, "PERMISSION_DENIED", "The caller does not have permission")


def _quota(sort: str, retry_after: str = "") -> GoogleError:
    message = (
        f"Quota exceeded for quota metric '{sort} requests' and limit '{sort} requests per minute per user' of service "
        "'sheets.googleapis.com' for consumer 'project_number:100000000001'."
    )
    return GoogleError(429, "RESOURCE_EXHAUSTED", message, reason="RATE_LIMIT_EXCEEDED", retry_after=retry_after)


@dataclass
class Drive:
    """All files. `shared` names the shared drives, which own what is created in them."""

    clock: Clock
    files: dict[str, Spreadsheet] = field(default_factory=dict)
    shared: set[str] = field(default_factory=lambda: {"shared-drive"})

    def create(self, title: str, editors: set[str], *, drive: str | None = None, key: str = "") -> Spreadsheet:
        """A new spreadsheet with one empty tab, Sheet1."""
        key = key or secrets.token_urlsafe(33)
        tab = new_tab({"sheetId": 0, "title": "Sheet1"})
        self.files[key] = Spreadsheet(key, title, set(editors), [tab], self.clock().isoformat(), drive)
        return self.files[key]


@dataclass
class GoogleSite:
    """The app's state and its answers. `per_minute` is the quota of reads, and of writes, per user."""

    drive: Drive
    accounts: Accounts
    faults: Faults
    clock: Clock
    per_minute: int = 60
    _used: Counter[tuple[str, bool, int]] = field(default_factory=Counter)

    def app(self) -> Starlette:
        def api(answer: Callable[[Request, Token], Awaitable[Any]], path: str, *methods: str) -> Route:
            return Route(path, self._guarded(answer), methods=list(methods))

        book = "/v4/spreadsheets/{key}"
        sheets = [
            api(self._create_book, "/v4/spreadsheets", "POST"),
            api(self._batch_update, book + ":batchUpdate", "POST"),
            api(self._values_batch_get, book + "/values:batchGet", "GET"),
            api(self._values_batch_update, book + "/values:batchUpdate", "POST"),
            api(self._values_append, book + "/values/{area:path}:append", "POST"),
            api(self._values_clear, book + "/values/{area:path}:clear", "POST"),
            api(self._values_get, book + "/values/{area:path}", "GET"),
            api(self._values_update, book + "/values/{area:path}", "PUT"),
            api(self._get_book, book, "GET"),
        ]
        files = "/drive/v3/files"
        drive = [
            api(self._about, "/drive/v3/about", "GET"),
            api(self._list_files, files, "GET"),
            api(self._create_file, files, "POST"),
            api(self._get_file, files + "/{key}", "GET"),
            api(self._share_file, files + "/{key}/permissions", "POST"),
        ]
        rest = Mount("/", app=_not_found)
        return Starlette(routes=[*oauth_routes(self.accounts), *sheets, *drive, rest])

    def _guarded(self, answer: Callable[[Request, Token], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            path = request.url.path
            if self.faults.strike(path, "drop-before"):
                return Dropped()
            try:
                self._stage_refusal(path)
                result = JSONResponse(await answer(request, self._caller(request)))
            except GoogleError as refused:
                return JSONResponse(refused.body, refused.code, refused.headers)
            except InvalidRequestError as wrong:
                return JSONResponse(GoogleError(400, "INVALID_ARGUMENT", str(wrong)).body, 400)
            return Dropped() if self.faults.strike(path, "drop-after") else result

        return endpoint

    def _stage_refusal(self, path: str) -> None:
        fault = self.faults.strike(path, *REFUSALS)
        if fault is None:
            return
        if fault.kind == "rate-limit":
            raise _quota("Write", fault.value)
        if fault.kind == "server-error":
            raise GoogleError(int(fault.value or 500), "INTERNAL", "Internal error encountered.")
        if fault.kind == "api-disabled":
            message = (
                "Google Sheets API has not been used in project 100000000001 before or it is disabled. Enable it by "
                "visiting https://console.developers.google.com/apis/api/sheets.googleapis.com/overview then retry."
            )
            raise GoogleError(403, "PERMISSION_DENIED", message, reason="SERVICE_DISABLED")
        if fault.kind == "rate-403":
            raise GoogleError(403, "", "User Rate Limit Exceeded", reason="userRateLimitExceeded", drive=True)
        raise _denied()

    def _caller(self, request: Request) -> Token:
        """Whose request it is, if the quota lets it in."""
        scheme, _, access = request.headers.get("authorization", "").partition(" ")
        token = self.accounts.use(access) if scheme == "Bearer" else None
        if token is None:
            raise GoogleError(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
                "valid authentication credential.",
            )
        request.scope["sandbox.grant"] = token.email
        allowed = {DRIVE, DRIVE_FILE} | ({SPREADSHEETS} if request.url.path.startswith("/v4/") else set())
        if not token.scopes & allowed:
            reason = "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
            message = "Request had insufficient authentication scopes."
            raise GoogleError(403, "PERMISSION_DENIED", message, reason=reason)
        if request.url.path.startswith("/v4/"):
            read = request.method == "GET"
            slot = token.email, read, math.floor(self.clock().timestamp() / 60)
            if self._used[slot] >= self.per_minute:
                raise _quota("Read" if read else "Write")
            self._used[slot] += 1
        return token

    def _book(self, request: Request, token: Token) -> Spreadsheet:
        book = self.drive.files.get(request.path_params["key"])
        if book is None:
            raise GoogleError(404, "NOT_FOUND", "Requested entity was not found.")
        if token.email not in book.editors:
            raise _denied()
        return book

    # Spreadsheets

    async def _create_book(self, request: Request, token: Token) -> Json:
        self._needs_storage(token, None)
        body = await _body(request)
        return self.drive.create(body.get("properties", {}).get("title", "Untitled"), {token.email}).as_json()

    async def _get_book(self, request: Request, token: Token) -> Json:
        book = self._book(request, token).as_json()
        fields = request.query_params.get("fields", "*")
        return book if fields == "*" else _masked(book, [path.split(".") for path in mask(fields)])

    async def _batch_update(self, request: Request, token: Token) -> Json:
        book = self._book(request, token)
        requests = (await _body(request)).get("requests")
        if not requests:
            raise InvalidRequestError("Must specify at least one request.")
        return {"spreadsheetId": book.id, "replies": book.apply(requests)}

    # Values

    async def _values_get(self, request: Request, token: Token) -> Json:
        book = self._book(request, token)
        return _value_range(book, request.path_params["area"], request)

    async def _values_batch_get(self, request: Request, token: Token) -> Json:
        book = self._book(request, token)
        areas = request.query_params.getlist("ranges")
        return {"spreadsheetId": book.id, "valueRanges": [_value_range(book, area, request) for area in areas]}

    async def _values_update(self, request: Request, token: Token) -> Json:
        book = self._book(request, token)
        rows = (await _body(request)).get("values", [])
        if self.faults.strike(request.url.path, "partial"):
            rows = rows[: len(rows) // 2]
        option = request.query_params.get("valueInputOption", "")
        return {"spreadsheetId": book.id} | values.write(
            *values.area(book, request.path_params["area"]), values=rows, option=option
        )

    async def _values_batch_update(self, request: Request, token: Token) -> Json:
        book = self._book(request, token)
        body = await _body(request)
        option = body.get("valueInputOption", "")
        answers = [
            {"spreadsheetId": book.id}
            | values.write(*values.area(book, entry["range"]), values=entry.get("values", []), option=option)
            for entry in body.get("data", ())
        ]
        totals = {
            f"totalU{name[1:]}": sum(int(answer[name]) for answer in answers)
            for name in ("updatedRows", "updatedColumns", "updatedCells")
        }
        return {"spreadsheetId": book.id, "responses": answers} | totals

    async def _values_append(self, request: Request, token: Token) -> Json:
        book = self._book(request, token)
        rows = (await _body(request)).get("values", [])
        option = request.query_params.get("valueInputOption", "")
        table, updates = values.append(book, request.path_params["area"], rows, option)
        return {"spreadsheetId": book.id, "tableRange": table, "updates": {"spreadsheetId": book.id} | updates}

    async def _values_clear(self, request: Request, token: Token) -> Json:
        book = self._book(request, token)
        tab, rows, columns = values.area(book, request.path_params["area"])
        for row, column in list(tab.cells):
            if row in rows and column in columns:
                tab.put((row, column), {}, ["userEnteredValue"])
        return {"spreadsheetId": book.id, "clearedRange": values.a1(tab, rows, columns)}

    # Drive

    async def _about(self, request: Request, token: Token) -> Json:
        if not request.query_params.get("fields"):
            message = "The 'fields' parameter is required for this method."
            raise GoogleError(400, "", message, reason="required", drive=True)
        return {"kind": "drive#about", "user": {"kind": "drive#user", "emailAddress": token.email}}

    async def _list_files(self, request: Request, token: Token) -> Json:
        _, named, rest = request.query_params.get("q", "").partition('name = "')
        found = [
            _file(book)
            for book in self.drive.files.values()
            if token.email in book.editors and (not named or book.title == rest.partition('"')[0])
        ]
        return {"kind": "drive#fileList", "files": found}

    async def _create_file(self, request: Request, token: Token) -> Json:
        body = await _body(request)
        parent = (body.get("parents") or [None])[0]
        self._needs_storage(token, parent)
        drive = parent if parent in self.drive.shared else None
        return _file(self.drive.create(body.get("name", "Untitled"), {token.email}, drive=drive))

    async def _get_file(self, request: Request, token: Token) -> Json:
        return _file(self._book(request, token))

    async def _share_file(self, request: Request, token: Token) -> Json:
        body = await _body(request)
        self._book(request, token).editors.add(body["emailAddress"])
        return {"kind": "drive#permission", "id": secrets.token_hex(8), "type": body["type"], "role": body["role"]}

    def _needs_storage(self, token: Token, parent: str | None) -> None:
        if token.email == SERVICE_ACCOUNT and parent not in self.drive.shared:
            message = "The user's Drive storage quota has been exceeded."
            raise GoogleError(403, "", message, reason="storageQuotaExceeded", drive=True)


class Dropped(Response):
    """An answer that never comes: the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Announcing more than is sent makes the server close the connection.
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": b"", "more_body": True})


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    error = GoogleError(404, "NOT_FOUND", "Requested entity was not found.")
    await JSONResponse(error.body, 404)(scope, receive, send)


async def _body(request: Request) -> Json:
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise InvalidRequestError("Invalid JSON payload received.") from None
    if not isinstance(body, dict):
        raise InvalidRequestError("Invalid JSON payload received. Root element must be a message.")
    return body


def _value_range(book: Spreadsheet, text: str, request: Request) -> Json:
    tab, rows, columns = values.area(book, text)
    render = request.query_params.get("valueRenderOption", "FORMATTED_VALUE")
    dates = request.query_params.get("dateTimeRenderOption", "SERIAL_NUMBER")
    major = request.query_params.get("majorDimension", "ROWS")
    found = values.read(tab, rows, columns, render, dates)
    if major == "COLUMNS":
        width = max(map(len, found), default=0)
        found = [[row[i] if i < len(row) else "" for row in found] for i in range(width)]
    answer: Json = {"range": values.a1(tab, rows, columns), "majorDimension": major}
    return answer | ({"values": found} if found else {})


def _masked(value: Any, paths: list[list[str]]) -> Any:
    """The parts of an answer that a field mask names."""
    if isinstance(value, list):
        return [_masked(entry, paths) for entry in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, part in value.items():
        deeper = [path[1:] for path in paths if path[0] == name]
        if deeper:
            kept[name] = part if [] in deeper else _masked(part, deeper)
    return kept


def _file(book: Spreadsheet) -> Json:
    entry = {"kind": "drive#file", "id": book.id, "name": book.title, "mimeType": SHEETS_MIME}
    return entry | {"createdTime": book.created, "modifiedTime": book.created}
