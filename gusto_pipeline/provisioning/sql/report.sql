-- What a reconciliation report shows, as temporary tables: one for each section, its rows in the order of `n`.
-- It takes the variables company, now, today and zone (of the company) and what `report` says in `said_apps`,
-- `said_pairs`, `said_states` and `opened`.
CREATE OR REPLACE TEMP TABLE persons AS
SELECT person_id, name, worker_type, department, title, first_day, last_day, work_email, out_of_scope, vanished
FROM provisioning.people
WHERE company_uuid = getvariable('company') AND merged_into IS NULL;

-- What we did to each account last, and when.
CREATE OR REPLACE TEMP TABLE done AS
SELECT
    i.app, o.account_id, i.person_id, i.action, i.login, i.due_at, i.who, i.plan_id, i.intended_at, o.outcome,
    o.problem, o.ended_at,
    o.outcome IN ('done', 'nothing_to_do') AS good,
    i.action IN ('suspend', 'delete', 'cancel_invitation') AS removal
FROM provisioning.intents i
JOIN provisioning.outcomes o USING (company_uuid, intent_id)
WHERE company_uuid = getvariable('company');

CREATE OR REPLACE TEMP TABLE last_done AS
FROM done
WHERE good AND account_id IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY app, account_id ORDER BY ended_at DESC) = 1;

CREATE OR REPLACE TEMP TABLE last_failed AS
SELECT d.app, d.account_id, d.ended_at, concat('Tried ', strftime(timezone(getvariable('zone'), d.ended_at), '%Y-%m-%d %H:%M'), ': ', d.problem) AS said
FROM done d
LEFT JOIN last_done l USING (app, account_id)
WHERE NOT d.good AND d.account_id IS NOT NULL AND d.problem <> '' AND (l.ended_at IS NULL OR l.ended_at < d.ended_at)
QUALIFY row_number() OVER (PARTITION BY d.app, d.account_id ORDER BY d.ended_at DESC) = 1;

-- Seen alive since we took it away.
CREATE OR REPLACE TEMP TABLE reopened AS
SELECT l.app, l.account_id, min(s.seen_at) AS reopened_at, any_value(l.ended_at) AS taken_at
FROM last_done l
JOIN provisioning.account_states s USING (app, account_id)
JOIN provisioning.accounts a USING (company_uuid, app, account_id)
WHERE s.company_uuid = getvariable('company') AND l.removal AND s.seen_at > l.ended_at
    AND s.status IN ('active', 'invited') AND a.status IN ('active', 'invited')
GROUP BY l.app, l.account_id;

CREATE OR REPLACE TEMP TABLE reads AS
SELECT
    app, min(read_at) FILTER (complete) AS first_good, max(read_at) FILTER (complete) AS last_good,
    max_by(tenant_name, read_at) FILTER (complete) AS tenant
FROM provisioning.account_reads
WHERE company_uuid = getvariable('company')
GROUP BY app;

-- Every pair as it was decided, but for what was done after the app was last read: that holds until the next reading.
CREATE OR REPLACE TEMP TABLE report_pairs AS
SELECT
    p.* REPLACE (
        p.risk AND l.ended_at IS NULL AS risk,
        CASE WHEN l.ended_at IS NULL THEN p.state WHEN l.action = 'suspend' THEN 'SUSPENDED_BY_US' ELSE 'REMOVED' END AS state,
        CASE
            WHEN l.ended_at IS NULL THEN p.reason
            ELSE concat('Taken away at ', strftime(timezone(getvariable('zone'), l.ended_at), '%Y-%m-%d %H:%M'), ', after ', a.name, ' was last read.')
        END AS reason,
        CASE WHEN l.ended_at IS NULL THEN p.next_step ELSE 'The next reading checks it.' END AS next_step,
        CASE WHEN l.ended_at IS NULL THEN p.to_do ELSE 'The next reading checks it.' END AS to_do,
        CASE WHEN l.ended_at IS NULL THEN p.asked END AS asked
    ),
    a.name AS app_name, a.mode AS app_mode, a.cost,
    r.reopened_at, f.said AS tried,
    p.acct IN ('active', 'invited') AND l.ended_at IS NULL AS alive, l.ended_at IS NOT NULL AS settled
FROM said_pairs p
JOIN said_apps a USING (app)
LEFT JOIN reads USING (app)
LEFT JOIN last_done l ON (l.app, l.account_id) = (p.app, p.account_id) AND l.removal AND l.ended_at > last_good
    AND p.acct IN ('active', 'invited', 'lapsed')
