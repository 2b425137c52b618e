"""The facts answers are made of, and who may see which: SQL over the warehouse.

Every query starts from the caller's own row, and a column that the caller may not see of somebody is not in the query.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

from gusto_pipeline.warehouse.flat import PERSON_NAME
from gusto_pipeline.warehouse.flatten import bind

# What every colleague may know of every other.
DIRECTORY = ("name", "work_email", "title", "department")

# Bound once for all queries. `here`: employees of today, also those whose dismissal is ahead; what Gusto leaves open
# counts against them. `colleagues`: those of the caller's company, nobody if the caller is not among them.
_PEOPLE = f"""
WITH asked AS (
    SELECT
        CAST($company AS VARCHAR) AS company, CAST($caller AS VARCHAR) AS caller, CAST($about AS VARCHAR) AS about,
        CAST($today AS DATE) AS today, CAST($first AS DATE) AS first, CAST($last AS DATE) AS last
),
here AS (
    SELECT
        t.company_uuid, t.uuid, t.manager_uuid, t.department_uuid, t.work_email, {PERSON_NAME.format("t")} AS name,
        coalesce(nullif(t.preferred_first_name, ''), t.first_name) AS first_name
    FROM staging.employees t, asked
    WHERE t.onboarded AND NOT t.historical AND (NOT t.terminated OR asked.today <= (
        SELECT max(x.effective_date) FROM staging.terminations x
        WHERE (x.company_uuid, x.employee_uuid) = (t.company_uuid, t.uuid)
    ))
),
me AS (
    SELECT h.company_uuid, h.uuid, h.manager_uuid, h.department_uuid
    FROM here h, asked WHERE (h.company_uuid, h.uuid) = (asked.company, asked.caller)
),
colleagues AS (
    SELECT
        h.*,
        CASE
            WHEN h.uuid = me.uuid THEN 'self' WHEN h.manager_uuid = me.uuid THEN 'report' ELSE 'colleague'
        END AS relation
    FROM here h JOIN me ON h.company_uuid = me.company_uuid
),
days AS (
    SELECT DISTINCT r.company_uuid, r.employee__uuid AS uuid, d.key AS day
    FROM staging.time_off r
    JOIN staging.time_off_days d ON (d.company_uuid, d.time_off_request_uuid) = (r.company_uuid, r.uuid)
    WHERE r.status IN ('approved', 'consumed') AND d.value > 0
)
"""

# By field, as in the flat view `f` of somebody `c`.
FIELDS = {
    "name": "c.name",
    "work_email": "c.work_email",
    "title": "coalesce(nullif(f.job__title, ''), f.title)",
    "department": "f.department",
    "location": "(SELECT min(concat_ws(', ', w.city, w.state)) FROM staging.work_addresses w "
    "WHERE (w.company_uuid, w.employee_uuid) = (c.company_uuid, c.uuid) AND w.active)",
    "manager": "(SELECT m.name FROM here m WHERE (m.company_uuid, m.uuid) = (c.company_uuid, c.manager_uuid))",
    "hire_date": "f.job__hire_date",
    "employment": "replace(f.current_employment_status, '_', ' ')",
    "last_day": "CASE WHEN f.terminated THEN f.termination__effective_date END",
    "phone": "f.phone",
    "personal_email": "f.email",
    "out_of_office": "(SELECT list(d.day ORDER BY d.day) FROM days d, asked "
    "WHERE (d.company_uuid, d.uuid) = (c.company_uuid, c.uuid) AND d.day >= asked.today)",
    "birth_date": "f.date_of_birth",
    "home_address": "concat_ws(', ', f.current_home_address__street_1, f.current_home_address__street_2, "
    "f.current_home_address__city, f.current_home_address__state, f.current_home_address__zip)",
    "pay": "CAST(f.compensation__rate AS DECIMAL(18, 2)) || ' US dollars per ' || lower(f.compensation__payment_unit)",
}

EMPLOYMENT = ("name", "title", "department", "employment", "hire_date", "last_day", "location", "manager", "pay")

# A person is found by what every colleague may know: the name as it is shown, the first name alone, the work address.
ABOUT = """
SELECT c.uuid, c.relation FROM colleagues c, asked, me
WHERE strip_accents(lower(asked.about)) IN (strip_accents(lower(c.name)), strip_accents(lower(c.first_name)))
OR lower(asked.about) IN (lower(c.work_email), c.uuid)
OR (lower(asked.about) = 'my manager' AND c.uuid = me.manager_uuid)
"""

TIME_OFF = """
SELECT
    p.name AS policy,
    CASE WHEN p.accrual_method = 'unlimited' THEN 'unlimited' ELSE CAST(round(m.balance, 2) AS VARCHAR) END AS balance,
    'hours' AS unit,
    coalesce((
        SELECT sum(d.value) FROM staging.time_off r
        JOIN staging.time_off_days d ON (d.company_uuid, d.time_off_request_uuid) = (r.company_uuid, r.uuid)
        WHERE (r.company_uuid, r.employee__uuid, r.policy_uuid) = (me.company_uuid, me.uuid, p.uuid)
        AND r.status = 'approved' AND d.key >= asked.today
    ), 0) AS approved_not_taken
