-- provisioning.records brought in line with Gusto's lists; a record that is in none any more stays as it was last seen.
-- It takes the variables company, now and today (in Gusto's zone), and the temporary table `phones` (number as written,
-- E.164); it leaves the temporary table `called`, how each record's bearer may be called.
CREATE OR REPLACE TEMP TABLE listed AS
WITH job AS (
    FROM staging.jobs
    WHERE company_uuid = getvariable('company')
    QUALIFY row_number() OVER (
        PARTITION BY employee_uuid ORDER BY "primary" DESC NULLS LAST, hire_date DESC NULLS LAST, position
    ) = 1
), workplace AS (
    FROM staging.work_addresses
    WHERE company_uuid = getvariable('company') AND active
    QUALIFY row_number() OVER (PARTITION BY employee_uuid ORDER BY effective_date DESC NULLS LAST, uuid) = 1
), starts AS (
    -- A scheduled return that should have begun while Gusto still says dismissed was called off after it was listed.
    SELECT 'employee/' || employee_uuid AS record, min(hire_date) AS first_day
    FROM staging.jobs
    WHERE company_uuid = getvariable('company')
    GROUP BY ALL
    UNION
    SELECT 'employee/' || uuid, hired_at FROM staging.employees WHERE company_uuid = getvariable('company')
    UNION
    SELECT 'employee/' || employee_uuid, hire_date
    FROM staging.employment_history
    WHERE company_uuid = getvariable('company')
    UNION
    SELECT 'employee/' || employee_uuid, effective_date
    FROM staging.rehires r
    JOIN staging.employees e ON (e.company_uuid, e.uuid) = (r.company_uuid, r.employee_uuid)
    WHERE r.company_uuid = getvariable('company') AND (effective_date > getvariable('today') OR NOT e.terminated)
    UNION
    SELECT 'contractor/' || uuid, unnest([start_date, upcoming_employment__start_date])
    FROM staging.contractors
    WHERE company_uuid = getvariable('company')
), ends AS (
    -- `now`: of the dismissal that the list has, if it says that there is one. The history, of another sync, may still
    -- name one that was moved or called off, so it tells of the last employment only where the list has no date.
    SELECT 'employee/' || employee_uuid AS record, effective_date AS last_day, e.terminated IS TRUE AS now
    FROM staging.terminations t
    JOIN staging.employees e ON (e.company_uuid, e.uuid) = (t.company_uuid, t.employee_uuid)
    WHERE t.company_uuid = getvariable('company') AND effective_date IS NOT NULL
    UNION
    SELECT 'employee/' || employee_uuid, termination_date, e.terminated IS TRUE AND employee_uuid NOT IN (
        SELECT employee_uuid FROM staging.terminations WHERE effective_date IS NOT NULL
    )
    FROM staging.employment_history h
    JOIN staging.employees e ON (e.company_uuid, e.uuid) = (h.company_uuid, h.employee_uuid)
    WHERE h.company_uuid = getvariable('company') AND termination_date IS NOT NULL
    UNION
    SELECT 'contractor/' || uuid, dismissal_date, true
    FROM staging.contractors
    WHERE company_uuid = getvariable('company') AND dismissal_date IS NOT NULL
), spans AS (
    -- What starts while nothing has ended, a second job, is the same employment.
    SELECT record, first_day, last_day, lag(last_day IS NOT NULL, 1, true) OVER by_day AS begins
    FROM (
        SELECT s.record, s.first_day, max(e.last_day) AS last_day
        FROM (
            SELECT record, first_day, lead(first_day) OVER by_day AS next_day, lag(first_day) OVER by_day AS before
            FROM starts
            WHERE first_day IS NOT NULL
            WINDOW by_day AS (PARTITION BY record ORDER BY first_day)
        ) s
        LEFT JOIN ends e ON e.record = s.record AND (
            (e.last_day >= s.first_day AND e.last_day < s.next_day)
            -- Dismissed before the only first day there is: they never came.
            OR (s.next_day IS NULL AND e.now AND (e.last_day >= s.first_day OR s.before IS NULL))
        )
        GROUP BY ALL
    )
    WINDOW by_day AS (PARTITION BY record ORDER BY first_day)
), employments AS (
    SELECT record, list({first_day: first_day, last_day: last_day} ORDER BY first_day) AS employments
    FROM (
        SELECT record, min(first_day) AS first_day, max(last_day) AS last_day
        FROM (
            SELECT *, count(*) FILTER (begins) OVER (PARTITION BY record ORDER BY first_day) AS number FROM spans
        )
        GROUP BY record, number
        UNION ALL
        SELECT record, NULL, max(last_day)
        FROM ends
        ANTI JOIN spans USING (record)
        GROUP BY ALL
    )
    GROUP BY record
), leaves AS (
    SELECT employee_uuid, list({first_day: first_day, last_day: last_day} ORDER BY first_day, last_day) AS leaves
    FROM (
        SELECT t.employee__uuid AS employee_uuid, min(d.key) AS first_day, max(d.key) AS last_day
        FROM staging.time_off t
        JOIN staging.time_off_days d ON (d.company_uuid, d.time_off_request_uuid) = (t.company_uuid, t.uuid)
        LEFT JOIN staging.time_off_policies p ON (p.company_uuid, p.uuid) = (t.company_uuid, t.policy_uuid)
        WHERE t.company_uuid = getvariable('company') AND t.status IN ('approved', 'consumed') AND (
            coalesce(p.policy_type, t.policy_type) IN ('parental_leave', 'bereavement', 'jury_duty')
            OR (coalesce(p.policy_type, t.policy_type) = 'custom' AND p.name ILIKE '%leave%')
        )
        GROUP BY t.uuid, t.employee__uuid
    )
    GROUP BY employee_uuid
), zones AS (
    -- Of a state in two zones the western one: nobody's last day is cut short.
    SELECT unnest(string_split(states, ' ')) AS state, zone
    FROM (VALUES
        ('CT DC DE GA MA MD ME MI NC NH NJ NY OH PA RI SC VA VT WV', 'America/New_York'),
        ('AL AR FL IA IL IN KY LA MN MO MS OK TN WI', 'America/Chicago'),
        ('CO KS MT ND NE NM SD TX UT WY', 'America/Denver'),
        ('AZ', 'America/Phoenix'),
        ('CA ID NV OR WA', 'America/Los_Angeles'),
        ('AK', 'America/Anchorage'),
        ('HI', 'Pacific/Honolulu'),
        ('PR VI', 'America/Puerto_Rico'),
        ('GU MP', 'Pacific/Guam')
    ) z(states, zone)
), described AS (
    SELECT
        'employee/' || e.uuid AS record, 'employee' AS kind,
        e.first_name AS given_name, e.preferred_first_name AS preferred_name, e.last_name AS family_name,
        e.work_email, e.email AS personal_email, e.phone AS number, e.employee_code, e.date_of_birth AS birth_date,
        e.onboarded, e.department, coalesce(job.title, e.title) AS title, 'employee/' || e.manager_uuid AS manager,
        coalesce(w.city, job.location__city) AS city, coalesce(w.state, job.location__state) AS state,
        leaves.leaves,
        CASE
            WHEN coalesce(nullif(w.country, ''), nullif(e.current_home_address__country, ''), 'USA')
                NOT IN ('USA', 'US') THEN 'International employee'
            WHEN e.terminated AND 'employee/' || e.uuid NOT IN (SELECT record FROM ends WHERE now)
                THEN 'Gusto says dismissed, and no last day'
        END AS out_of_scope
    FROM staging.employees e
    LEFT JOIN job ON job.employee_uuid = e.uuid
    LEFT JOIN workplace w ON w.employee_uuid = e.uuid
    LEFT JOIN leaves ON leaves.employee_uuid = e.uuid
    WHERE e.company_uuid = getvariable('company')
    UNION ALL BY NAME
    SELECT
        'contractor/' || uuid AS record, 'contractor' AS kind,
        first_name AS given_name, coalesce(nullif(last_name, ''), business_name) AS family_name,
        work_email, email AS personal_email, onboarded,
        coalesce(nullif(department_title, ''), department) AS department, work_state AS state,
        CASE
            WHEN type = 'Business' THEN 'A business, not a person'
            WHEN coalesce(nullif(address__country, ''), 'USA') NOT IN ('USA', 'US') THEN 'International contractor'
            WHEN onboarded AND NOT is_active AND dismissal_date IS NULL AND upcoming_employment__start_date IS NULL
                THEN 'Gusto says no longer active, and no last day'
        END AS out_of_scope
    FROM staging.contractors
    WHERE company_uuid = getvariable('company')
    UNION ALL BY NAME
    SELECT
        'admin/' || uuid AS record, 'admin' AS kind, first_name AS given_name, last_name AS family_name,
        email AS personal_email, phone AS number,
        'Administers Gusto, and is neither employee nor contractor' AS out_of_scope
    FROM staging.admins
    WHERE company_uuid = getvariable('company')
)
SELECT
    record, kind,
    nullif(trim(given_name), '') AS given_name,
    nullif(trim(preferred_name), '') AS preferred_name,
    nullif(trim(family_name), '') AS family_name,
    nullif(trim(work_email), '') AS work_email,
    nullif(trim(personal_email), '') AS personal_email,
    phones.e164 AS phone,
    nullif(trim(employee_code), '') AS employee_code,
    birth_date,
    coalesce(employments.employments, []) AS employments,
    coalesce(leaves, []) AS leaves,
    coalesce(onboarded, true) AS onboarded,
    nullif(trim(department), '') AS department,
    nullif(trim(title), '') AS title,
    manager,
    nullif(concat_ws(', ', nullif(city, ''), nullif(described.state, '')), '') AS location,
    nullif(described.state, '') AS state,
    zone,
    out_of_scope