LEFT JOIN reopened r ON (r.app, r.account_id) = (p.app, p.account_id)
LEFT JOIN last_failed f ON (f.app, f.account_id) = (p.app, p.account_id);

ALTER TABLE report_pairs ADD COLUMN tint VARCHAR;
ALTER TABLE report_pairs ADD COLUMN n BIGINT;
UPDATE report_pairs p
SET word = CASE WHEN risk THEN concat('⚠ ', p.word) WHEN settled THEN s.word ELSE p.word END, tint = CASE WHEN risk THEN 'bad' ELSE s.tint END
FROM said_states s
WHERE s.state = p.state;

-- Everybody who has, had, may have or should have something; most urgent first.
CREATE OR REPLACE TEMP TABLE report_people AS
SELECT
    row_number() OVER (
        ORDER BY risks DESC, urgent DESC, questions > 0 DESC, hr IN ('ended', 'vanished'), lower(person), person_id
    ) AS n, *,
    CASE hr
        WHEN 'active' THEN 'Works here'
        WHEN 'leave' THEN 'On leave'
        WHEN 'leaving' THEN concat('Leaves ', last_day)
        WHEN 'ended' THEN concat('Left ', last_day)
        WHEN 'vanished' THEN 'Not in Gusto any more'
        WHEN 'draft' THEN 'Not hired yet'
        ELSE concat('Starts ', first_day)
    END AS status
FROM (
    SELECT
        person_id, any_value(person) AS person, any_value(p.hr) AS hr, any_value(department) AS department,
        any_value(title) AS title, any_value(first_day) AS first_day, any_value(last_day) AS last_day,
        count(*) FILTER (risk) AS risks, count(*) FILTER (asked = 'urgent') AS urgent, count(asked) AS questions,
        count(*) FILTER (alive) AS accounts,
        bool_or(state NOT IN ('NOT_WANTED', 'GONE', 'REMOVED') AND (account_id IS NOT NULL OR hr NOT IN ('ended', 'vanished'))) AS shown
    FROM report_pairs p
    LEFT JOIN persons USING (person_id)
    GROUP BY person_id
);
UPDATE report_pairs p SET n = o.n
FROM (
    SELECT
        rp.rowid AS id,
        row_number() OVER (ORDER BY rp.shown DESC, rp_n, lower(app_name), account_id NULLS FIRST) AS n
    FROM (SELECT p.rowid, p.app_name, p.account_id, q.n AS rp_n, q.shown FROM report_pairs p JOIN report_people q USING (person_id)) rp
) o
WHERE o.id = p.rowid;
DELETE FROM report_people WHERE NOT coalesce(shown, false);

-- The matrix: of several accounts of one person in an app the one that most needs somebody.
CREATE OR REPLACE TEMP TABLE report_cells AS
SELECT
    person_id, app, count(*) AS pairs,
    first(word ORDER BY severity, p.n) AS word, first(tint ORDER BY severity, p.n) AS tint, first(p.n ORDER BY severity, p.n) AS n
FROM (
    SELECT *, list_position(['bad', 'doubtful', 'unknown', 'waiting', 'good', 'off', ''], tint) AS severity FROM report_pairs
) p
SEMI JOIN report_people USING (person_id)
GROUP BY person_id, app;

-- Accounts as of the last reading, with whoever holds or may hold them, what is known of the seat, and what we did since.
CREATE OR REPLACE TEMP TABLE seats AS
SELECT
    a.app, s.name AS app_name, a.account_id, a.status, a.admin, a.owner, a.bot, a.licence, a.role,
    a.created_at, a.last_activity, a.invited_until,
    coalesce(a.emails[1], a.user_name, a.account_id) AS login,
    coalesce(nullif(concat_ws(' ', a.given_name, a.family_name), ''), a.display_name) AS called,
    s.cost, k.mark, k.who AS marked_by, k.why AS marked_why, k.review_by,
    k.mark IS NOT NULL AND (k.review_by IS NULL OR k.review_by > getvariable('today')) AS kept,
    h.person_id, h.person, h.outcome, h.left_on, h.outside,
    l.ended_at IS NOT NULL AS taken,
    date_diff('day', a.created_at, getvariable('now')) AS age,
    date_diff('day', a.last_activity, getvariable('now')) AS unused,
    max(a.last_activity) OVER (PARTITION BY a.app) IS NOT NULL AS tells_activity
