-- Everything provisioning remembers. Made once, safe to run again.
CREATE SCHEMA IF NOT EXISTS provisioning;

CREATE TABLE IF NOT EXISTS provisioning.records (
    company_uuid VARCHAR,
    record VARCHAR,
    kind VARCHAR,
    person_id VARCHAR,
    listed BOOLEAN,
    first_seen TIMESTAMPTZ,
    last_seen TIMESTAMPTZ,
    given_name VARCHAR,
    preferred_name VARCHAR,
    family_name VARCHAR,
    work_email VARCHAR,
    personal_email VARCHAR,
    phone VARCHAR,
    employee_code VARCHAR,
    birth_date DATE,
    employments STRUCT(first_day DATE, last_day DATE)[],
    leaves STRUCT(first_day DATE, last_day DATE)[],
    onboarded BOOLEAN,
    department VARCHAR,
    title VARCHAR,
    manager VARCHAR,
    location VARCHAR,
    state VARCHAR,
    zone VARCHAR,
    out_of_scope VARCHAR
);
CREATE TABLE IF NOT EXISTS provisioning.people (
    company_uuid VARCHAR,
    person_id VARCHAR,
    name VARCHAR,
    given_name VARCHAR,
    family_name VARCHAR,
    worker_type VARCHAR,
    department VARCHAR,
    title VARCHAR,
    manager_id VARCHAR,
    location VARCHAR,
    state VARCHAR,
    zone VARCHAR,
    spells STRUCT(first_day DATE, last_day DATE)[],
    first_day DATE,
    last_day DATE,
    onboarded BOOLEAN,
    on_leave BOOLEAN,
    work_email VARCHAR,
    personal_email VARCHAR,
    names STRUCT(given VARCHAR, family VARCHAR)[],
    work_emails VARCHAR[],
    personal_emails VARCHAR[],
    phones VARCHAR[],
    employee_codes VARCHAR[],
    records VARCHAR[],
    out_of_scope VARCHAR,
    vanished BOOLEAN,
    first_seen TIMESTAMPTZ,
    last_seen TIMESTAMPTZ,
    merged_into VARCHAR
);
CREATE TABLE IF NOT EXISTS provisioning.merge_questions (
    company_uuid VARCHAR, record VARCHAR, other VARCHAR, sentence VARCHAR, evidence JSON, asked_at TIMESTAMPTZ,
    same BOOLEAN, who VARCHAR, why VARCHAR, answered_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS provisioning.accounts (
    company_uuid VARCHAR,
    app VARCHAR,
    account_id VARCHAR,
    status VARCHAR,
    user_name VARCHAR,
    emails VARCHAR[],
    given_name VARCHAR,
    family_name VARCHAR,
    display_name VARCHAR,
    invited_until TIMESTAMPTZ,
    last_activity TIMESTAMPTZ,
    created_at TIMESTAMPTZ,
    role VARCHAR,
    admin BOOLEAN,
    owner BOOLEAN,
    bot BOOLEAN,
    licence VARCHAR,
    groups VARCHAR[],
    external_id VARCHAR,
    employee_number VARCHAR,
    phone VARCHAR,
    title VARCHAR,
    department VARCHAR,
    raw JSON,
    read_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS provisioning.account_reads (
    company_uuid VARCHAR, app VARCHAR, read_at TIMESTAMPTZ, complete BOOLEAN, accounts BIGINT, tenant_id VARCHAR,
    tenant_name VARCHAR, requests BIGINT, problem VARCHAR
);
CREATE TABLE IF NOT EXISTS provisioning.links (
    company_uuid VARCHAR, app VARCHAR, account_id VARCHAR, person_id VARCHAR, origin VARCHAR, score DOUBLE,
    sentence VARCHAR, evidence JSON, linked_at TIMESTAMPTZ, who VARCHAR, why VARCHAR
);
CREATE TABLE IF NOT EXISTS provisioning.candidates (
    company_uuid VARCHAR, app VARCHAR, account_id VARCHAR, person_id VARCHAR, outcome VARCHAR, score DOUBLE,
    sentence VARCHAR, evidence JSON, found_at TIMESTAMPTZ
);
CREATE TABLE IF NOT EXISTS provisioning.link_history (
    company_uuid VARCHAR, app VARCHAR, account_id VARCHAR, person_id VARCHAR, event VARCHAR, happened_at TIMESTAMPTZ,
    who VARCHAR, why VARCHAR, evidence JSON
);
CREATE TABLE IF NOT EXISTS provisioning.refusals (
    company_uuid VARCHAR, app VARCHAR, account_id VARCHAR, person_id VARCHAR, refused_at TIMESTAMPTZ, who VARCHAR,
    why VARCHAR
);
CREATE TABLE IF NOT EXISTS provisioning.marks (
    company_uuid VARCHAR, app VARCHAR, account_id VARCHAR, mark VARCHAR, review_by DATE, marked_at TIMESTAMPTZ,
    who VARCHAR, why VARCHAR
);
CREATE TABLE IF NOT EXISTS provisioning.done_by_hand (
    company_uuid VARCHAR, app VARCHAR, account_id VARCHAR, person_id VARCHAR, login VARCHAR, who VARCHAR, why VARCHAR,
    said_at TIMESTAMPTZ
);

COMMENT ON TABLE provisioning.people IS 'Persons, however many records Gusto has of each. Never deleted';
COMMENT ON TABLE provisioning.records IS 'Records by kind and uuid, as last seen, and whose they are';
COMMENT ON TABLE provisioning.merge_questions IS 'Two records that may be one person: asked of people, with the answer';
COMMENT ON TABLE provisioning.accounts IS 'Accounts of each app as of its last complete read';
COMMENT ON TABLE provisioning.account_reads IS 'Every attempt to read an app''s accounts, with its outcome';
COMMENT ON TABLE provisioning.links IS 'Whose account is whose: proven, or said by a person. One row per account';
COMMENT ON TABLE provisioning.candidates IS 'Accounts that may be somebody''s, as the last matching found them';
COMMENT ON TABLE provisioning.link_history IS 'Every change of links, refusals and marks, answers taken back, shorter lists accepted. Only added to';
COMMENT ON TABLE provisioning.refusals IS 'Pairs of account and person that a person has ruled out';
COMMENT ON TABLE provisioning.done_by_hand IS 'Who said that they took an account away in its app. Only added to';
COMMENT ON TABLE provisioning.marks IS 'Accounts that a person has said are nobody''s in particular, and what they are';

COMMENT ON COLUMN provisioning.records.listed IS 'It was in Gusto''s last complete list';
COMMENT ON COLUMN provisioning.records.last_seen IS 'When Gusto was last asked and had it';
COMMENT ON COLUMN provisioning.records.employments IS 'Times of work, by first day; no last day while none is known';
COMMENT ON COLUMN provisioning.records.leaves IS 'Approved time off of a leave kind, parental leave for example';
COMMENT ON COLUMN provisioning.records.zone IS 'Time zone of the work address';
COMMENT ON COLUMN provisioning.records.out_of_scope IS 'Why nothing is done about it; empty for most';
COMMENT ON COLUMN provisioning.people.worker_type IS 'employee, contractor or admin, by the record that counts most';
COMMENT ON COLUMN provisioning.people.zone IS 'Time zone of the work address';
COMMENT ON COLUMN provisioning.people.spells IS 'Times of work, by first day; no last day while no dismissal is dated';
COMMENT ON COLUMN provisioning.people.records IS 'Keys in provisioning.records';
COMMENT ON COLUMN provisioning.people.first_day IS 'First day of the current, else next, else last employment';
COMMENT ON COLUMN provisioning.people.last_day IS 'Last day of that one; empty while no dismissal is dated';
COMMENT ON COLUMN provisioning.people.on_leave IS 'On an approved leave today';
COMMENT ON COLUMN provisioning.people.out_of_scope IS 'Why nothing is ever done about this person; empty for most';
COMMENT ON COLUMN provisioning.people.vanished IS 'Was in Gusto''s lists and, but for ended work, is in none now';
COMMENT ON COLUMN provisioning.people.merged_into IS 'The person this one turned out to be';
COMMENT ON COLUMN provisioning.links.origin IS 'hand or automatic';

-- Every account and everybody who holds or may hold it; with nobody, one row without a person. What a person has ruled
-- out since the last matching is gone from it at once.
CREATE OR REPLACE VIEW provisioning.matches AS
WITH found AS (
    SELECT company_uuid, app, account_id, person_id, 'linked' AS outcome, score, sentence, evidence
    FROM provisioning.links
    UNION ALL
    SELECT company_uuid, app, account_id, person_id, outcome, score, sentence, evidence
    FROM provisioning.candidates
    ANTI JOIN provisioning.refusals USING (company_uuid, app, account_id, person_id)
    ANTI JOIN provisioning.links USING (company_uuid, app, account_id, person_id)
)
FROM found
UNION ALL BY NAME
SELECT company_uuid, app, account_id, person_id, 'refused' AS outcome,
    concat('Ruled out by ', who, ' on ', CAST(refused_at AS DATE), ': ', why) AS sentence
FROM provisioning.refusals
SEMI JOIN provisioning.accounts USING (company_uuid, app, account_id)
UNION ALL BY NAME
SELECT company_uuid, app, account_id, 'none' AS outcome, 'Nobody in Gusto fits' AS sentence
FROM provisioning.accounts
ANTI JOIN found USING (company_uuid, app, account_id);
