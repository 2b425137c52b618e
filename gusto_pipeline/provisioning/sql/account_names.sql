-- Who takes part in matching accounts, as the temporary tables `persons` and `taking`, and how each may be called, as
-- `called`, by 'account/…' and 'person/…'. It takes the variables company and apps. From here on an account's id has its
-- app before it, 'slack/…', so that all apps are matched at once.
CREATE OR REPLACE TEMP TABLE persons AS
FROM provisioning.people WHERE company_uuid = getvariable('company') AND merged_into IS NULL;

-- Accounts still to be given to somebody, and those that matching itself has given: others may have a claim on them.
CREATE OR REPLACE TEMP TABLE taking AS
SELECT * REPLACE (app || '/' || account_id AS account_id)
FROM provisioning.accounts
ANTI JOIN (
    SELECT company_uuid, app, account_id FROM provisioning.links WHERE origin = 'hand'
    UNION ALL
    SELECT company_uuid, app, account_id FROM provisioning.marks
) USING (company_uuid, app, account_id)
WHERE company_uuid = getvariable('company') AND list_contains(getvariable('apps'), app);

CREATE OR REPLACE TEMP TABLE called AS
WITH shown AS (
    -- Without what is in brackets, and without titles. One word alone is rather a user name than a name.
    SELECT account_id, trim(regexp_replace(
        display_name,
        '\s*[(\[][^)\]]*[)\]]|^(dr|mrs?|ms|prof)\.? |,? (jr|sr|ii|iii|iv|ph\.?d|m\.?d|esq|cpa)\.?$', '', 'gi'
    )) AS name
    FROM taking
), words AS (
    SELECT account_id, name, string_split_regex(name, '\s+') AS words FROM shown WHERE name NOT LIKE '%@%'
), names AS MATERIALIZED (
    SELECT 'person/' || person_id AS id, n.given, n.family FROM persons, unnest(names) u(n)
    UNION
    SELECT 'account/' || account_id, given_name, family_name FROM taking
    UNION
    SELECT 'account/' || account_id, split_part(name, ',', 2), split_part(name, ',', 1) FROM words WHERE name LIKE '%,%'
    UNION
    SELECT 'account/' || account_id, words[1], array_to_string(words[2:], ' ')
    FROM words
    WHERE len(words) > 1 AND name NOT LIKE '%,%'
    UNION
    SELECT 'account/' || account_id, array_to_string(words[:-2], ' '), words[-1] FROM words WHERE len(words) > 2
), plainly AS MATERIALIZED (
    SELECT id, coalesce(plain(given), '') AS given, coalesce(plain(family), '') AS family FROM names
)
SELECT DISTINCT id, given, family
FROM plainly
WHERE given <> '' OR family <> '';
