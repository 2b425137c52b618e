"""What Gusto has, once: every category, its endpoints and its tables, columns, keys and sensitivity.

This is data. The requests, the warehouse's tables, comments and checks, the Dagster assets and the spreadsheets are all
derived from it: adding a category is adding an entry to `CATEGORIES`. How a record becomes rows is told in `schema.py`.

Fields and their meaning: Gusto's API description, version 2026-06-15, https://docs.gusto.com/app-integrations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gusto_pipeline.schema import (
    DATE,
    FLAG,
    HOURS,
    INSTANT,
    JSON,
    LIST,
    MONEY,
    OPEN,
    PAY,
    PERSONAL,
    SECRET,
    TEXT,
    WHOLE,
    Column,
    Sensitivity,
    Table,
    walk,
)


@dataclass(frozen=True)
class Per:
    """What a source is asked about one by one: the ids in a column of a staging table that was synced before."""

    table: str
    column: str = "uuid"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One endpoint and the table its rows fill. `path` may hold `{company}` and, with `per`, the table's link column.

    `scope` is the OAuth scope the request needs, with those that parts of the answer need after it. `paged` sends
    page/per. `variants` are extra parameter sets, one request each. `days` sends start_date and end_date: so many days
    back, through today. `gone` marks an endpoint that a company's API may no longer have.
    """

    path: str
    scope: str
    table: Table
    per: Per | None = None
    params: dict[str, str] = field(default_factory=dict)
    days: int | None = None
    variants: tuple[dict[str, str], ...] = ({},)
    paged: bool = False
    gone: bool = False

    @property
    def name(self) -> str:
        return self.table.name


@dataclass(frozen=True, kw_only=True)
class Category:
    """What a user picks: a name, a title, what it is for, and the sources it reads in one go."""

    name: str
    title: str
    comment: str
    sources: tuple[Source, ...]

    @property
    def parents(self) -> tuple[str, ...]:
        """The staging tables whose rows it asks about one by one; none where a few requests give the whole company."""
        return tuple(sorted({source.per.table for source in self.sources if source.per}))

    def tables(self) -> Iterator[Table]:
        """Every staging table of the category, parents first."""
        for source in self.sources:
            yield from walk(source.table)

    def table(self, name: str) -> Table:
        return next(table for table in self.tables() if table.name == name)


_c = Column


def _address(prefix: str = "", sensitivity: Sensitivity = OPEN) -> tuple[Column, ...]:
    return (
        _c(f"{prefix}street_1", TEXT, "Street and number", sensitivity),
        _c(f"{prefix}street_2", TEXT, "Second address line", sensitivity),
        _c(f"{prefix}city", TEXT, "City", sensitivity),
        _c(f"{prefix}state", TEXT, "Two-letter state", sensitivity),
        _c(f"{prefix}zip", TEXT, "ZIP code, leading zeros kept", sensitivity),
        _c(f"{prefix}country", TEXT, "Country", sensitivity),
    )


_PORTAL = (
    _c(
        "member_portal_invitation_status.status",
        TEXT,
        "Invitation: pending, sent, verified, complete, cancelled",
    ),
    _c("member_portal_invitation_status.token_expired", FLAG, "The invitation's link has expired"),
    _c("member_portal_invitation_status.welcome_email_sent_at", INSTANT, "When the welcome e-mail went out"),
    _c("member_portal_invitation_status.last_password_resent_at", INSTANT, "When the password mail was last resent"),
    _c("partner_portal_invitation_sent", FLAG, "Invited to the partner's portal"),
)

_WARNINGS = _c("warnings", JSON, "Gusto's warnings about this record, as sent")

COMPANY = Category(
    name="company",
    title="Company",
    comment="The company itself: legal identity, status, plan, signatory and payroll admin.",
    sources=(
        Source(
            path="/v1/companies/{company}",
            scope="companies:read",
            table=Table(
                name="company",
                singular="company",
                comment="The company that granted access: one row.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the company"),
                    _c("name", TEXT, "Legal name"),
                    _c("trade_name", TEXT, "Trade name, if it differs"),
                    _c("slug", TEXT, "Gusto's short name for it"),
                    _c("ein", TEXT, "Employer identification number", SECRET),
                    _c("entity_type", TEXT, "Legal form, such as LLC or C-Corporation"),
                    _c("contractor_only", FLAG, "Pays contractors only"),
                    _c("tier", TEXT, "Gusto plan"),
                    _c("is_suspended", FLAG, "Payroll is suspended"),
                    _c("company_status", TEXT, "Approved, Not Approved or Suspended"),
                    _c("is_partner_managed", FLAG, "Managed by a Gusto partner"),
                    _c("is_high_risk_business", FLAG, "Marked high risk by Gusto"),
                    _c("is_marijuana_business", FLAG, "Marked as marijuana business by Gusto"),
                    _c("pay_schedule_type", TEXT, "How pay schedules are assigned"),
                    _c("join_date", DATE, "First day with Gusto"),
                    _c("funding_type", TEXT, "How payroll is funded"),
                    _c("primary_signatory.uuid", TEXT, "Signatory: id"),
                    _c("primary_signatory.first_name", TEXT, "Signatory: first name", PERSONAL),
                    _c("primary_signatory.middle_initial", TEXT, "Signatory: middle initial", PERSONAL),
                    _c("primary_signatory.last_name", TEXT, "Signatory: last name", PERSONAL),
                    _c("primary_signatory.phone", TEXT, "Signatory: phone", PERSONAL),
                    _c("primary_signatory.email", TEXT, "Signatory: e-mail", PERSONAL),
                    *_address("primary_signatory.home_address.", PERSONAL),
                    _c("primary_payroll_admin.first_name", TEXT, "Payroll admin: first name", PERSONAL),
                    _c("primary_payroll_admin.last_name", TEXT, "Payroll admin: last name", PERSONAL),
                    _c("primary_payroll_admin.phone", TEXT, "Payroll admin: phone", PERSONAL),
                    _c("primary_payroll_admin.email", TEXT, "Payroll admin: e-mail", PERSONAL),
                ),
                children=(
                    Table(
                        name="company_addresses",
                        singular="company_address",
                        comment="The company's addresses as the company record lists them (they carry no id there).",
                        at=("locations[]",),
                        key=("position",),
                        columns=(
                            *_address(),
                            _c("active", FLAG, "In use"),
                            _c("inactive", FLAG, "No longer in use"),
                        ),
                    ),
                    Table(
                        name="company_pay_types",
                        singular="company_pay_type",
                        comment="The names under which the company pays: hourly, fixed and paid time off.",
                        at=(
                            "compensations.hourly[]",
                            "compensations.fixed[]",
                            "compensations.paid_time_off[]",
                        ),
                        kind_column="list",
                        key=("list", "position"),
                        columns=(
                            _c("uuid", TEXT, "Gusto's id of the pay type"),
                            _c("name", TEXT, "Name on the payroll"),
                            _c("multiple", HOURS, "Multiple of the base rate (hourly only)"),
                        ),
                    ),
                ),
            ),
        ),
    ),
)

