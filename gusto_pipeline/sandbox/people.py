"""Makes companies full of people who look real and include the odd cases real ones have.

The same arguments give the same companies, whatever else is made beside them.
"""

import random
import re
import unicodedata
from datetime import date, timedelta
from uuid import UUID

from faker import Faker

from gusto_pipeline.sandbox.gusto.world import Company, Record

COMPANY_NAMES = ("Acme Tea Co", "Birch & Bolt Hardware", "Cobalt Analytics", "Dune Cycles", "Ember Street Bakery")
ENTITY_TYPES = ("S-Corporation", "LLC", "C-Corporation", "Non-Profit", "General partnership")
ASSIGNMENT_TYPES = ("by_department", "by_employee", "hourly_salaried", "single")

# city, state, zip, area code, minimum wage
PLACES = (
    ("Boston", "MA", "02108", "617", "15.00"),
    ("San Francisco", "CA", "94107", "415", "18.67"),
    ("Denver", "CO", "80202", "303", "18.29"),
    ("Newark", "NJ", "07102", "973", "15.13"),
    ("Austin", "TX", "78701", "512", "7.25"),
    ("Seattle", "WA", "98101", "206", "20.76"),
    ("Portland", "ME", "04101", "207", "15.00"),
    ("Chicago", "IL", "60601", "312", "16.20"),
    ("Burlington", "VT", "05401", "802", "14.01"),
)

# title of the department, titles in it, lowest and highest rate, paid by the hour
DEPARTMENTS = (
    ("Engineering", ("Software Engineer", "Senior Engineer", "Engineering Manager"), 95_000, 190_000, False),
    ("Retail", ("Sales Associate", "Shift Lead", "Barista"), 17, 29, True),
    ("Sales", ("Account Executive", "Sales Manager"), 62_000, 140_000, False),
    ("Operations", ("Operations Analyst", "Logistics Coordinator"), 54_000, 98_000, False),
    ("Warehouse", ("Picker", "Forklift Operator"), 19, 34, True),
    ("People", ("HR Generalist", "Recruiter"), 58_000, 120_000, False),
    ("Finance & Legal", ("Accountant", "Controller"), 61_000, 150_000, False),
)

UNFINISHED_ONBOARDING = (
    "admin_onboarding_incomplete",
    "self_onboarding_pending_invite",
    "self_onboarding_invited",
    "self_onboarding_invited_started",
    "self_onboarding_invited_overdue",
    "self_onboarding_completed_by_employee",
    "self_onboarding_awaiting_admin_review",
)
CONTRACTOR_ONBOARDING = (
    "admin_onboarding_incomplete",
    "admin_onboarding_review",
    "self_onboarding_not_invited",
    "self_onboarding_invited",
    "self_onboarding_started",
    "self_onboarding_review",
)

# What becomes of the n-th employee; it repeats. 28 of 40 work here today, as in a settled company.
FATES = [
    "active",
    "active",
    "active",
    "left",
    "active",
    "onboarding",
    "active",
    "leaving",
    "active",
    "rehired",
    "active",
    "onboarding",
    "active",
    "starting",
    "active",
    "leaves_today",
    "active",
    "onboarding",
    "active",
    "active",
    "active",
    "onboarding",
    "active",
    "returning",
    "active",
    "onboarding",
    "active",
    "active",
    "active",
    "left",
    "active",
    "onboarding",
    "active",
    "active",
    "active",
    "onboarding",
    "active",
    "active",
    "active",
    "active",
]

# Names that trip software up, by position among the employees. 14 and 16 are two different people.
NAMES: dict[int, Record] = {
    1: {"first_name": "José", "last_name": "Muñoz"},
    2: {"first_name": "Björn", "last_name": "Lindström"},
    4: {"first_name": "伟", "last_name": "李", "preferred_first_name": "Wei", "mailbox": "wei.li"},
    6: {"first_name": "Łukasz", "last_name": "Żak"},
    8: {"first_name": "Siobhán", "last_name": "O'Brien"},
    10: {"first_name": "Anne-Marie", "last_name": "Smith-Jones"},
    12: {"first_name": '=HYPERLINK("http://example.com","x")', "last_name": "Doe", "mailbox": "h.doe"},
    14: {"first_name": "Maria", "last_name": "Garcia"},
    16: {"first_name": "Maria", "last_name": "Garcia"},
}

