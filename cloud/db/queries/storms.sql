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

-- name: absorb_incidents
-- One step to the one that stands, also from those that were absorbed before. Its notices stay as they are: whoever was
-- told by either is told (told_of_same_storm).
UPDATE incident SET merged_into = %(into)s
WHERE incident_no = ANY(%(absorbed)s) OR merged_into = ANY(%(absorbed)s);

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
-- Whoever is concerned by an open storm hears of it once. A notice that had lost its reason before it was sent (the
-- fault had cleared) is owed again when it has one again; a message that there is already stays about its appliance.
INSERT INTO outreach AS o (incident_no, case_no, user_id, purpose)
SELECT c.incident_no, min(c.case_no), c.user_id, 'storm' FROM storm_concern AS c
WHERE c.incident_no = ANY(%(incidents)s) AND NOT told_of_same_storm(c.user_id, c.incident_no, NULL)
GROUP BY c.incident_no, c.user_id
ON CONFLICT (user_id, incident_no) WHERE incident_no IS NOT NULL DO UPDATE SET state = 'open', reason = '',
    look_at = '-infinity', closed_at = NULL, case_no = CASE WHEN EXISTS (
        SELECT FROM outreach_message AS m WHERE m.outreach_no = o.outreach_no) THEN o.case_no ELSE excluded.case_no END
WHERE o.state = 'cancelled';

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

-- name: notices
-- Each customer of a storm and how their notice fares: one row a notice, with its message where there is one.
SELECT o.outreach_no, o.user_id, o.state, o.reason, o.created_at AS owed_at, m.channel, m.delivered_at AS told_at
FROM outreach AS o
LEFT JOIN LATERAL (
    SELECT m.channel, m.delivered_at FROM outreach_message AS m WHERE m.outreach_no = o.outreach_no
    ORDER BY m.state = 'delivered' DESC, m.message_no DESC LIMIT 1
) AS m ON true
WHERE o.incident_no IN (
    SELECT i.incident_no FROM incident AS i WHERE i.incident_no = %(incident_no)s OR i.merged_into = %(incident_no)s
)
ORDER BY o.outreach_no LIMIT %(at_most)s;
