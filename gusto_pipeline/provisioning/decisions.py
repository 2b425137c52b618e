"""What to do about one person in one app: eight inputs, and the table whose first fitting row decides.

Nothing here reads, calls or remembers: equal inputs give the same row for ever. What an action means in an app that
cannot do it (suspending where there is only removing), and whether it is held back, is decided later.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter


class Reading(StrEnum):
    """Whether the app's list of accounts is complete and fresh."""

    OK = "ok"
    STALE = "stale"


class Hr(StrEnum):
    """A person's employment, most alive first. `future_near`: access is due already. `vanished`: no longer listed."""

    ACTIVE = "active"
    LEAVE = "leave"
    LEAVING = "leaving"
    FUTURE_NEAR = "future_near"
    FUTURE_FAR = "future_far"
    DRAFT = "draft"
    ENDED = "ended"
    VANISHED = "vanished"


class Want(StrEnum):
    """Whether the company's rules give the app to the person."""

    YES = "yes"
    NO = "no"


class Link(StrEnum):
    """Whose the account is: the person's, perhaps theirs, several people's, or said by hand not to be theirs."""

    NONE = "none"
    LINKED = "linked"
    CANDIDATE = "candidate"
    DISPUTED = "disputed"
    REFUSED = "refused"


class Acct(StrEnum):
    """The account itself. `lapsed`: an invitation past its life. `trash`: deleted, but still in the app's bin."""

    ABSENT = "absent"
    INVITED = "invited"
    LAPSED = "lapsed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    TRASH = "trash"


class By(StrEnum):
    """Who took the account away, by our own log."""

    US = "us"
    OTHERS = "others"


class Prot(StrEnum):
    """Whether the account must not be touched: a bot, a shared one, a last owner, or marked so by hand."""

    PLAIN = "plain"
    PROTECTED = "protected"


class Spell(StrEnum):
    """Whether the person's employment is the one in which we took the account away, or a later one."""

    SAME = "same"
    NEW = "new"


class State(StrEnum):
    """What the row finds, for reports."""

    UNKNOWN = "UNKNOWN"
    HR_RECORD_MISSING = "HR_RECORD_MISSING"
    DISPUTED = "DISPUTED"
    REVIEW = "REVIEW"
    MISSING = "MISSING"
    SCHEDULED = "SCHEDULED"
    NOT_WANTED = "NOT_WANTED"
    PROTECTED = "PROTECTED"
    INVITE_SENT = "INVITE_SENT"
    INVITE_LAPSED = "INVITE_LAPSED"
    CONNECTED = "CONNECTED"
    EARLY = "EARLY"
    EXTRA = "EXTRA"
    LEAVING = "LEAVING"
    REMOVAL_DUE = "REMOVAL_DUE"
    IN_GRACE = "IN_GRACE"
    SUSPENDED_BY_US = "SUSPENDED_BY_US"
    SUSPENDED_BY_OTHERS = "SUSPENDED_BY_OTHERS"
    REMOVED = "REMOVED"
    DELETED_BY_OTHERS = "DELETED_BY_OTHERS"
    GONE = "GONE"


class Action(StrEnum):
    """What is done, or, in a row that asks, proposed.

    The first eight are the app's to carry out. `identify`: somebody says whose the account is. `hand_over` and
    `delete_by_hand`: somebody does it in the app.
    """

    CREATE = "create"
    INVITE_AGAIN = "invite_again"
    CANCEL_INVITATION = "cancel_invitation"
    UPDATE = "update"
    SUSPEND = "suspend"
    REACTIVATE = "reactivate"
    DELETE = "delete"
    RESTORE = "restore"
    IDENTIFY = "identify"
    HAND_OVER = "hand_over"
    DELETE_BY_HAND = "delete_by_hand"
    NONE = "none"


CALLS = frozenset(Action) - {Action.IDENTIFY, Action.HAND_OVER, Action.DELETE_BY_HAND, Action.NONE}


class Mode(StrEnum):
    """Who sets the action going. `limited`: we, as in `auto`, unless too many come at once (see `brakes`).

    `tell`: nobody, it is only reported. `ask`: whoever answers the question. `ask-urgent`: likewise, and they are
    notified. `approve`: a named person.
    """

    NONE = "none"
    TELL = "tell"
    ASK = "ask"
    ASK_URGENT = "ask-urgent"
    AUTO = "auto"
    LIMITED = "limited"
    APPROVE = "approve"


