-- Storms: cases of a region that report the same become one incident.

-- name: meanings
-- Codes that may be part of a storm: critical ones never are.
SELECT d.model, d.code, m.family, coalesce(d.meaning ->> 'en', d.code)
FROM fault_definition AS d JOIN model AS m USING (model)
WHERE upper_inf(d.known) AND d.severity <> 'critical';

-- name: regional_cases
SELECT p.region, c.model, c.problem, min(c.occurred_at), max(c.occurred_at)
FROM fault_case AS c JOIN customer_profile AS p USING (user_id)
WHERE c.case_no = ANY(%(cases)s) AND c.source = 'reported' AND c.merged_into IS NULL AND p.region <> ''
    AND c.model IS NOT NULL
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: lock_place
SELECT pg_advisory_xact_lock(46631, hashtext(%(region)s || ' ' || %(cause)s));

-- name: held
SELECT incident_no, began_at, last_at FROM incident
WHERE region = %(region)s AND cause = %(cause)s AND merged_into IS NULL
    AND began_at <= %(until)s AND last_at >= %(since)s
ORDER BY incident_no;

-- name: reports
SELECT c.occurred_at, c.device_no, c.case_no
FROM unnest(%(models)s::text[], %(codes)s::text[]) AS a (model, code)
JOIN fault_case AS c ON c.model = a.model AND c.problem = a.code AND c.occurred_at BETWEEN %(since)s AND %(until)s
    AND c.source = 'reported' AND c.merged_into IS NULL
JOIN customer_profile AS p ON p.user_id = c.user_id AND p.region = %(region)s;

-- name: region_devices
SELECT count(*) FROM binding AS b JOIN customer_profile AS p USING (user_id)
WHERE p.region = %(region)s AND upper_inf(b.known) AND b.valid @> %(now)s::timestamptz;

-- name: open_incident
INSERT INTO incident (region, cause, began_at, last_at, devices, needed, region_devices, words, sentence)
VALUES (%(region)s, %(cause)s, %(began_at)s, %(last_at)s, %(devices)s, %(needed)s, %(region_devices)s, %(words)s,
    %(sentence)s)
RETURNING incident_no;

-- name: update_incident
UPDATE incident SET began_at = %(began_at)s, last_at = %(last_at)s, devices = %(devices)s, sentence = %(sentence)s
WHERE incident_no = %(incident_no)s AND (began_at, last_at, devices) IS DISTINCT FROM
    (%(began_at)s, %(last_at)s, %(devices)s);

-- name: absorb_notices
-- Whoever was told by either is told.
INSERT INTO incident_notice AS n (incident_no, user_id, owed_at, told_at, channel)
SELECT %(into)s, user_id, min(owed_at), max(told_at), max(channel) FROM incident_notice
WHERE incident_no = ANY(%(absorbed)s) GROUP BY user_id
ON CONFLICT (incident_no, user_id) DO UPDATE SET told_at = coalesce(n.told_at, excluded.told_at),
    channel = coalesce(n.channel, excluded.channel);

-- name: forget_notices
DELETE FROM incident_notice WHERE incident_no = ANY(%(absorbed)s);

-- name: absorb_incidents
UPDATE incident SET merged_into = %(into)s WHERE incident_no = ANY(%(absorbed)s);

-- name: join_incident
UPDATE fault_case SET incident_no = %(incident_no)s
WHERE case_no = ANY(%(cases)s) AND incident_no IS DISTINCT FROM %(incident_no)s
RETURNING case_no;

-- name: settle
-- Open while devices join; over when none did for long, or when a person said so.
UPDATE incident SET state = CASE WHEN last_at > %(now)s - %(over_after)s::interval THEN 'open' ELSE 'over' END,
    over_at = CASE WHEN last_at > %(now)s - %(over_after)s::interval THEN NULL ELSE %(now)s::timestamptz END
WHERE merged_into IS NULL AND closed_by IS NULL AND (state = 'open' OR incident_no = ANY(%(incidents)s))
    AND state <> CASE WHEN last_at > %(now)s - %(over_after)s::interval THEN 'open' ELSE 'over' END;

-- name: released
-- Cases that a storm withheld and that is over now.
SELECT c.case_no FROM fault_case AS c JOIN incident AS i USING (incident_no)
WHERE c.withheld = 'storm' AND c.merged_into IS NULL AND i.state = 'over'
LIMIT 1000;

-- name: tickets_of_storm
-- Tickets that nobody has called about and that rest on an open storm alone.
SELECT t.ticket_no
FROM ticket AS t
JOIN fault_case AS c ON c.ticket_no = t.ticket_no AND c.merged_into IS NULL
LEFT JOIN incident AS i ON i.incident_no = c.incident_no AND i.state = 'open'
WHERE t.ticket_no IN (SELECT ticket_no FROM fault_case WHERE case_no = ANY(%(cases)s) AND ticket_no IS NOT NULL)
    AND (t.state = 'proposed' OR (t.state = 'confirmed' AND (
        SELECT s.person FROM ticket_step AS s WHERE s.ticket_no = t.ticket_no AND s.to_state = 'confirmed'
        ORDER BY s.step_no DESC LIMIT 1) = 'desk'))
GROUP BY t.ticket_no
HAVING bool_and(i.incident_no IS NOT NULL)
ORDER BY t.ticket_no;

-- name: owe_notices
-- Whoever has a member of an open storm now is told once.
INSERT INTO incident_notice (incident_no, user_id, owed_at)
SELECT DISTINCT i.incident_no, b.user_id, %(now)s::timestamptz
FROM incident AS i
JOIN fault_case AS c ON c.incident_no = i.incident_no AND c.merged_into IS NULL AND c.cleared_at IS NULL
JOIN binding AS b ON b.device_no = c.device_no AND upper_inf(b.known) AND b.valid @> %(now)s::timestamptz
    AND b.user_id = c.user_id
WHERE i.incident_no = ANY(%(incidents)s) AND i.state = 'open' AND i.merged_into IS NULL
ON CONFLICT (incident_no, user_id) DO NOTHING;

-- name: incidents
SELECT * FROM incident_card
WHERE (%(state)s::text IS NULL OR state = %(state)s) AND (%(before)s::bigint IS NULL OR incident_no < %(before)s)
ORDER BY incident_no DESC LIMIT %(at_most)s;

-- name: members
SELECT * FROM case_card WHERE case_no IN (SELECT case_no FROM fault_case WHERE incident_no = %(incident_no)s)
ORDER BY occurred_at, case_no LIMIT %(at_most)s;

-- name: close
UPDATE incident SET state = 'over', over_at = desk_now(), closed_by = %(person)s, note = %(note)s
WHERE incident_no = %(incident_no)s AND merged_into IS NULL RETURNING incident_no;

-- name: owed_notices
SELECT n.incident_no, n.user_id, i.region, i.cause, i.words, n.owed_at
FROM incident_notice AS n JOIN incident AS i USING (incident_no)
WHERE n.told_at IS NULL AND i.state = 'open' AND i.merged_into IS NULL
ORDER BY n.owed_at, n.incident_no, n.user_id LIMIT %(at_most)s;

-- name: told
UPDATE incident_notice SET told_at = desk_now(), channel = %(channel)s
WHERE incident_no = %(incident_no)s AND user_id = %(user_id)s AND told_at IS NULL RETURNING incident_no;
