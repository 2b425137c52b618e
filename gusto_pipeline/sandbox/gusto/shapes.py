"""Records as Gusto's API 2026-06-15 shows them: what was entered, plus what follows from it on a given day."""

import hashlib
import json
from datetime import date, datetime, timedelta
from typing import Any

from gusto_pipeline.sandbox.gusto.world import Company, Record

HISTORY_FIELDS = (
    "hire_date",
    "termination_date",
    "file_new_hire_report",
    "two_percent_shareholder",
    "employment_status",
)
ADDRESS_FIELDS = ("street_1", "street_2", "city", "state", "zip", "country")

# What a PUT may change; the version string is made of these (and children), as in Gusto's idempotency guide.
WRITABLE = {
    "employee": (
        "first_name",
        "middle_initial",
        "last_name",
        "preferred_first_name",
        "email",
        "work_email",
        "date_of_birth",
        "two_percent_shareholder",
    ),
    "location": (*ADDRESS_FIELDS, "phone_number", "mailing_address", "filing_address"),
    "home_address": (*ADDRESS_FIELDS, "effective_date", "courtesy_withholding"),
    "work_address": ("location_uuid", "effective_date"),
    "compensation": (
        "rate",
        "payment_unit",
        "flsa_status",
        "title",
        "effective_date",
        "adjust_for_minimum_wage",
        "minimum_wages",
    ),
    "termination": ("termination_date", "run_termination_payroll"),
    "rehire": (
        "hire_date",
        "file_new_hire_report",
        "work_location_uuid",
        "employment_status",
        "two_percent_shareholder",
    ),
    "contractor": (
        "type",
        "wage_type",
        "start_date",
        "hourly_rate",
        "email",
        "first_name",
        "middle_initial",
        "last_name",
        "business_name",
        "file_new_hire_report",
        "work_state",
        "ein",
        "is_active",
    ),
    "pay_schedule": ("frequency", "anchor_pay_date", "anchor_end_of_pay_period", "day_1", "day_2", "custom_name"),
    "policy": ("name", "accrual_method", "accrual_rate", "accrual_rate_unit", "max_hours", "is_active"),
    "company_benefit": ("active", "description"),
    "employee_benefit": ("active", "employee_deduction", "contribution", "effective_date", "expiration_date"),
    "garnishment": ("active", "amount", "description", "times", "recurring", "pay_period_maximum"),
}


def version(kind: str, record: Record, *children: Any) -> str:
    """32 hex characters that change with the record's writable attributes or its children."""
    values = [record.get("uuid", ""), [record[name] for name in WRITABLE[kind]], children]
    return hashlib.md5(repr(values).encode(), usedforsecurity=False).hexdigest()


def in_effect(rows: list[Record], today: date) -> Record | None:
    """The row of the latest `effective_date` that is not in the future, else the earliest one."""
    dated = sorted(rows, key=lambda row: row["effective_date"])
    due = [row for row in dated if row["effective_date"] <= today.isoformat()]
    return due[-1] if due else dated[0] if dated else None


def current_spell(employee: Record, today: date) -> Record:
    """The spell of employment that counts today: the last one begun, else the first."""
    begun = [spell for spell in employee["spells"] if spell["hire_date"] <= today.isoformat()]
    return begun[-1] if begun else employee["spells"][0]


def onboarded(record: Record) -> bool:
    return bool(record["onboarding_status"] == "onboarding_completed")


def dismissal_in_effect(employee: Record, today: date) -> bool:
    """Gone: `effective_date` is the last day worked, so from the day after."""
    left = current_spell(employee, today)["termination_date"]
    return left is not None and left < today.isoformat()


def employed(employee: Record, today: date) -> bool:
    """Hired, and the last day has not passed."""
    spell = current_spell(employee, today)
    return spell["hire_date"] <= today.isoformat() and not dismissal_in_effect(employee, today)


def full_name(person: Record) -> str:
    return person.get("business_name") or f"{person['first_name']} {person['last_name']}"


# -- company ------------------------------------------------------------------------------------------------------


