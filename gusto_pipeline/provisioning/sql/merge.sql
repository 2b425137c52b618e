-- The person `gone` becomes part of `person` (variables, beside company and now), with links and refusals.
UPDATE provisioning.people
SET merged_into = getvariable('person')
WHERE company_uuid = getvariable('company') AND getvariable('gone') IN (person_id, merged_into);

INSERT INTO provisioning.link_history BY NAME
SELECT company_uuid, app, account_id, person_id, 'person merged' AS event, getvariable('now') AS happened_at,
    'gusto_pipeline' AS who, 'Is the same person as ' || getvariable('person') AS why
FROM provisioning.links
WHERE company_uuid = getvariable('company') AND person_id = getvariable('gone');

UPDATE provisioning.links
SET person_id = getvariable('person')
WHERE company_uuid = getvariable('company') AND person_id = getvariable('gone');

UPDATE provisioning.refusals
SET person_id = getvariable('person')
WHERE company_uuid = getvariable('company') AND person_id = getvariable('gone');

-- What was ruled out for either is ruled out for both.
INSERT INTO provisioning.link_history BY NAME
SELECT l.company_uuid, l.app, l.account_id, l.person_id, 'unlinked' AS event, getvariable('now') AS happened_at,
    'gusto_pipeline' AS who, 'Ruled out for the person merged with this one' AS why, l.evidence
FROM provisioning.links l
SEMI JOIN provisioning.refusals USING (company_uuid, app, account_id, person_id)
WHERE l.company_uuid = getvariable('company') AND l.person_id = getvariable('person');

DELETE FROM provisioning.links
WHERE company_uuid = getvariable('company') AND person_id = getvariable('person')
    AND (app, account_id) IN (
        SELECT (app, account_id) FROM provisioning.refusals
        WHERE company_uuid = getvariable('company') AND person_id = getvariable('person')
    );
