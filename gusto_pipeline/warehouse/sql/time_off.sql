-- A request's first and last day and its hours in all; the days themselves are in time_off_days.
SELECT
    {columns},
    policy.name AS policy__name,
    days.first_day,
    days.last_day,
    days.days,
    days.hours
FROM staging.time_off t
LEFT JOIN staging.time_off_policies policy ON (policy.company_uuid, policy.uuid) = (t.company_uuid, t.policy_uuid)
LEFT JOIN (
    SELECT
        company_uuid, time_off_request_uuid,
        min(key) AS first_day, max(key) AS last_day, count(*) AS days, CAST(sum(value) AS DECIMAL(18, 6)) AS hours
    FROM staging.time_off_days
    GROUP BY ALL
) days ON (days.company_uuid, days.time_off_request_uuid) = (t.company_uuid, t.uuid);