@dataclass(frozen=True)
class Inputs:
    """What is known of one person in one app.

    `by` is set exactly when an account was taken away: it is suspended, in the trash, or linked and absent. `spell` is
    set exactly when it was we who did. Plain strings of the same spelling do as well.
    """

    app: Reading
    hr: Hr
    want: Want
    link: Link
    acct: Acct
    by: By | None = None
    prot: Prot = Prot.PLAIN
    spell: Spell | None = None


VALUES: dict[str, tuple[StrEnum | None, ...]] = {
    "app": tuple(Reading),
    "hr": tuple(Hr),
    "want": tuple(Want),
    "link": tuple(Link),
    "acct": tuple(Acct),
    "by": (None, *By),
    "prot": tuple(Prot),
    "spell": (None, *Spell),
}
"""Every input and what it may be, in the order of `Inputs`."""

_values_of = attrgetter(*VALUES)

PLACEHOLDERS = {
    "app": "the app's name",
    "account": "what the app calls the account: its login or address",
    "first_day": "first day of work, or that none is entered",
    "created_on": "on which day an account is created, or that a first day has to be entered before",
    "last_day": "last day of work",
    "removal_at": "when access ends, with its time zone",
    "read_at": "when the app was last read in full, or that it never was",
    "taken_on": "when we suspended, deleted or cancelled it",
    "rights": "what the account is allowed: role, licence and groups",
    "evidence": "what speaks for the account being this person's",
    "claims": "who else the account could belong to",
}
"""What the sentences of a rule leave open, for `str.format`. A row's inputs guarantee that its facts are known."""

When = tuple[tuple[str, tuple[StrEnum | None, ...]], ...]


@dataclass(frozen=True)
class Rule:
    """A row: it fits when each input named in `when` has one of the values given there.

    `reason` says what was found and `next_step` what follows, in sentences with `PLACEHOLDERS`.
    """

    id: str
    when: When
    state: State
    action: Action
    mode: Mode
    reason: str
    next_step: str

    def fits(self, inputs: Inputs) -> bool:
        """Whether all of `when` holds."""
        return all(getattr(inputs, name) in values for name, values in self.when)


def when(**inputs: str) -> When:
    """Conditions from the values' spellings, several separated by spaces."""
    return tuple((name, tuple(v for v in VALUES[name] if v in _known(name, text))) for name, text in inputs.items())


def _known(name: str, text: str) -> list[str]:
    words = text.split()
    if unknown := set(words) - set(VALUES[name]):
        raise ValueError(f"{name} cannot be {', '.join(sorted(unknown))}")
    return words


STAYS = "future_near active leave"
HERE = "future_near active leave leaving"
LATER = "future_far draft"