LOCATIONS = Category(
    name="locations",
    title="Locations",
    comment="Where the company has people, mail or filings.",
    sources=(
        Source(
            path="/v1/companies/{company}/locations",
            scope="companies:read",
            paged=True,
            table=Table(
                name="locations",
                singular="location",
                comment="One row per company location, also inactive ones.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the location"),
                    _c("version", TEXT, "Version to send with an update"),
                    _c("phone_number", TEXT, "Phone, ten digits"),
                    *_address(),
                    _c("mailing_address", FLAG, "The company's mailing address"),
                    _c("filing_address", FLAG, "The company's filing address"),
                    _c("active", FLAG, "In use"),
                    _c("inactive", FLAG, "No longer in use"),
                    _c("created_at", INSTANT, "When it was added"),
                    _c("updated_at", INSTANT, "When it last changed"),
                    _WARNINGS,
                ),
            ),
        ),
    ),
)

DEPARTMENTS = Category(
    name="departments",
    title="Departments",
    comment="Departments and who belongs to them.",
    sources=(
        Source(
            path="/v1/companies/{company}/departments",
            scope="departments:read",
            table=Table(
                name="departments",
                singular="department",
                comment="One row per department.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the department"),
                    _c("version", TEXT, "Version to send with an update"),
                    _c("title", TEXT, "Name"),
                ),
                children=(
                    Table(
                        name="department_members",
                        singular="department_member",
                        comment="Who is in which department; `list` says employees or contractors.",
                        at=("employees[]", "contractors[]"),
                        kind_column="list",
                        columns=(_c("uuid", TEXT, "Gusto's id of the person"),),
                    ),
                ),
            ),
        ),
    ),
)

ADMINS = Category(
    name="admins",
    title="Admins",
    comment="Who may administer the company in Gusto.",
    sources=(
        Source(
            path="/v1/companies/{company}/admins",
            scope="company_admin:read",
            paged=True,
            table=Table(
                name="admins",
                singular="admin",
                comment="One row per company admin.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the admin"),
                    _c("email", TEXT, "E-mail", PERSONAL),
                    _c("first_name", TEXT, "First name", PERSONAL),
                    _c("last_name", TEXT, "Last name", PERSONAL),
                    _c("phone", TEXT, "Phone", PERSONAL),
                ),
            ),
        ),
    ),
)

CUSTOM_FIELDS = Category(
    name="custom_fields",
    title="Custom fields",
    comment="Which custom fields the company has defined; their values come with the employees.",
    sources=(
        Source(
            path="/v1/companies/{company}/custom_fields",
            scope="companies:read",
            paged=True,
            table=Table(
                name="custom_field_schema",
                singular="custom_field_schema",
                comment="The answer's envelope; its rows are the custom fields.",
                columns=(),
                children=(
                    Table(
                        name="custom_fields",
                        singular="custom_field",
                        comment="One row per custom field the company has defined.",
                        at=("custom_fields[]",),
                        columns=(
                            _c("uuid", TEXT, "Gusto's id of the custom field"),
                            _c("name", TEXT, "Name"),
                            _c("type", TEXT, "text, currency, number, date or radio"),
                            _c("description", TEXT, "Help text"),
                            _c("selection_options", LIST, "Choices of a radio field"),
                        ),
                    ),
                ),
            ),
        ),
    ),
)

_COMPENSATIONS = Table(
    name="compensations",
    singular="compensation",
    comment="What a job paid, pays or will pay: one row per effective date. The current one is named by the job.",
    at=("compensations[]",),
    columns=(
        _c("uuid", TEXT, "Gusto's id of the compensation"),
        _c("version", TEXT, "Version to send with an update"),
        _c("employee_uuid", TEXT, "The employee"),
        _c("title", TEXT, "Job title from that date"),
        _c("rate", MONEY, "Pay per payment unit, US dollars", PAY),
        _c("payment_unit", TEXT, "Hour, Week, Month, Year or Paycheck", PAY),
        _c("flsa_status", TEXT, "Exempt, Nonexempt, Owner …"),
        _c("effective_date", DATE, "First day it applies"),
        _c("adjust_for_minimum_wage", FLAG, "Topped up to the minimum wage"),
    ),
    children=(
        Table(
            name="minimum_wages",
            singular="minimum_wage",
            comment="Minimum wages a compensation is adjusted to.",
            at=("minimum_wages[]",),
            columns=(
                _c("uuid", TEXT, "Gusto's id of the minimum wage"),
                _c("wage", MONEY, "US dollars per hour", PAY),
                _c("effective_date", DATE, "First day it applies"),
            ),
        ),
    ),
)

_JOBS = Table(
    name="jobs",
    singular="job",
    comment="An employee's jobs; one is the primary job, further ones are hourly.",
    at=("jobs[]",),
    columns=(
        _c("uuid", TEXT, "Gusto's id of the job"),
        _c("version", TEXT, "Version to send with an update"),
        _c("title", TEXT, "Title of the current compensation"),
        _c("primary", FLAG, "The employee's primary job"),
        _c("hire_date", DATE, "First day in this job"),
        _c("rate", MONEY, "Current pay per payment unit, US dollars", PAY),
        _c("payment_unit", TEXT, "Hour, Week, Month, Year or Paycheck", PAY),
        _c("current_compensation_uuid", TEXT, "The compensation in force today"),
        _c("two_percent_shareholder", FLAG, "Owns at least two percent of the S-Corporation"),
        _c("state_wc_covered", FLAG, "Covered by state workers' compensation"),
        _c("state_wc_class_code", TEXT, "Workers' compensation class"),
        _c("location_uuid", TEXT, "Work location (older companies only)"),
        _c("location.uuid", TEXT, "Work location: id (older companies only)"),
        _c("location.version", TEXT, "Work location: version"),
        _c("location.company_uuid", TEXT, "Work location: company"),
        _c("location.phone_number", TEXT, "Work location: phone"),
        *_address("location."),
        _c("location.mailing_address", FLAG, "Work location: mailing address"),
        _c("location.filing_address", FLAG, "Work location: filing address"),
        _c("location.created_at", INSTANT, "Work location: when added"),
        _c("location.updated_at", INSTANT, "Work location: when last changed"),
        _c("location.active", FLAG, "Work location: in use"),
        _c("location.inactive", FLAG, "Work location: no longer in use"),
    ),
    children=(_COMPENSATIONS,),
)

