-- The person `person` is made the persons `parts` again, perhaps itself among them (variables, beside company and now).
-- Accounts that it held become nobody's: matching gives them to whom evidence says, and asks about the others.
UPDATE provisioning.people
SET merged_into = NULL
WHERE company_uuid = getvariable('company') AND list_contains(getvariable('parts'), person_id);

CREATE OR REPLACE TEMP TABLE parted AS
FROM provisioning.links
SEMI JOIN provisioning.accounts USING (company_uuid, app, account_id)
WHERE company_uuid = getvariable('company') AND person_id = getvariable('person');

INSERT INTO provisioning.link_history BY NAME
SELECT company_uuid, app, account_id, unnest(getvariable('parts')) AS person_id, 'person split' AS event,
    getvariable('now') AS happened_at, 'gusto_pipeline' AS who,
    'Was matched to ' || getvariable('person') || ', who is several people' AS why,
    json_object('origin', origin) AS evidence
FROM parted;

DELETE FROM provisioning.links
WHERE company_uuid = getvariable('company') AND (app, account_id) IN (SELECT (app, account_id) FROM parted);

-- What was ruled out for one of them before they were taken for one person goes back to that one.
UPDATE provisioning.refusals r
SET person_id = h.person_id
FROM provisioning.link_history h
WHERE r.company_uuid = getvariable('company') AND r.person_id = getvariable('person')
    AND (h.company_uuid, h.app, h.account_id, h.happened_at) = (r.company_uuid, r.app, r.account_id, r.refused_at)
    AND h.event IN ('unmatched', 'refused') AND list_contains(getvariable('parts'), h.person_id);