CUSTOM_FIELDS: tuple[Record, ...] = (
    {"name": "Badge number", "type": "text", "description": "Printed on the badge", "selection_options": None},
    {"name": "Equipment budget", "type": "currency", "description": None, "selection_options": None},
    {"name": "Desk", "type": "number", "description": None, "selection_options": None},
    {"name": "Visa expires", "type": "date", "description": "If there is one", "selection_options": None},
    {"name": "T-shirt", "type": "radio", "description": None, "selection_options": ["S", "M", "L", "XL"]},
)

# name, type, method, rate, unit, limit on the balance
POLICIES = (
    ("Vacation", "vacation", "per_pay_period", "120.0", "2080.0", "240.0"),
    ("Sick leave", "sick", "per_hour_worked", "1.0", "30.0", "72.0"),
    ("Open time off", "vacation", "unlimited", None, None, None),
    ("Jury duty", "jury_duty", "per_calendar_year", "40.0", None, None),
    ("Bereavement", "bereavement", "per_calendar_year", "24.0", None, None),
    ("Volunteering", "volunteer", "per_calendar_year", "16.0", None, None),
)

# Gusto's number of the kind, the company's name for it, offered still
BENEFITS = (
    (1, "Redwood Health HMO", True),
    (2, "Brightside Dental", True),
    (5, "401(k) with match", True),
    (8, "Dependent care account", False),
)

MATCH = {
    "type": "tiered",
    "value": {
        "tiers": [
            {"rate": "100.0", "threshold": "3.0", "threshold_delta": "3.0"},
            {"rate": "50.0", "threshold": "7.0", "threshold_delta": "4.0"},
        ]
    },
}

EARNINGS = (
    "Bonus",
    "Cash Tips",
    "Commission",
    "Correction Payment",
    "Minimum Wage Adjustment",
    "Paycheck Tips",
    "Severance",
)


