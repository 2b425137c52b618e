-- What a reconciliation report shows, as temporary tables: one for each section, its rows in the order of `n`.
-- It takes the variables company, now, today, zone and previous (the time of the last report), and the tables that
-- `report` makes: said_apps, said_pairs, said_states, said_parts (the order of each section's parts) and opened.
CREATE OR REPLACE TEMP MACRO local_time(instant) AS
    strftime(timezone(getvariable('zone'), instant), '%Y-%m-%d %H:%M');

-- The ground --------------------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE persons AS
SELECT person_id, name, worker_type, department, title, first_day, last_day, work_email, out_of_scope, vanished
FROM provisioning.people
WHERE company_uuid = getvariable('company') AND merged_into IS NULL;

CREATE OR REPLACE TEMP TABLE reads AS
SELECT
    app, min(read_at) FILTER (complete) AS first_good, max(read_at) FILTER (complete) AS last_good,
    max_by(tenant_name, rowid) FILTER (complete) AS tenant
FROM provisioning.account_reads
WHERE company_uuid = getvariable('company')
GROUP BY app;

CREATE OR REPLACE TEMP TABLE done AS
SELECT
    i.app, o.account_id, i.person_id, i.action, i.login, i.due_at, i.who, o.outcome, o.problem, o.ended_at,
    o.outcome IN ('done', 'nothing_to_do') AS good,
    i.action IN ('suspend', 'delete', 'cancel_invitation') AS removal
FROM provisioning.intents i
JOIN provisioning.outcomes o USING (company_uuid, intent_id)
WHERE company_uuid = getvariable('company') AND o.account_id IS NOT NULL;

CREATE OR REPLACE TEMP TABLE last_done AS
SELECT done.*, coalesce(ended_at > last_good, true) AS unread
FROM done
LEFT JOIN reads USING (app)
WHERE good
QUALIFY row_number() OVER (PARTITION BY app, account_id ORDER BY ended_at DESC) = 1;

CREATE OR REPLACE TEMP TABLE last_failed AS
SELECT d.app, d.account_id, concat('Tried at ', local_time(d.ended_at), ': ', d.problem, '.') AS said
FROM done d
LEFT JOIN last_done l USING (app, account_id)
WHERE NOT d.good AND d.problem <> '' AND d.ended_at > coalesce(l.ended_at, TIMESTAMPTZ '-infinity')
QUALIFY row_number() OVER (PARTITION BY d.app, d.account_id ORDER BY d.ended_at DESC) = 1;

-- Taken away by us, and seen alive since.
CREATE OR REPLACE TEMP TABLE reopened AS
SELECT l.app, l.account_id, min(s.seen_at) AS reopened_at, any_value(l.ended_at) AS taken_at
FROM last_done l
JOIN provisioning.account_states s USING (app, account_id)
JOIN provisioning.accounts a USING (company_uuid, app, account_id)
WHERE s.company_uuid = getvariable('company') AND l.removal AND s.seen_at > l.ended_at
    AND s.status IN ('active', 'invited') AND a.status IN ('active', 'invited')
GROUP BY l.app, l.account_id;

-- Said to be done by hand, last: not proven before the app is read again; then it is gone, or still there.
CREATE OR REPLACE TEMP TABLE claims AS
SELECT
    app, account_id, person_id, login, who, said_at, said_at >= coalesce(last_good, TIMESTAMPTZ '-infinity') AS unproven,
    concat(
        'Said to be done by ', who, ' on ', local_time(said_at), ' (', why, '), ',
        if(unproven, 'not proven.', 'but it is still there.')
    ) AS said
FROM provisioning.done_by_hand
LEFT JOIN reads USING (app)
WHERE company_uuid = getvariable('company')
QUALIFY row_number() OVER (PARTITION BY app, account_id ORDER BY said_at DESC) = 1;

-- Every pair as it was decided. What was taken away after the app was last read counts as taken away.
CREATE OR REPLACE TEMP TABLE pairs AS
WITH known AS (
    SELECT
        p.* REPLACE (
            CASE WHEN c.unproven THEN NULL ELSE p.alert END AS alert,
            CASE WHEN c.unproven THEN NULL ELSE p.asked END AS asked
        ), a.name AS app_name,
        a.mode AS app_mode, r.reopened_at, f.said AS tried, l.ended_at AS settled_at, c.said AS claim,
        coalesce(c.unproven, false) AS claimed,
        CASE l.action WHEN 'suspend' THEN 'SUSPENDED_BY_US' ELSE 'REMOVED' END AS settled_as
    FROM said_pairs p
    JOIN said_apps a USING (app)
    LEFT JOIN last_done l ON (l.app, l.account_id) = (p.app, p.account_id) AND l.removal AND l.unread
        AND p.acct IN ('active', 'invited', 'lapsed')
    LEFT JOIN reopened r ON (r.app, r.account_id) = (p.app, p.account_id)
    LEFT JOIN last_failed f ON (f.app, f.account_id) = (p.app, p.account_id)
    LEFT JOIN claims c ON (c.app, c.account_id) = (p.app, p.account_id)
), settled AS (
    SELECT
        * EXCLUDE (settled_as) REPLACE (
            false AS risk,
            settled_as AS state,
            (SELECT s.word FROM said_states s WHERE s.state = settled_as) AS word,
            concat('Taken away at ', local_time(settled_at), ', after ', app_name, ' was last read.') AS reason,
            'The next reading checks it.' AS next_step,
            'The next reading checks it.' AS to_do,
            NULL AS asked
        )
    FROM known
    WHERE settled_at IS NOT NULL
    UNION ALL
    SELECT * EXCLUDE (settled_as) FROM known WHERE settled_at IS NULL
)
SELECT
    p.* REPLACE (CASE WHEN risk THEN concat('⚠ ', p.word) ELSE p.word END AS word),
    CASE WHEN risk THEN 'bad' ELSE s.tint END AS tint,
    acct IN ('active', 'invited') AND settled_at IS NULL AS alive
FROM settled p
JOIN said_states s USING (state);

-- Everybody, most urgent first. Not shown: who left and holds nothing anywhere.
CREATE OR REPLACE TEMP TABLE everybody AS
SELECT
    row_number() OVER (
        ORDER BY NOT shown, risks DESC, urgent DESC, questions = 0, hr IN ('ended', 'vanished'), lower(person), person_id
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
        person_id, any_value(person) AS person, any_value(hr) AS hr, any_value(department) AS department,
        any_value(title) AS title, any_value(first_day) AS first_day, any_value(last_day) AS last_day,
        count(*) FILTER (risk) AS risks, count(*) FILTER (asked = 'urgent') AS urgent, count(asked) AS questions,
        bool_or(
            hr NOT IN ('ended', 'vanished')
            OR (account_id IS NOT NULL AND state NOT IN ('NOT_WANTED', 'GONE', 'REMOVED'))
        ) AS shown
    FROM pairs
    LEFT JOIN persons USING (person_id)
    GROUP BY person_id
);

CREATE OR REPLACE TEMP TABLE report_people AS FROM everybody WHERE shown;

CREATE OR REPLACE TEMP TABLE report_pairs AS
SELECT row_number() OVER (ORDER BY e.n, lower(app_name), account_id NULLS FIRST) AS n, pairs.*
FROM pairs
JOIN everybody e USING (person_id);

-- The matrix: of several accounts of one person in an app the one that most needs somebody.
CREATE OR REPLACE TEMP TABLE report_cells AS
SELECT
    person_id, app, count(*) AS pairs, arg_min(word, (severity, n)) AS word, arg_min(tint, (severity, n)) AS tint,
    arg_min(n, (severity, n)) AS n
FROM (
    SELECT *, list_position(['bad', 'doubtful', 'unknown', 'waiting', 'good', 'off', ''], tint) AS severity
    FROM report_pairs
    SEMI JOIN report_people USING (person_id)
)
GROUP BY person_id, app;

-- Accounts as of the last reading, and whose each is: the proven holder, else all who may be it.
CREATE OR REPLACE TEMP TABLE seats AS
WITH matched AS (
    SELECT
        m.app, m.account_id, m.person_id, p.name, p.out_of_scope, m.outcome = 'linked' AS linked, e.hr, p.last_day,
        bool_or(m.outcome = 'linked') OVER (PARTITION BY m.app, m.account_id) AS proven
    FROM provisioning.matches m
    JOIN persons p USING (person_id)
    LEFT JOIN everybody e USING (person_id)
    WHERE m.company_uuid = getvariable('company') AND m.outcome IN ('linked', 'candidate', 'disputed')
), holders AS (
    SELECT
        app, account_id, any_value(proven) AS proven, arg_min(person_id, (name, person_id)) AS person_id,
        string_agg(name, ' or ' ORDER BY name) AS person,
        any_value(last_day) FILTER (proven AND hr = 'ended') AS left_on,
        CASE WHEN bool_and(out_of_scope IS NOT NULL) THEN any_value(out_of_scope) END AS outside
    FROM matched
    WHERE linked = proven
    GROUP BY app, account_id
)
SELECT
    a.app, s.name AS app_name, a.account_id, a.status, a.bot, a.licence, a.created_at, a.last_activity, a.invited_until,
    coalesce(a.emails[1], a.user_name, a.account_id) AS login,
    coalesce(nullif(concat_ws(' ', a.given_name, a.family_name), ''), a.display_name) AS called,
    a.admin OR a.owner AS powerful,
    CASE WHEN a.owner THEN 'Owner' WHEN a.admin THEN 'Administrator' WHEN a.bot THEN 'Service' ELSE a.role END AS role,
    s.cost, k.mark, k.who AS marked_by, k.why AS marked_why, k.review_by,
    k.mark IS NOT NULL AND (k.review_by IS NULL OR k.review_by > getvariable('today')) AS kept,
    h.* EXCLUDE (app, account_id),
    l.account_id IS NOT NULL AS taken,
    date_diff('day', a.created_at, getvariable('now')) AS age,
    date_diff('day', a.last_activity, getvariable('now')) AS unused,
    max(a.last_activity) OVER (PARTITION BY a.app) IS NOT NULL AS tells_activity
FROM provisioning.accounts a
JOIN said_apps s USING (app)
LEFT JOIN holders h ON (h.app, h.account_id) = (a.app, a.account_id)
LEFT JOIN provisioning.marks k ON (k.company_uuid, k.app, k.account_id) = (a.company_uuid, a.app, a.account_id)
LEFT JOIN last_done l ON (l.app, l.account_id) = (a.app, a.account_id) AND l.removal AND l.unread
WHERE a.company_uuid = getvariable('company') AND a.status <> 'deleted';

-- Apps --------------------------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_apps AS
WITH failing AS (
    SELECT app, min(read_at) AS since, arg_max(problem, read_at) AS problem
    FROM provisioning.account_reads
    LEFT JOIN reads USING (app)
    WHERE company_uuid = getvariable('company') AND NOT complete
        AND read_at > coalesce(last_good, TIMESTAMPTZ '-infinity')
    GROUP BY app
), counted AS (
    SELECT
        app, count(*) AS accounts, count(*) FILTER (proven) AS linked,
        count(*) FILTER (person_id IS NULL AND NOT kept) AS nobodys
    FROM seats
    GROUP BY app
), risky AS (
    SELECT app, count(*) AS leavers FROM pairs WHERE risk GROUP BY app
)
SELECT
    row_number() OVER (ORDER BY reading = 'ok', lower(a.name)) AS n,
    a.app, a.name AS app_name, a.mode, a.connected, tenant, last_good AS read_at, reading = 'ok' AS readable, a.resting,
    CASE reading WHEN 'ok' THEN 'Read' ELSE 'Unread' END AS standing,
    CASE WHEN reading <> 'ok' THEN coalesce(f.since, last_good + INTERVAL 1 HOUR) END AS since,
    CASE
        WHEN reading = 'ok' THEN concat_ws(' ', 'Read in full.', a.resting)
        WHEN NOT a.connected THEN 'Is not connected any more.'
        WHEN f.problem IS NOT NULL THEN concat(rtrim(f.problem, '.'), '.')
        WHEN last_good IS NULL THEN 'Was never read.'
        ELSE 'Has not been read for more than an hour.'
    END AS why,
    concat_ws(
        ' ',
        CASE
            WHEN reading = 'ok' THEN NULL
            WHEN a.connected AND f.problem IS NULL THEN 'Read it: gusto-pipeline plan.'
            ELSE concat('Renew the connection: gusto-pipeline connect ', a.app, '.')
        END,
        CASE
            WHEN reading <> 'ok' AND leavers > 0 THEN
                concat('Until then look in ', a.name, ' itself for accounts of people who left: ', leavers, '.')
        END
    ) AS to_do,
    coalesce(accounts, 0) AS accounts, coalesce(linked, 0) AS linked, coalesce(nobodys, 0) AS nobodys,
    coalesce(leavers, 0) AS leavers
FROM said_apps a
LEFT JOIN reads USING (app)
LEFT JOIN failing f USING (app)
LEFT JOIN counted USING (app)
LEFT JOIN risky USING (app);

-- Open risks --------------------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_risks AS
WITH found AS (
    SELECT
        CASE
            WHEN claimed THEN 'said'
            WHEN link IN ('candidate', 'disputed') THEN 'perhaps'
            WHEN prot = 'protected' THEN 'protected'
            WHEN acct IN ('invited', 'lapsed') THEN 'invited'
            ELSE 'leaver'
        END AS part,
        person_id, person, last_day, removal_at AS since, late, alert, app, app_name, account_id, login, rule,
        reopened_at,
        concat_ws(
            ' ', reason,
            'We had taken it away; somebody opened it again by ' || local_time(reopened_at) || '.', tried, claim
        ) AS why,
        CASE WHEN claimed THEN concat('The next complete reading of ', app_name, ' proves it or not.') ELSE to_do END
            AS to_do
    FROM pairs
    LEFT JOIN persons USING (person_id)
    WHERE risk
    UNION ALL BY NAME
    SELECT 'unread' AS part, app, app_name, since, why, to_do FROM report_apps WHERE NOT readable
    UNION ALL BY NAME
    SELECT
        'reopened' AS part, p.person_id, p.person, s.app, s.app_name, s.account_id, s.login, p.rule, r.reopened_at,
        r.reopened_at AS since,
        concat('We took it away at ', local_time(r.taken_at), '; somebody opened it again after that.') AS why,
        coalesce(p.to_do, 'Ask in the app who did, and why.') AS to_do
    FROM reopened r
    JOIN seats s USING (app, account_id)
    LEFT JOIN pairs p ON (p.app, p.account_id) = (s.app, s.account_id) AND p.link = 'linked'
    WHERE NOT coalesce(p.risk, false) AND coalesce(p.state, '') NOT IN ('CONNECTED', 'LEAVING')
    UNION ALL BY NAME
    SELECT 'vanished' AS part, person_id, person, app, app_name, account_id, login, rule, reason AS why, to_do
    FROM pairs
    WHERE hr = 'vanished' AND alive AND link <> 'refused'
)
SELECT
    row_number() OVER (ORDER BY rank, late DESC NULLS LAST, since, lower(person), lower(app_name), login) AS n,
    found.*
FROM found
JOIN said_parts ON section = 'risks' AND said_parts.part = found.part;

-- The next 14 days --------------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_coming AS
WITH leaving AS (
    SELECT
        'leaves' AS part, person_id, any_value(person) AS person, min(removal_at) AS ends_at,
        count(*) FILTER (alive) AS accounts,
        string_agg(DISTINCT app_name, ', ' ORDER BY app_name) FILTER (alive) AS apps,
        string_agg(DISTINCT app_name, ', ' ORDER BY app_name) FILTER (
            alive AND (app_mode = 'observe' OR reading <> 'ok' OR prot = 'protected' OR link <> 'linked')
        ) AS by_hand,
        string_agg(DISTINCT app_name, ', ' ORDER BY app_name) FILTER (wave) AS waves
    FROM pairs
    WHERE removal_at > getvariable('now') AND removal_at <= getvariable('now') + INTERVAL 14 DAYS
        AND hr IN ('active', 'leave', 'leaving', 'future_near')
    GROUP BY person_id
), starting AS (
    SELECT
        'starts' AS part, person_id, any_value(name) AS person, any_value(p.first_day) AS day,
        count(*) FILTER (alive) AS accounts,
        string_agg(DISTINCT app_name, ', ' ORDER BY app_name) FILTER (want = 'yes') AS apps,
        string_agg(DISTINCT app_name, ', ' ORDER BY app_name) FILTER (
            want = 'yes' AND app_mode = 'observe' AND NOT alive
        ) AS by_hand,
        bool_or(p.work_email IS NULL) AS addressless
    FROM persons p
    LEFT JOIN pairs USING (person_id)
    WHERE p.first_day > getvariable('today') AND p.first_day <= getvariable('today') + 14
        AND p.out_of_scope IS NULL AND NOT p.vanished
    GROUP BY person_id
)
SELECT
    row_number() OVER (ORDER BY part, coalesce(ends_at, CAST(day AS TIMESTAMPTZ)), lower(person), person_id) AS n,
    part, person_id, person, department, title, coalesce(day, last_day) AS day, ends_at, accounts, apps,
    concat_ws(
        ' ',
        'By hand in: ' || by_hand || '.',
        'So many leave at once that the brakes will hold it, unless it is approved before, in: ' || waves || '.',
        CASE WHEN addressless THEN 'Has no work e-mail address yet.' END
    ) AS remark
FROM (FROM leaving UNION ALL BY NAME FROM starting)
LEFT JOIN (SELECT person_id, department, title, last_day FROM persons) USING (person_id);

-- Accounts that nobody in Gusto holds, and those that are kept on purpose ---------------------------------------
CREATE OR REPLACE TEMP TABLE report_unmatched AS
WITH found AS (
    SELECT
        CASE WHEN outside IS NOT NULL THEN 'outside' WHEN powerful THEN 'admins' ELSE 'others' END AS part, *
    FROM seats
    WHERE NOT taken AND NOT kept AND (person_id IS NULL OR outside IS NOT NULL)
)
SELECT
    row_number() OVER (
        ORDER BY rank, status = 'suspended', cost DESC NULLS LAST, age DESC NULLS LAST, lower(app_name), login
    ) AS n,
    found.part, app, app_name, account_id, login, called, role, status, age, last_activity, unused, licence, cost,
    CASE
        WHEN mark IS NOT NULL THEN
            concat('Marked ', mark, ' by ', marked_by, ' (', marked_why, '), to be looked at by ', review_by, '.')
        WHEN found.part = 'outside' THEN concat('Held by ', person, ': ', outside, '.')
        ELSE 'Nobody in Gusto fits.'
    END AS why,
    CASE
        WHEN mark IS NOT NULL THEN 'Look at it now: is it still needed?'
        WHEN found.part = 'outside' THEN 'See that it is meant; nothing is done about it by itself.'
        WHEN found.part = 'admins' THEN
            'Find out whose it is. Match it to a person, or mark it as an administrator''s, a guest''s or a service''s.'
        ELSE 'Match it to a person, mark it as shared, a guest''s or a service''s, or remove it in the app.'
    END AS to_do
FROM found
JOIN said_parts ON section = 'unmatched' AND said_parts.part = found.part;

CREATE OR REPLACE TEMP TABLE report_kept AS
SELECT row_number() OVER (ORDER BY review_by NULLS LAST, lower(app_name), login) AS n, *
FROM seats
WHERE kept;

-- People whom the rules leave alone ---------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_outside AS
SELECT
    row_number() OVER (ORDER BY accounts = 0, p.out_of_scope, lower(p.name), p.person_id) AS n,
    p.person_id, p.name AS person, p.title, p.out_of_scope AS why, accounts, apps
FROM persons p
JOIN (
    SELECT
        person_id, count(account_id) AS accounts,
        string_agg(DISTINCT app_name, ', ' ORDER BY app_name) AS apps
    FROM persons
    LEFT JOIN seats s USING (person_id)
    GROUP BY person_id
) USING (person_id)
WHERE p.out_of_scope IS NOT NULL AND NOT p.vanished;

-- Questions ---------------------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_questions AS
WITH asked AS (
    SELECT
        asked AS part, concat_ws(' ', asked, app, person_id, account_id) AS key, person_id, person, app, app_name,
        login, rule, reason AS why, to_do
    FROM pairs
    WHERE asked IS NOT NULL
    UNION ALL BY NAME
    SELECT
        'merge' AS part, concat_ws(' ', record, other) AS key, concat(sentence, '.') AS why, asked_at,
        concat(
            'Say whether the two are one person. They are: gusto-pipeline accounts same ', record, ' ', other,
            ' --yes --why …. They are not: gusto-pipeline accounts same ', record, ' ', other, ' --no --why ….'
        ) AS to_do
    FROM provisioning.merge_questions
    WHERE company_uuid = getvariable('company') AND same IS NULL
), dated AS (
    SELECT a.* EXCLUDE (asked_at), coalesce(asked_at, o.since, getvariable('now')) AS since
    FROM asked a
    LEFT JOIN opened o ON o.section = 'questions' AND o.key = a.key
)
SELECT
    row_number() OVER (ORDER BY rank, since, lower(person), lower(app_name), login, dated.key) AS n,
    dated.*, date_diff('day', since, getvariable('now')) AS days
FROM dated
JOIN said_parts ON section = 'questions' AND said_parts.part = dated.part;

-- Invitations -------------------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_invitations AS
WITH again AS ( -- by address, since some apps give an invitation another id each time
    SELECT app, lower(login) AS login, count(*) AS times
    FROM provisioning.intents
    WHERE company_uuid = getvariable('company') AND action = 'invite_again'
    GROUP BY ALL
), invited AS (
    SELECT
        CASE
            WHEN s.invited_until <= getvariable('now') THEN 'lapsed'
            WHEN s.created_at + (s.invited_until - s.created_at) / 2 <= getvariable('now') THEN 'half'
            ELSE 'open'
        END AS part,
        s.app, s.app_name, s.account_id, s.login, coalesce(s.person, s.called) AS person, s.person_id, s.created_at,
        s.invited_until, coalesce(times, 0) AS times, p.rule,
        coalesce(p.reason, 'Nobody in Gusto fits the invitation.') AS why,
        CASE
            WHEN part = 'half' AND p.rule = 'I1' THEN 'Remind the person: half of the invitation''s life is over.'
            ELSE coalesce(p.to_do, 'Match it to a person, or withdraw it in the app.')
        END AS to_do
    FROM seats s
    LEFT JOIN pairs p ON (p.app, p.account_id, p.person_id) = (s.app, s.account_id, s.person_id)
    LEFT JOIN again ON (again.app, again.login) = (s.app, lower(s.login))
    WHERE s.status = 'invited' AND NOT s.taken
)
SELECT
    row_number() OVER (ORDER BY rank, coalesce(invited_until, created_at), lower(app_name), login) AS n, invited.*
FROM invited
JOIN said_parts ON section = 'invitations' AND said_parts.part = invited.part;

-- Seats that could be saved -----------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_savings AS
WITH found AS (
    SELECT
        * REPLACE (coalesce(person, called) AS person),
        CASE
            WHEN status = 'suspended' OR taken THEN 'suspended'
            WHEN left_on IS NOT NULL THEN 'leaver'
            WHEN status <> 'active' OR bot THEN NULL
            WHEN unused > 90 THEN 'unused'
            WHEN last_activity IS NULL AND tells_activity AND age > 90 THEN 'unused'
        END AS part
    FROM seats
)
SELECT
    row_number() OVER (
        ORDER BY rank, cost DESC NULLS LAST, unused DESC NULLS FIRST, lower(app_name), login
    ) AS n, found.*,
    CASE
        WHEN found.part = 'leaver' THEN concat('Left ', left_on, '.')
        WHEN found.part = 'unused' AND last_activity IS NULL THEN concat('Never used in ', age, ' days.')
        WHEN found.part = 'unused' THEN concat('Not used for ', unused, ' days.')
        WHEN licence IS NULL THEN 'Suspended. Look whether the seat is still billed.'
        ELSE concat('Suspended, with the licence ', licence, '.')
    END AS why
FROM found
JOIN said_parts ON section = 'savings' AND said_parts.part = found.part;

-- Changed by hand ---------------------------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_drift AS
WITH states AS (
    SELECT
        *, lag(seen_at) OVER (PARTITION BY app, account_id ORDER BY seen_at) AS noted_at,
        min(seen_at) OVER (PARTITION BY app) AS begun_at
    FROM provisioning.account_states
    WHERE company_uuid = getvariable('company')
), changes AS (
    SELECT *, (
        SELECT max(read_at)
        FROM provisioning.account_reads r
        WHERE r.company_uuid = s.company_uuid AND r.app = s.app AND r.complete AND r.read_at < s.seen_at
    ) AS after
    FROM states s
    -- What was there from the beginning is no change, and an invitation is there to be accepted.
    WHERE seen_at > begun_at AND seen_at > getvariable('now') - INTERVAL 30 DAYS
        AND NOT (coalesce(before, '') = 'invited' AND status = 'active')
), named AS (
    SELECT app, account_id, arg_max(person_id, happened_at) AS person_id
    FROM provisioning.link_history
    WHERE company_uuid = getvariable('company') AND event IN ('linked', 'matched')
    GROUP BY ALL
), found AS (
    SELECT
        'hand' AS part, c.app, a.name AS app_name, c.account_id, coalesce(s.login, d.login, c.account_id) AS login,
        coalesce(s.person, s.called, p.name) AS person, coalesce(s.person_id, p.person_id) AS person_id,
        CASE
            WHEN c.status = 'suspended' THEN 'Suspended'
            WHEN c.status IN ('deleted', 'absent') AND c.before = 'invited' THEN 'Invitation withdrawn or declined'
            WHEN c.status IN ('deleted', 'absent') THEN 'Removed'
            WHEN c.before IS NOT NULL THEN 'Opened again'
            WHEN c.status = 'invited' THEN 'Invited'
            ELSE 'Made'
        END AS what,
        coalesce(c.before, 'absent') AS before, c.status, c.after, c.seen_at
    FROM changes c
    JOIN said_apps a USING (app)
    LEFT JOIN seats s ON (s.app, s.account_id) = (c.app, c.account_id)
    LEFT JOIN last_done d ON (d.app, d.account_id) = (c.app, c.account_id)
    LEFT JOIN named h ON (h.app, h.account_id) = (c.app, c.account_id)
    LEFT JOIN persons p ON p.person_id = h.person_id
    WHERE NOT EXISTS ( -- done by us since the state before was noted
        FROM done o
        WHERE o.good AND (o.app, o.account_id) = (c.app, c.account_id) AND o.ended_at <= c.seen_at
            AND o.ended_at > coalesce(c.noted_at, TIMESTAMPTZ '-infinity')
            AND o.removal = (c.status IN ('suspended', 'deleted', 'absent'))
    ) AND NOT EXISTS ( -- what took its place when it was sent again has another id
        FROM provisioning.intents i
        WHERE i.company_uuid = getvariable('company') AND (i.app, i.account_id) = (c.app, c.account_id)
            AND i.action = 'invite_again' AND c.status = 'absent' AND i.intended_at <= c.seen_at
            AND i.intended_at > coalesce(c.noted_at, TIMESTAMPTZ '-infinity')
    )
    UNION ALL BY NAME
    SELECT
        'name' AS part, app, app_name, account_id, login, person, person_id, 'Name' AS what, other_name AS before,
        person AS status, getvariable('now') AS seen_at
    FROM pairs
    WHERE other_name <> ''
)
SELECT row_number() OVER (ORDER BY rank, seen_at DESC, lower(app_name), account_id) AS n, found.*
FROM found
JOIN said_parts ON section = 'drift' AND said_parts.part = found.part;

-- Access taken away, with its proof ---------------------------------------------------------------------------
CREATE OR REPLACE TEMP TABLE report_removals AS
WITH removals AS (
    SELECT
        CASE WHEN due_at IS NULL THEN 'undated' WHEN due_at < first_good THEN 'before' ELSE 'dated' END AS part, d.*, (
            SELECT min(read_at)
            FROM provisioning.account_reads r
            WHERE r.company_uuid = getvariable('company') AND r.app = d.app AND r.complete AND r.read_at > d.ended_at
        ) AS checked_at
    FROM done d
    LEFT JOIN reads USING (app)
    WHERE d.removal AND d.good AND d.ended_at > getvariable('now') - INTERVAL 90 DAYS
    UNION ALL BY NAME
    SELECT
        'by_hand' AS part, app, account_id, person_id, login, who, 'by_hand' AS action, said_at AS ended_at, (
            SELECT min(read_at)
            FROM provisioning.account_reads r
            WHERE r.company_uuid = getvariable('company') AND r.app = c.app AND r.complete AND r.read_at > c.said_at
        ) AS checked_at
    FROM claims c
    WHERE NOT unproven AND said_at > getvariable('now') - INTERVAL 90 DAYS
), checked AS (
    SELECT *, (
        SELECT arg_max(s.status, s.seen_at)
        FROM provisioning.account_states s
        WHERE s.company_uuid = getvariable('company') AND (s.app, s.account_id) = (r.app, r.account_id)
            AND s.seen_at <= r.checked_at
    ) AS seen
    FROM removals r
)
SELECT
    row_number() OVER (ORDER BY rank, ended_at DESC, lower(a.name), login) AS n,
    c.part, c.person_id, p.name AS person, c.app, a.name AS app_name, c.account_id, c.login,
    CASE c.action
        WHEN 'suspend' THEN 'Suspended'
        WHEN 'delete' THEN 'Deleted'
        WHEN 'by_hand' THEN 'Done by hand'
        ELSE 'Invitation withdrawn'
    END AS what,
    c.due_at, c.ended_at,
    CASE WHEN due_at IS NOT NULL THEN greatest(date_diff('minute', due_at, ended_at), 0) END AS minutes,
    concat_ws(
        ' ',
        CASE c.outcome
            WHEN 'done' THEN 'Read back right after the call.'
            WHEN 'nothing_to_do' THEN 'Was so already when it was read.'
        END,
        'In the list of ' || local_time(checked_at) || ': ' || coalesce(seen, 'absent') || '.'
    ) AS proof,
    c.who
FROM checked c
JOIN said_apps a USING (app)
JOIN said_parts ON section = 'removals' AND said_parts.part = c.part
LEFT JOIN persons p USING (person_id)
WHERE c.part <> 'by_hand' OR coalesce(seen, 'absent') NOT IN ('active', 'invited');

-- What is open now, for the next report to compare with, and what has changed since the last one ----------------
CREATE OR REPLACE TEMP TABLE open_now AS
SELECT now_open.*, o.since IS NULL AS fresh, coalesce(o.since, getvariable('now')) AS since
FROM (
    SELECT
        'risks' AS section,
        concat_ws(' ', CASE WHEN late IS NULL THEN part ELSE 'leaver' END, app, person_id, account_id) AS key,
        concat_ws(' · ', person, app_name, login) AS title
    FROM report_risks
    UNION ALL
    SELECT 'questions', key, concat_ws(' · ', person, app_name, login, CASE WHEN part = 'merge' THEN why END)
    FROM report_questions
    UNION ALL
    SELECT 'unmatched', concat_ws(' ', app, account_id), concat_ws(' · ', app_name, login, called)
    FROM report_unmatched
) now_open
LEFT JOIN opened o ON (o.section, o.key) = (now_open.section, now_open.key);

CREATE OR REPLACE TEMP TABLE report_changes AS
SELECT
    row_number() OVER (ORDER BY rank, list_position(['risks', 'questions', 'unmatched'], c.section), lower(title)) AS n,
    c.part, title, since,
    CASE c.section WHEN 'risks' THEN 'Risk' WHEN 'questions' THEN 'Question' ELSE 'Account nobody holds' END AS what
FROM (
    SELECT 'new' AS part, section, title, since FROM open_now WHERE fresh AND getvariable('previous') IS NOT NULL
    UNION ALL
    SELECT 'closed' AS part, section, title, since FROM opened ANTI JOIN open_now USING (section, key)
) c
JOIN said_parts ON said_parts.section = 'changes' AND said_parts.part = c.part;
