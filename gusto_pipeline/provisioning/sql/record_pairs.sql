-- Pairs of records that may be one person's and are not taken for it yet, as the temporary table `record_pairs`: of the
-- same birth date or nearly, with one e-mail address, or perhaps alike in name where a birth date is not known.
CREATE OR REPLACE TEMP TABLE compared AS
SELECT record, person_id, birth_date, phone, mailbox(work_email) AS work, mailbox(personal_email) AS personal
FROM provisioning.records
WHERE company_uuid = getvariable('company');

-- Each step is materialized: joined in another order, all records would be compared with all.
CREATE OR REPLACE TEMP TABLE record_pairs AS
WITH addresses AS (
    SELECT record, personal AS address FROM compared WHERE personal IS NOT NULL
    UNION
    SELECT record, work FROM compared WHERE work IS NOT NULL
), pairs AS MATERIALIZED (
    SELECT a.record, b.record AS other FROM compared a JOIN compared b USING (birth_date) WHERE a.record < b.record
    UNION
    SELECT a.id, b.id FROM blocks a JOIN blocks b USING (block) WHERE a.id < b.id
    UNION
    SELECT a.record, b.record FROM addresses a JOIN addresses b USING (address) WHERE a.record < b.record
), halves AS MATERIALIZED (
    FROM pairs JOIN compared USING (record)
)
SELECT
    a.record, a.other,
    -- Two work addresses prove nothing: a leaver's is given to the next one.
    coalesce(a.personal = b.personal OR a.personal = b.work OR a.work = b.personal, false) AS same_email,
    coalesce(a.phone = b.phone, false) AS same_phone
FROM halves a
JOIN compared b ON b.record = a.other
WHERE (a.person_id = b.person_id) IS NOT TRUE AND (
    a.birth_date IS NULL OR b.birth_date IS NULL
    OR damerau_levenshtein(CAST(a.birth_date AS VARCHAR), CAST(b.birth_date AS VARCHAR)) <= 2
);