EMPLOYEES = Category(
    name="employees",
    title="Employees",
    comment="Everyone on the payroll, onboarding, active or dismissed, with jobs, pay, addresses, time-off balances, "
    "terminations, garnishments and custom field values.",
    sources=(
        Source(
            path="/v1/companies/{company}/employees",
            scope="employees:read",
            params={
                "include": "all_compensations,all_home_addresses,current_home_address,custom_fields,portal_invitations"
            },
            paged=True,
            table=Table(
                name="employees",
                singular="employee",
                comment="One row per employee record: onboarding, active and dismissed.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the employee"),
                    _c("first_name", TEXT, "Legal first name", PERSONAL),
                    _c("middle_initial", TEXT, "Middle initial", PERSONAL),
                    _c("last_name", TEXT, "Legal last name", PERSONAL),
                    _c("preferred_first_name", TEXT, "Preferred first name", PERSONAL),
                    _c("work_email", TEXT, "Work e-mail", PERSONAL),
                    _c("email", TEXT, "Personal e-mail, used to sign in to Gusto", PERSONAL),
                    _c("phone", TEXT, "Phone", PERSONAL),
                    _c("employee_code", TEXT, "Six-character code, leading zeros kept"),
                    _c("department", TEXT, "Department's name"),
                    _c("department_uuid", TEXT, "Department's id"),
                    _c("manager_uuid", TEXT, "The manager's employee id"),
                    _c("title", TEXT, "Title, where Gusto sends it with the employee"),
                    _c("hired_at", DATE, "Hire date, where Gusto sends it with the employee"),
                    _c("current_employment_status", TEXT, "full_time, part_time_…, variable or seasonal"),
                    _c("flsa_status", TEXT, "FLSA status, where Gusto sends it with the employee"),
                    _c("terminated", FLAG, "Dismissed, or a dismissal is scheduled"),
                    _c("onboarded", FLAG, "Onboarding is complete"),
                    _c("onboarding_status", TEXT, "Step of the onboarding"),
                    _c("onboarding_documents_config.uuid", TEXT, "Onboarding documents: id"),
                    _c("onboarding_documents_config.i9_document", FLAG, "Onboarding documents: I-9 in Gusto"),
                    _c("historical", FLAG, "Entered as dismissed before the company joined Gusto"),
                    _c("payment_method", TEXT, "Direct Deposit or Check", PAY),
                    _c("two_percent_shareholder", FLAG, "Owns at least two percent of the S-Corporation"),
                    _c("date_of_birth", DATE, "Date of birth", PERSONAL),
                    _c("has_ssn", FLAG, "A social security number is on file"),
                    _c("ssn", TEXT, "Always empty; Gusto no longer sends it", SECRET),
                    _c("hidden_ssn", TEXT, "Masked social security number, where still sent", SECRET),
                    _c("applicable_tax_ids", LIST, "Taxes that apply, Gusto's numbers"),
                    *_address("current_home_address.", PERSONAL),
                    _c("current_home_address.active", FLAG, "Home address in force"),
                    _c("current_home_address.uuid", TEXT, "Home address: id"),
                    _c("current_home_address.uiud", TEXT, "Home address: id under the misspelt key some answers use"),
                    _c("current_home_address.id", TEXT, "Home address: old numeric id"),
                    _c("current_home_address.effective_date", DATE, "Home address: first day"),
                    _c("current_home_address.effective_from", DATE, "Home address: first day, older form"),
                    _c("current_home_address.effective_to", DATE, "Home address: last day, older form"),
                    *_PORTAL,
                    _c("company_name", TEXT, "Company's name, if asked for"),
                    _c("version", TEXT, "Version to send with an update"),
                    _WARNINGS,
                ),
                children=(
                    _JOBS,
                    Table(
                        name="home_addresses",
                        singular="home_address",
                        comment="An employee's home addresses by effective date, the one in force marked active.",
                        at=("all_home_addresses[]",),
                        key=("position",),
                        columns=(
                            _c("uuid", TEXT, "Gusto's id of the address"),
                            _c("uiud", TEXT, "The id under the misspelt key some answers use"),
                            _c("id", TEXT, "Old numeric id"),
                            _c(
                                "effective_date",
                                DATE,
                                "First day it applies; the first address starts 1970-01-01",
                            ),
                            _c("effective_from", DATE, "First day, older form"),
                            _c("effective_to", DATE, "Last day, older form"),
                            *_address("", PERSONAL),
                            _c("active", FLAG, "In force today"),
                        ),
                    ),
                    Table(
                        name="time_off_balances",
                        singular="time_off_balance",
                        comment="An employee's paid time off: one row per policy, with accrual and balance.",
                        at=("eligible_paid_time_off[]",),
                        key=("position",),
                        columns=(
                            _c("name", TEXT, "Vacation Hours, Sick Hours, Holiday Hours"),
                            _c("policy_name", TEXT, "Policy's name"),
                            _c("policy_uuid", TEXT, "Policy's id"),
                            _c("accrual_balance", HOURS, "Hours available"),
                            _c(
                                "maximum_accrual_balance",
                                HOURS,
                                "Most hours that can be held; empty = no maximum",
                            ),
                            _c("accrual_rate", HOURS, "Hours gained per accrual period"),
                            _c("accrual_unit", TEXT, "Unit of the accrual"),
                            _c("accrual_period", TEXT, "Period of the accrual"),
                            _c("accrual_method", TEXT, "Way of accruing"),
                            _c("paid_at_termination", FLAG, "Paid out at termination"),
                        ),
                    ),
                    Table(
                        name="terminations",
                        singular="termination",
                        comment="Dismissals in effect or scheduled. `effective_date` is the last day.",
                        at=("terminations[]",),
                        key=("position",),
                        columns=(
                            _c("uuid", TEXT, "Gusto's id of the termination"),
                            _c("version", TEXT, "Version to send with an update"),
                            _c("effective_date", DATE, "Last day"),
                            _c("active", FLAG, "In effect"),
                            _c("cancelable", FLAG, "Can still be cancelled"),
                            _c("run_termination_payroll", FLAG, "A termination payroll is run"),
                        ),
                    ),
                    Table(
                        name="garnishments",
                        singular="garnishment",
                        comment="Deductions ordered by a court or agreed.",
                        at=("garnishments[]",),
                        columns=(
                            _c("uuid", TEXT, "Gusto's id of the garnishment"),
                            _c("version", TEXT, "Version to send with an update"),
                            _c("active", FLAG, "In force"),
                            _c("description", TEXT, "What it is for", SECRET),
                            _c("garnishment_type", TEXT, "Kind of order", SECRET),
                            _c("amount", MONEY, "US dollars, or percent if deduct_as_percentage", SECRET),
                            _c("deduct_as_percentage", FLAG, "The amount is a percentage"),
                            _c("court_ordered", FLAG, "Ordered by a court", SECRET),
                            _c("recurring", FLAG, "Repeats every pay period"),
                            _c("times", WHOLE, "How many times; empty = until stopped"),
                            _c("annual_maximum", MONEY, "Most per year, US dollars", SECRET),
                            _c("total_amount", MONEY, "Most in all, US dollars", SECRET),
                            _c("pay_period_maximum", MONEY, "Most per pay period, US dollars", SECRET),
                            _c("child_support.state", TEXT, "Child support: state", SECRET),
                            _c("child_support.payment_period", TEXT, "Child support: period", SECRET),
                            _c("child_support.fips_code", TEXT, "Child support: county code", SECRET),
                            _c("child_support.case_number", TEXT, "Child support: case", SECRET),
                            _c("child_support.order_number", TEXT, "Child support: order", SECRET),
                            _c("child_support.remittance_number", TEXT, "Child support: remittance", SECRET),
                        ),
                    ),
                    Table(
                        name="employee_custom_fields",
                        singular="employee_custom_field",
                        comment="Custom field values, one row per field an employee ever had a value in.",
                        at=("custom_fields[]",),
                        key=("id",),
                        columns=(
                            _c("id", TEXT, "Gusto's id of the value"),
                            _c("company_custom_field_id", TEXT, "The custom field"),
                            _c("name", TEXT, "Field's name"),
                            _c("type", TEXT, "text, currency, number, date or radio"),
                            _c("description", TEXT, "Field's help text"),
                            _c("value", TEXT, "Value as Gusto sends it; empty if it was cleared", PERSONAL),
                            _c("selection_options", LIST, "Choices of a radio field"),
                        ),
                    ),
                ),
            ),
        ),
    ),
)