def company(c: Company, scopes: frozenset[str]) -> Record:
    """GET /v1/companies/{id}; signatory and payroll admin only with their own scopes."""
    answer = {
        "uuid": c.uuid,
        "name": c.name,
        "slug": c.slug,
        **c.record,
        "pay_schedule_type": c.assignment_type,
        "locations": [
            {name: row[name] for name in ADDRESS_FIELDS} | {"active": row["active"]} for row in c.locations.values()
        ],
    }
    boss = next(iter(c.employees.values()), None)
    if "signatories:read" in scopes and boss:
        answer["primary_signatory"] = {
            "uuid": boss["uuid"],
            "first_name": boss["first_name"],
            "middle_initial": boss["middle_initial"],
            "last_name": boss["last_name"],
            "phone": boss["phone"] or "8005550100",
            "email": boss["email"] or boss["work_email"],
        }
        if "employees:read" in scopes and boss["home_addresses"]:
            home = boss["home_addresses"][0]
            answer["primary_signatory"]["home_address"] = {name: home[name] for name in ADDRESS_FIELDS}
    if "company_admin:read" in scopes:
        admin = c.admins[0]
        answer["primary_payroll_admin"] = {name: admin[name] for name in ("first_name", "last_name", "phone", "email")}
    return answer


def location(c: Company, row: Record) -> Record:
    shown = {name: value for name, value in row.items() if name != "minimum_wages"}
    return shown | {"company_uuid": c.uuid, "inactive": not row["active"], "version": version("location", row)}


def department(c: Company, row: Record) -> Record:
    employees = [{"uuid": e["uuid"]} for e in c.employees.values() if e["department_uuid"] == row["uuid"]]
    contractors = [{"uuid": e["uuid"]} for e in c.contractors.values() if e["department_uuid"] == row["uuid"]]
    return row | {
        "company_uuid": c.uuid,
        "version": department_version(row, employees, contractors),
        "employees": employees,
        "contractors": contractors,
    }


def department_version(row: Record, employees: list[Record], contractors: list[Record]) -> str:
    text = json.dumps([row["uuid"], row["title"], employees, contractors])
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def pay_schedule(row: Record) -> Record:
    return row | {"version": version("pay_schedule", row)}


def policy(c: Company, row: Record) -> Record:
    members = [
        {"uuid": employee["uuid"], "balance": employee["balances"][row["uuid"]]}
        for employee in c.employees.values()
        if row["uuid"] in employee["balances"]
    ]
    return row | {
        "company_uuid": c.uuid,
        "version": version("policy", row) if row["is_active"] else None,
        "employees": members,
    }


# -- employees ----------------------------------------------------------------------------------------------------


def employee(
    c: Company, e: Record, today: date, scopes: frozenset[str], include: frozenset[str] = frozenset()
) -> Record:
    """One employee of the list or of GET /v1/employees/{id}; pay only with compensations:read."""
    spell = current_spell(e, today)
    unit = c.departments.get(e["department_uuid"])
    answer: Record = {
        "uuid": e["uuid"],
        "first_name": e["first_name"],
        "middle_initial": e["middle_initial"],
        "last_name": e["last_name"],
        "email": e["email"],
        "company_uuid": c.uuid,
        "manager_uuid": e["manager_uuid"],
        "version": employee_version(e),
        "current_employment_status": e["current_employment_status"],
        "onboarding_status": e["onboarding_status"],
        "preferred_first_name": e["preferred_first_name"],
        "department_uuid": e["department_uuid"],
        "employee_code": e["employee_code"],
        "payment_method": e["payment_method"],
        "department": unit["title"] if unit else None,
        # True from the day a dismissal is entered, not from the day it takes effect.
        "terminated": spell["termination_date"] is not None,
        "two_percent_shareholder": e["two_percent_shareholder"],
        "onboarded": onboarded(e),
        "historical": e["historical"],
        "has_ssn": e["has_ssn"],
        "onboarding_documents_config": {"uuid": None, "i9_document": False},
        "jobs": [
            job(e, row, today, pay="compensations:read" in scopes, every="all_compensations" in include)
            for row in e["jobs"]
        ],
        "eligible_paid_time_off": [paid_time_off(c, e, uuid) for uuid in e["balances"]],
        "terminations": [termination(e, spell, today)] if spell["termination_date"] else [],
        "garnishments": [garnishment(e, row) for row in e["garnishments"]],
        "date_of_birth": e["date_of_birth"],
        "ssn": "",
        "phone": e["phone"],
        "work_email": e["work_email"],
    }
    if "custom_fields" in include:
        answer["custom_fields"] = custom_values(c, e)
    if "current_home_address" in include and (home := in_effect(e["home_addresses"], today)):
        answer["current_home_address"] = nested_address(home, active=True)
    if "all_home_addresses" in include:
        current = in_effect(e["home_addresses"], today)
        answer["all_home_addresses"] = [
            nested_address(row, active=row is current) | {"effective_date": row["effective_date"]}
            for row in e["home_addresses"]
        ]
    if "company_name" in include:
        answer["company_name"] = c.name
    if "portal_invitations" in include:
        answer |= portal_invitation(e["invited"])
    return answer


