"""Carrying out a plan, and exactly that: gates first, then for each account look, write down, call, look, write down.

Apps work side by side and none waits for another; within an app one thing is done after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any, Literal, TypeVar

import duckdb

from gusto_pipeline.clock import Clock
from gusto_pipeline.provisioning import actions, log
from gusto_pipeline.provisioning.account import Account, NewAccount, Status
from gusto_pipeline.provisioning.errors import AppError, OutcomeUnknownError, RateLimitedError
from gusto_pipeline.provisioning.log import Intent, Result
from gusto_pipeline.provisioning.plans import Item, Plan
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.warehouse.warehouse import Warehouse

REMOVALS = frozenset({"suspend", "delete", "cancel_invitation"})
_T = TypeVar("_T")
Verdict = Literal["go", "not due", "observed", "needs approval", "held"]
Mode = Literal["observe", "plan", "auto"]


@dataclass(frozen=True)
class Gated:
    """An item and whether it may go now; `why` not, in a sentence."""

    item: Item
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class Done:
    """What came of one item. `dropped`: its facts had changed at the last moment, so nothing was sent."""

    item: Item
    result: Result | Literal["dropped"]
    account: Account | None = None
    problem: str = ""


@dataclass(frozen=True)
class Applied:
    """A plan after it was applied. state: ok (also when nothing was to do) · partial · throttled · blocked (everything
    that was due is held or waits for a person) · failed. What was dropped at the last moment is decided anew."""

    done: tuple[Done, ...]
    waiting: tuple[Gated, ...]

    @property
    def state(self) -> Literal["ok", "partial", "throttled", "blocked", "failed"]:
        results = [one.result for one in self.done]
        good = [r for r in results if r in (Result.DONE, Result.NOTHING_TO_DO)]
        stopped = [gated for gated in self.waiting if gated.verdict in ("held", "needs approval")]
        if not results:
            return "blocked" if stopped else "ok"
        if len(good) == len(results):
            return "partial" if stopped else "ok"
        if Result.THROTTLED in results and not {Result.FAILED, Result.UNKNOWN} & set(results):
            return "throttled"
        return "partial" if good or set(results) == {"dropped"} else "failed"

    @property
    def errors(self) -> int:
        """How many changes the app refused, or never answered."""
        return sum(one.result in (Result.FAILED, Result.UNKNOWN) for one in self.done)


def gate(
    items: Iterable[Item],
    *,
    modes: Mapping[str, Mode],
    approved: frozenset[str],
    proven: frozenset[str],
    now: datetime,
    held: Mapping[str, str],
) -> list[Gated]:
    """Which items may go now.

    approved: ids that a person said yes to. proven: apps in which an approved removal was carried out before, the
    first of which always needs a person. held: why the brakes hold an item, by its id; what a person approved they let
    pass, but for an app that rests.
    """

    def verdict(item: Item) -> Gated:
        mode = modes.get(item.app, "observe")
        if mode == "observe":
            return Gated(item, "observed", f"{item.app} is only observed: set its mode to plan or auto")
        if item.due_at and datetime.fromisoformat(item.due_at) > now:
            return Gated(item, "not due", f"due at {item.due_at}")
        if item.id in held:
            return Gated(item, "held", held[item.id])
        if item.id not in approved:
            if mode == "plan" or item.needs_approval:
                return Gated(item, "needs approval", "a person has to approve it")
            if item.action in REMOVALS and item.app not in proven:
                return Gated(item, "needs approval", f"the first removal in {item.app} needs a person's approval")
        return Gated(item, "go")

    return [verdict(item) for item in items]


def carry_out(
    plan: Plan,
    items: Sequence[Item],
    warehouse: Warehouse,
    sessions: Callable[[str], Session],
    *,
    who: str,
    clock: Clock,
    still_so: Callable[[Item], str],
    on_step: Callable[[str, Item], object] = lambda step, item: None,
) -> list[Done]:
    """Carry out items that may go, in their order within each app.

    sessions: opens one with an app; each is closed. still_so: asks HR once more about a removal and says what speaks
    against it, empty when nothing does. on_step: told of `intended`, `called` and `ended` as they happen.
    """
    by_app: dict[str, list[Item]] = {}
    for item in items:
        by_app.setdefault(item.app, []).append(item)

    journal = _Journal(warehouse)

    def one_app(slug: str) -> list[Done]:
        done: list[Done] = []
        throttled = ""
        try:
            with sessions(slug) as session:
                for item in by_app[slug]:
                    if throttled:
                        done.append(Done(item, Result.THROTTLED, None, throttled))
                        continue
                    done.append(_one(plan, item, journal, session, who, clock, still_so, on_step))
                    throttled = done[-1].problem if done[-1].result is Result.THROTTLED else ""
        except AppError as error:  # not even a session could be had
            done += [Done(item, Result.FAILED, None, str(error)) for item in by_app[slug][len(done) :]]
        return done

    with ThreadPoolExecutor(max(1, len(by_app)), thread_name_prefix="apply") as pool:
        return [one for found in pool.map(one_app, by_app) for one in found]


def settle(
    company_uuid: str, warehouse: Warehouse, sessions: Callable[[str], Session], *, clock: Clock
) -> list[tuple[Intent, Result]]:
    """Find out what came of every open intent by reading the app; one that cannot be read stays open."""
    with warehouse.read() as connection:
        waiting = log.open_intents(connection, company_uuid)
    settled = []
    for slug in dict.fromkeys(intent.app for intent in waiting):
        try:
            with sessions(slug) as session:
                for intent in (one for one in waiting if one.app == slug):
                    account = _about(session, intent)
                    result = Result.DONE if _came_true(session, intent.action, account) else Result.NOT_DONE
                    with warehouse.write() as connection:
                        account_id = account.id if account else intent.account_id
                        log.end(
                            connection, company_uuid, intent.intent_id, result, clock(), account_id=account_id,
                            status=_stands(intent.action, result, account),
                        )  # fmt: skip
                    settled.append((intent, result))
        except AppError:
            continue
    return settled


class _Journal:
    """What apps that work side by side write down in the warehouse: whoever comes first writes for all who wait.

    Opening the warehouse takes far longer than a row, and only one can have it open.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._waiting: list[tuple[Callable[[duckdb.DuckDBPyConnection], Any], Future[Any]]] = []
        self._list, self._turn = Lock(), Lock()

    def write(self, entry: Callable[[duckdb.DuckDBPyConnection], _T]) -> _T:
        """Have `entry` write; gives what it gives, once that is committed."""
        written: Future[_T] = Future()
        with self._list:
            self._waiting.append((entry, written))
        with self._turn:
            if not written.done():
                self._write_all()
        return written.result()

    def _write_all(self) -> None:
        with self._list:
            entries, self._waiting = self._waiting, []
        try:
            with self._warehouse.write() as connection:
                given = [entry(connection) for entry, _ in entries]
        except Exception as error:
            for _, written in entries:
                written.set_exception(error)
        else:
            for (_, written), value in zip(entries, given, strict=True):
                written.set_result(value)