CONTRACTORS = Category(
    name="contractors",
    title="Contractors",
    comment="Individual and business contractors, onboarding, active or dismissed.",
    sources=(
        Source(
            path="/v1/companies/{company}/contractors",
            scope="contractors:read",
            params={"include": "portal_invitations"},
            paged=True,
            table=Table(
                name="contractors",
                singular="contractor",
                comment="One row per contractor, a person or a business.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the contractor"),
                    _c("type", TEXT, "Individual or Business"),
                    _c("first_name", TEXT, "First name of an individual", PERSONAL),
                    _c("middle_initial", TEXT, "Middle initial", PERSONAL),
                    _c("last_name", TEXT, "Last name of an individual", PERSONAL),
                    _c("business_name", TEXT, "Name of a business"),
                    _c("work_email", TEXT, "Work e-mail", PERSONAL),
                    _c("email", TEXT, "E-mail", PERSONAL),
                    _c("is_active", FLAG, "Can be paid"),
                    _c("start_date", DATE, "First day"),
                    _c("dismissal_date", DATE, "Last day, past or scheduled"),
                    _c("upcoming_employment.start_date", DATE, "Scheduled rehire: first day"),
                    _c("upcoming_employment.setup_status", TEXT, "Scheduled rehire: set-up"),
                    _c("wage_type", TEXT, "Fixed or Hourly"),
                    _c("hourly_rate", MONEY, "US dollars per hour; 0 for Fixed", PAY),
                    _c("payment_method", TEXT, "Direct Deposit or Check", PAY),
                    _c("department", TEXT, "Department"),
                    _c("department_uuid", TEXT, "Department's id"),
                    _c("department_title", TEXT, "Department's name"),
                    _c("work_state", TEXT, "State of work"),
                    *_address("address.", PERSONAL),
                    _c("onboarded", FLAG, "Onboarding is complete"),
                    _c("onboarding_status", TEXT, "Step of the onboarding"),
                    _c("file_new_hire_report", FLAG, "Gusto files the new-hire report"),
                    _c("has_ssn", FLAG, "A social security number is on file"),
                    _c("has_ein", FLAG, "An employer number is on file"),
                    _c("ein", TEXT, "Masked employer number", SECRET),
                    _c("dismissal_cancellation_eligible", FLAG, "The dismissal can still be cancelled"),
                    _c("rehire_cancellation_eligible", FLAG, "The rehire can still be cancelled"),
                    *_PORTAL,
                    _c("company_name", TEXT, "Company's name, if asked for"),
                    _c("version", TEXT, "Version to send with an update"),
                    _WARNINGS,
                ),
            ),
        ),
    ),
)

APPLICANTS = Category(
    name="applicants",
    title="Applicants",
    comment="People who were offered a job. Gusto's dated API versions no longer answer this; where it is gone, a CSV "
    "dropped into the applicants folder takes its place.",
    sources=(
        Source(
            path="/v1/companies/{company}/job_applicants",
            scope="employees:read",
            gone=True,
            table=Table(
                name="applicants",
                singular="applicant",
                comment="One row per job applicant.",
                columns=(
                    _c("uuid", TEXT, "Id of the applicant"),
                    _c("first_name", TEXT, "First name", PERSONAL),
                    _c("last_name", TEXT, "Last name", PERSONAL),
                    _c("email", TEXT, "E-mail", PERSONAL),
                    _c("phone", TEXT, "Phone", PERSONAL),
                    _c("job_title", TEXT, "Job applied for"),
                    _c("start_date", DATE, "First day, if agreed"),
                    _c("date_of_birth", DATE, "Date of birth", PERSONAL),
                    _c("gusto_person_type", TEXT, "Employee, Contractor or Candidate"),
                    _c("gusto_person_uuid", TEXT, "The person they became"),
                    _c("gusto_person_id", TEXT, "The person they became, old numeric id"),
                    _c("company_id", TEXT, "Company, old numeric id"),
                ),
            ),
        ),
    ),
)

PAY_SCHEDULES = Category(
    name="pay_schedules",
    title="Pay schedules",
    comment="How often people are paid, and who is on which schedule.",
    sources=(
        Source(
            path="/v1/companies/{company}/pay_schedules",
            scope="pay_schedules:read",
            paged=True,
            table=Table(
                name="pay_schedules",
                singular="pay_schedule",
                comment="One row per pay schedule.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the pay schedule"),
                    _c("name", TEXT, "Name given by the company"),
                    _c("custom_name", TEXT, "Name shown in Gusto"),
                    _c("frequency", TEXT, "Every week, Every other week, Twice per month, Monthly …"),
                    _c("anchor_pay_date", DATE, "A pay date the others are counted from"),
                    _c("anchor_end_of_pay_period", DATE, "End of the pay period of that date"),
                    _c("day_1", WHOLE, "First pay day of the month"),
                    _c("day_2", WHOLE, "Second pay day of the month"),
                    _c("workweek_start_day", TEXT, "First day of the work week"),
                    _c("active", FLAG, "In use"),
                    _c("auto_payroll", FLAG, "Payroll runs by itself"),
                    _c("auto_pilot", FLAG, "The same under its older name"),
                    _c(
                        "auto_payroll_enablement_blockers",
                        JSON,
                        "What keeps payroll from running by itself, as sent",
                    ),
                    _c("version", TEXT, "Version to send with an update"),
                ),
            ),
        ),
        Source(
            path="/v1/companies/{company}/pay_schedules/assignments",
            scope="pay_schedules:read",
            table=Table(
                name="pay_schedule_assignments",
                singular="pay_schedule_assignment",
                comment="How the company assigns pay schedules: one row.",
                key=(),
                columns=(
                    _c("type", TEXT, "single, hourly_salaried, by_employee or by_department"),
                    _c("default_pay_schedule_uuid", TEXT, "Schedule of everyone not named"),
                    _c("hourly_pay_schedule_uuid", TEXT, "Schedule of hourly people"),
                    _c("salaried_pay_schedule_uuid", TEXT, "Schedule of salaried people"),
                ),
                children=(
                    Table(
                        name="employee_pay_schedules",
                        singular="employee_pay_schedule",
                        comment="Employees and the pay schedule they are on.",
                        at=("employees[]",),
                        key=("employee_uuid",),
                        columns=(
                            _c("employee_uuid", TEXT, "The employee"),
                            _c("pay_schedule_uuid", TEXT, "The pay schedule"),
                        ),
                    ),
                    Table(
                        name="department_pay_schedules",
                        singular="department_pay_schedule",
                        comment="Departments and the pay schedule they are on.",
                        at=("departments[]",),
                        key=("position",),
                        columns=(
                            _c("department_uuid", TEXT, "The department"),
                            _c("pay_schedule_uuid", TEXT, "The pay schedule"),
                        ),
                    ),
                ),
            ),
        ),
    ),
)