def employee_version(e: Record) -> str:
    return version("employee", e, [job_version(row) for row in e["jobs"]])


def nested_address(row: Record, *, active: bool) -> Record:
    return {name: row[name] for name in ADDRESS_FIELDS} | {"active": active, "uuid": row["uuid"]}


def portal_invitation(invited: bool) -> Record:
    status = {
        "status": "complete" if invited else "pending",
        "token_expired": False if invited else None,
        "welcome_email_sent_at": "2024-01-15T14:30:00Z" if invited else None,
        "last_password_resent_at": None,
    }
    return {"member_portal_invitation_status": status, "partner_portal_invitation_sent": invited}


def job_version(row: Record) -> str:
    parts = [row["uuid"], row["hire_date"], [version("compensation", pay) for pay in row["compensations"]]]
    return hashlib.md5(repr(parts).encode(), usedforsecurity=False).hexdigest()


def job(e: Record, row: Record, today: date, *, pay: bool, every: bool) -> Record:
    current = in_effect(row["compensations"], today)
    answer = {
        "uuid": row["uuid"],
        "version": job_version(row),
        "employee_uuid": e["uuid"],
        "primary": row["primary"],
        "two_percent_shareholder": row["two_percent_shareholder"],
        "state_wc_covered": row["state_wc_covered"],
        "state_wc_class_code": row["state_wc_class_code"],
        "title": current["title"] if current else None,
        "hire_date": max(row["hire_date"], current_spell(e, today)["hire_date"]),  # a rehire starts it anew
    }
    if pay and current:
        shown = row["compensations"] if every else [current]
        answer |= {
            "rate": current["rate"],
            "payment_unit": current["payment_unit"],
            "current_compensation_uuid": current["uuid"],
            "compensations": [compensation(e, row, each) for each in shown],
        }
    return answer


def compensation(e: Record, job_row: Record, row: Record) -> Record:
    return row | {
        "version": version("compensation", row),
        "job_uuid": job_row["uuid"],
        "employee_uuid": e["uuid"],
    }


def termination(e: Record, spell: Record, today: date) -> Record:
    left = spell["termination_date"]
    return {
        "uuid": e["uuid"],  # Gusto shows the employee's own uuid here
        "employee_uuid": e["uuid"],
        "version": version("termination", spell, e["uuid"], spell["hire_date"]),
        "active": left < today.isoformat(),
        "cancelable": left > today.isoformat() and not spell["run_termination_payroll"],
        "effective_date": left,
        "run_termination_payroll": spell["run_termination_payroll"],
    }


def rehire(e: Record, spell: Record, today: date) -> Record:
    return {
        "version": version("rehire", spell, e["uuid"]),
        "employee_uuid": e["uuid"],
        "active": spell["hire_date"] <= today.isoformat(),
        "effective_date": spell["hire_date"],
        "employment_status": spell["employment_status"],
        "file_new_hire_report": spell["file_new_hire_report"],
        "work_location_uuid": spell["work_location_uuid"],
        "two_percent_shareholder": spell["two_percent_shareholder"],
    }


def employment_history(e: Record) -> list[Record]:
    """Every spell of employment; none for a draft without a job."""
    return [{name: spell[name] for name in HISTORY_FIELDS} for spell in e["spells"] if e["jobs"]]


def garnishment(e: Record, row: Record) -> Record:
    return row | {"employee_uuid": e["uuid"], "version": version("garnishment", row)}


def custom_values(c: Company, e: Record) -> list[Record]:
    """Only fields that were filled once; an emptied one has the value ""."""
    return [
        {
            "id": value["id"],
            "company_custom_field_id": uuid,
            "name": c.custom_fields[uuid]["name"],
            "type": c.custom_fields[uuid]["type"],
            "description": c.custom_fields[uuid]["description"],
            "value": value["value"],
            "selection_options": c.custom_fields[uuid]["selection_options"],
        }
        for uuid, value in e["custom_values"].items()
    ]


