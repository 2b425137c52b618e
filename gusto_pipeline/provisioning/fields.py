"""Custom fields of accounts: which values fit them, and what to say of those that do not.

An app may take a wrong value in silence, or refuse the whole account for it, so values are checked before they are
sent. Knows fields by their declaration only, no app.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from difflib import SequenceMatcher
from typing import Any

from gusto_pipeline.provisioning.account import CustomField


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """A value that a field does not take, and whose it is. nearest: the choice most like it, empty for none."""

    attribute: str
    field: str
    value: str
    people: tuple[str, ...]
    nearest: str

    def __str__(self) -> str:
        who = ", ".join(self.people[:3]) + (f" and {len(self.people) - 3} more" if len(self.people) > 3 else "")
        hint = f"; nearest: {self.nearest!r}" if self.nearest else ""
        return f"{self.field} does not take {self.value!r}, which {self.attribute} of {who} is{hint}"


def fit(field: CustomField, value: Any) -> str | None:
    """The text to send for a value: a choice letter for letter, a number, a day as ISO 8601. None where none fits."""
    text = _text(value)
    if field.choices is not None:
        if text in field.choices:
            return text
        if field.kind == "text":
            return None
        return next((choice for choice in field.choices if same(choice, text, field.kind)), None)
    number = _number(text)
    match field.kind:
        case "decimal":
            return text if number is not None else None
        case "integer":
            return str(int(number)) if number is not None and number == number.to_integral_value() else None
        case "date":
            return _day(text)
    return text


def same(a: str, b: str, kind: str = "text") -> bool:
    """Whether two texts say the same in a field of this kind: numbers count by value, days without their time."""
    if a == b:
        return True
    if kind in ("decimal", "integer"):
        return (number := _number(a)) is not None and number == _number(b)
    return kind == "date" and (day := _day(a)) is not None and day == _day(b)


def fit_all(
    field: CustomField, attribute: str, given: Mapping[str, Any], names: Mapping[str, str]
) -> tuple[dict[str, str], list[Misfit]]:
    """What to send for each person (by id; None is left out), and every value that does not fit, most people first."""
    fitting: dict[str, str] = {}
    wrong: dict[str, list[str]] = {}
    for person, value in given.items():
        if value is None or value == "":
            continue
        text = fit(field, value)
        if text is None:
            wrong.setdefault(_text(value), []).append(names[person])
        else:
            fitting[person] = text
    misfits = [
        Misfit(
            attribute=attribute,
            field=field.name,
            value=value,
            people=tuple(sorted(people)),
            nearest=_nearest(value, field.choices or ()),
        )
        for value, people in sorted(wrong.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return fitting, misfits


def _nearest(value: str, choices: Iterable[str]) -> str:
    def likeness(choice: str) -> float:
        return SequenceMatcher(None, value.casefold(), choice.casefold()).ratio()

    best = max(choices, key=likeness, default="")
    return best if best and likeness(best) >= 0.4 else ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _day(text: str) -> str | None:
    try:
        return datetime.fromisoformat(text.strip()).date().isoformat()
    except ValueError:
        return None