FROM me, asked, staging.time_off_policy_members m, staging.time_off_policies p
WHERE (m.company_uuid, m.uuid) = (me.company_uuid, me.uuid)
AND (p.company_uuid, p.uuid) = (m.company_uuid, m.time_off_policy_uuid) AND p.is_active
ORDER BY p.name
"""

OUT = """
SELECT c.uuid, c.name, list(d.day ORDER BY d.day) AS days
FROM colleagues c, asked, days d
WHERE (d.company_uuid, d.uuid) = (c.company_uuid, c.uuid) AND d.day BETWEEN asked.first AND asked.last
AND (asked.about IS NULL OR c.uuid = asked.about)
GROUP BY c.uuid, c.name ORDER BY c.name, c.uuid
"""

# How a company assigns pay schedules: one for all, by employee, by department, or by how people are paid.
PAY_DAY = """
SELECT min(p.payroll__check_date) AS pay_day
FROM me, asked, staging.pay_periods p
LEFT JOIN staging.pay_schedule_assignments a ON a.company_uuid = p.company_uuid
WHERE p.company_uuid = me.company_uuid AND p.payroll__check_date >= asked.today
AND p.pay_schedule_uuid = coalesce(
    (SELECT min(e.pay_schedule_uuid) FROM staging.employee_pay_schedules e
     WHERE (e.company_uuid, e.employee_uuid) = (me.company_uuid, me.uuid)),
    (SELECT min(d.pay_schedule_uuid) FROM staging.department_pay_schedules d
     WHERE (d.company_uuid, d.department_uuid) = (me.company_uuid, me.department_uuid)),
    CASE (SELECT f.compensation__payment_unit FROM flat.employees f
          WHERE (f.company_uuid, f.uuid) = (me.company_uuid, me.uuid))
    WHEN 'Hour' THEN a.hourly_pay_schedule_uuid ELSE a.salaried_pay_schedule_uuid END,
    a.default_pay_schedule_uuid
)
"""


def is_here(connection: duckdb.DuckDBPyConnection, bound: dict[str, Any]) -> bool:
    """Whether the caller is an employee of today."""
    return bool(query(connection, "SELECT uuid FROM me", bound))


def people(
    connection: duckdb.DuckDBPyConnection, fields: Sequence[str], where: str, bound: dict[str, Any]
) -> list[dict[str, Any]]:
    """These FIELDS, and no others, of colleagues `c` of `me`; with their uuid."""
    columns = ", ".join(["c.uuid", *(f"{FIELDS[field]} AS {field}" for field in fields)])
    joined = "colleagues c JOIN flat.employees f ON (f.company_uuid, f.uuid) = (c.company_uuid, c.uuid), asked, me"
    return query(connection, f"SELECT {columns} FROM {joined} WHERE {where} ORDER BY c.name, c.uuid", bound)


def bound(
    company: str | None,
    caller: str | None,
    today: date,
    *,
    about: str | None = None,
    first: date | None = None,
    last: date | None = None,
) -> dict[str, Any]:
    """What every query is told: who asks (uuids), the day, about whom, and from when to when."""
    return {"company": company, "caller": caller, "about": about, "today": today, "first": first, "last": last}


def query(connection: duckdb.DuckDBPyConnection, select: str, bound: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows by column, as JSON has them: dates in ISO 8601, numbers without trailing zeros as text."""
    cursor = bind(connection, f"{_PEOPLE} {select}", bound)
    names = [column[0] for column in cursor.description or ()]
    return [{name: _plain(value) for name, value in zip(names, row, strict=True)} for row in cursor.fetchall()]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else f"{value:f}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):  # names are other people's words: one line, printable, and not a page long
        return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:200]
    return value