FROM provisioning.accounts a
JOIN said_apps s USING (app)
LEFT JOIN reads USING (app)
LEFT JOIN provisioning.marks k ON (k.company_uuid, k.app, k.account_id) = (a.company_uuid, a.app, a.account_id)
LEFT JOIN last_done l ON (l.app, l.account_id) = (a.app, a.account_id) AND l.removal AND l.ended_at > last_good
LEFT JOIN (
    -- The proven holder, else all who may be one.
    SELECT
        m.app, m.account_id, min(m.outcome) AS outcome, arg_min(m.person_id, (m.outcome <> 'linked', p.name)) AS person_id,
        string_agg(DISTINCT p.name, ' or ' ORDER BY p.name) FILTER (m.outcome = rank) AS person,
        CASE WHEN rank = 'linked' THEN any_value(q.last_day) FILTER (q.hr = 'ended') END AS left_on,
        string_agg(DISTINCT p.out_of_scope, '; ') AS outside
    FROM (
        SELECT *, CASE WHEN bool_or(outcome = 'linked') OVER (PARTITION BY app, account_id) THEN 'linked' ELSE outcome END AS rank
        FROM provisioning.matches
        WHERE company_uuid = getvariable('company') AND outcome IN ('linked', 'candidate', 'disputed')
    ) m
    JOIN persons p USING (person_id)
    LEFT JOIN (
        SELECT person_id, any_value(hr) AS hr, any_value(last_day) AS last_day
        FROM said_pairs LEFT JOIN persons USING (person_id) GROUP BY person_id
    ) q USING (person_id)
    WHERE m.outcome = rank
    GROUP BY m.app, m.account_id, rank
) h ON (h.app, h.account_id) = (a.app, a.account_id)
WHERE a.company_uuid = getvariable('company') AND a.status <> 'deleted';

-- 1 Open risks -----------------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_apps AS
WITH failing AS (
    SELECT app, min(read_at) AS since, arg_max(problem, read_at) AS problem
    FROM provisioning.account_reads
    LEFT JOIN reads USING (app)
    WHERE company_uuid = getvariable('company') AND NOT complete AND read_at > coalesce(last_good, TIMESTAMPTZ '-infinity')
    GROUP BY app
), counted AS (
    SELECT
        app, count(*) AS accounts, count(*) FILTER (outcome = 'linked') AS linked,
        count(*) FILTER (outcome IS NULL AND NOT kept) AS nobodys
    FROM seats GROUP BY app
), risky AS (
    SELECT app, count(*) AS leavers FROM report_pairs WHERE risk GROUP BY app
)
SELECT
    row_number() OVER (ORDER BY reading = 'ok', lower(name)) AS n, a.app, a.name AS app_name, a.mode, a.connected, tenant,
    a.reading = 'ok' AS readable, CASE a.reading WHEN 'ok' THEN 'Read' ELSE 'Unread' END AS standing, last_good AS read_at,
    CASE WHEN a.reading <> 'ok' THEN coalesce(f.since, last_good + INTERVAL 1 HOUR) END AS since,
    CASE
        WHEN a.reading = 'ok' THEN 'Read in full'
        WHEN NOT a.connected THEN 'Is not connected any more.'
        WHEN f.problem IS NOT NULL THEN regexp_replace(f.problem, '([^.])$', '\1.')
        WHEN last_good IS NULL THEN 'Was never read.'
        ELSE 'Has not been read for more than an hour.'
    END AS why,
    CASE
        WHEN a.reading = 'ok' THEN ''
        ELSE concat_ws(' ',
            CASE
                WHEN NOT a.connected OR f.problem IS NOT NULL THEN
                    concat('Renew the connection: gusto-pipeline connect ', a.app, '.')
                ELSE 'Read it: gusto-pipeline plan.'
            END,
            CASE WHEN leavers > 0 THEN concat('Until then look in ', a.name, ' itself: ', leavers, CASE leavers WHEN 1 THEN ' account of somebody who left was' ELSE ' accounts of people who left were' END, ' open when it was last read.') END
        )
    END AS to_do,
    coalesce(accounts, 0) AS accounts, coalesce(linked, 0) AS linked, coalesce(nobodys, 0) AS nobodys,
    coalesce(leavers, 0) AS leavers, a.cost
