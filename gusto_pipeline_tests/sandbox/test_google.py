"""The sandbox's Google answers gspread, and refuses, the way Google does."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import gspread
import httpx
import pytest
import requests
from google.auth.transport.requests import Request
from google.oauth2 import credentials, service_account
from gspread.exceptions import APIError, SpreadsheetNotFound

from gusto_pipeline.sandbox.google.workbook import InvalidRequestError, Spreadsheet, mask, new_tab
from gusto_pipeline.sandbox.server import GoogleSandbox, running_google

SHEETS = "https://www.googleapis.com/auth/spreadsheets"
DRIVE_FILE = "https://www.googleapis.com/auth/drive.file"


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleSandbox]:
    with running_google() as sandbox:
        yield sandbox


@pytest.fixture
def book(google: GoogleSandbox) -> Iterator[Spreadsheet]:
    google.advance(60)  # quotas are full
    yield google.new_spreadsheet()
    google.faults.clear()
    google.accounts.revoked.clear()


def person(google: GoogleSandbox) -> gspread.Client:
    """gspread as it comes, but for where Google is."""

    class Redirected(gspread.HTTPClient):
        def request(self, method: str, endpoint: str, *arguments: Any, **options: Any) -> requests.Response:
            for public, actual in google.base_urls.items():
                endpoint = endpoint.replace(public, actual)
            return super().request(method, endpoint, *arguments, **options)

    record = google.oauth_record
    user = credentials.Credentials(None, **record)
    return gspread.Client(user, http_client=Redirected)


@pytest.fixture
def tab(google: GoogleSandbox, book: Spreadsheet) -> gspread.Worksheet:
    return person(google).open_by_key(book.id).sheet1


def sign_in(google: GoogleSandbox, **form: str) -> httpx.Response:
    return httpx.post(f"{google.base_url}/token", data=form)


# Signing in


def test_a_refresh_token_buys_an_access_token_for_an_hour(google):
    answer = sign_in(google, grant_type="refresh_token", **google.oauth_record).json()
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("Bearer", 3600, f"{DRIVE_FILE} {SHEETS}")


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"refresh_token": "other"}, 400, "invalid_grant"),
        ({"client_secret": "other"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_a_wrong_sign_in_is_refused(google, change, status, error):
    answer = sign_in(google, **{"grant_type": "refresh_token", **google.oauth_record} | change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def signed(google: GoogleSandbox, *scopes: str) -> str:
    """A service account's assertion, made by google-auth."""
    account = service_account.Credentials.from_service_account_info(google.service_account_key, scopes=scopes)
    return account._make_authorization_grant_assertion().decode()


def bearer(google: GoogleSandbox, assertion: str) -> httpx.Response:
    return sign_in(google, grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=assertion)


def test_a_service_account_signs_in_with_its_key(google):
    assert bearer(google, signed(google, SHEETS)).json()["scope"] == SHEETS


def forged(assertion: str, **claims: Any) -> str:
    header, body, signature = assertion.split(".")
    changed = json.loads(base64.urlsafe_b64decode(body + "==")) | claims
    return ".".join([header, base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("="), signature])


@pytest.mark.parametrize("claims", [{"scope": "everything"}, {"iss": "somebody@else"}, {"exp": 9_999_999_999}])
def test_an_assertion_that_was_changed_is_refused(google, claims):
    answer = bearer(google, forged(signed(google, SHEETS), **claims))
    assert answer.json() == {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}


@pytest.mark.parametrize("assertion", ["", "a.b", "a.b.c", "e30.e30.e30"])
def test_what_is_no_assertion_is_refused(google, assertion):
    assert bearer(google, assertion).json()["error"] == "invalid_grant"


def test_a_token_ends_after_an_hour_and_with_its_grant(google, book):
    token = sign_in(google, grant_type="refresh_token", **google.oauth_record).json()["access_token"]
    url, headers = f"{google.base_url}/v4/spreadsheets/{book.id}", {"Authorization": f"Bearer {token}"}
    assert httpx.get(url, headers=headers).status_code == 200
    google.accounts.revoked.add("pat@example.com")
    assert httpx.get(url, headers=headers).json()["error"]["status"] == "UNAUTHENTICATED"
    google.accounts.revoked.clear()
    google.advance(3600)
    assert httpx.get(url, headers=headers).status_code == 401


