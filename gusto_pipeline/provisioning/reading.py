"""How apps are read: their ways of paging, one record that may not be there, what is meant by a name, what was made.

Places in an answer are written as keys with slashes between: `paging/next/after`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from gusto_pipeline.provisioning.account import Account, Status
from gusto_pipeline.provisioning.errors import IncompleteReadError, InvalidError, NotFoundError, OutcomeUnknownError
from gusto_pipeline.provisioning.session import Session

Params = Mapping[str, Any]
Row = dict[str, Any]  # a record as the app sends or takes it


def by_cursor(
    session: Session, path: str, params: Params, rows: str, name: str, at: str, *, sparse: bool = False
) -> Iterator[Row]:
    """All rows of a list whose pages say, `at` a place, what its parameter `name` asks for the next one; else it ends.

    rows: where the rows are. sparse: there is no such place in an answer without rows.
    """
    cursor = None
    while True:
        page = session.get(path, {**params, name: cursor})
        yield from (page.get(rows) or ()) if sparse else page[rows]
        if not (cursor := _at(page, at)):
            return


def by_link(
    session: Session, path: str, params: Params | None = None, rows: str = "", at: str = "", total: str = ""
) -> Iterator[Row]:
    """All rows of a list whose pages hold the next one's address, `at` a place or in their Link header (RFC 8288).

    rows: where the rows are; empty when the answer is a list itself. total: where a page says how many there are; with
    fewer, IncompleteReadError.
    """
    response, seen = session.send("GET", path, params=params), 0
    while True:
        page = session.json(response)
        for row in page[rows] if rows else page:
            seen += 1
            yield row
        following = _at(page, at) if at else response.links.get("next", {}).get("url")
        if not following:
            break
        response = session.send("GET", str(response.request.url.join(following)))
    if total and seen < int(_at(page, total) or 0):
        raise _short(session, path, _at(page, total), seen)


def by_offset(
    session: Session, path: str, params: Params, rows: str, name: str, total: str, *, first: int = 0
) -> Iterator[Row]:
    """All rows of a list that is asked for from the `name`-th row on, until there are as many as it says at `total`.

    first: the number of the first row. Raises IncompleteReadError when an empty page comes before.
    """
    seen = 0
    while True:
        page = session.get(path, {name: seen + first, **params})
        yield from (found := page.get(rows) or ())
        seen += len(found)
        if seen >= (expected := int(_at(page, total) or 0)):
            return
        if not found:
            raise _short(session, path, expected, seen)


def by_number(session: Session, path: str, params: Params, rows: str, more: str) -> Iterator[Row]:
    """All rows of a list in numbered pages that say, at `more`, whether another follows; no answer is an empty page."""
    number, follows = 1, True
    while follows:
        page = session.get(path, {"page": number, **params}) or {rows: ()}
        yield from page[rows]
        number, follows = number + 1, bool(_at(page, more))


def one(session: Session, path: str, params: Params | None = None) -> Any:
    """One record; None if there is none, once the connection has proved good: it may just not be shown."""
    try:
        return session.get(path, params)
    except NotFoundError:
        session.app.tenant(session)
        return None


def counted(name: str, accounts: Iterable[Account], total: Callable[[], int | None]) -> Iterator[Account]:
    """`accounts` passed on; when they end before the app's own `total` is reached, IncompleteReadError."""
    seen = 0
    for account in accounts:
        seen += 1
        yield account
    expected = total()
    if expected is not None and seen < expected:
        raise IncompleteReadError(f"{name} counts {expected} accounts and listed {seen}")


def and_invited(accounts: Iterable[Account], invitations: Iterable[Account]) -> Iterator[Account]:
    """The accounts, then the invitations of whoever has neither an account nor an earlier invitation among these."""
    there: set[str] = set()
    for account in accounts:
        there.update(map(str.casefold, account.emails))
        yield account
    for account in invitations:
        if there.isdisjoint(map(str.casefold, account.emails)):
            there.update(map(str.casefold, account.emails))
            yield account


def with_id(accounts: Iterable[Account], account_id: str) -> Account | None:
    """The account with this id: for apps that list only."""
    return next((account for account in accounts if account.id == account_id), None)


def found(accounts: Iterable[Account], email: str) -> Account | None:
    """The account with this address, whatever its case, rather one that is not deleted: for apps that list only."""
    wanted, deleted = email.casefold(), None
    for account in accounts:
        if wanted in (address.casefold() for address in account.emails):
            if account.status is not Status.DELETED:
                return account
            deleted = account
    return deleted


def post_new(session: Session, path: str, body: Row, email: str) -> None:
    """Sends a new account of which more is to be said; one whose answer never comes must be there by its address."""
    try:
        session.send("POST", path, json=body)
    except OutcomeUnknownError:
        if not session.app.find(session, email):
            raise


def awaited(session: Session, waits: Iterable[float], read: Callable[[], Row], over: Callable[[Row], bool]) -> Row:
    """What a job's state is when it is over, or at the last look; waits: seconds before each."""
    state: Row = {}
    for seconds in waits:
        session.sleep(seconds)
        if over(state := read()):
            break
    return state


def chosen(session: Session, kind: str, wanted: str, there: Mapping[str, str]) -> str:
    """The id of what the connection's settings name, by id or by name in any case; `there`: names by id.

    Raises InvalidError that says what there is.
    """
    for key, name in there.items():
        if wanted.casefold() in (key.casefold(), name.casefold()):
            return key
    raise InvalidError(
        f"{session.app.name} has no {kind} {wanted!r}; it has {', '.join(sorted(there.values()))}. Correct it in "
        "pipeline.yaml"
    )


def _at(page: Any, place: str) -> Any:
    for key in place.split("/"):
        page = page.get(key) if isinstance(page, dict) else None
    return page


def _short(session: Session, path: str, total: object, seen: int) -> IncompleteReadError:
    return IncompleteReadError(f"{session.app.name} counts {total} at {path} and listed {seen}")