RULES = (
    # The app cannot be seen.
    Rule(
        "U1",
        # An account that was gone or suspended when last seen is no overdue removal: with all former employees in it,
        # the alert would hide the few that are.
        when(app="stale", hr="ended", link="linked candidate disputed", acct="active invited lapsed"),
        State.UNKNOWN,
        Action.NONE,
        Mode.TELL,
        "Left on {last_day}, and the account {account} was not removed when {app} was last read: {read_at}.",
        "Connect {app} again, or remove the account there by hand; the next reading checks it.",
    ),
    Rule(
        "U2",
        when(app="stale"),
        State.UNKNOWN,
        Action.NONE,
        Mode.NONE,
        "{app} cannot be read in full; what is shown here is as of the last full reading: {read_at}.",
        "Nothing is done until {app} can be read again.",
    ),
    # Gusto no longer lists the person, which is no dismissal.
    Rule(
        "V1",
        when(hr="vanished", link="linked candidate disputed refused"),
        State.HR_RECORD_MISSING,
        Action.NONE,
        Mode.TELL,
        "Gusto no longer lists this person, and no dismissal says why.",
        "Nothing is touched. Look in Gusto for what happened; if the person has left, remove the account by hand.",
    ),
    Rule(
        "V2",
        when(hr="vanished"),
        State.HR_RECORD_MISSING,
        Action.NONE,
        Mode.NONE,
        "Gusto no longer lists this person, and no account in {app} is known.",
        "Nothing to do.",
    ),
    # Whose the account is, is not known for certain.
    Rule(
        "D1",
        when(hr="ended", link="disputed"),
        State.DISPUTED,
        Action.IDENTIFY,
        Mode.ASK_URGENT,
        "Left on {last_day}, and may still have the account {account}, which could also belong to {claims}.",
        "Say now whose account it is.",
    ),
    Rule(
        "D2",
        when(link="disputed"),
        State.DISPUTED,
        Action.IDENTIFY,
        Mode.ASK,
        "The account {account} could be this person's, but also belong to {claims}.",
        "Say whose account it is. Until then no other one is created.",
    ),
    Rule(
        "C1",
        when(hr="ended", link="candidate"),
        State.REVIEW,
        Action.IDENTIFY,
        Mode.ASK_URGENT,
        "Left on {last_day}, and may still have the account {account}: {evidence}.",
        "Say now whether it is this person's account.",
    ),
    Rule(
        "C2",
        when(hr=f"{HERE} {LATER}", want="yes", link="candidate"),
        State.REVIEW,
        Action.IDENTIFY,
        Mode.ASK,
        "The account {account} may be this person's: {evidence}.",
        "Say whether it is. Until then no other one is created.",
    ),
    Rule(
        "C3",
        when(link="candidate"),
        State.REVIEW,
        Action.IDENTIFY,
        Mode.ASK,
        "The account {account} may be this person's, who is not meant to have {app}: {evidence}.",
        "Say whether it is.",
    ),
    Rule(
        "N1",
        when(hr=STAYS, want="yes", link="refused"),
        State.MISSING,
        Action.CREATE,
        Mode.AUTO,
        "Should have {app}; the account {account} is not theirs, as somebody said.",
        "An account of their own is created, under another address if that one is taken. The other stays as it is.",
    ),
    Rule(
        "N4",
        when(hr="leaving", want="yes", link="refused"),
        State.MISSING,
        Action.CREATE,
        Mode.ASK,
        "Should have {app}, but leaves on {last_day}; the account {account} is not theirs, as somebody said.",
        "Say whether an account is still worth creating.",
    ),
    Rule(
        "N2",
        when(hr=LATER, want="yes", link="refused"),
        State.SCHEDULED,
        Action.NONE,
        Mode.NONE,
        "Will need {app} (first day: {first_day}); the account {account} is not theirs, as somebody said.",
        "An account of their own is created {created_on}.",
    ),
    Rule(
        "N3",
        when(link="refused"),
        State.NOT_WANTED,
        Action.NONE,
        Mode.NONE,
        "Needs no account in {app}; {account} is not theirs, as somebody said.",
        "Nothing to do.",
    ),
    Rule(
        "P1",
        when(hr="ended", link="linked", acct="active invited lapsed", prot="protected"),
        State.PROTECTED,
        Action.HAND_OVER,
        Mode.ASK_URGENT,
        "Left on {last_day}; the account {account} is still there, and protected.",
        "Hand over what depends on it, then remove it in {app} by hand.",
    ),
    Rule(
        "P2",
        when(link="linked", prot="protected"),
        State.PROTECTED,
        Action.NONE,
        Mode.NONE,
        "The account {account} is protected: a bot's, a shared one, the last owner's, or marked so by hand.",
        "Nothing is touched.",
    ),
    # There is no account and never was.
    Rule(
        "M1",
        when(hr=STAYS, want="yes", link="none"),
        State.MISSING,
        Action.CREATE,
        Mode.AUTO,
        "Should have {app}, and has no account.",
        "An account is created, or an invitation sent.",
    ),
    Rule(
        "M4",
        when(hr="leaving", want="yes", link="none"),
        State.MISSING,
        Action.CREATE,
        Mode.ASK,
        "Should have {app}, but has no account and leaves on {last_day}.",
        "Say whether an account is still worth creating.",
    ),
    Rule(
        "M2",
        when(hr=LATER, want="yes", link="none"),
        State.SCHEDULED,
        Action.NONE,
        Mode.NONE,
        "Will need {app} (first day: {first_day}).",
        "An account is created {created_on}.",
    ),
    Rule(
        "M3",
        when(link="none"),
        State.NOT_WANTED,
        Action.NONE,
        Mode.NONE,
        "Needs no account in {app}, and has none.",
        "Nothing to do.",
    ),
    # From here on the account is linked and not protected.
    Rule(
        "I1",
        when(hr=HERE, want="yes", acct="invited"),
        State.INVITE_SENT,
        Action.NONE,
        Mode.NONE,
        "The invitation is waiting for an answer.",
        "A reminder is due when half of its life is over.",
    ),
    Rule(
        "I2",
        when(hr=LATER, want="yes", acct="invited"),
        State.INVITE_SENT,
        Action.NONE,
        Mode.TELL,
        "Is invited already, but does not start yet (first day: {first_day}).",
        "The invitation stays. Cancel it in {app} if the person is not coming.",
    ),
    Rule(
        "I3",
        when(hr="ended", acct="invited"),
        State.REMOVAL_DUE,
        Action.CANCEL_INVITATION,
        Mode.LIMITED,
        "Left on {last_day}; the invitation is still open.",
        "The invitation is cancelled.",
    ),
    Rule(
        "I4",
        when(acct="invited"),
        State.EXTRA,
        Action.CANCEL_INVITATION,
        Mode.ASK,
        "Is invited to {app}, but not meant to have it.",
        "Say whether to cancel the invitation.",
    ),
    Rule(
        "I5",
        when(hr=STAYS, want="yes", acct="lapsed"),
        State.INVITE_LAPSED,
        Action.INVITE_AGAIN,
        Mode.AUTO,
        "The invitation lapsed without an answer.",
        "It is sent again, three times at most; after that somebody has to ask the person.",
    ),
    Rule(
        "I6",
        when(hr="ended", acct="lapsed"),
        State.INVITE_LAPSED,
        Action.CANCEL_INVITATION,
        Mode.LIMITED,
        "Left on {last_day}; the invitation lapsed without an answer.",
        "What {app} still lists of it is cleared away.",
    ),
    Rule(
        "I7",
        when(acct="lapsed"),
        State.INVITE_LAPSED,
        Action.NONE,
        Mode.NONE,
        "The invitation lapsed without an answer, and no other one is due now.",
        "Nothing to do.",
    ),
    Rule(
        "A1",
        when(hr="leaving", want="yes", acct="active"),
        State.LEAVING,
        Action.UPDATE,
        Mode.AUTO,
        "Leaves on {last_day}.",
        "Access ends at {removal_at}. Until then the account stays, with what changes in Gusto.",
    ),
    Rule(
        "A2",
        when(hr=STAYS, want="yes", acct="active"),
        State.CONNECTED,
        Action.UPDATE,
        Mode.AUTO,
        "Has {app}, as it should be.",
        "What changes in Gusto is changed in {app}.",
    ),
    Rule(
        "A3",
        when(hr="ended", acct="active"),
        State.REMOVAL_DUE,
        Action.SUSPEND,
        Mode.LIMITED,
        "Left on {last_day}; the account is still active.",
        "It is suspended now, or removed where {app} cannot suspend.",
    ),
    Rule(
        "A4",
        when(hr=LATER, want="yes", acct="active"),
        State.EARLY,
        Action.NONE,
        Mode.TELL,
        "The account is active before the first day ({first_day}).",
        "It stays. See to it if that is not meant.",
    ),
    Rule(
        "A5",
        when(acct="active"),
        State.EXTRA,
        Action.SUSPEND,
        Mode.ASK,
        "Has an active account, but is not meant to have {app}.",
        "Say whether to suspend it.",
    ),
    Rule(
        "S1",
        when(hr="ended", acct="suspended", by="us"),
        State.IN_GRACE,
        Action.DELETE,
        Mode.APPROVE,
        "Left on {last_day}; we suspended the account on {taken_on}.",
        "If accounts in {app} are to be deleted, approve it once the grace period is over.",
    ),
    Rule(
        "S2",
        when(hr=HERE, want="yes", acct="suspended", by="us", spell="same"),
        State.IN_GRACE,
        Action.REACTIVATE,
        Mode.AUTO,
        "Should have {app} after all; we suspended the account on {taken_on}, in this same employment.",
        "It is reactivated.",
    ),
    Rule(
        "S6",
        when(hr=HERE, want="yes", acct="suspended", by="us", spell="new"),
        State.IN_GRACE,
        Action.REACTIVATE,
        Mode.APPROVE,
        "Is back, in a new employment; we suspended the account on {taken_on}, in an earlier one. With it come back: "
        "{rights}.",
        "Look at the rights, then approve reactivating it.",
    ),
    Rule(
        "S3",
        when(acct="suspended", by="us"),
        State.SUSPENDED_BY_US,
        Action.NONE,
        Mode.NONE,
        "We suspended the account on {taken_on}, and no access is due now.",
        "It stays suspended.",
    ),
    Rule(
        "S4",
        when(hr="ended", acct="suspended", by="others"),
        State.SUSPENDED_BY_OTHERS,
        Action.DELETE_BY_HAND,
        Mode.APPROVE,
        "Left on {last_day}; somebody else suspended the account.",
        "It counts as removed. If it is to be deleted, approve that and delete it in {app} by hand.",
    ),
    Rule(
        "S5",
        when(acct="suspended", by="others"),
        State.SUSPENDED_BY_OTHERS,
        Action.NONE,
        Mode.TELL,
        "Somebody else suspended the account.",
        "It stays suspended. Whoever did it in {app} can undo it there.",
    ),
    Rule(
        "T1",
        when(hr=HERE, want="yes", acct="trash", by="us"),
        State.REMOVED,
        Action.RESTORE,
        Mode.APPROVE,
        "Should have {app}; we deleted the account on {taken_on}, and it is still in the bin.",
        "Approve restoring it. If {app} no longer can, a new one is created.",
    ),
    Rule(
        "T2",
        when(hr=HERE, want="yes", acct="trash", by="others"),
        State.DELETED_BY_OTHERS,
        Action.RESTORE,
        Mode.ASK,
        "Should have {app}, but somebody else deleted the account; it is still in the bin.",
        "Say whether to restore it.",
    ),
    Rule(
        "T3",
        when(acct="trash"),
        State.REMOVED,
        Action.NONE,
        Mode.NONE,
        "The account is deleted, and no access is due now.",
        "Nothing to do; the evidence is kept.",
    ),
    Rule(
        "G1",
        when(hr=STAYS, want="yes", acct="absent", by="us"),
        State.GONE,
        Action.CREATE,
        Mode.AUTO,
        "Should have {app}; we removed the earlier account on {taken_on}.",
        "A new account is created; the old one stays in the history.",
    ),
    Rule(
        "G4",
        when(hr="leaving", want="yes", acct="absent", by="us"),
        State.GONE,
        Action.CREATE,
        Mode.ASK,
        "Should have {app}, but leaves on {last_day}; we removed the earlier account on {taken_on}.",
        "Say whether another account is still worth creating.",
    ),
    Rule(
        "G2",
        when(hr=HERE, want="yes", acct="absent", by="others"),
        State.DELETED_BY_OTHERS,
        Action.CREATE,
        Mode.ASK,
        "Should have {app}, but somebody else removed the account.",
        "Say whether to create another one.",
    ),
    Rule(
        "G3",
        when(acct="absent"),
        State.GONE,
        Action.NONE,
        Mode.NONE,
        "The account is gone, and no access is due now.",
        "Nothing to do; the evidence is kept.",
    ),
)
"""The table. The first row that fits decides."""