def test_a_token_without_the_scope_is_refused(google, book):
    token = bearer(google, signed(google, "https://www.googleapis.com/auth/calendar")).json()["access_token"]
    answer = httpx.get(f"{google.base_url}/v4/spreadsheets/{book.id}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403
    assert answer.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


# gspread


def test_files_are_created_found_and_shared(google, book):
    client = person(google)
    mine = client.create("Payroll 2026")
    assert client.open("Payroll 2026").id == mine.id
    assert {"Payroll 2026", "People"} <= {entry["name"] for entry in client.list_spreadsheet_files()}
    with pytest.raises(SpreadsheetNotFound):
        client.open("Payroll 1999")
    mine.share(google.service_account_key["client_email"], perm_type="user", role="writer", notify=False)
    assert google.service_account_key["client_email"] in google.drive.files[mine.id].editors


def test_only_those_it_is_shared_with_see_a_spreadsheet(google, book):
    account = service_account.Credentials.from_service_account_info(google.service_account_key, scopes=[SHEETS])
    account.refresh(Request())
    headers = {"Authorization": f"Bearer {account.token}"}
    other = google.new_spreadsheet(shared=False)
    answers = [
        httpx.get(f"{google.base_url}/v4/spreadsheets/{key}", headers=headers) for key in (book.id, other.id, "x")
    ]
    assert [answer.status_code for answer in answers] == [200, 403, 404]
    assert answers[1].json()["error"]["message"] == "The caller does not have permission"


def test_values_are_written_read_appended_and_cleared(tab):
    assert tab.update([["a", 1], ["b", 2.5], ["", True]], "B2")["updatedCells"] == 6
    assert tab.get_all_values() == [["", "", ""], ["", "a", "1"], ["", "b", "2.5"], ["", "", "TRUE"]]
    assert tab.get("B2:C3", value_render_option="UNFORMATTED_VALUE") == [["a", 1], ["b", 2.5]]
    assert tab.col_values(2) == ["", "a", "b"]
    assert tab.append_rows([["c", "d"]])["updates"]["updatedRange"] == "Sheet1!A5:B5"
    tab.batch_update([{"range": "A1", "values": [["x"]]}, {"range": "A2:A3", "values": [["y"], ["z"]]}])
    assert tab.batch_get(["A1:A3"])[0] == [["x"], ["y"], ["z"]]
    tab.clear()
    assert tab.get_all_values() == [[]]


def test_null_leaves_a_cell_as_it_is(tab):
    tab.update([["a", "b"]])
    tab.update([[None, ""]], "A1:B1")
    assert tab.get("A1:B1") == [["a"]]


def test_only_what_a_user_enters_is_parsed(tab, book):
    texts = ["=1+1", "02108", "'x", "true"]
    tab.update([texts], "A1:D1")
    tab.update([texts], "A2:D2", raw=False)
    held = [[book.tabs[0].value((row, column)) for column in range(4)] for row in range(2)]
    assert held[0] == [{"stringValue": text} for text in texts]
    assert held[1] == [{"formulaValue": "=1+1"}, {"numberValue": 2108.0}, {"stringValue": "x"}, {"boolValue": True}]


def test_dates_are_numbers_with_a_format(tab):
    tab.update([[46_000.5]])
    tab.spreadsheet.batch_update(
        {
            "requests": [
                {
                    "repeatCell": {
                        "range": {"sheetId": tab.id, "endRowIndex": 1, "endColumnIndex": 1},
                        "cell": {"userEnteredFormat": {"numberFormat": {"type": "DATE_TIME"}}},
                        "fields": "userEnteredFormat.numberFormat",
                    }
                }
            ]
        }
    )
    assert tab.acell("A1").value == "2025-12-09 12:00:00"
    assert tab.get("A1", value_render_option="UNFORMATTED_VALUE") == [[46_000.5]]


def test_tabs_are_added_renamed_frozen_filtered_and_deleted(tab, book):
    added = tab.spreadsheet.add_worksheet("Teams", 10, 5)
    added.update_title("Groups")
    added.freeze(rows=1)
    added.set_basic_filter("A1:C3")
    assert [(entry.title, entry.frozen_row_count) for entry in tab.spreadsheet.worksheets()] == [
        ("Sheet1", 0),
        ("Groups", 1),
    ]
    assert book.tab("groups").filter["range"]["endColumnIndex"] == 3
    added.clear_basic_filter()
    added.resize(rows=2)
    assert (book.tab("Groups").filter, book.tab("Groups").rows) == (None, 2)
    tab.spreadsheet.del_worksheet(added)
    assert [entry.title for entry in tab.spreadsheet.worksheets()] == ["Sheet1"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda tab: tab.update([["x"]], "A1001"), r"exceeds grid limits. Max rows: 1000, max columns: 26"),
        (lambda tab: tab.update([["x"], ["y"]], "A1:B1"), "tried writing outside"),
        (lambda tab: tab.update([["x" * 50_001]]), "more than the maximum of 50000 characters"),
        (lambda tab: tab.spreadsheet.add_worksheet("SHEET1", 1, 1), "already exists"),
        (lambda tab: tab.spreadsheet.add_worksheet("Big", 400_000, 26), "above the limit of 10000000 cells"),
        (lambda tab: tab.spreadsheet.del_worksheet(tab), "can't remove all the visible sheets"),
        (lambda tab: tab.freeze(rows=1000), "can't freeze all visible rows"),
        (lambda tab: tab.spreadsheet.values_get("Nowhere!A1"), "Unable to parse range"),
        (lambda tab: tab.spreadsheet.batch_update({"requests": []}), "at least one request"),
        (
            lambda tab: tab.spreadsheet.batch_update({"requests": [{"paintItRed": {}}]}),
            r"Invalid requests\[0\].paintItRed",
        ),
    ],
)
def test_what_google_refuses(tab, call, said):
    with pytest.raises(APIError, match=said) as error:
        call(tab)
    assert (error.value.code, error.value.error["status"]) == (400, "INVALID_ARGUMENT")


