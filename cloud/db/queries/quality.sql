-- Lots, models and firmwares whose fault rate stands out.

-- name: due
-- Takes the round if it is due; nobody else takes it until this transaction ends.
INSERT INTO quality_round (at, comparisons, standing_out) VALUES (%(now)s, 0, 0)
ON CONFLICT (only_row) DO UPDATE SET at = excluded.at
WHERE quality_round.at <= excluded.at - %(every)s::interval
RETURNING at;

-- name: clear_sizes
DELETE FROM cohort_size;

-- name: count_sizes
INSERT INTO cohort_size (model, lot, devices)
SELECT i.model, coalesce(p.lot, ''), count(*)
FROM fitting AS f
JOIN product AS p ON p.gtin = f.gtin AND p.serial = f.serial
JOIN trade_item AS i ON i.gtin = f.gtin
WHERE upper_inf(f.known) AND f.valid @> %(now)s::timestamptz
GROUP BY 1, 2;

-- name: comparisons
-- Each group against the rest of its scope, for each problem that the scope had lately. A device counts once a problem;
-- what a storm brought about, what was refuted, and what turned out to be no fault do not count.
WITH fitted AS (
    SELECT f.device_no, i.model, m.family, coalesce(p.lot, '') AS lot, coalesce(d.firmware, '') AS firmware
    FROM fitting AS f
    JOIN product AS p ON p.gtin = f.gtin AND p.serial = f.serial
    JOIN trade_item AS i ON i.gtin = f.gtin
    JOIN model AS m ON m.model = i.model
    JOIN device AS d ON d.device_no = f.device_no
    WHERE upper_inf(f.known) AND f.valid @> %(now)s::timestamptz
), grouped AS (
    SELECT device_no, 'lot' AS kind, model AS scope, lot AS member FROM fitted
    UNION ALL SELECT device_no, 'firmware', model, firmware FROM fitted
    UNION ALL SELECT device_no, 'model', family, model FROM fitted
), sizes AS (
    SELECT kind, scope, member, count(*) AS devices,
        sum(count(*)) OVER (PARTITION BY kind, scope) AS all_devices
    FROM grouped GROUP BY kind, scope, member
), had AS (
    SELECT DISTINCT c.device_no, c.problem
    FROM fault_case AS c
    LEFT JOIN triage AS g USING (case_no)
    LEFT JOIN finding AS n ON n.ticket_no = c.ticket_no
    WHERE c.source = 'reported' AND c.merged_into IS NULL AND c.incident_no IS NULL
        AND c.occurred_at > %(since)s AND g.verdict IS DISTINCT FROM 'refuted'
        AND n.outcome IS DISTINCT FROM 'no_fault_found'
), hits AS (
    SELECT g.kind, g.scope, g.member, h.problem, count(*) AS affected
    FROM had AS h JOIN grouped AS g USING (device_no) GROUP BY 1, 2, 3, 4
), problems AS (
    SELECT kind, scope, problem, sum(affected) AS all_affected FROM hits GROUP BY 1, 2, 3
)
SELECT s.kind, s.scope, s.member, p.problem, s.devices, coalesce(h.affected, 0),
    (s.all_devices - s.devices)::bigint, (p.all_affected - coalesce(h.affected, 0))::bigint
FROM problems AS p
JOIN sizes AS s USING (kind, scope)
LEFT JOIN hits AS h USING (kind, scope, member, problem)
WHERE s.member <> '' AND s.all_devices > s.devices
ORDER BY 1, 2, 3, 4;

-- name: put_finding
-- One that a person closed opens again only when twice as many are affected.
INSERT INTO quality_finding AS f (kind, scope, member, problem, devices, affected, rest_devices, rest_affected,
    p_value, q_value, sentence, found_at, seen_at)
VALUES (%(kind)s, %(scope)s, %(member)s, %(problem)s, %(devices)s, %(affected)s, %(rest_devices)s,
    %(rest_affected)s, %(p_value)s, %(q_value)s, %(sentence)s, %(now)s, %(now)s)
ON CONFLICT (kind, scope, member, problem) DO UPDATE SET devices = excluded.devices, affected = excluded.affected,
    rest_devices = excluded.rest_devices, rest_affected = excluded.rest_affected, p_value = excluded.p_value,
    q_value = excluded.q_value, sentence = excluded.sentence, seen_at = excluded.seen_at,
    state = CASE WHEN f.state = 'closed' AND excluded.affected < 2 * f.closed_affected THEN 'closed' ELSE 'open' END
RETURNING quality_finding_no;

-- name: put_members
INSERT INTO quality_member (quality_finding_no, device_no, case_no)
SELECT %(quality_finding_no)s, c.device_no, min(c.case_no)
FROM fault_case AS c
LEFT JOIN triage AS g USING (case_no)
LEFT JOIN finding AS n ON n.ticket_no = c.ticket_no
JOIN fitting AS f ON f.device_no = c.device_no AND upper_inf(f.known) AND f.valid @> %(now)s::timestamptz
JOIN product AS p ON p.gtin = f.gtin AND p.serial = f.serial
JOIN trade_item AS i ON i.gtin = f.gtin
JOIN device AS d ON d.device_no = c.device_no
WHERE c.source = 'reported' AND c.merged_into IS NULL AND c.incident_no IS NULL AND c.problem = %(problem)s
    AND c.occurred_at > %(since)s AND g.verdict IS DISTINCT FROM 'refuted'
    AND n.outcome IS DISTINCT FROM 'no_fault_found'
    AND CASE %(kind)s WHEN 'model' THEN i.model = %(member)s
        WHEN 'lot' THEN i.model = %(scope)s AND p.lot = %(member)s
        ELSE i.model = %(scope)s AND d.firmware = %(member)s END
GROUP BY c.device_no
ON CONFLICT (quality_finding_no, device_no) DO NOTHING;

-- name: fade
UPDATE quality_finding SET state = 'faded' WHERE state = 'open' AND seen_at < %(now)s;

-- name: note_round
UPDATE quality_round SET comparisons = %(comparisons)s, standing_out = %(standing_out)s;

-- name: findings
SELECT * FROM quality_card WHERE %(state)s::text IS NULL OR state = %(state)s
ORDER BY q_value, quality_finding_no LIMIT %(at_most)s;

-- name: members
SELECT m.device_no, v.device, m.case_no, c.occurred_at, c.ticket_no, c.user_id
FROM quality_member AS m JOIN device AS v USING (device_no) JOIN fault_case AS c USING (case_no)
WHERE m.quality_finding_no = %(quality_finding_no)s ORDER BY c.occurred_at, m.device_no LIMIT %(at_most)s;

-- name: close
UPDATE quality_finding SET state = 'closed', closed_by = %(person)s, closed_at = desk_now(), note = %(note)s,
    closed_affected = affected
WHERE quality_finding_no = %(quality_finding_no)s RETURNING quality_finding_no;