FROM said_apps a
LEFT JOIN reads USING (app)
LEFT JOIN failing f USING (app)
LEFT JOIN counted USING (app)
LEFT JOIN risky USING (app);

CREATE OR REPLACE TEMP TABLE report_risks AS
WITH found AS (
    SELECT
        CASE
            WHEN link IN ('candidate', 'disputed') THEN 'perhaps'
            WHEN prot = 'protected' THEN 'protected'
            WHEN acct IN ('invited', 'lapsed') THEN 'invited'
            ELSE 'leaver'
        END AS part,
        person_id, person, last_day, removal_at, late, alert, app, app_name, account_id, login, rule, reopened_at,
        concat_ws(' ', reason, CASE WHEN reopened_at IS NOT NULL THEN concat('We had taken it away; somebody opened it again by ', strftime(timezone(getvariable('zone'), reopened_at), '%Y-%m-%d %H:%M'), '.') END, tried) AS why,
        to_do
    FROM report_pairs
    LEFT JOIN persons USING (person_id)
    WHERE risk
    UNION ALL BY NAME
    SELECT 'unread' AS part, app, app_name, since, why, to_do FROM report_apps WHERE NOT readable
    UNION ALL BY NAME
    SELECT
        'reopened' AS part, p.person_id, p.person, s.app, s.app_name, s.account_id, s.login, p.rule, r.reopened_at,
        concat('We took it away on ', CAST(timezone(getvariable('zone'), r.taken_at) AS DATE), '; somebody opened it again by ', strftime(timezone(getvariable('zone'), r.reopened_at), '%Y-%m-%d %H:%M'), '.') AS why,
        coalesce(p.to_do, 'Ask in the app who did, and why.') AS to_do
    FROM reopened r
    JOIN seats s USING (app, account_id)
    LEFT JOIN report_pairs p ON (p.app, p.account_id) = (s.app, s.account_id) AND p.link = 'linked'
    WHERE NOT coalesce(p.risk, false)
    UNION ALL BY NAME
    SELECT 'vanished' AS part, person_id, person, app, app_name, account_id, login, rule, reason AS why, to_do
    FROM report_pairs
    WHERE hr = 'vanished' AND alive AND link <> 'refused'
)
SELECT
    row_number() OVER (ORDER BY rank, late DESC NULLS LAST, since, lower(person), lower(app_name), login) AS n,
    * REPLACE (coalesce(removal_at, since, reopened_at) AS since)
FROM found
JOIN (VALUES ('leaver', 1), ('perhaps', 2), ('protected', 3), ('invited', 4), ('unread', 5), ('reopened', 6), ('vanished', 7)) ranks(part, rank) USING (part);

-- 2 The next 14 days -----------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_coming AS
WITH leaving AS (
    SELECT
        'leaves' AS part, person_id, any_value(person) AS person, min(removal_at) AS ends_at,
        count(*) FILTER (alive) AS accounts,
        string_agg(DISTINCT app_name, ', ' ORDER BY app_name) FILTER (alive) AS apps,
        string_agg(DISTINCT app_name, ', ' ORDER BY app_name)
            FILTER (alive AND (app_mode = 'observe' OR reading <> 'ok' OR prot = 'protected' OR link <> 'linked')) AS by_hand,
        string_agg(DISTINCT app_name, ', ' ORDER BY app_name) FILTER (wave) AS waves
    FROM report_pairs
    WHERE removal_at > getvariable('now') AND removal_at <= getvariable('now') + INTERVAL 14 DAYS
        AND hr IN ('active', 'leave', 'leaving', 'future_near')
    GROUP BY person_id
), starting AS (
    SELECT
        'starts' AS part, person_id, any_value(name) AS person, any_value(p.first_day) AS day,
        count(*) FILTER (alive) AS accounts,
        string_agg(DISTINCT app_name, ', ' ORDER BY app_name) FILTER (want = 'yes') AS apps,
        string_agg(DISTINCT app_name, ', ' ORDER BY app_name) FILTER (want = 'yes' AND app_mode = 'observe' AND NOT alive) AS by_hand,
        bool_or(p.work_email IS NULL) AS addressless
    FROM persons p
    LEFT JOIN report_pairs USING (person_id)
    WHERE p.first_day > getvariable('today') AND p.first_day <= getvariable('today') + 14
        AND p.out_of_scope IS NULL AND NOT coalesce(p.vanished, false)
    GROUP BY person_id
)
SELECT
    row_number() OVER (ORDER BY part, coalesce(ends_at, CAST(day AS TIMESTAMPTZ)), lower(person)) AS n,
    part, person_id, person, department, title, coalesce(day, last_day) AS day, ends_at, accounts, apps,
    concat_ws(' ',
        CASE WHEN by_hand IS NOT NULL THEN concat('By hand in: ', by_hand, '.') END,
        CASE WHEN waves IS NOT NULL THEN concat('So many leave at once that the brakes hold it in ', waves, ' unless approved before.') END,
        CASE WHEN addressless THEN 'Has no work e-mail address yet.' END
    ) AS remark