_BLOCKERS = (
    _c("submission_blockers", JSON, "What keeps it from being submitted, as sent"),
    _c("credit_blockers", JSON, "What keeps it from being paid, as sent"),
    _c("processing_request", JSON, "State of the processing, as sent"),
)

_TOTALS = {
    "company_debit": "Debited from the company",
    "net_pay_debit": "Debited for net pay",
    "tax_debit": "Debited for taxes",
    "reimbursement_debit": "Debited for reimbursements",
    "child_support_debit": "Debited for child support",
    "reimbursements": "Reimbursements",
    "net_pay": "Net pay",
    "gross_pay": "Gross pay",
    "employee_bonuses": "Bonuses",
    "employee_commissions": "Commissions",
    "employee_cash_tips": "Cash tips",
    "employee_paycheck_tips": "Paycheck tips",
    "additional_earnings": "Additional earnings",
    "owners_draw": "Owner's draw",
    "check_amount": "Paid by check",
    "employer_taxes": "Employer's taxes",
    "employee_taxes": "Employees' taxes",
    "benefits": "Company's benefit contributions",
    "employee_benefits_deductions": "Employees' benefit deductions",
    "imputed_pay": "Imputed pay",
    "deferred_payroll_taxes": "Deferred payroll taxes",
    "other_deductions": "Other deductions",
}

PAYROLLS = Category(
    name="payrolls",
    title="Payrolls",
    comment="Pay periods and processed payrolls of the last six months, with totals.",
    sources=(
        Source(
            path="/v1/companies/{company}/payrolls",
            scope="payrolls:read",
            params={
                "include": "totals,payroll_status_meta,taxes",
                "payroll_types": "regular,off_cycle,external",
            },
            paged=True,
            table=Table(
                name="payrolls",
                singular="payroll",
                comment="One row per processed payroll, with totals in US dollars.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the payroll"),
                    _c("payroll_uuid", TEXT, "The same id under its other name"),
                    _c("pay_period.start_date", DATE, "First day of the pay period"),
                    _c("pay_period.end_date", DATE, "Last day of the pay period"),
                    _c("pay_period.pay_schedule_uuid", TEXT, "Pay schedule"),
                    _c("check_date", DATE, "Pay day"),
                    _c("payroll_deadline", INSTANT, "Submit by"),
                    _c("processed", FLAG, "Has been processed"),
                    _c("processed_date", DATE, "When it was processed"),
                    _c("calculated_at", INSTANT, "When it was last calculated"),
                    _c("created_at", INSTANT, "When it was made"),
                    _c("off_cycle", FLAG, "Outside the schedule"),
                    _c("off_cycle_reason", TEXT, "Why it is outside the schedule"),
                    _c("external", FLAG, "Run outside Gusto"),
                    _c("auto_pilot", FLAG, "Ran by itself"),
                    _c("auto_payroll", FLAG, "Ran by itself, newer name"),
                    _c("final_termination_payroll", FLAG, "A dismissed person's last payroll"),
                    _c("withholding_pay_period", TEXT, "Period the withholding is counted for"),
                    _c("skip_regular_deductions", FLAG, "Regular deductions were left out"),
                    _c("fixed_withholding_rate", FLAG, "Withheld at the fixed rate"),
                    _c("partner_owned_disbursement", FLAG, "Paid out by the partner"),
                    *(_c(f"totals.{name}", MONEY, f"{comment}, US dollars", PAY) for name, comment in _TOTALS.items()),
                    _c("payroll_status_meta.cancellable", FLAG, "Can still be cancelled"),
                    _c("payroll_status_meta.expected_check_date", DATE, "Expected pay day"),
                    _c("payroll_status_meta.initial_check_date", DATE, "Pay day as first planned"),
                    _c("payroll_status_meta.expected_debit_time", INSTANT, "Expected time of the debit"),
                    _c("payroll_status_meta.payroll_late", FLAG, "Late"),
                    _c(
                        "payroll_status_meta.initial_debit_cutoff_time",
                        INSTANT,
                        "Debit cut-off as first planned",
                    ),
                    _c("payment_speed_changed", JSON, "Change of the payment speed, as sent"),
                    *_BLOCKERS,
                ),
                children=(
                    Table(
                        name="payroll_taxes",
                        singular="payroll_tax",
                        comment="Taxes of a payroll; `list` says under which of Gusto's two names they came.",
                        at=("payroll_taxes[]", "company_taxes[]"),
                        kind_column="list",
                        key=("list", "position"),
                        columns=(
                            _c("name", TEXT, "Tax"),
                            _c("employer", FLAG, "Paid by the employer"),
                            _c("amount", MONEY, "US dollars", PAY),
                        ),
                    ),
                ),
            ),
        ),
        Source(
            path="/v1/companies/{company}/pay_periods",
            scope="payrolls:read",
            table=Table(
                name="pay_periods",
                singular="pay_period",
                comment="One row per pay period of the last six months and the payroll made for it.",
                key=("position",),
                columns=(
                    _c("pay_schedule_uuid", TEXT, "Pay schedule"),
                    _c("start_date", DATE, "First day"),
                    _c("end_date", DATE, "Last day"),
                    _c("payroll.payroll_uuid", TEXT, "Payroll"),
                    _c("payroll.check_date", DATE, "Pay day"),
                    _c("payroll.processed", FLAG, "Has been processed"),
                    _c("payroll.payroll_deadline", INSTANT, "Submit by"),
                    _c("payroll.payroll_type", TEXT, "regular or transition"),
                ),
            ),
        ),
    ),
)

EARNING_TYPES = Category(
    name="earning_types",
    title="Earning types",
    comment="The kinds of earnings payroll knows, Gusto's and the company's own.",
    sources=(
        Source(
            path="/v1/companies/{company}/earning_types",
            scope="payrolls:read",
            table=Table(
                name="earning_type_lists",
                singular="earning_type_list",
                comment="The answer's envelope; its rows are the earning types.",
                columns=(),
                children=(
                    Table(
                        name="earning_types",
                        singular="earning_type",
                        comment="One row per earning type; `list` says default or custom.",
                        at=("default[]", "custom[]"),
                        kind_column="list",
                        columns=(
                            _c("uuid", TEXT, "Gusto's id of the earning type"),
                            _c("name", TEXT, "Name on the payroll"),
                            _c("active", FLAG, "In use"),
                            _c("category", TEXT, "Kind of earning"),
                            _c("included_in_overtime_pay", FLAG, "Counts towards overtime pay"),
                        ),
                    ),
                ),
            ),
        ),
    ),
)