@dataclass(frozen=True)
class Answers:
    """The two ways to answer a question: what each says, and the command behind `gusto-pipeline` that says it.

    Every command keeps who said so, when and why. An empty one: it is answered elsewhere, in Gusto or in the app.
    """

    yes: str
    yes_command: str
    no: str
    no_command: str


APPROVE, REJECT = "approve {plan} {item}", "approve {plan} {item} --reject"
_WANT, _DO_NOT_WANT = "accounts want {app} {person} --yes", "accounts want {app} {person} --no"
_WHOSE = Answers(
    "It is theirs", "accounts match {app} {account} {person}",
    "It is not", "accounts unmatch {app} {account} --person {person}",
)  # fmt: skip
_CREATE = Answers("Yes", APPROVE, "No, they need none", _DO_NOT_WANT)
_TAKE_AWAY = Answers("Yes", APPROVE, "No, they should have it", _WANT)
_DO = Answers("Yes", APPROVE, "No", REJECT)
_LEAVE_LOGIN = Answers("", "", "Leave it as it is", REJECT)
BY_HAND = Answers("", "", "They need none", _DO_NOT_WANT)
"""Where the app cannot do what a row says, or something lacks for it."""

ANSWERS = {
    **dict.fromkeys(("D1", "D2", "C1", "C2", "C3"), _WHOSE),
    **dict.fromkeys(("T2", "G2"), _CREATE),
    **dict.fromkeys(("I4", "A5"), _TAKE_AWAY),
    **dict.fromkeys(("N4", "M4", "G4", "S1", "S6", "T1"), _DO),
    "P1": Answers(
        "Removed by hand", "accounts done {app} {account}", "Not theirs any more", "accounts unmatch {app} {account}"
    ),
    "S4": Answers("Deleted by hand", "accounts done {app} {account}", "Leave it as it is", REJECT),
    "I5": Answers("Once more", APPROVE, "They need none", _DO_NOT_WANT),  # asked after the third time
    **dict.fromkeys(("A1", "A2"), _LEAVE_LOGIN),  # asked where the login was another address of theirs
}  # fmt: skip
"""What answers each row that asks, or that wants a person's yes."""