def paid_time_off(c: Company, e: Record, policy_uuid: str) -> Record:
    row = c.policies[policy_uuid]
    unlimited = row["accrual_method"] == "unlimited"
    return {
        "name": {"vacation": "Vacation Hours", "sick": "Sick Hours"}.get(row["policy_type"]),
        "policy_name": row["name"],
        "policy_uuid": policy_uuid,
        "accrual_unit": None if unlimited else "Hour",
        "accrual_rate": row["accrual_rate"],
        "accrual_method": row["accrual_method"],
        "accrual_period": None if unlimited else "Year",
        "accrual_balance": e["balances"][policy_uuid],
        "maximum_accrual_balance": row["max_hours"],
        "paid_at_termination": row["paid_out_on_termination"],
    }


def home_address(e: Record, row: Record, today: date) -> Record:
    return row | {
        "version": version("home_address", row),
        "employee_uuid": e["uuid"],
        "active": row is in_effect(e["home_addresses"], today),
    }


def work_address(c: Company, e: Record, row: Record, today: date) -> Record:
    place = c.locations[row["location_uuid"]]
    return (
        row
        | {name: place[name] for name in ADDRESS_FIELDS}
        | {
            "version": version("work_address", row),
            "employee_uuid": e["uuid"],
            "active": row is in_effect(e["work_addresses"], today),
        }
    )


def time_off_request(c: Company, row: Record) -> Record:
    def person(uuid: str | None) -> Record | None:
        return {"uuid": uuid, "full_name": full_name(c.employees[uuid])} if uuid in c.employees else None

    shown = {name: value for name, value in row.items() if not name.endswith("_uuid") or name == "policy_uuid"}
    who = person(row["employee_uuid"])
    return shown | {"employee": who, "initiator": who, "approver": person(row["approver_uuid"])}


def time_off_activities(c: Company, e: Record, time_off_type: str, now: datetime) -> list[Record]:
    """How each balance of that type came about: joined the policy, then accrued month by month."""
    rows = []
    for uuid, balance in e["balances"].items():
        row = c.policies[uuid]
        if row["policy_type"] != time_off_type or row["accrual_method"] == "unlimited":
            continue
        total, steps = round(float(balance) * 10), 6
        for step in range(steps + 1):
            reached, before = total * step // steps, total * max(step - 1, 0) // steps
            when = now.replace(hour=13, minute=0, second=0, microsecond=0) - timedelta(days=30 * (steps - step))
            rows.append(
                {
                    "policy_uuid": uuid,
                    "time_off_type": time_off_type,
                    "policy_name": row["name"],
                    "event_type": "TimeOffEvent::Accrual" if step else "TimeOffEvent::AddToPolicy",
                    "event_description": "Accrued" if step else f"Added to policy: {row['name']}",
                    "effective_time": when.isoformat(timespec="milliseconds"),
                    "balance": str(reached / 10),
                    "balance_change": str((reached - before) / 10),
                }
            )
    return rows


# -- benefits -----------------------------------------------------------------------------------------------------


def company_benefit(c: Company, row: Record, *, counted: bool) -> Record:
    answer = row | {"company_uuid": c.uuid, "version": version("company_benefit", row)}
    if counted:
        answer["enrollment_count"] = sum(each["active"] for _, each in enrollments(c, row["uuid"]))
    return answer


def enrollments(c: Company, benefit_uuid: str) -> list[tuple[Record, Record]]:
    """Everyone who is or was enrolled in a benefit, with the enrollment."""
    return [
        (e, row) for e in c.employees.values() for row in e["benefits"] if row["company_benefit_uuid"] == benefit_uuid
    ]


def employee_benefit(e: Record, row: Record) -> Record:
    return row | {"employee_uuid": e["uuid"], "version": version("employee_benefit", row)}


# -- contractors --------------------------------------------------------------------------------------------------


def contractor(c: Company, row: Record, today: date, include: frozenset[str] = frozenset()) -> Record:
    unit = c.departments.get(row["department_uuid"])
    title = unit["title"] if unit else None
    hidden = ("created_at", "rehire_date")
    back = row["rehire_date"]
    answer = {name: value for name, value in row.items() if name not in hidden} | {
        "company_uuid": c.uuid,
        "version": version("contractor", row),
        "has_ein": row["ein"] is not None,
        "onboarded": onboarded(row),
        "department": title,
        "department_title": title,
        "upcoming_employment": {"start_date": back, "setup_status": None} if back else None,
        "dismissal_cancellation_eligible": bool(row["dismissal_date"] and row["dismissal_date"] > today.isoformat()),
        "rehire_cancellation_eligible": bool(back and back > today.isoformat()),
    }
    if "company_name" in include:
        answer["company_name"] = c.name
    if "portal_invitations" in include:
        answer |= portal_invitation(onboarded(row))
    return answer
