-- provisioning.people anew from provisioning.records; persons that were merged into others stay as they are. It takes
-- the variables company and today.
CREATE OR REPLACE TEMP TABLE standing AS
SELECT
    * REPLACE (r.listed IS TRUE AS listed),
    [e FOR e IN employments IF e.first_day <= getvariable('today')
        AND coalesce(e.last_day, DATE '9999-12-31') >= getvariable('today')] AS current,
    [e FOR e IN employments IF e.first_day > getvariable('today')
        AND coalesce(e.last_day, DATE '9999-12-31') >= getvariable('today')] AS coming,
    coalesce(current[1], coming[1], employments[-1]) AS counts,
    CASE
        WHEN kind = 'admin' THEN 4
        WHEN len(current) > 0 OR (len(employments) = 0 AND onboarded) THEN 0
        WHEN len(coming) > 0 THEN 1
        WHEN len(employments) = 0 THEN 2
        ELSE 3
    END AS rank  -- working, coming, being hired, gone, merely an admin
FROM provisioning.records r
WHERE company_uuid = getvariable('company');

CREATE OR REPLACE TEMP TABLE persons AS
SELECT
    person_id,
    NOT bool_or(listed) OR (min(rank) FILTER (listed) >= 3 AND bool_or(NOT listed AND rank = 0)) AS vanished,
    CASE
        WHEN bool_or(out_of_scope IS NULL AND listed AND rank < 3) THEN NULL
        WHEN bool_or(out_of_scope IS NOT NULL AND listed AND rank < 3) OR NOT bool_or(out_of_scope IS NULL)
            THEN first(out_of_scope ORDER BY out_of_scope IS NULL, NOT listed, rank, record)
    END AS out_of_scope,
    bool_or(listed AND len([l FOR l IN leaves IF getvariable('today') BETWEEN l.first_day AND l.last_day]) > 0)
        AS on_leave,
    first(work_email ORDER BY work_email IS NULL, NOT listed, rank, kind DESC, counts.first_day DESC, record)
        AS work_email,
    first(personal_email ORDER BY personal_email IS NULL, NOT listed, rank, kind DESC, counts.first_day DESC, record)
        AS personal_email,
    list_sort(list_distinct(flatten(list([
        {given: given_name, family: family_name},
        {given: coalesce(preferred_name, given_name), family: family_name}
    ])))) AS names,
    list_sort(list_distinct(list(work_email))) AS work_emails,
    list_sort(list_distinct(list(personal_email))) AS personal_emails,
    list_sort(list_distinct(list(phone))) AS phones,
    list_sort(list_distinct(list(employee_code))) AS employee_codes,
    list_sort(list(record)) AS records,
    list_sort(list_distinct(flatten(list(employments)))) AS all_spells,
    list_sort(list_distinct(coalesce(flatten(list(employments) FILTER (listed)), []))) AS listed_spells,
    min(first_seen) AS first_seen,
    max(last_seen) AS last_seen
FROM standing
GROUP BY person_id;

DELETE FROM provisioning.people WHERE company_uuid = getvariable('company') AND merged_into IS NULL;

INSERT INTO provisioning.people BY NAME
SELECT
    s.company_uuid, s.person_id,
    concat_ws(' ', coalesce(s.preferred_name, s.given_name), s.family_name) AS name,
    coalesce(s.preferred_name, s.given_name) AS given_name,
    s.family_name, s.kind AS worker_type, s.department, s.title,
    manager.person_id AS manager_id, s.location, s.state, s.zone,
    CASE WHEN p.vanished THEN p.all_spells ELSE p.listed_spells END AS spells,
    s.counts.first_day AS first_day, s.counts.last_day AS last_day, s.onboarded,
    p.* EXCLUDE (person_id, all_spells, listed_spells)
FROM standing s
JOIN persons p USING (person_id)
LEFT JOIN provisioning.records manager ON (manager.company_uuid, manager.record) = (s.company_uuid, s.manager)
QUALIFY row_number() OVER (
    PARTITION BY s.person_id ORDER BY NOT s.listed, s.rank, s.kind DESC, s.counts.first_day DESC NULLS LAST, s.record
) = 1;