TIME_OFF = Category(
    name="time_off",
    title="Time off",
    comment="Time-off requests day by day, and the policies with every member's balance.",
    sources=(
        Source(
            path="/v1/companies/{company}/time_off_requests",
            scope="time_off_requests:read",
            table=Table(
                name="time_off",
                singular="time_off_request",
                comment="One row per time-off request.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the request"),
                    _c("status", TEXT, "pending, approved, declined or consumed"),
                    _c("employee.uuid", TEXT, "Employee"),
                    _c("employee.full_name", TEXT, "Employee's name", PERSONAL),
                    _c("policy_uuid", TEXT, "Policy"),
                    _c("policy_type", TEXT, "Kind of policy"),
                    _c("request_type", TEXT, "vacation or sick; Gusto is retiring it"),
                    _c("employee_note", TEXT, "Employee's note", PERSONAL),
                    _c("employer_note", TEXT, "Employer's note", PERSONAL),
                    _c("initiator.uuid", TEXT, "Who asked"),
                    _c("initiator.full_name", TEXT, "Who asked: name", PERSONAL),
                    _c("approver.uuid", TEXT, "Who decided"),
                    _c("approver.full_name", TEXT, "Who decided: name", PERSONAL),
                ),
                children=(
                    Table(
                        name="time_off_days",
                        singular="time_off_day",
                        comment="Days of a time-off request and the hours on each.",
                        at=("days{}",),
                        key=("key",),
                        columns=(
                            _c("key", DATE, "Day"),
                            _c("value", HOURS, "Hours"),
                        ),
                    ),
                ),
            ),
        ),
        Source(
            path="/v1/companies/{company}/time_off_policies",
            scope="time_off_policies:read",
            table=Table(
                name="time_off_policies",
                singular="time_off_policy",
                comment="One row per time-off policy, active or not.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the policy"),
                    _c("name", TEXT, "Name"),
                    _c("policy_type", TEXT, "vacation, sick, bereavement …"),
                    _c("accrual_method", TEXT, "Way of accruing"),
                    _c("accrual_rate", HOURS, "Hours gained per unit"),
                    _c("accrual_rate_unit", HOURS, "Hours worked per gain"),
                    _c("accrual_waiting_period_days", WHOLE, "Days before accrual starts"),
                    _c("carryover_limit_hours", HOURS, "Most hours carried over"),
                    _c("max_accrual_hours_per_year", HOURS, "Most hours gained in a year"),
                    _c("max_hours", HOURS, "Most hours held"),
                    _c("policy_reset_date", TEXT, "Reset day, MM-DD"),
                    _c("paid_out_on_termination", FLAG, "Paid out at termination"),
                    _c("complete", FLAG, "Fully set up"),
                    _c("is_active", FLAG, "In use"),
                    _c("version", TEXT, "Version to send with an update"),
                ),
                children=(
                    Table(
                        name="time_off_policy_members",
                        singular="time_off_policy_member",
                        comment="Who is on a policy, with the balance in hours.",
                        at=("employees[]",),
                        columns=(
                            _c("uuid", TEXT, "The employee"),
                            _c("balance", HOURS, "Hours available"),
                        ),
                    ),
                ),
            ),
        ),
    ),
)

WORK_ADDRESSES = Category(
    name="work_addresses",
    title="Work addresses",
    comment="Where each employee works and worked. One request per employee.",
    sources=(
        Source(
            path="/v1/employees/{employee_uuid}/work_addresses",
            scope="employees:read",
            per=Per("employees"),
            table=Table(
                name="work_addresses",
                singular="work_address",
                links=("employee_uuid",),
                comment="One row per employee, work location and effective date.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the work address"),
                    _c("location_uuid", TEXT, "Location"),
                    _c("effective_date", DATE, "First day it applies"),
                    _c("active", FLAG, "In force today"),
                    *_address(),
                    _c("version", TEXT, "Version to send with an update"),
                ),
            ),
        ),
    ),
)

HOME_ADDRESS_HISTORY = Category(
    name="home_address_history",
    title="Home address history",
    comment="Each employee's home addresses with their versions. One request per employee.",
    sources=(
        Source(
            path="/v1/employees/{employee_uuid}/home_addresses",
            scope="employees:read",
            per=Per("employees"),
            table=Table(
                name="home_address_history",
                singular="home_address",
                links=("employee_uuid",),
                comment="One row per employee, home address and effective date.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the home address"),
                    _c("effective_date", DATE, "First day it applies; the first address starts 1970-01-01"),
                    _c("active", FLAG, "In force today"),
                    *_address("", PERSONAL),
                    _c("courtesy_withholding", FLAG, "Taxes withheld for the home state as a courtesy"),
                    _c("version", TEXT, "Version to send with an update"),
                    _WARNINGS,
                ),
            ),
        ),
    ),
)

EMPLOYMENT_HISTORY = Category(
    name="employment_history",
    title="Employment history",
    comment="Every spell of each employee, for rehired people above all. One request per employee.",
    sources=(
        Source(
            path="/v1/employees/{employee_uuid}/employment_history",
            scope="employments:read",
            per=Per("employees"),
            table=Table(
                name="employment_history",
                singular="employment",
                links=("employee_uuid",),
                comment="One row per spell of employment.",
                key=("position",),
                columns=(
                    _c("hire_date", DATE, "First day"),
                    _c("termination_date", DATE, "Last day"),
                    _c("employment_status", TEXT, "part_time, full_time, seasonal …"),
                    _c("file_new_hire_report", FLAG, "Gusto files the new-hire report"),
                    _c("two_percent_shareholder", FLAG, "Owns at least two percent of the S-Corporation"),
                ),
            ),
        ),
    ),
)

TIME_OFF_ACTIVITIES = Category(
    name="time_off_activities",
    title="Time-off activities",
    comment="Accruals and uses of vacation and sick time. Two requests per employee.",
    sources=(
        Source(
            path="/v1/employees/{employee_uuid}/time_off_activities",
            scope="employee_time_off_activities:read",
            per=Per("employees"),
            variants=({"time_off_type": "vacation"}, {"time_off_type": "sick"}),
            table=Table(
                name="time_off_activities",
                singular="time_off_activity",
                links=("employee_uuid",),
                comment="One row per change of a time-off balance.",
                key=("position",),
                columns=(
                    _c("time_off_type", TEXT, "vacation or sick"),
                    _c("policy_uuid", TEXT, "Policy"),
                    _c("policy_name", TEXT, "Policy's name"),
                    _c("event_type", TEXT, "What happened"),
                    _c("event_description", TEXT, "In words"),
                    _c("effective_time", INSTANT, "When"),
                    _c("balance", HOURS, "Hours after it"),
                    _c("balance_change", HOURS, "Hours gained or used"),
                ),
            ),
        ),
    ),
)