def answers(rule: str, action: str) -> Answers | None:
    """What answers the question whether to do `action` by a row; None where nothing can be asked.

    action: `identify` where it is not the row's own, because something keeps that from being done.
    """
    own = next(row.action for row in RULES if row.id == rule)
    if action == own or (action == Action.CREATE and own == Action.RESTORE):  # which some apps cannot
        return ANSWERS.get(rule)
    return BY_HAND if action == Action.IDENTIFY else None


def why_illegal(inputs: Inputs) -> str:
    """What is wrong with inputs that cannot occur; empty for legal ones."""
    for name, value in zip(VALUES, _values_of(inputs), strict=True):
        if value not in VALUES[name]:
            return f"{name} is {value!r}, not one of {', '.join(map(str, VALUES[name]))}"
    absent = inputs.acct == Acct.ABSENT
    if inputs.link == Link.NONE and not absent:
        return f"link is none, so acct must be absent, not {inputs.acct}"
    if inputs.link in {Link.CANDIDATE, Link.DISPUTED, Link.REFUSED} and absent:
        return f"link is {inputs.link}, so there is an account: acct cannot be absent"
    if inputs.prot == Prot.PROTECTED and absent:
        return "acct is absent, so prot must be plain"
    taken = inputs.acct in {Acct.SUSPENDED, Acct.TRASH} or (absent and inputs.link == Link.LINKED)
    if taken and inputs.by is None:
        return f"acct is {inputs.acct} with link {inputs.link}, so by must say who took it away"
    if not taken and inputs.by is not None:
        return f"acct is {inputs.acct} with link {inputs.link}, so nobody took it away: by must not be set"
    if inputs.by == By.US and inputs.spell is None:
        return "by is us, so spell must be set"
    if inputs.by != By.US and inputs.spell is not None:
        return "by is not us, so spell must not be set"
    return ""


def legal_inputs() -> Iterator[Inputs]:
    """Every combination that can occur: 2,432 of them."""
    for values in itertools.product(*VALUES.values()):
        inputs = Inputs(*values)  # type: ignore[arg-type]
        if not why_illegal(inputs):
            yield inputs


@functools.cache
def decide(inputs: Inputs) -> Rule:
    """The first row that fits. Raises ValueError, saying why, for inputs that cannot occur."""
    if why := why_illegal(inputs):
        raise ValueError(f"Cannot decide: {why}. This is a fault in what gathered the inputs.")
    return next(rule for rule in RULES if rule.fits(inputs))


def rows() -> list[tuple[str, str, str, str, str, str, str]]:
    """The table for people to read: id, when, state, action, mode, reason, next step."""
    return [
        (
            rule.id,
            " · ".join(f"{name} = {' / '.join(map(str, values))}" for name, values in rule.when),
            str(rule.state),
            str(rule.action),
            str(rule.mode),
            rule.reason,
            rule.next_step,
        )
        for rule in RULES
    ]
