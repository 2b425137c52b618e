"""A plan: what would be done to which account, why and when, as a file that a person reads and approves.

The same facts make the same plan, byte for byte apart from when it was made, so two plans can be compared with any
diff, and a plan whose facts have changed can be told by its hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

VERSION = 2
"""Of the file: raised with every field that an item gains or loses, since a plan is only what it says as a whole."""


class PlanError(Exception):
    """A plan cannot be used: not one of ours, changed by hand, another company's, or out of date."""


@dataclass(frozen=True)
class Said:
    """The last word on an item or a question: yes or no, whose, when and why."""

    yes: bool
    who: str
    at: datetime
    why: str


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing to do, or to ask. `action`, `rule`, `state` and `mode` are the decision table's words.

    effect: what it comes to in that app, in words. due_at: not before this instant (ISO 8601), None for at once.
    inputs: the facts that the decision was made from. new: of an account to create, its login, names, role, groups and
    licence; of one to update, the changed fields; of one to delete, whose account is given what it owns.
    needs_approval: a person has to say yes before. employed_since: first day of the employment that it is about. Names
    and addresses only, never pay or numbers of the state's.
    """

    app: str
    action: str
    rule: str
    state: str
    mode: str
    effect: str
    reason: str
    next_step: str
    person_id: str | None
    person: str
    account_id: str | None = None
    account: str | None = None
    due_at: str | None = None
    needs_approval: bool = False
    employed_since: str | None = None
    inputs: dict[str, str | None] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    new: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """Names the item in approvals: the same as long as the same is to be done to the same account on the same day.

        What is approved ahead of time stays approved in later plans; anything else needs to be asked again.
        """
        match self.action:
            case "create" if self.inputs.get("acct") != "trash":
                # Worth it for somebody who stays is not yet worth it for somebody who leaves.
                when = f"leaving {self.employed_since}" if self.inputs.get("hr") == "leaving" else ""
            case "create" | "reactivate" | "restore":  # a later employment is another question
                when = self.employed_since or ""
            case _:
                when = (self.due_at or "")[:10]
        parts = (self.app, self.action, self.person_id, self.account_id, when, self.new)
        return hashlib.sha256(_canonical(parts).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that one company's facts ask for. items: to be carried out, now or on their day, in order;
    questions: what only a person can answer."""

    company: str
    company_uuid: str
    made_at: datetime
    items: tuple[Item, ...]
    questions: tuple[Item, ...] = ()

    @property
    def hash(self) -> str:
        """Of all that it says, not of when it was written."""
        what = [vars(item) for item in (*self.items, *self.questions)]
        return hashlib.sha256(_canonical([VERSION, self.company_uuid, len(self.items), what]).encode()).hexdigest()

    @property
    def id(self) -> str:
        return self.hash[:12]

    def without(self, done: Collection[str]) -> Plan:
        """What is left of it when the items of these ids are done."""
        return replace(self, items=tuple(item for item in self.items if item.id not in done))


def answered(plan: Plan, said: Mapping[str, Said]) -> Plan:
    """The plan with what people said of it, by id: a question with a yes is to be carried out, one with a no is gone.

    So is an item with a no that may not go without a yes. What goes by itself is held up by no answer.
    """

    def refused(item: Item) -> bool:
        return item.needs_approval and item.id in said and not said[item.id].yes

    agreed = tuple(item for item in plan.questions if item.id in said and said[item.id].yes)
    asked = tuple(item for item in plan.questions if item.id not in said)
    return replace(plan, items=(*(i for i in plan.items if not refused(i)), *agreed), questions=asked)


def write_plan(plan: Plan, folder: Path) -> Path:
    """The plan as JSON in `folder`, named by its hash; of a file of the same plan only the time changes. Mode 0600."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"plan-{plan.id}.json"
    if path.exists():
        path.touch()
        return path
    tree = {
        "gusto_pipeline_plan": VERSION,
        "company": plan.company,
        "company_uuid": plan.company_uuid,
        "made_at": plan.made_at.isoformat(),
        "hash": plan.hash,
        "items": [{"id": item.id} | vars(item) for item in plan.items],
        "questions": [{"id": item.id} | vars(item) for item in plan.questions],
    }
    descriptor, temporary = tempfile.mkstemp(prefix=".plan-", dir=folder)  # made 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(tree, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def read_plan(path: Path) -> Plan:
    """A plan from its file. Raises PlanError when it is none, another version's, or was changed since it was made."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree["gusto_pipeline_plan"] != VERSION:
            raise PlanError(f"{path} was written by another version. Make a new plan, run: gusto-pipeline plan")
        plan = Plan(
            company=tree["company"],
            company_uuid=tree["company_uuid"],
            made_at=datetime.fromisoformat(tree["made_at"]),
            items=_items(tree["items"]),
            questions=_items(tree["questions"]),
        )
        said, ids = tree["hash"], [row["id"] for row in (*tree["items"], *tree["questions"])]
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise PlanError(f"{path} is not a plan, or was damaged ({error}): make a new one") from error
    if said != plan.hash or ids != [item.id for item in (*plan.items, *plan.questions)]:
        raise PlanError(
            f"{path} was changed after it was written. A plan is carried out as it was made or not at all: make a new "
            "one, or approve only some of its items"
        )
    return plan


@dataclass(frozen=True)
class Difference:
    """What changed between two plans: items that only the old one has, and that only the new one has."""

    gone: tuple[Item, ...]
    come: tuple[Item, ...]

    def __bool__(self) -> bool:
        return bool(self.gone or self.come)


def compare(old: Plan, new: Plan) -> Difference:
    """Items by everything they say, so that a changed reason counts as well."""
    before = {_canonical(vars(item)): item for item in old.items}
    after = {_canonical(vars(item)): item for item in new.items}
    gone = tuple(item for key, item in before.items() if key not in after)
    return Difference(gone, tuple(item for key, item in after.items() if key not in before))


def since(made: Plan, now: Plan, done: Collection[str] = ()) -> Difference:
    """How the facts `now` ask for other items than a plan has left, of whose items those with the ids `done` are done.

    What follows from these for the same person in the same app is no difference, and questions may have been answered.
    """
    changed = compare(made.without(done), now)
    touched = {_about(item) for item in made.items if item.id in done}
    return Difference(changed.gone, tuple(item for item in changed.come if _about(item) not in touched))


def _about(item: Item) -> tuple[str, str | None]:
    return item.app, item.person_id or item.account_id


def in_order(items: Sequence[Item], identity_providers: frozenset[str]) -> tuple[Item, ...]:
    """Items as they are carried out: removals first and identity providers first among them, then by app and person."""
    removals = {"suspend", "delete", "cancel_invitation"}

    def rank(item: Item) -> tuple[object, ...]:
        first = item.app not in identity_providers
        return (item.action not in removals, first, item.app, item.person, item.account_id or "", item.action)

    return tuple(sorted(items, key=rank))


def _items(rows: Sequence[dict[str, Any]]) -> tuple[Item, ...]:
    made = []
    for row in rows:
        row = {key: value for key, value in row.items() if key != "id"}
        made.append(Item(**row | {"evidence": tuple(row.get("evidence", ()))}))
    return tuple(made)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