FROM (FROM leaving UNION ALL BY NAME FROM starting)
LEFT JOIN (SELECT person_id, department, title, last_day FROM persons) USING (person_id);

-- 3 Accounts that nobody in Gusto holds ----------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_unmatched AS
SELECT
    row_number() OVER (ORDER BY part = 'outside', part <> 'admins', status = 'suspended', cost DESC NULLS LAST, age DESC NULLS LAST, lower(app_name), login) AS n,
    part, app, app_name, account_id, login, called, person,
    CASE WHEN owner THEN 'Owner' WHEN admin THEN 'Administrator' WHEN bot THEN 'Service' ELSE coalesce(role, '') END AS role,
    status, created_at, age, last_activity, unused, licence, cost,
    CASE
        WHEN mark IS NOT NULL THEN concat('Marked ', mark, ' by ', marked_by, ' (', marked_why, '), to be looked at again by ', review_by, '.')
        WHEN part = 'outside' THEN concat(person, ': ', outside, '.')
        ELSE 'Nobody in Gusto fits.'
    END AS why,
    CASE
        WHEN mark IS NOT NULL THEN 'Look at it now: is it still needed?'
        WHEN part = 'outside' THEN 'See that it is meant; nothing is ever done about it.'
        WHEN part = 'admins' THEN 'Find out whose it is. Then match it to a person, or mark it: an administrator''s, external until a day, or a service''s.'
        ELSE 'Match it to a person, mark it as shared, external or a service''s, or remove it in the app.'
    END AS to_do
FROM (
    SELECT
        CASE WHEN outside IS NOT NULL THEN 'outside' WHEN admin OR owner THEN 'admins' ELSE 'others' END AS part, *
    FROM seats
    WHERE NOT taken AND NOT kept AND (outcome IS NULL OR outside IS NOT NULL)
);

CREATE OR REPLACE TEMP TABLE report_kept AS
SELECT
    row_number() OVER (ORDER BY review_by NULLS LAST, lower(app_name), login) AS n,
    app, app_name, account_id, login, called, person, person_id, mark, marked_by, marked_why, review_by, status, last_activity, cost
FROM seats
WHERE kept;

-- 4 Questions ------------------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_questions AS
WITH asked AS (
    SELECT
        asked AS part, concat_ws(' ', 'pair', app, person_id, account_id, asked) AS key, person_id, person, app, app_name,
        login, rule, reason AS why, to_do
    FROM report_pairs
    WHERE asked IS NOT NULL
    UNION ALL BY NAME
    SELECT
        'merge' AS part, concat_ws(' ', 'merge', record, other) AS key, sentence AS why, asked_at,
        'Say whether the two are one person.' AS to_do
    FROM provisioning.merge_questions
    WHERE company_uuid = getvariable('company') AND same IS NULL
)
SELECT
    row_number() OVER (ORDER BY rank, coalesce(asked_at, o.since, getvariable('now')), lower(person), lower(app_name), login) AS n,
    a.* EXCLUDE (asked_at), coalesce(asked_at, o.since, getvariable('now')) AS since,
    date_diff('day', coalesce(asked_at, o.since, getvariable('now')), getvariable('now')) AS days
FROM asked a
JOIN (VALUES ('urgent', 1), ('approve', 2), ('ask', 3), ('merge', 4), ('cleanup', 5)) ranks(part, rank) USING (part)
LEFT JOIN opened o ON o.section = 'questions' AND o.key = a.key;