def _one(
    plan: Plan,
    item: Item,
    journal: _Journal,
    session: Session,
    who: str,
    clock: Clock,
    still_so: Callable[[Item], str],
    on_step: Callable[[str, Item], object],
) -> Done:
    try:
        against = (still_so(item) if item.action in REMOVALS else "") or _changed(session, item)
        if session.server_time.ahead:
            raise AppError(session.server_time.ahead)
    except RateLimitedError as error:
        return Done(item, Result.THROTTLED, None, str(error))
    except AppError as error:
        return Done(item, Result.FAILED, None, str(error))
    if against:
        return Done(item, "dropped", None, against)
    company = plan.company_uuid
    intent = journal.write(lambda connection: log.intend(connection, company, plan.id, item, who, clock()))
    on_step("intended", item)
    result, account, problem = _call(session, item)
    on_step("called", item)
    about, at, stands = account.id if account else item.account_id, clock(), _stands(item.action, result, account)
    journal.write(
        lambda connection: log.end(
            connection, company, intent, result, at, account_id=about, problem=problem, status=stands
        )
    )
    on_step("ended", item)
    return Done(item, result, account, problem)


def _stands(action: str, result: Result, account: Account | None) -> str:
    """How an account stands that we took away, as it was read back."""
    if action not in REMOVALS or result is not Result.DONE:
        return ""
    return str(account.status) if account else "absent"


