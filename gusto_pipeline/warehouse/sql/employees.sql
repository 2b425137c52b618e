-- The primary job, or the latest hired where none is marked; the compensation that job names as current (never merely
-- the latest, which may lie in the future); the latest termination; the manager's name. The home address in force is the
-- one Gusto sends as current.
SELECT
    {columns},
    job.uuid AS job__uuid,
    job.title AS job__title,
    job.hire_date AS job__hire_date,
    compensation.rate AS compensation__rate,
    compensation.payment_unit AS compensation__payment_unit,
    compensation.flsa_status AS compensation__flsa_status,
    compensation.effective_date AS compensation__effective_date,
    termination.effective_date AS termination__effective_date,
    termination.active AS termination__active,
    trim(concat_ws(' ', coalesce(nullif(manager.preferred_first_name, ''), manager.first_name), manager.last_name))
        AS manager__name
FROM staging.employees t
LEFT JOIN (
    FROM staging.jobs
    QUALIFY row_number() OVER (
        PARTITION BY company_uuid, employee_uuid ORDER BY "primary" DESC NULLS LAST, hire_date DESC NULLS LAST, position
    ) = 1
) job ON (job.company_uuid, job.employee_uuid) = (t.company_uuid, t.uuid)
LEFT JOIN staging.compensations compensation
    ON (compensation.company_uuid, compensation.job_uuid, compensation.uuid)
    = (job.company_uuid, job.uuid, job.current_compensation_uuid)
LEFT JOIN (
    FROM staging.terminations
    QUALIFY row_number() OVER (
        PARTITION BY company_uuid, employee_uuid ORDER BY effective_date DESC NULLS LAST, position
    ) = 1
) termination ON (termination.company_uuid, termination.employee_uuid) = (t.company_uuid, t.uuid)
LEFT JOIN staging.employees manager ON (manager.company_uuid, manager.uuid) = (t.company_uuid, t.manager_uuid);
