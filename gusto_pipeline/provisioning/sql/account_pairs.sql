-- Whom each account could be: the temporary table `account_pairs`, with all that account and person share but the
-- likeness of their names, which is for Python to say. It takes what `account_names.sql` and `blocks.sql` leave, the
-- temporary tables `phones` and `nicknames`, and the variables company, apps and own_domains.
CREATE OR REPLACE TEMP TABLE own AS
SELECT split_part(address, '@', 2) AS domain
FROM (SELECT mailbox(unnest(work_emails)) AS address, person_id FROM persons)
WHERE domain NOT IN (
    'aol.com', 'comcast.net', 'fastmail.com', 'gmail.com', 'gmx.com', 'gmx.net', 'hey.com', 'hotmail.com', 'icloud.com',
    'live.com', 'mac.com', 'mail.com', 'me.com', 'msn.com', 'outlook.com', 'proton.me', 'protonmail.com', 'yahoo.com',
    'ymail.com', 'zoho.com'
)
GROUP BY domain
HAVING count(DISTINCT person_id) > 1
UNION
SELECT unnest(getvariable('own_domains'));

-- An account's addresses. `login`: it is the one to sign in with, not merely an alias.
CREATE OR REPLACE TEMP TABLE addresses AS
SELECT account_id, address, bool_or(login) AS login, bool_or(domain IN (FROM own)) AS own
FROM (
    SELECT account_id, mailbox(address) AS address, login, split_part(mailbox(address), '@', 2) AS domain
    FROM (
        SELECT account_id, emails[1] AS address, true AS login FROM taking
        UNION ALL
        SELECT account_id, user_name, true FROM taking
        UNION ALL
        SELECT account_id, unnest(emails[2:]), false FROM taking
    )
)
WHERE address IS NOT NULL
GROUP BY account_id, address;

CREATE OR REPLACE TEMP TABLE account_keys AS
WITH user_names AS MATERIALIZED (
    SELECT account_id, address AS name, address AS source, own FROM addresses
    UNION ALL
    SELECT account_id, user_name, NULL, false FROM taking WHERE user_name NOT LIKE '%@%'
)
SELECT
    account_id, 'id' AS class, lower(trim(unnest([external_id, employee_number]))) AS key,
    NULL AS source, true AS strong
FROM taking
UNION
SELECT account_id, 'address', address, NULL, login FROM addresses
UNION
SELECT account_id, 'number', e164, NULL, true FROM taking JOIN phones ON phones.number = taking.phone
UNION
SELECT account_id, 'number', lower(trim(user_name)), NULL, true FROM taking
UNION
SELECT account_id, 'user name', handle(name), source, own FROM user_names;

-- What user names are made of: a given name, or what it is short or long for, and a family name.
CREATE OR REPLACE TEMP TABLE handles AS
WITH givens AS (
    SELECT id, family, split_part(given, ' ', 1) AS given FROM called
    UNION
    SELECT id, family, replace(given, ' ', '') FROM called
    UNION
    SELECT id, family, canonical FROM called JOIN nicknames ON nickname = split_part(given, ' ', 1)
    UNION
    SELECT id, family, nickname FROM called JOIN nicknames ON canonical = split_part(given, ' ', 1)
), parts AS (
    SELECT DISTINCT
        id, given AS g, unnest([replace(family, ' ', ''), split_part(family, ' ', 1), split_part(family, ' ', -1)]) AS f
    FROM givens
    WHERE id LIKE 'person/%' AND given <> '' AND family <> ''
)
SELECT DISTINCT split_part(id, '/', 2) AS person_id, handle, alone
FROM (
    SELECT id, unnest([g || f, f || g, g[1] || f, f || g[1], g || f[1]]) AS handle, false AS alone FROM parts
    UNION
    SELECT id, unnest([g, f]), true FROM parts
)
WHERE length(handle) > 2;

