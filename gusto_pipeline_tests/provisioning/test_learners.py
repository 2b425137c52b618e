"""What is planned for a learning portal, by people and learners that each test names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gusto_pipeline.gusto.catalog import CATEGORIES
from gusto_pipeline.learners import usable_columns
from gusto_pipeline.provisioning import learners, log
from gusto_pipeline.provisioning.account import Account, CustomField, Status, Tenant
from gusto_pipeline.provisioning.dismissal import Timing
from gusto_pipeline.provisioning.learners import PORTAL, Drafted, FieldRule, GroupRule, People, Portal, Rules
from gusto_pipeline.provisioning.matching import match
from gusto_pipeline.provisioning.plans import Item
from gusto_pipeline.provisioning.reconciliation import RuleError, Wanted, note_states
from gusto_pipeline.provisioning.store import store_accounts
from gusto_pipeline_tests.provisioning.hr import COMPANY, NOW, Hr

RULES = Rules(wanted=Wanted(who="worker_type = 'employee'", timing=Timing(lead_days=0)))
FIELDS = (
    CustomField("231", "Office", "text", ("San Francisco", "Denver")),
    CustomField("232", "Job title"),
    CustomField("234", "Level", "integer", ("1", "2")),
)
PORTAL_OF_ALL = Portal(FIELDS, {"41": "All staff", "42": "Designers"}, {"41": frozenset(), "42": frozenset()})
TITLE = FieldRule("Job title", "title", "title")


class Office:
    """A company and its portal; `draft` plans from what both say now."""

    def __init__(self, hr: Hr) -> None:
        self.hr = hr
        self.now = NOW
        learners.prepare(hr.connection)
        self.portal(())

    def people(self, *people: dict[str, Any]) -> None:
        self.hr.employees(*people, at=self.now)

    def portal(self, accounts: tuple[Account, ...] | list[Account]) -> None:
        connection = self.hr.connection
        accounts = learners.with_expiry(connection, COMPANY, accounts, timedelta(hours=72), self.now)
        tenant = Tenant("acme", "acme.learnupon.com")
        store_accounts(connection, COMPANY, PORTAL, tenant, accounts, self.now, 1, accept_shrink=True)
        note_states(connection, COMPANY, {PORTAL: self.now})

    def draft(self, rules: Rules = RULES, portal: Portal = PORTAL_OF_ALL) -> Drafted:
        self.hr.refresh(self.now)
        learners.link_created(self.hr.connection, COMPANY, self.now)
        match(self.hr.connection, COMPANY, [PORTAL], self.now)
        return learners.draft(self.hr.connection, "acme", COMPANY, rules, portal, self.now)

    def done(self, item: Item, account_id: str) -> None:
        """The log of an item carried out, with the account it made or changed."""
        connection = self.hr.connection
        intent = log.intend(connection, COMPANY, "plan", item, "ann", self.now)
        if learners.notable("intended", item):
            learners.note_step(connection, COMPANY, item, self.now)
        log.end(connection, COMPANY, intent, log.Result.DONE, self.now, account_id=account_id)
        if learners.notable("ended", item):
            learners.note_step(connection, COMPANY, item, self.now)


@pytest.fixture
def office() -> Iterator[Office]:
    hr = Hr()
    hr.stage("employees", [])
    yield Office(hr)
    hr.connection.close()


def ada(**more: Any) -> dict[str, Any]:
    return {"uuid": "e1", "work_email": "ada.moss@acme.example", "title": "Designer"} | more


def learner(
    id: str = "7", email: str = "ada.moss@acme.example", custom: dict[str, str] | None = None, **more: Any
) -> Account:
    base: dict[str, Any] = {"status": Status.ACTIVE, "given_name": "Ada", "family_name": "Moss", "role": "learner"}
    base |= {"created_at": datetime(2024, 2, 1, tzinfo=UTC), "raw": {"CustomData": custom or {}}}
    return Account(id=id, emails=(email,), **(base | more))


def todo(drafted: Drafted) -> list[tuple[str, str | None]]:
    return [(item.action, item.account_id) for item in drafted.plan.items]


# -- who becomes a learner, when, how ------------------------------------------------------------------------------


def test_somebody_without_an_account_becomes_a_learner_with_name_address_and_mapped_fields(office):
    office.people(ada())
    drafted = office.draft(replace(RULES, fields=(TITLE,), sso=True))
    assert [item.new for item in drafted.plan.items] == [
        {
            "email": "ada.moss@acme.example",
            "given_name": "Ada",
            "family_name": "Moss",
            "fields": {"Job title": "Designer"},
            "single_sign_on": True,
        }
    ]


def test_whoever_is_a_learner_already_is_neither_created_nor_invited(office):
    office.people(ada())
    office.portal([learner(email="Ada.Moss@acme.example")])
    assert todo(office.draft(replace(RULES, how="pending"))) == []


@pytest.mark.parametrize(
    ("when", "hired", "made"),
    [
        ("hire_date", "2026-06-16", 0),
        ("hire_date", "2026-06-15", 1),
        ("added", "2026-06-16", 1),
        ("added", "2027-06-16", 1),
    ],
)
def test_people_become_learners_on_their_first_day_or_as_soon_as_they_are_in_gusto(office, when, hired, made):
    office.people(ada(hired=hired))
    assert todo(office.draft(replace(RULES, when=when))) == [("create", None)] * made


def test_a_draft_without_dates_is_made_a_learner_only_when_being_in_gusto_is_enough(office):
    office.people(ada(hired=None, onboarded=False))
    assert todo(office.draft()) == []
    assert todo(office.draft(replace(RULES, when="added"))) == [("create", None)]


def test_who_has_left_is_neither_created_nor_invited_even_when_they_will_be_back(office):
    office.people(ada(last_day="2026-06-01"))
    assert todo(office.draft(replace(RULES, when="added", how="pending"))) == []
    office.hr.stage("rehires", [{"employee_uuid": "e1", "effective_date": "2026-09-01"}])
    assert todo(office.draft(replace(RULES, when="added"))) == []


@pytest.mark.parametrize(
    ("how", "invite", "words"),
    [
        ("active_with_mail", None, "welcomes them by mail if"),
        ("active", None, "no mail goes out if"),
        ("pending", True, "72 hours"),
    ],
)
def test_the_plan_says_what_a_newcomer_will_get(office, how, invite, words):
    office.people(ada())
    (item,) = office.draft(replace(RULES, how=how)).plan.items
    assert (item.new or {}).get("invite") is invite
    assert words in item.effect


def test_the_login_is_the_address_that_is_chosen(office):
    office.people(ada(work_email=None, email="ada@home.example"))
    assert [item.action for item in office.draft().plan.questions] == ["identify"]
    (item,) = office.draft(replace(RULES, address="work_or_personal")).plan.items
    assert item.new["email"] == "ada@home.example"


def test_two_people_with_one_address_are_asked_about(office):
    office.people(ada(), ada(uuid="e2", first_name="Bea", last_name="Lind"))
    drafted = office.draft()
    assert todo(drafted) == []
    assert [item.reason for item in drafted.plan.questions] == [
        "Should be a learner, but ada.moss@acme.example is somebody else's address in Gusto as well."
    ] * 2


def test_a_condition_that_makes_no_sense_is_named(office):
    office.people(ada())
    with pytest.raises(RuleError, match=r"learners\.who"):
        office.draft(replace(RULES, wanted=Wanted(who="nonsense = 1")))


# -- changes -------------------------------------------------------------------------------------------------------


def test_a_new_name_and_address_change_the_learner_known_by_the_stored_link(office):
    office.people(ada())
    office.portal([learner()])
    assert todo(office.draft()) == []
    office.people(ada(last_name="Moss-Lind", work_email="ada.lind@acme.example"))
    (item,) = office.draft(replace(RULES, how="pending")).plan.items
    assert (item.action, item.account_id, item.account) == ("update", "7", "ada.moss@acme.example")
    assert item.new == {"family_name": "Moss-Lind", "email": "ada.lind@acme.example"}
    assert "no mail" in item.effect


def test_an_address_that_is_another_learners_login_is_not_taken_over(office):
    office.people(ada())
    office.portal([learner()])
    office.draft()
    office.portal([learner(), learner("8", "ada.lind@acme.example", given_name="Zoe", family_name="Quist")])
    office.people(ada(work_email="ada.lind@acme.example"))
    drafted = office.draft()
    assert todo(drafted) == []
    assert "login of learner 8" in drafted.problems[0]


def test_mapped_fields_follow_gusto_and_others_are_left_alone(office):
    office.people(ada())
    office.portal([learner(custom={"Job title": "Chef", "Office": "Denver"})])
    (item,) = office.draft(replace(RULES, fields=(TITLE,))).plan.items
    assert item.new == {"fields": {"Job title": "Designer"}}


def test_where_gusto_says_nothing_the_portals_value_stays(office):
    office.people(ada(title=None))
    office.portal([learner(custom={"Job title": "Chef"})])
    assert todo(office.draft(replace(RULES, fields=(TITLE,)))) == []


def test_expressions_and_value_maps_make_what_a_field_takes(office):
    office.people(ada(department="SF", employee_code="12"))
    rules = replace(
        RULES,
        fields=(
            FieldRule("Office", "department", "department", {"SF": "San Francisco"}),
            FieldRule("Job title", "upper(title) || ' ' || last_name", "SQL"),
            FieldRule("Level", "CAST(employee_code AS INT) // 6", "SQL"),
        ),
    )
    (item,) = office.draft(rules).plan.items
    assert item.new["fields"] == {"Office": "San Francisco", "Job title": "DESIGNER Moss", "Level": "2"}


def test_a_value_that_does_not_fit_holds_back_its_field_and_not_the_person(office):
    office.people(
        ada(department="Denvr"), ada(uuid="e2", first_name="Bo", work_email="bo@acme.example", department="Denver")
    )
    drafted = office.draft(replace(RULES, fields=(TITLE, FieldRule("Office", "department", "department"))))
    assert {item.person: item.new["fields"] for item in drafted.plan.items} == {
        "Ada Moss": {"Job title": "Designer"},
        "Bo Moss": {"Job title": "Designer", "Office": "Denver"},
    }
    assert [(m.field, m.attribute, m.value, m.people, m.nearest) for m in drafted.misfits] == [
        ("Office", "department", "Denvr", ("Ada Moss",), "Denver")
    ]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (FieldRule("Ofice", "title", "title"), "no field 'Ofice'; it has Office"),
        (FieldRule("Office", "tittle", "tittle"), "tittle"),
        (FieldRule("Office", "title) FROM people; SELECT (1", "SQL"), "more than one"),
        (FieldRule("Office", "(SELECT ssn FROM staging.employees)", "SQL"), "staging"),
        (FieldRule("Office", "(SELECT content FROM read_text('/etc/passwd') LIMIT 1)", "SQL"), "disabled"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_named_and_the_rest_goes_on(office, rule, words):
    office.people(ada())
    drafted = office.draft(replace(RULES, fields=(rule, TITLE)))
    assert [item.new["fields"] for item in drafted.plan.items] == [{"Job title": "Designer"}]
    assert len(drafted.problems) == 1
    assert words in drafted.problems[0]


# -- leaving and coming back ---------------------------------------------------------------------------------------


def leaver(office: Office) -> Item:
    """A learner who left and whom we disabled on the instant."""
    office.people(ada(last_day="2026-06-14"))
    office.portal([learner()])
    (item,) = office.draft().plan.items
    office.done(item, "7")
    office.portal([learner(status=Status.SUSPENDED)])
    return item


def test_access_ends_on_the_instant_that_holds_for_every_app(office):
    office.people(ada(last_day="2026-06-15"))
    office.portal([learner()])
    (item,) = office.draft().plan.items
    assert (item.action, item.due_at) == ("suspend", "2026-06-16T07:00:00+00:00")


def test_a_disabled_leaver_stays_disabled_and_nothing_is_left_to_do(office):
    assert leaver(office).rule == "A3"
    assert todo(office.draft()) == []


def test_a_rehire_is_enabled_again_without_anybodys_approval(office):
    leaver(office)
    office.now += timedelta(days=60)
    office.portal([learner(status=Status.SUSPENDED)])
    office.people(ada(last_day="2026-06-14", terminated=False))
    office.hr.stage("rehires", [{"employee_uuid": "e1", "effective_date": "2026-08-10"}])
    (item,) = office.draft().plan.items
    assert (item.rule, item.action, item.needs_approval) == ("S6", "reactivate", False)


def test_a_learner_whom_the_portals_admin_disabled_stays_so(office):
    office.people(ada())
    office.portal([learner(status=Status.SUSPENDED)])
    assert todo(office.draft()) == []


# -- invitations ---------------------------------------------------------------------------------------------------

INVITED = Account(id="invitation/5", status=Status.INVITED, emails=("ada.moss@acme.example",))
PENDING = replace(RULES, how="pending")


def invited(office: Office) -> None:
    office.people(ada())
    (item,) = office.draft(PENDING).plan.items
    office.done(item, "invitation/5")


def pending(office: Office) -> list[tuple[Any, ...]]:
    return office.hr.query(
        f"SELECT email, link_ends_at, expired, listed FROM ({learners.pending_query(COMPANY, office.now)})"
    )


def test_an_invitation_waits_72_hours_and_is_then_sent_again_three_times_at_most(office):
    invited(office)
    office.portal([INVITED])
    assert todo(office.draft(PENDING)) == []
    assert pending(office) == [("ada.moss@acme.example", NOW + timedelta(hours=72), False, True)]
    for times in range(3):
        office.now += timedelta(hours=72)
        office.portal([replace(INVITED, id=f"invitation/{5 + times}")])
        assert pending(office)[0][2]
        (item,) = office.draft(PENDING).plan.items
        assert item.action == "invite_again"
        office.done(item, f"invitation/{6 + times}")
    office.now += timedelta(hours=72)
    office.portal([replace(INVITED, id="invitation/8")])
    drafted = office.draft(PENDING)
    assert todo(drafted) == []
    assert [item.action for item in drafted.plan.questions] == ["invite_again"]


def test_an_accepted_invitation_is_the_persons_learner_whatever_the_names(office):
    invited(office)
    office.now += timedelta(hours=5)
    office.portal([learner("99", created_at=office.now, given_name=None, family_name="M.")])
    (item,) = office.draft(PENDING).plan.items
    assert (item.action, item.account_id, item.new) == ("update", "99", {"given_name": "Ada", "family_name": "Moss"})
    assert pending(office) == []


def test_a_leavers_invitation_is_withdrawn(office):
    invited(office)
    office.portal([INVITED])
    office.draft(PENDING)
    office.people(ada(last_day="2026-06-14"))
    assert todo(office.draft(PENDING)) == [("cancel_invitation", "invitation/5")]


def test_an_invitation_that_the_portal_does_not_list_is_not_sent_twice(office):
    invited(office)
    office.portal([])
    drafted = office.draft(PENDING)
    assert (todo(drafted), drafted.waiting) == ([], 1)
    assert pending(office) == [("ada.moss@acme.example", NOW + timedelta(hours=72), False, False)]
    office.now += timedelta(hours=73)
    office.portal([])
    drafted = office.draft(PENDING)
    assert todo(drafted) == []
    assert [item.next_step for item in drafted.plan.questions] == ["Send it again in the portal."]


def test_of_a_leavers_invitation_that_the_portal_does_not_list_somebody_is_told(office):
    invited(office)
    office.people(ada(last_day="2026-06-14"))
    office.portal([])
    (question,) = office.draft(PENDING).plan.questions
    assert (question.action, question.next_step) == ("cancel_by_hand", "Withdraw it in the portal.")


# -- groups --------------------------------------------------------------------------------------------------------

DESIGNERS = GroupRule("Designers", "title = 'Designer'")


def of_group(*ids: str) -> Portal:
    return replace(PORTAL_OF_ALL, members={"41": frozenset(), "42": frozenset(ids)})


@pytest.mark.parametrize(
    ("where", "inside"),
    [
        ("title = 'Designer'", True),
        ("email_domain = 'acme.example'", True),
        ("email_domain = 'home.example'", False),
        ("created_on < DATE '2024-03-01'", True),
        ("created_on > DATE '2024-03-01'", False),
        ("custom['Office'] = 'Denver'", True),
        ("custom['Job title'] = 'Designer'", True),
        ("custom['Nothing'] = 'x'", False),
    ],
)
def test_a_rule_over_attributes_domain_creation_date_or_custom_data_puts_learners_into_a_group(office, where, inside):
    office.people(ada())
    office.portal([learner(custom={"Office": "Denver", "Job title": "Designer"})])
    drafted = office.draft(replace(RULES, groups=(GroupRule("42", where),), fields=(TITLE,)))
    assert [(item.action, item.new["group"]) for item in drafted.plan.items] == [("join", "42")] * inside


def test_a_new_learner_is_put_into_the_groups_at_once(office):
    office.people(ada())
    (item,) = office.draft(replace(RULES, groups=(DESIGNERS, GroupRule("All staff", "true")))).plan.items
    assert item.new["groups"] == ["41", "42"]


def test_a_learner_leaves_only_the_groups_that_a_rule_put_them_into(office):
    office.people(ada())
    office.portal([learner()])
    rules = replace(RULES, groups=(DESIGNERS,))
    (joins,) = office.draft(rules).plan.items
    office.done(joins, "7")
    assert todo(office.draft(rules, of_group("7"))) == []
    office.people(ada(title="Chef"))
    (leaves,) = office.draft(rules, of_group("7")).plan.items
    assert (leaves.action, leaves.new["title"]) == ("leave", "Designers")
    office.done(leaves, "7")
    assert todo(office.draft(rules, of_group("7"))) == [], "put in by hand since"


def test_a_rule_that_is_gone_takes_its_learners_out_and_one_that_is_broken_leaves_them(office):
    office.people(ada())
    office.portal([learner()])
    (joins,) = office.draft(replace(RULES, groups=(DESIGNERS,))).plan.items
    office.done(joins, "7")
    broken = office.draft(replace(RULES, groups=(GroupRule("Designers", "tittle = 1"),)), of_group("7"))
    assert todo(broken) == []
    assert "tittle" in broken.problems[0]
    assert todo(office.draft(RULES, of_group("7"))) == [("leave", "7")]


def test_a_group_that_is_not_there_is_named(office):
    office.people(ada())
    office.portal([learner()])
    drafted = office.draft(replace(RULES, groups=(GroupRule("Cooks", "true"),)))
    assert drafted.problems == ("The portal has no group 'Cooks'; its groups are All staff, Designers.",)


# -- attributes ----------------------------------------------------------------------------------------------------


def test_attributes_have_an_example_each(office):
    office.people(ada())
    office.hr.refresh()
    found = {each.name: each for each in People(office.hr.connection, COMPANY, "work").attributes()}
    assert (found["title"].example, found["email"].example) == ("Designer", "ada.moss@acme.example")
    assert found["first_day"].type == "DATE"


def test_neither_pay_nor_numbers_nor_birth_dates_are_ever_offered():
    offered = set(usable_columns())
    for table in CATEGORIES["employees"].tables():
        prefixes = {"employees": "", "jobs": "job__", "compensations": "compensation__"}
        for column in table.columns:
            if column.sensitivity in ("pay", "secret") and table.name in prefixes:
                assert prefixes[table.name] + column.name not in offered
    assert not {"date_of_birth", "ssn", "has_ssn", "payment_method", "two_percent_shareholder"} & offered
    assert {"hired_at", "flsa_status", "current_home_address__city", "manager__name"} <= offered