def _call(session: Session, item: Item) -> tuple[Result, Account | None, str]:
    try:
        outcome = _perform(session, item)
    except OutcomeUnknownError as error:
        return Result.UNKNOWN, None, str(error)
    except RateLimitedError as error:
        return Result.THROTTLED, None, str(error)
    except AppError as error:
        return Result.FAILED, None, str(error)
    return (Result.DONE if outcome.changed else Result.NOTHING_TO_DO), outcome.account, ""


def _perform(session: Session, item: Item) -> actions.Outcome:
    match item.action:
        case "create":
            assert item.new
            return actions.create(session, NewAccount(**item.new | {"groups": tuple(item.new.get("groups", ()))}))
        case "invite_again":
            return actions.invite_again(session, _id(item))
        case "cancel_invitation" | "delete":
            if item.new:
                actions.hand_over(session, _id(item), item.new["hand_over_to"])
            return actions.remove(session, _id(item))
        case "suspend":
            return (actions.suspend if session.app.suspend else actions.remove)(session, _id(item))
        case "reactivate":
            return actions.reactivate(session, _id(item))
        case "update":
            return actions.update(session, _id(item), item.new or {})
        case "join" | "leave":
            assert item.new
            return (actions.join if item.action == "join" else actions.leave)(session, _id(item), item.new["group"])
        case "restore":
            return actions.restore(session, Account(id=_id(item), status=Status.DELETED))
    raise ValueError(f"{item.action} is not for an app to carry out")


def _id(item: Item) -> str:
    assert item.account_id
    return item.account_id


# What an account must still be for an action to make sense, by the status it was planned from.
_PLANNED_FROM: dict[str, set[Status | None]] = {
    "invited": {Status.INVITED},
    "lapsed": {Status.INVITED},
    "active": {Status.ACTIVE},
    "suspended": {Status.SUSPENDED},
    "trash": {Status.DELETED, None},
}


def _changed(session: Session, item: Item) -> str:
    """What is no longer as planned about the account; empty when all is, or when it is done already."""
    if item.account_id is None or item.action == "create":
        return ""
    account = session.app.account(session, item.account_id)
    status = account.status if account else None
    expected = _PLANNED_FROM[item.inputs["acct"] or ""]
    done_already = status in (None, Status.DELETED, Status.SUSPENDED) if item.action in REMOVALS else False
    if status not in expected and not done_already:
        return f"the account is {status or 'gone'} now and was {item.inputs.get('acct')} when this was planned"
    if account and item.action in REMOVALS and (account.owner or account.bot):
        return "the account is protected now: an owner's, or a service's"
    logins = {
        login.casefold()
        for login in (
            *(account.emails if account else ()),
            *([account.user_name] if account and account.user_name else []),
        )
    }
    if any(logins) and item.account and item.account.casefold() not in map(str.casefold, logins):
        return f"the account's login is another one now than {item.account}"
    return ""


def _about(session: Session, intent: Intent) -> Account | None:
    if intent.action == "create":
        return session.app.find(session, intent.login or "")
    return session.app.account(session, intent.account_id or "")


def _came_true(session: Session, action: str, account: Account | None) -> bool:
    status = account.status if account else None
    match action:
        case "create" | "restore":
            return status in (Status.ACTIVE, Status.INVITED)
        case "suspend":
            return status in (None, Status.SUSPENDED, Status.DELETED)
        case "delete" | "cancel_invitation":
            deactivates = session.app.removal == "deactivates"
            return status in (None, Status.DELETED) or (deactivates and status is Status.SUSPENDED)
        case "reactivate":
            return status in (Status.ACTIVE, Status.INVITED)
        case "update" | "join" | "leave":  # the next plan sees what is still to be done
            return False
        case "invite_again":  # whether the mail went out cannot be read; better one too few than two
            return status is Status.INVITED
    return False
