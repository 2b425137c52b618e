"""Pay schedules, pay periods, payrolls and contractor payments.

Payrolls are not stored: they follow from schedules and people, and a processed one is kept as first computed.
All amounts are whole cents until shown as decimal strings (API 2026-06-15: every money field is a string).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid5

from gusto_pipeline.sandbox.gusto import shapes
from gusto_pipeline.sandbox.gusto.api import Call, Routes, invalid, not_found
from gusto_pipeline.sandbox.gusto.world import Company, Record

routes = Routes()

HALF_YEAR, YEAR, AHEAD = timedelta(days=182), timedelta(days=366), timedelta(days=92)
PERIODS_A_YEAR = {"Every other week": 26, "Twice per month": 24, "Monthly": 12}
STATES_WITHOUT_INCOME_TAX = ("TX", "WA")

# name, paid by the employer, share of gross pay in basis points
TAXES = (
    ("Federal Income Tax", False, 1100),
    ("Social Security", False, 620),
    ("Medicare", False, 145),
    ("Social Security", True, 620),
    ("Medicare", True, 145),
    ("FUTA", True, 60),
)


@dataclass(frozen=True)
class Period:
    """One run of one pay schedule; `schedule` is None for an off-cycle payroll."""

    uuid: str
    schedule: Record | None
    start: date
    end: date
    check_date: date

    @property
    def deadline(self) -> date:
        return self.check_date - timedelta(days=2)

    def processed(self, today: date) -> bool:
        return self.deadline < today


# -- endpoints ----------------------------------------------------------------------------------------------------


@routes.add("GET", "/v1/companies/{company}/pay_schedules", "pay_schedules:read")
def pay_schedules(call: Call) -> Any:
    return call.page(call.company.pay_schedules.values(), shapes.pay_schedule)


@routes.add("GET", "/v1/companies/{company}/pay_schedules/assignments", "pay_schedules:read")
def assignments(call: Call) -> Any:
    company = call.company
    hourly, salaried, _ = company.pay_schedules
    answer: Record = {
        "type": company.assignment_type,
        "hourly_pay_schedule_uuid": hourly if company.assignment_type == "hourly_salaried" else None,
        "salaried_pay_schedule_uuid": salaried if company.assignment_type == "hourly_salaried" else None,
        "default_pay_schedule_uuid": None if company.assignment_type == "hourly_salaried" else salaried,
    }
    if company.assignment_type == "by_employee":
        answer["employees"] = [
            {"employee_uuid": row["uuid"], "pay_schedule_uuid": schedule_of(company, row)}
            for row in company.employees.values()
        ]
    if company.assignment_type == "by_department":
        answer["departments"] = [
            {"department_uuid": uuid, "pay_schedule_uuid": schedule}
            for uuid, schedule in company.department_schedules.items()
        ]
    return answer


@routes.add("GET", "/v1/companies/{company}/pay_schedules/{schedule}", "pay_schedules:read")
def pay_schedule(call: Call) -> Any:
    if call.params["schedule"] not in call.company.pay_schedules:
        raise not_found()
    return shapes.pay_schedule(call.company.pay_schedules[call.params["schedule"]])


@routes.add("GET", "/v1/companies/{company}/pay_periods", "payrolls:read")
def pay_periods(call: Call) -> Any:
    first, last = _window(call)
    return [
        {
            "start_date": period.start.isoformat(),
            "end_date": period.end.isoformat(),
            "pay_schedule_uuid": period.schedule["uuid"] if period.schedule else None,
            "payroll": {
                "payroll_uuid": period.uuid,
                "check_date": period.check_date.isoformat(),
                "processed": period.processed(call.today),
                "payroll_deadline": f"{period.deadline}T23:00:00Z",
                "payroll_type": "regular",
            },
        }
        for period in _regular(call.company, first, last)
    ]


@routes.add("GET", "/v1/companies/{company}/pay_periods/unprocessed_termination_pay_periods", "payrolls:read")
def termination_periods(call: Call) -> Any:
    rows = []
    for period in _regular(call.company, call.today - timedelta(days=62), call.today + AHEAD):
        for row in call.company.employees.values():
            left = shapes.current_spell(row, call.today)["termination_date"]
            due = left and str(period.start) <= left <= str(period.end) and not period.processed(call.today)
            if due and period.schedule and schedule_of(call.company, row) == period.schedule["uuid"]:
                rows.append(
                    {
                        "start_date": period.start.isoformat(),
                        "end_date": left,
                        "check_date": period.check_date.isoformat(),
                        "debit_date": period.deadline.isoformat(),
                        "employee_name": shapes.full_name(row),
                        "employee_uuid": row["uuid"],
                        "pay_schedule_uuid": period.schedule["uuid"],
                    }
                )
    return rows


@routes.add("GET", "/v1/companies/{company}/payrolls", "payrolls:read")
def payrolls(call: Call) -> Any:
    first, last = _window(call)
    statuses = call.query.get("processing_statuses", "processed").split(",")
    kinds = call.query.get("payroll_types", "regular").split(",")
    periods = list(_regular(call.company, first, last)) if "regular" in kinds else []
    if "off_cycle" in kinds:
        periods += _bonuses(call.company, first, last)
    wanted = [
        period
        for period in periods
        if ("processed" if period.processed(call.today) else "unprocessed") in statuses
        and (call.query.get("date_filter_by") != "check_date" or first <= period.check_date <= last)
    ]
    wanted.sort(key=lambda period: period.check_date, reverse=call.query.get("sort_order") == "desc")
    return call.page(wanted, lambda period: _show(call, period, whole=False), forced=True)


@routes.add("GET", "/v1/companies/{company}/payrolls/{payroll}", "payrolls:read")
def payroll(call: Call) -> Any:
    period = find_period(call.company, call.params["payroll"], call.today)
    if period is None:
        raise not_found()
    return _show(call, period, whole=True)


@routes.add("GET", "/v1/companies/{company}/contractor_payments", "payrolls:read")
def contractor_payments(call: Call) -> Any:
    first, last = call.query.get("start_date", ""), call.query.get("end_date") or call.today.isoformat()
    if not first:
        raise invalid("start_date", "'start_date' is required", "missing_parameter")
    rows = [
        row
        for row in _contractor_payments(call.company, call.today)
        if first <= row["date"] <= last
        and call.query.get("contractor_uuid", row["contractor_uuid"]) == row["contractor_uuid"]
    ]
    by_date = call.flag("group_by_date") is True
    groups: dict[str, list[Record]] = {}
    for row in rows:
        groups.setdefault(row["date"] if by_date else row["contractor_uuid"], []).append(row)
    summaries = [
        {
            "check_date" if by_date else "contractor_uuid": key,
            "reimbursement_total": _sum(group, "reimbursement"),
            "wage_total": _sum(group, "wage_total"),
            "payments": group,
        }
        for key, group in groups.items()
    ]
    return {
        "total": {"reimbursements": _sum(rows, "reimbursement"), "wages": _sum(rows, "wage_total")},
        "contractor_payments": call.page(summaries, dict),
    }


@routes.add("GET", "/v1/companies/{company}/contractor_payments/{payment}", "payrolls:read")
def contractor_payment(call: Call) -> Any:
    for row in _contractor_payments(call.company, call.today):
        if row["uuid"] == call.params["payment"]:
            return row
    raise not_found()


# -- which periods there are --------------------------------------------------------------------------------------


def schedule_of(company: Company, employee: Record) -> str | None:
    """The pay schedule an employee is on; None before there is a job."""
    hourly, salaried, monthly = company.pay_schedules
    if not employee["jobs"]:
        return None
    by_the_hour = employee["jobs"][0]["compensations"][0]["payment_unit"] == "Hour"
    match company.assignment_type:
        case "by_department":
            return company.department_schedules.get(employee["department_uuid"], salaried)
        case "by_employee":
            return monthly if employee["manager_uuid"] is None else hourly if by_the_hour else salaried
        case "hourly_salaried":
            return hourly if by_the_hour else salaried
        case _:
            return salaried


def on_payroll(company: Company, payroll_uuid: str, today: date) -> frozenset[str]:
    """The employees paid by a payroll."""
    period = find_period(company, payroll_uuid, today)
    return frozenset(row["uuid"] for row in _paid(company, period)) if period else frozenset()


def settled_until(company: Company, employee: Record, today: date) -> str:
    """The last day of work that a processed payroll has paid this employee for; "" if there is none."""
    ends = [
        period.end.isoformat()
        for period in _regular(company, today - timedelta(days=92), today)
        if period.processed(today) and employee in _paid(company, period)
    ]
    return max(ends, default="")


def find_period(company: Company, payroll_uuid: str, today: date) -> Period | None:
    first, last = today - 3 * YEAR, today + AHEAD
    for period in (*_regular(company, first, last), *_bonuses(company, first, last)):
        if period.uuid == payroll_uuid:
            return period
    return None


def _window(call: Call) -> tuple[date, date]:
    """The dates asked for; by default the last six months."""
    last = call.day("end_date", call.today)
    first = call.day("start_date", min(last, call.today) - HALF_YEAR)
    if last > call.today + AHEAD:
        raise invalid("end_date", "End date cannot be more than 3 months in future", "invalid_parameter")
    if last - first > YEAR:
        raise invalid("start_date", "Date range too long, max 1 year", "invalid_parameter")
    return first, last


def _regular(company: Company, first: date, last: date) -> Iterator[Period]:
    """Periods of every schedule in use that begin in the window."""
    used = {schedule_of(company, row) for row in company.employees.values()}
    for schedule in company.pay_schedules.values():
        if schedule["uuid"] in used:
            for start, end, check in _dates(schedule, first, last):
                uuid = str(uuid5(UUID(schedule["uuid"]), start.isoformat()))
                yield Period(uuid, schedule, start, end, check)


def _dates(schedule: Record, first: date, last: date) -> Iterator[tuple[date, date, date]]:
    if schedule["frequency"] == "Every other week":
        anchor = date.fromisoformat(schedule["anchor_end_of_pay_period"]) + timedelta(days=1)
        start = anchor + timedelta(days=14 * -((anchor - first).days // 14))
        while start <= last:
            yield start, start + timedelta(days=13), start + timedelta(days=18)
            start += timedelta(days=14)
        return
    month = first.replace(day=1)
    while month <= last:
        following = (month + timedelta(days=31)).replace(day=1)
        ends = [following - timedelta(days=1)]
        starts = [month]
        if schedule["frequency"] == "Twice per month":
            ends.insert(0, month.replace(day=15))
            starts.append(month.replace(day=16))
        for start, end in zip(starts, ends, strict=True):
            if first <= start <= last:
                yield start, end, end - timedelta(days=max(0, end.weekday() - 4))
        month = following


def _bonuses(company: Company, first: date, last: date) -> list[Period]:
    """One off-cycle payroll a quarter."""
    rows = []
    for year in range(first.year, last.year + 1):
        for month in (3, 6, 9, 12):
            day = date(year, month, 15)
            if first <= day <= last:
                rows.append(Period(str(uuid5(UUID(company.uuid), f"bonus {day}")), None, day, day, day))
    return rows


# -- what is paid -------------------------------------------------------------------------------------------------


def _show(call: Call, period: Period, *, whole: bool) -> Record:
    """A payroll of the list, or `whole` with the employees' pay (paged)."""
    include, done = call.include(), period.processed(call.today)
    answer: Record = {
        "uuid": period.uuid,
        "payroll_uuid": period.uuid,
        "company_uuid": call.company.uuid,
        "off_cycle": period.schedule is None,
        "off_cycle_reason": "Bonus" if period.schedule is None else None,
        "auto_pilot": False,
        "external": False,
        "final_termination_payroll": False,
        "withholding_pay_period": period.schedule["frequency"] if period.schedule else "Monthly",
        "skip_regular_deductions": period.schedule is None,
        "fixed_withholding_rate": False,
        "processed": done,
        "processed_date": period.deadline.isoformat() if done else None,
        "calculated_at": f"{period.deadline}T18:00:00Z" if done else None,
        "pay_period": {
            "start_date": period.start.isoformat(),
            "end_date": period.end.isoformat(),
            "pay_schedule_uuid": period.schedule["uuid"] if period.schedule else None,
        },
        "check_date": period.check_date.isoformat(),
        "payroll_deadline": f"{period.deadline}T23:00:00Z",
        "created_at": f"{period.start}T08:00:00Z",
        "partner_owned_disbursement": None,
    }
    if "payroll_status_meta" in include:
        regular = period.schedule is not None
        answer["payroll_status_meta"] = {
            "cancellable": False,
            "expected_check_date": period.check_date.isoformat(),
            "initial_check_date": period.check_date.isoformat() if regular else None,
            "expected_debit_time": f"{period.deadline}T23:00:00Z",
            "payroll_late": False if regular else None,
            "initial_debit_cutoff_time": f"{period.deadline}T23:00:00Z",
        }
    if "risk_blockers" in include:
        answer |= {"submission_blockers": [], "credit_blockers": []}
    if "reversals" in include:
        answer["reversal_payroll_uuids"] = []
    if not whole and not include & {"totals", "taxes"}:
        return answer
    items = _items(call.company, period, done=done)
    if done and (whole or "totals" in include):
        answer["totals"] = _totals(items)
    if include & {"taxes", "payroll_taxes"}:
        name = "payroll_taxes" if "payroll_taxes" in include else "company_taxes"
        answer[name] = _all_taxes(items)
    if whole:
        optional = {"benefits", "deductions", "taxes"} - include
        if "employee_benefits:read" not in call.scopes:
            optional.add("benefits")
        names = [part.partition(":")[::2] for part in call.query.get("sort_by", "").split(",") if part]
        for field, direction in reversed(names):
            if field not in ("first_name", "last_name"):
                raise invalid("sort_by", f"Invalid sort_by: {field}", "invalid_parameter")
            items = sorted(items, key=lambda row: row[field], reverse=direction == "desc")
        answer["employee_compensations"] = call.page(
            items, lambda row: {name: value for name, value in row.items() if name not in optional}, forced=True
        )
    return answer