-- 5 Invitations ----------------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_invitations AS
WITH again AS (
    SELECT app, account_id, count(*) AS times
    FROM provisioning.intents
    WHERE company_uuid = getvariable('company') AND action = 'invite_again'
    GROUP BY ALL
), invited AS (
    SELECT
        CASE WHEN s.invited_until <= getvariable('now') THEN 'lapsed' ELSE 'open' END AS part,
        s.app, s.app_name, s.account_id, s.login, coalesce(s.person, s.called) AS person, s.person_id, s.created_at,
        s.age, s.invited_until, coalesce(times, 0) AS times, p.rule,
        coalesce(p.reason, 'Nobody in Gusto fits the invitation.') AS why,
        coalesce(p.to_do, 'Match it to a person, or withdraw it in the app.') AS to_do
    FROM seats s
    LEFT JOIN report_pairs p ON (p.app, p.account_id, p.person_id) = (s.app, s.account_id, s.person_id)
    LEFT JOIN again ON (again.app, again.account_id) = (s.app, s.account_id)
    WHERE s.status = 'invited' AND NOT s.taken
)
SELECT row_number() OVER (ORDER BY part, coalesce(invited_until, created_at), lower(app_name), login) AS n, * FROM invited;

-- 6 Seats that could be saved --------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_savings AS
WITH found AS (
    SELECT
        *, CASE
            WHEN left_on IS NOT NULL AND status <> 'suspended' THEN 'leaver'
            WHEN status = 'suspended' OR taken THEN 'suspended'
            WHEN status = 'active' AND NOT bot AND unused > 90 THEN 'unused'
            WHEN status = 'active' AND NOT bot AND last_activity IS NULL AND tells_activity AND age > 90 THEN 'unused'
        END AS part
    FROM seats
)
SELECT
    row_number() OVER (ORDER BY rank, cost DESC NULLS LAST, unused DESC NULLS FIRST, lower(app_name), login) AS n,
    part, app, app_name, account_id, login, coalesce(person, called) AS person, person_id, status, licence,
    last_activity, unused, cost,
    CASE part
        WHEN 'leaver' THEN concat('Left ', left_on, '.')
        WHEN 'suspended' THEN CASE WHEN licence IS NULL THEN 'Suspended. Look whether the seat is still billed.' ELSE concat('Suspended, with the licence ', licence, '.') END
        WHEN 'unused' THEN CASE WHEN last_activity IS NULL THEN concat('Never used in ', age, ' days.') ELSE concat('Not used for ', unused, ' days.') END
    END AS why
FROM found
JOIN (VALUES ('leaver', 1), ('unused', 2), ('suspended', 3)) ranks(part, rank) USING (part);

-- 7 Changed by hand ------------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_drift AS
WITH states AS (
    SELECT
        *, lag(seen_at) OVER (PARTITION BY app, account_id ORDER BY seen_at) AS noted_at,
        min(seen_at) OVER (PARTITION BY app) AS begun_at
    FROM provisioning.account_states
    WHERE company_uuid = getvariable('company')
), changes AS (
    SELECT s.*, (
        SELECT max(read_at) FROM provisioning.account_reads r
        WHERE r.company_uuid = getvariable('company') AND r.app = s.app AND r.complete AND r.read_at < s.seen_at
    ) AS after
    FROM states s
    WHERE s.seen_at > s.begun_at AND s.seen_at > getvariable('now') - INTERVAL 30 DAYS
        AND NOT (coalesce(s.before, '') = 'invited' AND s.status = 'active') -- accepted
)
SELECT
    row_number() OVER (ORDER BY c.seen_at DESC, lower(a.name), c.account_id) AS n,
    c.app, a.name AS app_name, c.account_id, coalesce(s.login, d.login, c.account_id) AS login,
    coalesce(s.person, s.called, p.name) AS person, coalesce(s.person_id, p.person_id) AS person_id,
    CASE
        WHEN c.status IN ('active', 'invited') AND c.before IS NULL THEN 'Made'
        WHEN c.status IN ('active', 'invited') AND c.before IN ('suspended', 'deleted', 'absent') THEN 'Opened again'
        WHEN c.status = 'suspended' THEN 'Suspended'
        WHEN c.before = 'invited' THEN 'Invitation withdrawn, declined or lapsed'
        WHEN c.status IN ('deleted', 'absent') THEN 'Removed'
        ELSE 'Changed'
    END AS what,
    coalesce(c.before, 'absent') AS before, c.status, c.after, c.seen_at
