"""A value of its own in every field of every person, that tells field and person wherever it shows."""

from __future__ import annotations

import re
from datetime import date

from gusto_pipeline.schema import DATE, INSTANT, JSON, LIST, TEXT, WHOLE
from gusto_pipeline.sync import open_warehouse
from gusto_pipeline.warehouse.flatten import quote
from gusto_pipeline_tests.conftest import Pipeline

# What decides who is here, who is whose, and when; what everybody may know of everybody; the names of policies.
KEPT = {
    "employees.preferred_first_name",
    "employees.last_name",
    "employees.work_email",
    "employees.department",
    "employees.title",
    "jobs.title",
    "terminations.effective_date",
    "time_off.status",
    "time_off_days.key",
    "time_off_days.value",
    "time_off_policies.name",
    "time_off_policies.accrual_method",
    "pay_periods.payroll__check_date",
}
_FIRST = date(1600, 1, 1)
_CODE = re.compile(r"CANARY(\d{7})|\b77(\d{7})\b|\b(1[67]\d\d-\d\d-\d\d)\b")


class Canaries:
    """Plants them when made; `in_text` finds them. A person is a uuid, and "" is nobody in particular."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.people = ["", *(row[0] for row in pipeline.query("SELECT uuid FROM staging.employees ORDER BY uuid"))]
        self.columns: list[str] = []
        warehouse = open_warehouse(pipeline.settings)
        with warehouse.write() as connection:
            connection.execute("CREATE TEMP TABLE owners (uuid VARCHAR, n BIGINT)")
            connection.executemany("INSERT INTO owners VALUES (?, ?)", [(u, n) for n, u in enumerate(self.people)])
            for rows in warehouse.rows():
                names = [column.name for column in rows.columns]
                owner = next((n for n in ("employee_uuid", "employee__uuid") if n in names), "uuid")
                whose = f"coalesce((SELECT n FROM owners WHERE owners.uuid = t.{owner}), 0)" if owner in names else "0"
                planted = []
                for column in rows.columns:
                    name = f"{rows.table.name}.{column.name}"
                    if name in KEPT or column.name in (*rows.key, "position", rows.table.kind_column):
                        continue
                    if column.name.endswith(("uuid", "uiud")):
                        continue
                    code = f"({len(self.columns) * 1000} + {whose})"
                    text = f"printf('CANARY%07d', {code})"
                    value = {
                        TEXT: text,
                        LIST: f"[{text}]",
                        JSON: f"to_json({text})",
                        DATE: f"DATE '{_FIRST}' + CAST({len(self.columns)} * 50 + {whose} AS INTEGER)",
                        INSTANT: f"TIMESTAMPTZ '{_FIRST}'",
                        WHOLE: f"770000000 + {code}",
                    }.get(column.type, f"770000000 + {code}" if column.type.startswith("DECIMAL") else "")
                    if value:
                        planted.append(f"{quote(column.name)} = {value}")
                        self.columns.append(name)
                if planted:
                    connection.execute(f"UPDATE {rows.staging} t SET {', '.join(planted)}")
            for table in warehouse.tables:
                connection.execute(f"UPDATE raw.{quote(table.name)} SET record = to_json('CANARY9999000')")

    def in_text(self, text: str) -> set[tuple[str, str]]:
        """(column, person) of every canary in a text."""
        found = set()
        for match in _CODE.finditer(text):
            if match[3]:
                column, person = divmod((date.fromisoformat(match[3]) - _FIRST).days, 50)
            else:
                column, person = divmod(int(match[1] or match[2]), 1000)
            found.add((self.columns[column] if column < len(self.columns) else "raw", self.people[person]))
        return found