CREATE OR REPLACE TEMP TABLE person_keys AS
SELECT person_id, 'id' AS class, lower(split_part(unnest(records), '/', 2)) AS key, 'record' AS kind FROM persons
UNION
SELECT person_id, 'id', lower(unnest(employee_codes)), 'code' FROM persons
UNION
SELECT person_id, 'address', mailbox(unnest(work_emails)), 'work' FROM persons
UNION
SELECT
    person_id, 'address', address, CASE WHEN split_part(address, '@', 2) IN (FROM own) THEN 'work' ELSE 'personal' END
FROM (SELECT person_id, mailbox(unnest(personal_emails)) AS address FROM persons)
UNION
SELECT person_id, 'number', lower(unnest(phones || employee_codes)), 'number' FROM persons
UNION
SELECT person_id, 'user name', handle, CASE WHEN alone THEN 'alone' ELSE 'whole' END FROM handles;

CREATE OR REPLACE TEMP TABLE ruled_out AS
SELECT app || '/' || account_id AS account_id, person_id
FROM provisioning.refusals
WHERE company_uuid = getvariable('company') AND list_contains(getvariable('apps'), app);

-- Keys that people and accounts of an app have in common. A number that several have, a main line or "n/a", says nothing
-- about any of them.
CREATE OR REPLACE TEMP TABLE keys AS
SELECT split_part(account_id, '/', 1) AS app, class, key, count(DISTINCT account_id) AS accounts, people
FROM account_keys
JOIN (
    SELECT class, key, count(DISTINCT person_id) AS people FROM person_keys WHERE key <> '' GROUP BY ALL
) USING (class, key)
GROUP BY ALL
HAVING class IN ('address', 'user name') OR (people = 1 AND accounts = 1);

-- What each pair shares, but for pairs that a person has ruled out.
CREATE OR REPLACE TEMP TABLE evidence AS
SELECT account_id, person_id, list_sort(list(DISTINCT {
    kind: CASE
        WHEN class = 'address' AND kind = 'work' AND strong THEN 'work_email'
        WHEN class = 'address' THEN 'other_email'
        WHEN class = 'user name' THEN 'user_name'
        ELSE kind
    END,
    value: key,
    source: source,
    own: class = 'user name' AND strong,
    shared: class = 'address' AND people > 1
})) AS evidence
FROM (
    SELECT a.*, p.person_id, p.kind, count(DISTINCT p.person_id) OVER (PARTITION BY a.account_id, a.class, a.key) AS people
    FROM keys
    JOIN account_keys a ON (a.class, a.key, split_part(a.account_id, '/', 1)) = (keys.class, keys.key, keys.app)
    JOIN person_keys p ON (p.class, p.key) = (keys.class, keys.key)
    ANTI JOIN ruled_out r ON (r.account_id, r.person_id) = (a.account_id, p.person_id)
    WHERE p.kind <> 'alone' OR a.strong
)
GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE account_pairs AS
WITH likely AS MATERIALIZED (
    SELECT account_id, person_id FROM evidence
    UNION
    SELECT a.id[9:], b.id[8:] FROM blocks a JOIN blocks b USING (block) WHERE a.id ^@ 'account/' AND b.id ^@ 'person/'
), pairs AS MATERIALIZED (
    FROM likely ANTI JOIN ruled_out USING (account_id, person_id)
)
SELECT
    account_id, person_id, coalesce(evidence, []) AS evidence, created_on, first_day,
    [s.first_day FOR s IN p.spells IF abs(created_on - s.first_day) <= 14][1] AS near,
    created_on < first_day - 30 AS early,
    created_on > last_day + 1 AS late
FROM pairs
JOIN (SELECT account_id, CAST(created_at AS DATE) AS created_on FROM taking) a USING (account_id)
JOIN (
    SELECT person_id, spells, list_min([s.first_day FOR s IN spells]) AS first_day,
        list_max([coalesce(s.last_day, DATE '9999-12-31') FOR s IN spells]) AS last_day
    FROM persons
) p USING (person_id)
LEFT JOIN evidence USING (account_id, person_id);