def make_companies(
    count: int, *, employees: int, contractors: int | None = None, seed: int = 7, today: date
) -> list[Company]:
    """`count` companies of `employees` each. Contractors default to one per ten employees, three at least."""
    if contractors is None:
        contractors = max(3, employees // 10)
    names: list[str] = []
    faker = Faker("en_US", use_weighting=False)
    faker.seed_instance(seed)
    while len(names) < count:
        name = COMPANY_NAMES[len(names)] if len(names) < len(COMPANY_NAMES) else faker.company()
        if slug_of(name) not in map(slug_of, names):
            names.append(name)
    return [_Maker(position, name, seed, today).company(employees, contractors) for position, name in enumerate(names)]


def slug_of(name: str) -> str:
    """`Birch & Bolt Hardware` → `birch-bolt-hardware`."""
    return re.sub(r"[^a-z0-9]+", "-", _ascii(name).lower()).strip("-")


class _Maker:
    """Makes one company; holds the dice and the date."""

    def __init__(self, position: int, name: str, seed: int, today: date) -> None:
        self.position = position
        self.name = name
        self.slug = slug_of(name)
        self.today = today
        self.rng = random.Random(f"{seed}:{position}")
        self.faker = Faker("en_US", use_weighting=False)
        self.faker.seed_instance(f"{seed}:{position}")
        self.uuid = self.new_uuid()
        self.mailboxes: set[str] = set()
        self.codes: set[str] = set()
        self.unfinished = 0

    def company(self, employees: int, contractors: int) -> Company:
        self.locations = self.make_locations()
        self.departments = {
            uuid: {"uuid": uuid, "title": title}
            for uuid, (title, *_) in ((self.new_uuid(), row) for row in DEPARTMENTS)
        }
        self.schedules = self.make_schedules()
        self.custom_fields = {
            uuid: {"uuid": uuid} | row for uuid, row in ((self.new_uuid(), row) for row in CUSTOM_FIELDS)
        }
        self.policies = self.make_policies()
        self.earning_types = {
            "default": [{"uuid": self.new_uuid(), "name": name, "active": True} for name in EARNINGS],
            "custom": [{"uuid": self.new_uuid(), "name": "Gym Membership Stipend", "active": True}],
        }
        staff = [self.make_employee(n) for n in range(employees)]
        self.appoint_managers(staff)
        company = Company(
            uuid=self.uuid,
            name=self.name,
            slug=self.slug,
            record=self.make_record(),
            admins=self.make_admins(staff),
            locations=self.locations,
            departments=self.departments,
            employees={employee["uuid"]: employee for employee in staff},
            contractors={row["uuid"]: row for row in (self.make_contractor(n) for n in range(contractors))},
            pay_schedules=self.schedules,
            assignment_type=ASSIGNMENT_TYPES[self.position % len(ASSIGNMENT_TYPES)],
            department_schedules={
                uuid: list(self.schedules)[0 if DEPARTMENTS[n][4] else 1] for n, uuid in enumerate(self.departments)
            },
            custom_fields=self.custom_fields,
            policies=self.policies,
            time_off_requests=self.make_requests(staff),
            earning_types=self.earning_types,
            applicants=[self.make_applicant(n) for n in range(3)],
            benefits=self.make_benefits(staff),
        )
        return company

    # -- the company ------------------------------------------------------------------------------------------

    def make_record(self) -> Record:
        hourly = (("Overtime", 1.5), ("Double overtime", 2), ("Regular", 1))
        fixed = [(row["uuid"], row["name"]) for row in self.earning_types["default"]]
        return {
            "trade_name": self.name.removesuffix(" Co") if self.position % 2 == 0 else None,
            "ein": f"00-{self.position + 1:07}",
            "entity_type": ENTITY_TYPES[self.position % len(ENTITY_TYPES)],
            "contractor_only": False,
            "tier": ("plus", "simple", "premium")[self.position % 3],
            "is_suspended": False,
            "company_status": "Approved",
            "is_partner_managed": False,
            "is_high_risk_business": False,
            "is_marijuana_business": False,
            "join_date": (self.today - timedelta(days=2400 + self.position)).isoformat(),
            "funding_type": "ach",
            "compensations": {
                "hourly": [{"uuid": self.new_uuid(), "name": name, "multiple": m} for name, m in hourly],
                "fixed": [*({"uuid": u, "name": n} for u, n in fixed), {"uuid": None, "name": "Reimbursement"}],
                "paid_time_off": [
                    {"uuid": self.new_uuid(), "name": "Vacation Hours"},
                    {"uuid": self.new_uuid(), "name": "Sick Hours"},
                    {"uuid": None, "name": "Holiday Hours"},
                ],
            },
        }

    def make_admins(self, staff: list[Record]) -> list[Record]:
        rows = [(row["first_name"], row["last_name"], row["email"]) for row in staff[:1]]
        rows.append(("Pat", "Ledger", f"pat.ledger@{self.slug}.example"))
        return [
            {
                "uuid": self.new_uuid(),
                "email": email or f"owner@{self.slug}.example",
                "first_name": first_name,
                "last_name": last_name,
                "phone": self.phone("800") if n == 0 else None,
            }
            for n, (first_name, last_name, email) in enumerate(rows)
        ]

    def make_locations(self) -> dict[str, Record]:
        rows = {}
        for n in range(4):
            city, state, zip_code, area, wage = PLACES[(self.position + n) % len(PLACES)]
            uuid = self.new_uuid()
            created = self.today - timedelta(days=2390 - 300 * n)
            rows[uuid] = {
                "uuid": uuid,
                "phone_number": self.phone(area),
                "street_1": self.street(),
                "street_2": f"Suite {self.rng.randint(1, 9)}00" if n % 2 == 0 else None,
                "city": city,
                "state": state,
                "zip": zip_code,
                "country": "USA",
                "mailing_address": n == 0,
                "filing_address": n == 0,
                "active": n != 3,
                "created_at": f"{created}T09:12:05.000-07:00",
                "updated_at": f"{created + timedelta(days=30)}T16:40:11.000-07:00",
                "minimum_wages": [
                    {
                        "uuid": self.new_uuid(),
                        "wage": wage,
                        "wage_type": "Regular",
                        "effective_date": self.today.replace(month=1, day=1).isoformat(),
                        "authority": "State",
                        "notes": "",
                    }
                ],
            }
        return rows

    def make_schedules(self) -> dict[str, Record]:
        monday = self.today - timedelta(days=self.today.weekday())
        rows = {}
        for frequency, name, day_1, day_2 in (
            ("Every other week", "Hourly staff", None, None),
            ("Twice per month", "Salaried staff", 15, 31),
            ("Monthly", "Executives", 31, None),
        ):
            uuid = self.new_uuid()
            end = monday - timedelta(days=1 + 14 * 130)
            rows[uuid] = {
                "uuid": uuid,
                "frequency": frequency,
                "anchor_pay_date": (end + timedelta(days=5)).isoformat(),
                "anchor_end_of_pay_period": end.isoformat(),
                "day_1": day_1,
                "day_2": day_2,
                "name": name,
                "custom_name": name,
                "auto_payroll": frequency == "Monthly",
                "active": True,
                "auto_payroll_enablement_blockers": None,
                "workweek_start_day": "Monday",
            }
        return rows

    def make_policies(self) -> dict[str, Record]:
        rows = {}
        for name, policy_type, method, rate, unit, limit in POLICIES:
            uuid = self.new_uuid()
            rows[uuid] = {
                "uuid": uuid,
                "name": name,
                "policy_type": policy_type,
                "accrual_method": method,
                "accrual_rate": rate,
                "accrual_rate_unit": unit,
                "paid_out_on_termination": name == "Vacation",
                "accrual_waiting_period_days": 0 if rate else None,
                "carryover_limit_hours": "80.0" if limit else None,
                "max_accrual_hours_per_year": limit,
                "max_hours": limit,
                "policy_reset_date": "01-01" if rate else None,
                "complete": True,
                "is_active": name != "Volunteering",
            }
        return rows

    # -- its employees ----------------------------------------------------------------------------------------

    def make_employee(self, n: int) -> Record:
        fate = FATES[n % len(FATES)]
        quirk = NAMES.get(n, {})
        uuid = self.new_uuid()
        department_number = n % len(DEPARTMENTS)
        first_name = quirk.get("first_name") or self.faker.first_name()
        last_name = quirk.get("last_name") or self.faker.last_name()
        mailbox = self.mailbox(quirk.get("mailbox") or f"{first_name}.{last_name}")
        spells = self.make_spells(fate)
        status = "onboarding_completed"
        if fate == "onboarding":
            status = UNFINISHED_ONBOARDING[self.unfinished % len(UNFINISHED_ONBOARDING)]
            self.unfinished += 1
        begun = status not in UNFINISHED_ONBOARDING[:2]
        area = PLACES[(self.position + n) % len(PLACES)][3]
        employee: Record = {
            "uuid": uuid,
            "created_at": f"{date.fromisoformat(spells[0]['hire_date']) - timedelta(days=14)}T10:00:{n % 60:02}Z",
            "first_name": first_name,
            "middle_initial": self.rng.choice("ABDEJKLMR") if n % 4 == 3 else None,
            "last_name": last_name,
            "preferred_first_name": quirk.get("preferred_first_name") or ("Sam" if n % 17 == 11 else None),
            "email": None if n % 40 in (13, 17) else f"{mailbox}@example.com",
            "work_email": None if fate == "onboarding" or n % 11 == 9 else f"{mailbox}@{self.slug}.example",
            "phone": self.phone(area) if n % 3 else None,
            "date_of_birth": self.days_ago(20 * 365, 62 * 365) if begun else None,
            "has_ssn": begun,
            "manager_uuid": None,
            "department_uuid": None if n % 19 == 18 else list(self.departments)[department_number],
            "onboarding_status": status,
            "current_employment_status": "part_time_twenty_plus_hours" if n % 9 == 8 else "full_time",
            "payment_method": "Check" if n % 8 == 5 else "Direct Deposit",
            "historical": n % 40 == 29,
            "employee_code": self.code(n),
            "two_percent_shareholder": n == 0 and ENTITY_TYPES[self.position % 5] == "S-Corporation",
            "spells": spells,
            "jobs": self.make_jobs(n, department_number, spells[0]) if begun else [],
            "home_addresses": self.make_homes(n, spells[0]["hire_date"]) if begun else [],
            "work_addresses": self.make_workplaces(n, spells[0]["hire_date"]),
            "garnishments": [self.make_garnishment(n)] if n % 12 == 4 else [],
            "custom_values": self.make_custom_values(n) if n % 3 != 2 else {},
            "benefits": [],
            "balances": self.make_balances(n) if fate in ("active", "leaving", "leaves_today", "rehired") else {},
            "invited": status not in UNFINISHED_ONBOARDING[:2],
        }
        for rehire in spells[1:]:
            rehire["work_location_uuid"] = employee["work_addresses"][-1]["location_uuid"]
        return employee

    def make_spells(self, fate: str) -> list[Record]:
        today, days = self.today, self.rng.randint
        long_ago = today - timedelta(days=days(400, 2200))
        match fate:
            case "onboarding":
                return [_spell(today + timedelta(days=days(-10, 20)))]
            case "starting":
                return [_spell(today + timedelta(days=days(3, 45)))]
            case "left":
                return [_spell(long_ago, today - timedelta(days=days(2, 300)))]
            case "leaves_today":
                return [_spell(long_ago, today)]
            case "leaving":
                return [_spell(long_ago, today + timedelta(days=days(5, 40)))]
            case "rehired":
                back = today - timedelta(days=days(60, 200))
                first = today - timedelta(days=days(1500, 2200))
                return [_spell(first, back - timedelta(days=days(200, 500))), _spell(back)]
            case "returning":
                return [
                    _spell(long_ago, today - timedelta(days=days(30, 90))),
                    _spell(today + timedelta(days=days(10, 40))),
                ]
            case _:
                return [_spell(long_ago + timedelta(days=days(0, 390)))]

    def make_jobs(self, n: int, department_number: int, spell: Record) -> list[Record]:
        _, titles, low, high, hourly = DEPARTMENTS[department_number]
        title = "Chief Executive Officer" if n == 0 else titles[n // len(DEPARTMENTS) % len(titles)]
        if n % 40 == 18:
            title = ""
        jobs = [self.make_job(n, title, spell["hire_date"], low, high, hourly, primary=True)]
        if hourly and n % 3 == 1:
            jobs.append(self.make_job(n, "Trainer", spell["hire_date"], low + 2, high + 2, hourly, primary=False))
        return jobs

    def make_job(
        self, n: int, title: str, hire_date: str, low: int, high: int, hourly: bool, *, primary: bool
    ) -> Record:
        uuid, hired = self.new_uuid(), date.fromisoformat(hire_date)
        rate = float(self.rng.randint(low, high))
        compensations: list[Record] = []
        when = hired
        while True:
            compensations.append(
                {
                    "uuid": self.new_uuid(),
                    "rate": f"{rate:.2f}",
                    "payment_unit": "Hour" if hourly else "Year",
                    "flsa_status": "Nonexempt" if hourly else "Owner" if n == 0 else "Exempt",
                    "title": title,
                    "effective_date": when.isoformat(),
                    "adjust_for_minimum_wage": False,
                    "minimum_wages": [],
                }
            )
            when += timedelta(days=365 + self.rng.randint(0, 120))
            rate = round(rate * 1.04, 2)
            if when > self.today and (n % 10 != 2 or when > self.today + timedelta(days=480)):
                break
        return {
            "uuid": uuid,
            "hire_date": hire_date,
            "primary": primary,
            "two_percent_shareholder": False,
            "state_wc_covered": True if n % 40 == 1 else None,
            "state_wc_class_code": "0042" if n % 40 == 1 else None,
            "compensations": compensations,
        }

    def make_homes(self, n: int, hire_date: str) -> list[Record]:
        dates = ["1970-01-01"]
        if n % 5 == 2:
            dates.append((date.fromisoformat(hire_date) + timedelta(days=200)).isoformat())
        if n % 20 == 6:
            dates.append((self.today + timedelta(days=25)).isoformat())
        rows: list[Record] = []
        for when in dates:
            city, state, zip_code, *_ = PLACES[(self.position + n + len(rows)) % len(PLACES)]
            rows.append(
                {
                    "uuid": self.new_uuid(),
                    "effective_date": when,
                    "courtesy_withholding": False,
                    "street_1": self.street(),
                    "street_2": ("", f"Apt. {self.rng.randint(1, 40)}", None)[n % 3],
                    "city": city,
                    "state": state,
                    "zip": zip_code if n % 16 else f"{zip_code}-0{self.rng.randint(100, 999)}",
                    "country": "USA",
                }
            )
        return rows

    def make_workplaces(self, n: int, hire_date: str) -> list[Record]:
        open_locations = [uuid for uuid, row in self.locations.items() if row["active"]]
        rows = [{"uuid": self.new_uuid(), "location_uuid": open_locations[n % 3], "effective_date": hire_date}]
        if n % 7 == 6:
            moved = date.fromisoformat(hire_date) + timedelta(days=150)
            where = open_locations[(n + 1) % 3]
            rows.append({"uuid": self.new_uuid(), "location_uuid": where, "effective_date": moved.isoformat()})
        return rows

    def make_garnishment(self, n: int) -> Record:
        support = n % 24 == 4
        return {
            "uuid": self.new_uuid(),
            "active": True,
            "amount": "150.00" if support else "8.00",
            "description": "Child support" if support else "Company loan to employee",
            "court_ordered": support,
            "times": None if support else 5,
            "recurring": support,
            "annual_maximum": None,
            "total_amount": None,
            "pay_period_maximum": None if support else "100.00",
            "deduct_as_percentage": not support,
            "garnishment_type": "child_support" if support else None,
            "child_support": {
                "state": "MA",
                "payment_period": "Every other week",
                "fips_code": "25025",
                "case_number": f"00{n:04}",
                "order_number": None,
                "remittance_number": None,
            }
            if support
            else None,
        }

    def make_custom_values(self, n: int) -> dict[str, Record]:
        values = {
            "text": f"{n:06}",
            "currency": f"{self.rng.randint(2, 30) * 50}.00",
            "number": str(self.rng.randint(1, 400)),
            "date": (self.today + timedelta(days=self.rng.randint(30, 900))).isoformat(),
            "radio": self.rng.choice(["S", "M", "L", "XL"]),
        }
        if n % 10 == 0:
            values["text"] = ""  # was filled once, emptied later
        kept = [row for m, row in enumerate(self.custom_fields.values()) if m == 0 or (n + m) % 4]
        return {row["uuid"]: {"id": self.new_uuid(), "value": values[row["type"]]} for row in kept}

    def make_balances(self, n: int) -> dict[str, str]:
        vacation, sick, unlimited, jury, bereavement, _ = self.policies
        hours = self.rng.randint
        balances = {
            (unlimited if n % 6 == 0 else vacation): f"{hours(0, 200)}.{hours(0, 9)}" if n % 6 else "0.0",
            sick: f"{hours(0, 70)}.5",
        }
        if n % 5 == 0:
            balances |= {jury: "40.0", bereavement: "24.0"}
        return balances

    def appoint_managers(self, staff: list[Record]) -> None:
        heads: dict[str | None, str] = {}
        working = [row for n, row in enumerate(staff) if FATES[n % len(FATES)] == "active"]
        for employee in working[1:]:
            heads.setdefault(employee["department_uuid"], employee["uuid"])
        for employee in staff[1:]:
            head = heads.get(employee["department_uuid"])
            if employee["onboarding_status"] != UNFINISHED_ONBOARDING[0]:
                employee["manager_uuid"] = staff[0]["uuid"] if head in (None, employee["uuid"]) else head

    def make_requests(self, staff: list[Record]) -> list[Record]:
        rows: list[Record] = []
        statuses = ("pending", "approved", "declined", "consumed")
        for employee in [row for row in staff if row["balances"]][::2]:
            status = statuses[len(rows) % len(statuses)]
            offset = self.rng.randint(-90, -10) if status == "consumed" else self.rng.randint(4, 80)
            first = self.today + timedelta(days=offset)
            days = [first + timedelta(days=d) for d in range(self.rng.randint(1, 6))]
            policy_uuid = self.rng.choice(list(employee["balances"]))
            policy_type = self.policies[policy_uuid]["policy_type"]
            rows.append(
                {
                    "uuid": self.new_uuid(),
                    "status": status,
                    "employee_note": self.rng.choice(["", "Family visit", "Dentist, back at 2"]),
                    "employer_note": "Too many away that week" if status == "declined" else "",
                    "request_type": "sick" if policy_type == "sick" else "vacation",
                    "policy_type": policy_type,
                    "policy_uuid": policy_uuid,
                    "days": {
                        day.isoformat(): "4.000" if n % 3 == 2 else "8.000"
                        for n, day in enumerate(days)
                        if day.weekday() < 5 or len(days) == 1
                    }
                    or {first.isoformat(): "8.000"},
                    "employee_uuid": employee["uuid"],
                    "approver_uuid": None if status == "pending" else staff[0]["uuid"],
                }
            )
        return rows

    def make_benefits(self, staff: list[Record]) -> dict[str, Record]:
        """The company's benefits; every third of those who work here is enrolled in some."""
        rows = {}
        for kind, name, active in BENEFITS:
            uuid = self.new_uuid()
            rows[uuid] = {
                "uuid": uuid,
                "benefit_type": kind,
                "active": active,
                "description": name,
                "source": "internal",
                "partner_name": None,
                "deletable": False,
                "supports_percentage_amounts": kind == 5,
                "responsible_for_employer_taxes": False,
                "responsible_for_employee_w2": False,
                "catch_up_type": "elective" if kind == 5 else None,
            }
        medical, dental, retirement, former = rows
        for employee in [row for row in staff if row["jobs"] and row["balances"]][::3]:
            first = (self.today - timedelta(days=390)).isoformat()
            begun = max(first, employee["jobs"][0]["hire_date"])
            enrolled = employee["benefits"]
            enrolled.append(self.make_enrollment(medical, "85.00", {"type": "amount", "value": "310.00"}, begun))
            if self.rng.random() < 0.5:
                enrolled.append(self.make_enrollment(dental, "12.50", {"type": "amount", "value": "20.00"}, begun))
            if self.rng.random() < 0.5:
                put_in = f"{self.rng.randint(2, 9)}.00"
                enrolled.append(self.make_enrollment(retirement, put_in, MATCH, begun, percent=True))
            if self.rng.random() < 0.3:
                until = max(begun, (self.today - timedelta(days=100)).isoformat())
                plan = {"type": "amount", "value": "0.00"}
                enrolled.append(self.make_enrollment(former, "60.00", plan, begun, until=until))
        return rows

    def make_enrollment(
        self,
        benefit_uuid: str,
        deduction: str,
        contribution: Record,
        begun: str,
        *,
        percent: bool = False,
        until: str | None = None,
    ) -> Record:
        tiered = contribution["type"] == "tiered"
        row: Record = {
            "uuid": self.new_uuid(),
            "company_benefit_uuid": benefit_uuid,
            "active": until is None,
            "employee_deduction": deduction,
            "deduct_as_percentage": percent,
            "employee_deduction_annual_maximum": None,
            "contribution": contribution,
            "elective": tiered,
            "company_contribution_annual_maximum": None,
            "limit_option": None,
            "catch_up": False,
            "retirement_loan_identifier": None,
            "coverage_amount": None,
            "deduction_reduces_taxable_income": None,
            "coverage_salary_multiplier": "0.00",
            "effective_date": begun,
            "expiration_date": until,
        }
        if not tiered:
            row |= {"company_contribution": contribution["value"], "contribute_as_percentage": False}
        return row

    # -- contractors, applicants ------------------------------------------------------------------------------

    def make_contractor(self, n: int) -> Record:
        business, hourly = n % 3 == 1, n % 2 == 0
        onboarding = n % 5 == 4
        dismissed = n % 5 == 2
        first_name, last_name = self.faker.first_name(), self.faker.last_name()
        name = f"{self.faker.last_name()} {self.rng.choice(['Consulting', 'Design', 'Freight'])}"
        place = PLACES[(self.position + n) % len(PLACES)]
        start = self.today - timedelta(days=self.rng.randint(100, 1500))
        mailbox = self.mailbox(f"{first_name}.{last_name}")
        return {
            "uuid": self.new_uuid(),
            "created_at": f"{start - timedelta(days=7)}T10:00:{n % 60:02}Z",
            "type": "Business" if business else "Individual",
            "wage_type": "Hourly" if hourly else "Fixed",
            "first_name": None if business else first_name,
            "middle_initial": None if business or n % 2 else self.rng.choice("ABCPR"),
            "last_name": None if business else last_name,
            "business_name": name if business else None,
            "ein": f"XX-XXX{n:04}" if business else None,
            "has_ssn": not business and not onboarding,
            "email": None if n % 8 == 7 else f"{mailbox}@example.net",
            "work_email": f"{mailbox}@{self.slug}.example" if n % 4 == 0 else None,
            "start_date": start.isoformat(),
            "address": None
            if onboarding
            else {
                "street_1": self.street(),
                "street_2": None if n % 2 else "Unit 7",
                "city": place[0],
                "state": place[1],
                "zip": place[2],
                "country": "USA",
            },
            "hourly_rate": f"{self.rng.randint(30, 140)}.00" if hourly else "0.00",
            "file_new_hire_report": False if business else n % 4 == 0,
            "work_state": None if business else place[1],
            "onboarding_status": CONTRACTOR_ONBOARDING[n // 5 % 6] if onboarding else "onboarding_completed",
            "payment_method": None if onboarding else ("Direct Deposit", "Check")[n % 2],
            "department_uuid": None if n % 3 else list(self.departments)[n % len(DEPARTMENTS)],
            "is_active": not dismissed,
            "dismissal_date": self.days_ago(5, 90) if dismissed else None,
            "rehire_date": (self.today + timedelta(days=30)).isoformat() if n % 10 == 7 else None,
        }

    def make_applicant(self, n: int) -> Record:
        first_name, last_name = self.faker.first_name(), self.faker.last_name()
        return {
            "uuid": self.new_uuid(),
            "company_uuid": self.uuid,
            "first_name": first_name,
            "last_name": last_name,
            "email": f"{self.mailbox(f'{first_name}.{last_name}')}@example.org",
            "phone": self.phone("617") if n else None,
            "gusto_person_type": ("Candidate", "Employee", None)[n % 3],
            "gusto_person_uuid": None,
            "job_title": DEPARTMENTS[n][1][0],
            "start_date": (self.today + timedelta(days=30 + n)).isoformat() if n != 2 else None,
            "date_of_birth": None,
        }

    # -- dice -------------------------------------------------------------------------------------------------

    def new_uuid(self) -> str:
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def phone(self, area: str) -> str:
        return f"{area}5550{self.rng.randint(100, 199)}"  # 555-01xx is set aside for fiction

    def street(self) -> str:
        return f"{self.rng.randint(1, 9800)} {self.faker.street_name()}"

    def days_ago(self, least: int, most: int) -> str:
        return (self.today - timedelta(days=self.rng.randint(least, most))).isoformat()

    def code(self, n: int) -> str:
        while True:
            code = f"{self.rng.getrandbits(24):06x}"
            code = f"00{code[2:]}" if n % 6 == 0 else code
            if code not in self.codes:
                self.codes.add(code)
                return code

    def mailbox(self, name: str) -> str:
        plain = re.sub(r"[^a-z0-9.-]", "", _ascii(name).lower()) or "person"
        return _first_free(plain, self.mailboxes)


def _spell(hired: date, left: date | None = None) -> Record:
    return {
        "hire_date": hired.isoformat(),
        "termination_date": left.isoformat() if left else None,
        "run_termination_payroll": False,
        "file_new_hire_report": True,
        "two_percent_shareholder": False,
        "employment_status": "full_time",
        "work_location_uuid": None,
    }


def _ascii(text: str) -> str:
    text = text.translate(str.maketrans("ŁłØø&", "LlOo "))
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _first_free(name: str, taken: set[str]) -> str:
    candidate, n = name, 1
    while candidate in taken:
        n += 1
        candidate = f"{name}{n}"
    taken.add(candidate)
    return candidate