FROM changes c
JOIN said_apps a USING (app)
LEFT JOIN seats s USING (app, account_id)
LEFT JOIN (
    SELECT app, account_id, arg_max(person_id, happened_at) AS person_id FROM provisioning.link_history
    WHERE company_uuid = getvariable('company') AND event IN ('linked', 'matched') GROUP BY ALL
) h USING (app, account_id)
LEFT JOIN persons p ON p.person_id = h.person_id
LEFT JOIN last_done d USING (app, account_id)
WHERE NOT EXISTS ( -- ours
    FROM done o
    WHERE o.good AND (o.app, o.account_id) = (c.app, c.account_id) AND o.ended_at <= c.seen_at
        AND o.ended_at > coalesce(c.noted_at, TIMESTAMPTZ '-infinity')
        AND o.removal = (c.status IN ('suspended', 'deleted', 'absent'))
);

-- 8 Removals, with their proof -------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_removals AS
WITH removals AS (
    SELECT
        CASE WHEN d.due_at IS NULL THEN 'undated' WHEN d.due_at < first_good THEN 'before' ELSE 'dated' END AS part,
        d.*, (
            SELECT min(read_at) FROM provisioning.account_reads r
            WHERE r.company_uuid = getvariable('company') AND r.app = d.app AND r.complete AND r.read_at > d.ended_at
        ) AS checked_at
    FROM done d
    LEFT JOIN reads USING (app)
    WHERE d.removal AND d.good AND d.ended_at > getvariable('now') - INTERVAL 90 DAYS
), checked AS (
    SELECT r.*, (
        SELECT arg_max(s.status, s.seen_at) FROM provisioning.account_states s
        WHERE s.company_uuid = getvariable('company') AND (s.app, s.account_id) = (r.app, r.account_id) AND s.seen_at <= r.checked_at
    ) AS seen
    FROM removals r
)
SELECT
    row_number() OVER (ORDER BY part = 'before', part = 'undated', ended_at DESC, lower(a.name), login) AS n,
    part, c.person_id, coalesce(p.name, '') AS person, c.app, a.name AS app_name, c.account_id, c.login,
    CASE c.action WHEN 'suspend' THEN 'Suspended' WHEN 'delete' THEN 'Deleted' ELSE 'Invitation withdrawn' END AS what,
    c.due_at, c.ended_at, CASE WHEN c.due_at IS NOT NULL THEN greatest(date_diff('minute', c.due_at, c.ended_at), 0) END AS minutes,
    concat_ws(' ',
        CASE c.outcome WHEN 'done' THEN 'Read back right after the call.' ELSE 'Found done when it was read.' END,
        CASE WHEN checked_at IS NOT NULL THEN concat('In the list of ', strftime(timezone(getvariable('zone'), checked_at), '%Y-%m-%d %H:%M'), ': ', coalesce(seen, 'absent'), '.') END
    ) AS proof,
    c.who
FROM checked c
JOIN said_apps a USING (app)
LEFT JOIN persons p USING (person_id);

-- 9 What is open now, for the next report, and what has changed since the last one ---------------------------
CREATE OR REPLACE TEMP TABLE open_now AS
SELECT section, key, now_open.title, person_id, coalesce(o.since, getvariable('now')) AS since
FROM (
    SELECT
        'risks' AS section, concat_ws(' ', CASE WHEN part IN ('unread', 'reopened', 'vanished') THEN part ELSE 'leaver' END, app, person_id, account_id) AS key,
        concat_ws(' · ', person, app_name, login) AS title, person_id
    FROM report_risks
    UNION ALL
    SELECT 'questions', key, concat_ws(' · ', coalesce(person, why), app_name, login), person_id FROM report_questions
    UNION ALL
    SELECT 'unmatched', concat_ws(' ', app, account_id), concat_ws(' · ', app_name, login, called), NULL FROM report_unmatched
) now_open
LEFT JOIN opened o USING (section, key);

CREATE OR REPLACE TEMP TABLE report_changes AS
SELECT row_number() OVER (ORDER BY part DESC, rank, lower(title)) AS n, part, section, what, title, person_id, since
FROM (
    SELECT 'new' AS part, section, title, person_id, since FROM open_now
    WHERE since = getvariable('now') AND getvariable('previous') IS NOT NULL
    UNION ALL
    SELECT 'closed', section, title, NULL, since FROM opened ANTI JOIN open_now USING (section, key)
)
JOIN (VALUES ('risks', 1, 'Risk'), ('questions', 2, 'Question'), ('unmatched', 3, 'Account that nobody holds')) ranks(section, rank, what) USING (section);
