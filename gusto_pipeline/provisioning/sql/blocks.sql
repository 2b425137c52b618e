-- From the temporary table `called` (id and a name in parts, as `plain` gives it) the temporary table `blocks`: names
-- that share one may be alike, all others are not compared. It holds under nicknames, under a slip in either part
-- behind its first letters, and with the parts swapped.
CREATE OR REPLACE TEMP TABLE formal AS
SELECT DISTINCT id, given, family, unnest([given] || coalesce(canonicals, [])) AS formal
FROM called
LEFT JOIN (SELECT nickname, list(canonical) AS canonicals FROM nicknames GROUP BY ALL) n
    ON nickname = split_part(given, ' ', 1)
WHERE given <> '' AND family <> '';

CREATE OR REPLACE TEMP TABLE blocks AS
SELECT DISTINCT id, unnest([
    left(family, 3) || ' ' || left(formal, 1), left(formal, 3) || ' ' || left(family, 1)
]) AS block
FROM formal;