def test_a_batch_takes_effect_whole_or_not_at_all(tab, book):
    tab.update([["kept"]])
    area = {"sheetId": tab.id, "endRowIndex": 1, "endColumnIndex": 1}
    good = [
        {"updateSheetProperties": {"properties": {"sheetId": tab.id, "title": "New"}, "fields": "title"}},
        {"updateCells": {"range": area, "fields": "userEnteredValue"}},
        {"addSheet": {"properties": {"title": "Added"}}},
        {
            "createDeveloperMetadata": {
                "developerMetadata": {"metadataKey": "k", "location": {"sheetId": tab.id}, "visibility": "DOCUMENT"}
            }
        },
    ]
    with pytest.raises(APIError, match=r"requests\[4\].deleteSheet: No grid with id: 77"):
        tab.spreadsheet.batch_update({"requests": [*good, {"deleteSheet": {"sheetId": 77}}]})
    assert ([entry.title for entry in book.tabs], tab.acell("A1").value, book.metadata) == (["Sheet1"], "kept", [])
    tab.spreadsheet.batch_update({"requests": good})
    assert ([entry.title for entry in book.tabs], book.tabs[0].cells, len(book.metadata)) == (["New", "Added"], {}, 1)


def test_only_the_fields_asked_for_are_answered(tab):
    answer = tab.spreadsheet.fetch_sheet_metadata(
        {"fields": "spreadsheetId,sheets(properties(title,gridProperties.rowCount))"}
    )
    assert answer.keys() == {"spreadsheetId", "sheets"}
    assert answer["sheets"] == [{"properties": {"title": "Sheet1", "gridProperties": {"rowCount": 1000}}}]


def test_field_masks():
    assert mask("a,b(c,d.e(f)),g/h") == ["a", "b.c", "b.d.e.f", "g.h"]