FROM described
LEFT JOIN employments USING (record)
LEFT JOIN zones ON zones.state = described.state
LEFT JOIN phones ON phones.number = described.number;

CREATE OR REPLACE TEMP TABLE synced AS
SELECT rtrim(category, 's') AS kind, max(started_at) AS synced_at
FROM meta.syncs
WHERE company_uuid = getvariable('company') AND status = 'ok' AND category IN ('employees', 'contractors', 'admins')
GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE kept AS
SELECT
    getvariable('company') AS company_uuid, listed.*, true AS listed, old.person_id,
    coalesce(old.first_seen, getvariable('now')) AS first_seen, coalesce(synced_at, getvariable('now')) AS last_seen
FROM listed
LEFT JOIN (FROM provisioning.records WHERE company_uuid = getvariable('company')) old USING (record)
LEFT JOIN synced ON synced.kind = listed.kind
UNION ALL BY NAME
SELECT r.* REPLACE (r.listed AND synced_at IS NULL AS listed)
FROM provisioning.records r
LEFT JOIN synced ON synced.kind = r.kind
WHERE company_uuid = getvariable('company') AND record NOT IN (SELECT record FROM listed);

DELETE FROM provisioning.records WHERE company_uuid = getvariable('company');
INSERT INTO provisioning.records BY NAME FROM kept;

CREATE OR REPLACE TEMP TABLE called AS
SELECT
    record AS id,
    unnest(coalesce(
        nullif(list_distinct([n FOR n IN [plain(given_name), plain(preferred_name)] IF n <> '']), []), ['']
    )) AS given,
    coalesce(plain(family_name), '') AS family
FROM kept;