def _paid(company: Company, period: Period) -> list[Record]:
    """Who works in a period and is paid for it."""
    return [
        row
        for row in company.employees.values()
        if row["jobs"]
        and shapes.onboarded(row)
        and (period.schedule is None or schedule_of(company, row) == period.schedule["uuid"])
        and any(
            spell["hire_date"] <= str(period.end) and (spell["termination_date"] or "9999") >= str(period.start)
            for spell in row["spells"]
        )
    ]


def _items(company: Company, period: Period, *, done: bool) -> list[Record]:
    if not done:
        return [_item(company, row, period, done=False) for row in _paid(company, period)]
    if period.uuid not in company.payrolls:
        rows = [_item(company, row, period, done=True) for row in _paid(company, period)]
        company.payrolls[period.uuid] = {"items": rows}
    items: list[Record] = company.payrolls[period.uuid]["items"]
    return items


def _item(company: Company, employee: Record, period: Period, *, done: bool) -> Record:
    """One employee's pay. Before a payroll is processed there is input, but no result."""
    dice = random.Random(f"{employee['uuid']}{period.uuid}")
    hourly: list[Record] = []
    leave: list[Record] = []
    gross = 0
    bonus = dice.randint(5, 40) * 10_000 if period.schedule is None else 0
    for job in employee["jobs"] if period.schedule else []:
        pay = shapes.in_effect(job["compensations"], period.end)
        if pay is None:
            continue
        hours, cents = _worked(pay, period, dice, primary=job["primary"])
        gross += cents
        row = {"flsa_status": pay["flsa_status"], "job_uuid": job["uuid"]}
        hourly.append(
            {"name": "Regular Hours", "hours": f"{hours}.000", "amount": money(cents), "compensation_multiplier": 1.0}
            | row
        )
        if pay["payment_unit"] == "Hour" and dice.random() < 0.2:
            extra = round(float(pay["rate"]) * 150 * 4)
            gross += extra
            hourly.append(
                {"name": "Overtime", "hours": "4.000", "amount": money(extra), "compensation_multiplier": 1.5} | row
            )
    if period.schedule:
        for name in ("Vacation Hours", "Sick Hours"):
            hours = 8 if dice.random() < 0.1 else 0
            leave.append({"name": name, "hours": f"{hours}.000", "amount": "0.00"})
    gross += bonus

    benefits = _benefits(company, employee, period, gross) if period.schedule and gross > 50_000 else []
    deductions = [
        {
            "name": row["description"],
            "amount": row["amount"]
            if not row["deduct_as_percentage"]
            else money(round(gross * float(row["amount"]) / 100)),
            "amount_type": "percent" if row["deduct_as_percentage"] else "fixed",
            "uuid": row["uuid"],
            "updatable_via_payroll": False,
        }
        for row in (employee["garnishments"] if period.schedule else [])
        if row["active"]
    ]
    home = shapes.in_effect(employee["home_addresses"], period.end)
    state = home["state"] if home else None
    rates = list(TAXES) if state in STATES_WITHOUT_INCOME_TAX else [*TAXES, (f"{state} Income Tax", False, 420)]
    taxes: list[Record] = [
        {"name": name, "employer": employer, "amount": money(gross * points // 10_000)}
        for name, employer, points in rates
    ]
    repaid = dice.randint(1, 9) * 1_000 if period.schedule and dice.random() < 0.1 else 0
    withheld = sum(cents_of(row["amount"]) for row in taxes if not row["employer"])
    withheld += sum(cents_of(row["employee_deduction"]) for row in benefits)
    withheld += sum(cents_of(row["amount"]) for row in deductions)
    net = gross - withheld + repaid
    primary = employee["jobs"][0]["uuid"]
    return {
        "employee_uuid": employee["uuid"],
        "first_name": employee["first_name"],
        "preferred_first_name": employee["preferred_first_name"],
        "last_name": employee["last_name"],
        "excluded": False,
        "version": shapes.employee_version(employee),
        "gross_pay": money(gross) if done else None,
        "net_pay": money(net) if done else None,
        "check_amount": (money(net) if employee["payment_method"] == "Check" else "0.00") if done else None,
        "payment_method": employee["payment_method"],
        "memo": None,
        "fixed_compensations": [{"name": "Bonus", "amount": money(bonus), "job_uuid": primary}] if bonus else [],
        "hourly_compensations": hourly,
        "paid_time_off": leave,
        "reimbursements": [{"amount": money(repaid), "description": "Travel", "uuid": None, "recurring": False}]
        if repaid
        else [],
        "benefits": benefits if done else [],
        "deductions": deductions if done else [],
        "taxes": taxes if done else [],
    }


def _worked(pay: Record, period: Period, dice: random.Random, *, primary: bool) -> tuple[int, int]:
    """Hours and cents of one job in one period."""
    assert period.schedule is not None
    a_year = PERIODS_A_YEAR[period.schedule["frequency"]]
    rate = cents_of(pay["rate"])
    if pay["payment_unit"] == "Hour":
        hours = dice.randint(56, 80) if primary else dice.randint(0, 12)
        return hours, hours * rate
    return 2080 // a_year, rate // a_year


def _benefits(company: Company, employee: Record, period: Period, gross: int) -> list[Record]:
    """What the benefits in force at the end of a period cost."""
    rows = []
    for row in employee["benefits"]:
        if not row["effective_date"] <= str(period.end) <= (row["expiration_date"] or "9999"):
            continue
        deducted = _share(row["employee_deduction"], gross, percent=row["deduct_as_percentage"])
        match row["contribution"]:
            case {"type": "tiered", "value": {"tiers": tiers}}:
                given = round(gross * _matched(float(row["employee_deduction"]), tiers) / 100)
            case {"type": kind, "value": value}:
                given = _share(value, gross, percent=kind == "percentage")
        rows.append(
            {
                "name": company.benefits[row["company_benefit_uuid"]]["description"],
                "employee_deduction": money(deducted),
                "company_contribution": money(given),
                "imputed": False,
            }
        )
    return rows


def _matched(percent: float, tiers: list[Record]) -> float:
    """The percentage of pay the company adds to an employee's `percent`, tier by tier."""
    total = 0.0
    for tier in tiers:
        width = float(tier["threshold_delta"])
        within = min(max(percent - (float(tier["threshold"]) - width), 0.0), width)
        total += within * float(tier["rate"]) / 100
    return total


def _share(amount: str, gross: int, *, percent: bool) -> int:
    return round(gross * float(amount) / 100) if percent else cents_of(amount)


def _all_taxes(items: list[Record]) -> list[Record]:
    sums: dict[tuple[str, bool], int] = {}
    for item in items:
        for row in item["taxes"]:
            key = row["name"], row["employer"]
            sums[key] = sums.get(key, 0) + cents_of(row["amount"])
    return [{"name": name, "employer": employer, "amount": money(cents)} for (name, employer), cents in sums.items()]


def _totals(items: list[Record]) -> Record:
    def total(name: str) -> int:
        return sum(cents_of(row[name]) for row in items)

    def nested(part: str, field: str, **where: Any) -> int:
        return sum(
            cents_of(row[field])
            for item in items
            for row in item[part]
            if all(row[key] == value for key, value in where.items())
        )

    employee_taxes = nested("taxes", "amount", employer=False)
    employer_taxes = nested("taxes", "amount", employer=True)
    reimbursements, net = nested("reimbursements", "amount"), total("net_pay")
    deposited = sum(cents_of(row["net_pay"]) for row in items if row["payment_method"] == "Direct Deposit")
    support = nested("deductions", "amount", name="Child support")
    cents = {
        "company_debit": deposited + employee_taxes + employer_taxes + support,
        "net_pay_debit": deposited,
        "tax_debit": employee_taxes + employer_taxes,
        "reimbursement_debit": 0,
        "child_support_debit": support,
        "reimbursements": reimbursements,
        "net_pay": net,
        "gross_pay": total("gross_pay"),
        "employee_bonuses": nested("fixed_compensations", "amount"),
        "employee_commissions": 0,
        "employee_cash_tips": 0,
        "employee_paycheck_tips": 0,
        "additional_earnings": 0,
        "owners_draw": 0,
        "check_amount": total("check_amount"),
        "employer_taxes": employer_taxes,
        "employee_taxes": employee_taxes,
        "benefits": nested("benefits", "company_contribution"),
        "employee_benefits_deductions": nested("benefits", "employee_deduction"),
        "imputed_pay": 0,
        "deferred_payroll_taxes": 0,
        "other_deductions": nested("deductions", "amount"),
    }
    return {name: money(amount) for name, amount in cents.items()}


def _contractor_payments(company: Company, today: date) -> list[Record]:
    """One payment a month to every onboarded contractor of the last twelve months, newest first."""
    rows = []
    month = today.replace(day=28)
    for _ in range(13):
        for contractor in company.contractors.values():
            day = month.isoformat()
            end = contractor["dismissal_date"] or "9999"
            if not shapes.onboarded(contractor) or not contractor["start_date"] <= day <= min(end, today.isoformat()):
                continue
            uuid = str(uuid5(UUID(contractor["uuid"]), day))
            rows.append(_contractor_payment(contractor, uuid, day))
        month = (month - timedelta(days=30)).replace(day=28)
    return rows


def _contractor_payment(contractor: Record, uuid: str, day: str) -> Record:
    dice = random.Random(uuid)
    hourly = contractor["wage_type"] == "Hourly"
    hours = dice.randint(10, 80) if hourly else 0
    wage = 0 if hourly else dice.randint(5, 60) * 10_000
    bonus = 5_000 if dice.random() < 0.1 else 0
    return {
        "uuid": uuid,
        "contractor_uuid": contractor["uuid"],
        "bonus": money(bonus),
        "date": day,
        "hours": f"{hours}.0",
        "payment_method": contractor["payment_method"],
        "reimbursement": money(2_500 if dice.random() < 0.2 else 0),
        "status": "Funded",
        "hourly_rate": contractor["hourly_rate"],
        "may_cancel": False,
        "wage": money(wage),
        "wage_type": contractor["wage_type"],
        "wage_total": money(wage + bonus + hours * cents_of(contractor["hourly_rate"])),
        "invoice_number": None,
        "memo": None,
    }


def money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}"


def cents_of(amount: str) -> int:
    return round(float(amount) * 100)


def _sum(rows: list[Record], name: str) -> str:
    return money(sum(cents_of(row[name]) for row in rows))