def test_copies_keep_text_as_text_and_leave_formats_and_notes_where_they_are():
    book = Spreadsheet("id", "Book", set(), [], "")
    book.tabs = [new_tab({"sheetId": 0, "title": "From"}), new_tab({"sheetId": 1, "title": "To"})]
    book.tabs[0].put((0, 0), {"userEnteredValue": {"stringValue": "=1"}, "note": "n"}, ["userEnteredValue", "note"])
    area = {"endRowIndex": 1, "endColumnIndex": 1}
    copy = {"source": {"sheetId": 0, **area}, "destination": {"sheetId": 1, **area}, "pasteType": "PASTE_VALUES"}
    book.apply([{"copyPaste": copy}])
    assert book.tabs[1].cells == {(0, 0): {"userEnteredValue": {"stringValue": "=1"}}}
    with pytest.raises(InvalidRequestError, match="multiple of the source"):
        book.apply([{"copyPaste": copy | {"source": {"sheetId": 0, "endRowIndex": 2, "endColumnIndex": 1}}}])


# Quotas and faults


def test_sixty_reads_and_sixty_writes_a_minute(google, tab):
    google.advance(60 - google.clock.now().second)  # a minute begins
    reads = [_status(tab.acell, "A1") for _ in range(61)]
    writes = [_status(tab.update, [["x"]]) for _ in range(61)]
    assert (reads, writes) == ([200] * 60 + [429], [200] * 60 + [429])
    google.advance(60)
    assert _status(tab.acell, "A1") == 200


def _status(call: Any, *arguments: Any) -> int:
    try:
        call(*arguments)
    except APIError as error:
        return int(error.code)
    return 200


@pytest.mark.parametrize(
    ("kind", "value", "status", "reason"),
    [
        ("rate-limit", "", 429, "RATE_LIMIT_EXCEEDED"),
        ("server-error", "503", 503, None),
        ("no-permission", "", 403, None),
        ("api-disabled", "", 403, "SERVICE_DISABLED"),
        ("rate-403", "", 403, "userRateLimitExceeded"),
    ],
)
def test_refusals_on_purpose(google, tab, kind, value, status, reason):
    google.fault(kind, value, after=1)
    assert tab.acell("A1").value is None
    with pytest.raises(APIError) as error:
        tab.acell("A1")
    entries = [*error.value.error.get("details", ()), *error.value.error.get("errors", ())]
    assert (error.value.code, [entry["reason"] for entry in entries]) == (status, [reason] if reason else [])
    assert tab.acell("A1").value is None


@pytest.mark.parametrize(("value", "header"), [("", None), ("9", "9")])
def test_too_many_requests_with_and_without_a_time_to_come_back(google, tab, value, header):
    google.fault("rate-limit", value)
    with pytest.raises(APIError) as error:
        tab.acell("A1")
    assert error.value.response.headers.get("retry-after") == header


@pytest.mark.parametrize(("kind", "held"), [("drop-before", {}), ("drop-after", {"stringValue": "x"})])
def test_connections_dropped_on_purpose(google, tab, book, kind, held):
    google.fault(kind)
    with pytest.raises(requests.RequestException):
        tab.update([["x"]])
    assert book.tabs[0].value((0, 0)) == held


def test_half_of_the_rows_kept_on_purpose(google, tab, book):
    google.fault("partial")
    assert tab.update([["a"], ["b"], ["c"], ["d"]])["updatedRows"] == 2
    assert len(book.tabs[0].cells) == 2


def test_a_fault_that_does_not_exist(google):
    with pytest.raises(ValueError, match="there is no fault 'earthquake'"):
        google.fault("earthquake")


def test_the_log_says_whose_request_it_was(google, tab):
    google.requests.clear()
    tab.update([["secret"]])
    found = httpx.get(f"{google.base_url}/_sandbox/requests").json()["requests"]
    assert [(row["app"], row["method"], row["status"], row["grant"]) for row in found] == [
        ("google", "PUT", 200, "pat@example.com")
    ]
    assert "secret" not in json.dumps(found)
