"""Questions that are understood, as data: their forms, and the words for fields. No language model: form or nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

LONGEST = 200  # characters of a question

When = Literal["today", "tomorrow", "this week", "next week"]

# Forms of questions by topic: case, punctuation at the end and spaces do not count. {person}: a colleague's name or
# work e-mail address; {field}: a word of FIELD_WORDS; {when}: today, tomorrow, this week or next week.
FORMS: dict[str, tuple[str, ...]] = {
    "profile": (
        "who am i",
        "my profile",
        "my details",
        "show my profile",
        "show me my profile",
        "show my details",
        "what is my profile",
        "what are my details",
        "what do you know about me",
        "tell me about myself",
    ),
    "time_off": (
        "my time off",
        "my time off balance",
        "my vacation balance",
        "my pto",
        "show my time off",
        "what is my time off balance",
        "what is my vacation balance",
        "what is my sick leave balance",
        "what is my pto balance",
        "how much time off do i have",
        "how much time off do i have left",
        "how much vacation do i have",
        "how much vacation do i have left",
        "how much pto do i have left",
        "how much sick leave do i have left",
        "how many vacation days do i have left",
        "how many hours of time off do i have",
        "how many sick days do i have left",
    ),
    "employment": (
        "my employment",
        "my employment details",
        "show my employment details",
        "what are my employment details",
        "what is my job",
        "what do i do here",
        "since when do i work here",
        "how long have i worked here",
        "when did i start",
        "when was i hired",
        "am i full time",
    ),
    "manager": (
        "my manager",
        "my boss",
        "who is my manager",
        "who is my boss",
        "who is my supervisor",
        "who manages me",
        "who do i report to",
        "to whom do i report",
    ),
    "reports": (
        "my team",
        "my direct reports",
        "who reports to me",
        "who is on my team",
        "who are my direct reports",
        "whom do i manage",
        "who do i manage",
    ),
    "pay_day": (
        "pay day",
        "next pay day",
        "when is pay day",
        "when is payday",
        "when is the next pay day",
        "when is my next pay day",
        "when is my next payday",
        "when do i get paid",
        "when do i get paid next",
        "when will i be paid",
        "when are we paid next",
    ),
    "out": (
        "who is out",
        "who is away",
        "who is off",
        "who is out {when}",
        "who is away {when}",
        "who is off {when}",
        "who is on leave {when}",
        "who is on vacation {when}",
        "who will be out {when}",
        "is anyone out {when}",
        "is anybody away {when}",
        "is {person} out {when}",
        "is {person} away {when}",
        "is {person} off {when}",
        "is {person} in {when}",
        "will {person} be out {when}",
    ),
    "field": (
        "my {field}",
        "show my {field}",
        "what is my {field}",
        "what {field} do i have",
        "what is {person}'s {field}",
        "what is the {field} of {person}",
        "show {person}'s {field}",
        "tell me {person}'s {field}",
        "give me {person}'s {field}",
        "{person}'s {field}",
    ),
    "person": (
        "who is {person}",
        "who's {person}",
        "find {person}",
        "look up {person}",
        "show {person}",
        "tell me about {person}",
        "what does {person} do",
        "how do i reach {person}",
        "how can i contact {person}",
        "contact details of {person}",
    ),
}

# Words for fields; those under "" are never answered, of anybody.
FIELD_WORDS: dict[str, tuple[str, ...]] = {
    "name": ("name", "full name"),
    "work_email": ("email", "e-mail", "email address", "e-mail address", "work email", "work e-mail"),
    "title": ("title", "job title", "role", "position"),
    "department": ("department", "team"),
    "location": ("location", "office", "work location", "work address"),
    "manager": ("manager", "boss", "supervisor"),
    "hire_date": ("hire date", "start date", "first day"),
    "employment": ("employment status", "employment type"),
    "last_day": ("last day", "termination date"),
    "phone": ("phone", "phone number", "mobile number"),
    "personal_email": ("personal email", "personal e-mail", "private email", "private e-mail"),
    "out_of_office": ("out of office", "time off dates", "absences"),
    "birth_date": ("birthday", "birth date", "date of birth", "age"),
    "home_address": ("home address", "address", "private address"),
    "pay": ("pay", "salary", "wage", "wages", "compensation", "pay rate", "hourly rate", "income"),
    "": (
        "ssn", "social security number", "tax id", "bank account", "bank details", "account number", "routing number",
        "garnishment", "garnishments", "time off balance", "vacation balance", "sick leave", "sick days", "leave type",
        "type of leave", "reason for leave", "bonus", "paycheck", "payslip",
    ),
}  # fmt: skip

EXAMPLES = (
    "who am I; how much time off do I have left; my employment details; who is my manager; who reports to me; "
    "who is out this week; is NAME out today; when is the next pay day; who is NAME; what is NAME's title"
)


@dataclass(frozen=True)
class Question:
    """What is asked: a topic of FORMS, for some of them about whom (None: oneself, or everybody), which field, when."""

    topic: str
    about: str | None = None
    field: str | None = None
    when: When = "this week"


def understand(question: str) -> Question | None:
    """What a question asks, by the first of FORMS that it has; None for any other."""
    if len(question) > LONGEST:
        return None
    # Lower case by itself, not by the patterns: those take "ı" for an "i" that no word of FIELD_WORDS has.
    plain = unicodedata.normalize("NFKC", question).lower().replace("’", "'")
    plain = " ".join("".join(c if c.isprintable() else " " for c in plain).split()).strip(" ?!.")
    plain = re.sub(r"^(please |hi,? |hello,? )+|,? please$", "", plain)
    plain = re.sub(r"^(what|who|when)'s ", r"\1 is ", plain)
    for topic, form in _PATTERNS:
        if match := form.fullmatch(plain):
            said = match.groupdict()
            when: Any = said.get("when") or "this week"
            return Question(topic, said.get("person"), _WORDS.get(said.get("field") or ""), when)
    return None


def _patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    words = "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True))
    places = {"{person}": "(?P<person>.{1,80}?)", "{field}": f"(?P<field>{words})"}
    places["{when}"] = "(?P<when>today|tomorrow|this week|next week)"
    for topic, forms in FORMS.items():
        for form in forms:
            pattern = re.escape(form).replace(r"\{", "{").replace(r"\}", "}")
            for place, what in places.items():
                pattern = pattern.replace(place, what)
            yield topic, re.compile(pattern)


_WORDS = {word: field for field, words in FIELD_WORDS.items() for word in words}
_PATTERNS = tuple(_patterns())