REHIRES = Category(
    name="rehires",
    title="Rehires",
    comment="Scheduled returns of dismissed employees. One request per termination.",
    sources=(
        Source(
            path="/v1/employees/{employee_uuid}/rehire",
            scope="employments:read",
            per=Per("terminations", "employee_uuid"),
            table=Table(
                name="rehires",
                singular="rehire",
                links=("employee_uuid",),
                comment="One row per dismissed employee who is coming back; those who are back have a second spell in "
                "employment_history.",
                key=(),
                columns=(
                    _c("effective_date", DATE, "First day back"),
                    _c("active", FLAG, "In effect"),
                    _c("employment_status", TEXT, "part_time, full_time, seasonal …"),
                    _c("work_location_uuid", TEXT, "Location"),
                    _c("file_new_hire_report", FLAG, "Gusto files the new-hire report"),
                    _c("two_percent_shareholder", FLAG, "Owns at least two percent of the S-Corporation"),
                    _c("version", TEXT, "Version to send with an update"),
                ),
            ),
        ),
    ),
)

CONTRACTOR_PAYMENTS = Category(
    name="contractor_payments",
    title="Contractor payments",
    comment="What contractors were paid in the last twelve months.",
    sources=(
        Source(
            path="/v1/companies/{company}/contractor_payments",
            scope="payrolls:read",
            days=365,
            paged=True,
            table=Table(
                name="contractor_payment_summary",
                singular="contractor_payment_summary",
                comment="The answer's envelope; its rows are the payments of each contractor.",
                columns=(),
                key=(),
                elsewhere=("total",),
                children=(
                    Table(
                        name="contractor_payment_groups",
                        singular="contractor",
                        comment="The payments of one contractor, with their sums.",
                        at=("contractor_payments[]",),
                        columns=(),
                        key=(),
                        elsewhere=("contractor_uuid", "reimbursement_total", "wage_total"),
                        children=(
                            Table(
                                name="contractor_payments",
                                singular="contractor_payment",
                                comment="One row per payment to a contractor.",
                                at=("payments[]",),
                                columns=(
                                    _c("uuid", TEXT, "Gusto's id of the payment"),
                                    _c("contractor_uuid", TEXT, "The contractor"),
                                    _c("date", DATE, "Pay day"),
                                    _c("payment_method", TEXT, "Direct Deposit, Check, Historical Payment …", PAY),
                                    _c("status", TEXT, "Funded or Unfunded"),
                                    _c("wage_type", TEXT, "Fixed or Hourly"),
                                    _c("hours", HOURS, "Hours paid"),
                                    _c("hourly_rate", MONEY, "US dollars per hour", PAY),
                                    _c("wage", MONEY, "Fixed wage, US dollars", PAY),
                                    _c("bonus", MONEY, "Bonus, US dollars", PAY),
                                    _c("wage_total", MONEY, "Hours at their rate, wage and bonus, US dollars", PAY),
                                    _c("reimbursement", MONEY, "Reimbursed, US dollars", PAY),
                                    _c("invoice_number", TEXT, "The contractor's invoice"),
                                    _c("memo", TEXT, "Note on the payment", PERSONAL),
                                    _c("may_cancel", FLAG, "Can still be cancelled"),
                                ),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    ),
)

COMPANY_BENEFITS = Category(
    name="company_benefits",
    title="Company benefits",
    comment="The benefits the company offers or offered, with how many are enrolled.",
    sources=(
        Source(
            path="/v1/companies/{company}/company_benefits",
            scope="company_benefits:read",
            params={"enrollment_count": "true"},
            table=Table(
                name="company_benefits",
                singular="company_benefit",
                comment="One row per benefit of the company, active or not.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the benefit"),
                    _c("description", TEXT, "The company's name for it"),
                    _c("benefit_type", WHOLE, "Gusto's number of the kind of benefit: 1 medical, 2 dental, 5 401(k) …"),
                    _c("active", FLAG, "Open to employees"),
                    _c("enrollment_count", WHOLE, "Employees enrolled"),
                    _c("source", TEXT, "internal, external or partnered"),
                    _c("partner_name", TEXT, "The partner who set it up"),
                    _c("deletable", FLAG, "Was never used in payroll"),
                    _c("supports_percentage_amounts", FLAG, "Amounts may be percentages of pay"),
                    _c(
                        "responsible_for_employer_taxes",
                        FLAG,
                        "The company pays employer taxes on third-party sick pay",
                    ),
                    _c("responsible_for_employee_w2", FLAG, "The company files W-2 forms on third-party sick pay"),
                    _c("catch_up_type", TEXT, "Catch-up contributions: elective or deemed"),
                    _c("version", TEXT, "Version to send with an update"),
                ),
            ),
        ),
    ),
)

EMPLOYEE_BENEFITS = Category(
    name="employee_benefits",
    title="Employee benefits",
    comment="Who is enrolled in which benefit, and who pays what. One request per company benefit and 100 employees.",
    sources=(
        Source(
            path="/v1/company_benefits/{company_benefit_uuid}/employee_benefits",
            scope="employee_benefits:read",
            per=Per("company_benefits"),
            params={"include": "all_benefits"},
            paged=True,
            table=Table(
                name="employee_benefits",
                singular="employee_benefit",
                links=("company_benefit_uuid",),
                comment="One row per employee and benefit, by effective date; amounts are per pay period.",
                columns=(
                    _c("uuid", TEXT, "Gusto's id of the enrollment"),
                    _c("employee_uuid", TEXT, "The employee"),
                    _c("active", FLAG, "In force"),
                    _c("effective_date", DATE, "First day"),
                    _c("expiration_date", DATE, "Last day; empty = open"),
                    _c("employee_deduction", MONEY, "Deducted, US dollars or percent", PAY),
                    _c("deduct_as_percentage", FLAG, "The deduction is a percentage of pay"),
                    _c("employee_deduction_annual_maximum", MONEY, "Most deducted per year, US dollars", PAY),
                    _c("contribution.type", TEXT, "How the company contributes: amount, percentage, tiered …", PAY),
                    _c("contribution.value", TEXT, "What it contributes; tiers as sent, in JSON", PAY),
                    _c("elective", FLAG, "The company matches what the employee elects"),
                    _c("company_contribution", MONEY, "Contributed by the company; empty for tiers", PAY),
                    _c("contribute_as_percentage", FLAG, "The contribution is a percentage of pay"),
                    _c("company_contribution_annual_maximum", MONEY, "Most contributed per year, US dollars", PAY),
                    _c("limit_option", TEXT, "Which limit applies, such as Family or Individual", PERSONAL),
                    _c("catch_up", FLAG, "Contributes at the catch-up rate", PERSONAL),
                    _c("retirement_loan_identifier", TEXT, "The provider's number of a 401(k) loan", SECRET),
                    _c("coverage_amount", MONEY, "Insured for, US dollars", PAY),
                    _c("coverage_salary_multiplier", HOURS, "Insured for so many salaries", PAY),
                    _c("deduction_reduces_taxable_income", TEXT, "Whether the deduction lowers taxable income"),
                    _c("version", TEXT, "Version to send with an update"),
                ),
            ),
        ),
    ),
)

PAYROLL_LINES = Category(
    name="payroll_lines",
    title="Payroll lines",
    comment="What each employee got in each synced payroll, line by line: earnings, hours, benefits, deductions and "
    "taxes. One request per payroll and 100 employees.",
    sources=(
        Source(
            path="/v1/companies/{company}/payrolls/{payroll_uuid}",
            scope="payrolls:read employee_benefits:read",
            per=Per("payrolls"),
            params={"include": "benefits,deductions,taxes"},
            paged=True,
            table=Table(
                name="payroll_lines",
                singular="payroll",
                links=("payroll_uuid",),
                comment="The payroll as payrolls has it; its rows are the employees' pay.",
                columns=(),
                key=(),
                elsewhere=(
                    *(column.path.split(".")[0] for column in PAYROLLS.table("payrolls").columns),
                    "payroll_taxes",
                    "company_taxes",
                ),
                children=(
                    Table(
                        name="payroll_employees",
                        singular="payroll_employee",
                        comment="One row per payroll and employee in it.",
                        at=("employee_compensations[]",),
                        key=("employee_uuid",),
                        columns=(
                            _c("employee_uuid", TEXT, "The employee"),
                            _c("first_name", TEXT, "First name", PERSONAL),
                            _c("preferred_first_name", TEXT, "Preferred first name", PERSONAL),
                            _c("last_name", TEXT, "Last name", PERSONAL),
                            _c("excluded", FLAG, "Left out of this payroll"),
                            _c("gross_pay", MONEY, "Gross pay, US dollars", PAY),
                            _c("net_pay", MONEY, "Net pay, US dollars", PAY),
                            _c("check_amount", MONEY, "Net pay and reimbursements, US dollars", PAY),
                            _c("payment_method", TEXT, "Direct Deposit, Check or Historical", PAY),
                            _c("memo", TEXT, "Note on the paystub", PERSONAL),
                            _c("version", TEXT, "Version to send with an update"),
                        ),
                        children=(
                            Table(
                                name="payroll_fixed",
                                singular="payroll_fixed",
                                comment="Fixed earnings of an employee in a payroll: bonuses, tips, commissions.",
                                at=("fixed_compensations[]",),
                                key=("position",),
                                columns=(
                                    _c("name", TEXT, "Earning"),
                                    _c("amount", MONEY, "US dollars", PAY),
                                    _c("job_uuid", TEXT, "Job it is for"),
                                ),
                            ),
                            Table(
                                name="payroll_hourly",
                                singular="payroll_hourly",
                                comment="Hours of an employee in a payroll, by kind and job.",
                                at=("hourly_compensations[]",),
                                key=("position",),
                                columns=(
                                    _c("name", TEXT, "Regular Hours, Overtime …"),
                                    _c("hours", HOURS, "Hours"),
                                    _c("amount", MONEY, "US dollars", PAY),
                                    _c("compensation_multiplier", HOURS, "Multiple of the base rate"),
                                    _c("job_uuid", TEXT, "Job it is for"),
                                    _c("flsa_status", TEXT, "Exempt, Nonexempt, Owner …"),
                                ),
                            ),
                            Table(
                                name="payroll_paid_time_off",
                                singular="payroll_paid_time_off",
                                comment="Paid time off of an employee in a payroll, by kind.",
                                at=("paid_time_off[]",),
                                key=("position",),
                                columns=(
                                    _c("name", TEXT, "Vacation Hours, Sick Hours …"),
                                    _c("hours", HOURS, "Hours taken"),
                                    _c("amount", MONEY, "US dollars", PAY),
                                    _c(
                                        "final_payout_unused_hours_input", HOURS, "Unused hours paid out at termination"
                                    ),
                                ),
                            ),
                            Table(
                                name="payroll_reimbursements",
                                singular="payroll_reimbursement",
                                comment="Reimbursements to an employee in a payroll.",
                                at=("reimbursements[]",),
                                key=("position",),
                                columns=(
                                    _c("description", TEXT, "What for", PERSONAL),
                                    _c("amount", MONEY, "US dollars", PAY),
                                    _c("uuid", TEXT, "Gusto's id of the reimbursement"),
                                    _c("recurring", FLAG, "Repeats every payroll"),
                                ),
                            ),
                            Table(
                                name="payroll_benefits",
                                singular="payroll_benefit",
                                comment="Benefits of an employee in a payroll.",
                                at=("benefits[]",),
                                key=("position",),
                                columns=(
                                    _c("name", TEXT, "Benefit", PERSONAL),
                                    _c("employee_deduction", MONEY, "Deducted, US dollars", PAY),
                                    _c("company_contribution", MONEY, "Contributed by the company, US dollars", PAY),
                                    _c("imputed", FLAG, "Counts as income without being paid"),
                                ),
                            ),
                            Table(
                                name="payroll_deductions",
                                singular="payroll_deduction",
                                comment="Other deductions of an employee in a payroll, garnishments among them.",
                                at=("deductions[]",),
                                key=("position",),
                                columns=(
                                    _c("name", TEXT, "What for", SECRET),
                                    _c("amount", MONEY, "US dollars, or percent", SECRET),
                                    _c("amount_type", TEXT, "fixed or percent"),
                                    _c("uuid", TEXT, "The garnishment"),
                                    _c("updatable_via_payroll", FLAG, "Can be changed in the payroll"),
                                ),
                            ),
                            Table(
                                name="payroll_taxes_withheld",
                                singular="payroll_tax_withheld",
                                comment="Taxes on an employee's pay in a payroll, the employer's among them.",
                                at=("taxes[]",),
                                key=("position",),
                                columns=(
                                    _c("name", TEXT, "Tax"),
                                    _c("employer", FLAG, "Paid by the employer"),
                                    _c("amount", MONEY, "US dollars", PAY),
                                ),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    ),
)

CATEGORIES: dict[str, Category] = {
    category.name: category
    for category in (
        COMPANY,
        LOCATIONS,
        DEPARTMENTS,
        ADMINS,
        CUSTOM_FIELDS,
        EMPLOYEES,
        CONTRACTORS,
        APPLICANTS,
        PAY_SCHEDULES,
        TIME_OFF,
        PAYROLLS,
        EARNING_TYPES,
        WORK_ADDRESSES,
        HOME_ADDRESS_HISTORY,
        EMPLOYMENT_HISTORY,
        TIME_OFF_ACTIVITIES,
        REHIRES,
        CONTRACTOR_PAYMENTS,
        COMPANY_BENEFITS,
        EMPLOYEE_BENEFITS,
        PAYROLL_LINES,
    )
}

# Categories that cost a few requests per company; the others ask about employees, payrolls or benefits one by one.
COMPANY_CATEGORIES = tuple(name for name, category in CATEGORIES.items() if not category.parents)
