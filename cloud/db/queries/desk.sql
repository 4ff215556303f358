-- The desk's statements.

-- name: set_clock
UPDATE desk_clock SET reads = %(reads)s,
    watermark = CASE WHEN %(reads)s = 'event' THEN greatest(watermark, %(at)s::timestamptz) END;

-- name: now
SELECT desk_now();

-- name: make_cursors
INSERT INTO tail_cursor (consumer) SELECT unnest(%(consumers)s::text[]) ON CONFLICT (consumer) DO NOTHING;

-- name: lock_cursors
SELECT consumer, xid::text, batch_no FROM tail_cursor WHERE consumer = ANY(%(consumers)s)
ORDER BY consumer FOR UPDATE;

-- name: move_cursor
UPDATE tail_cursor SET xid = %(xid)s::xid8, batch_no = %(number)s WHERE consumer = %(consumer)s;

-- name: batches
SELECT xid::text, batch_no, first_at, last_at, fault_reports
FROM committed_batches(%(xid)s::xid8, %(number)s, %(at_most)s);

-- name: new_predictions
SELECT xid::text, prediction_no FROM prediction
WHERE (xid, prediction_no) > (%(xid)s::xid8, %(number)s::bigint) AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, prediction_no
LIMIT %(at_most)s;

-- name: changes
SELECT xid::text, change_no, device_no, gtin, model, code
FROM committed_changes(%(xid)s::xid8, %(number)s, %(at_most)s);

-- name: reports_of_batches
SELECT device_no, code, occurred_at, boot, seq, raised FROM fault_report
WHERE batch_no = ANY(%(batches)s) AND occurred_at BETWEEN %(first_at)s AND %(last_at)s;

-- name: last_cases
-- By problem: its latest case if all new reports are later than what that case holds (onwards), else the latest case
-- that began no later than the new reports, from which all has to be folded again. No row: from the beginning.
WITH asked AS (
    SELECT * FROM unnest(%(devices)s::int[], %(codes)s::text[], %(earliest)s::timestamptz[])
        AS a (device_no, code, earliest)
), latest AS (
    SELECT a.device_no, a.code, a.earliest, l.*
    FROM asked AS a
    CROSS JOIN LATERAL (
        SELECT c.case_no, c.ticket_no, c.occurred_at, c.last_raised_at, c.last_at, c.cleared_at, c.raises
        FROM fault_case AS c
        WHERE c.device_no = a.device_no AND c.problem = a.code AND c.source = 'reported' AND c.merged_into IS NULL
            AND (c.occurred_at <= a.earliest)
        ORDER BY c.occurred_at DESC LIMIT 1
    ) AS l
)
SELECT device_no, code,
    last_at < earliest AND NOT EXISTS (
        SELECT FROM fault_case AS later
        WHERE later.device_no = latest.device_no AND later.problem = latest.code AND later.source = 'reported'
            AND later.merged_into IS NULL AND later.occurred_at > latest.occurred_at
    ) AS onwards,
    case_no, ticket_no, occurred_at, last_raised_at, last_at, cleared_at, raises
FROM latest;

-- name: reports_since
SELECT r.device_no, r.code, r.occurred_at, r.boot, r.seq, r.raised
FROM unnest(%(devices)s::int[], %(codes)s::text[], %(since)s::timestamptz[]) AS a (device_no, code, since)
JOIN fault_report AS r ON r.device_no = a.device_no AND r.code = a.code AND r.occurred_at >= a.since;

-- name: cases_since
SELECT c.device_no, c.problem, c.case_no, c.occurred_at, c.ticket_no
FROM unnest(%(devices)s::int[], %(codes)s::text[], %(since)s::timestamptz[]) AS a (device_no, code, since)
JOIN fault_case AS c ON c.device_no = a.device_no AND c.problem = a.code AND c.occurred_at >= a.since
WHERE c.source = 'reported' AND c.merged_into IS NULL;

-- name: absorb_case
UPDATE fault_case SET merged_into = %(into)s, ticket_no = NULL WHERE case_no = %(case_no)s;

-- name: update_case
UPDATE fault_case SET occurred_at = %(occurred_at)s, last_raised_at = %(last_raised_at)s, last_at = %(last_at)s,
    cleared_at = %(cleared_at)s, raises = %(raises)s, ticket_no = %(ticket_no)s
WHERE case_no = %(case_no)s;

-- name: insert_reported_cases
INSERT INTO fault_case (device_no, source, problem, occurred_at, last_raised_at, last_at, cleared_at, raises,
    missing, judged_at)
SELECT device_no, 'reported', code, occurred_at, last_raised_at, last_at, cleared_at, raises,
    '{unjudged}', clock_timestamp()
FROM unnest(%(devices)s::int[], %(codes)s::text[], %(occurred_at)s::timestamptz[], %(last_raised_at)s::timestamptz[],
    %(last_at)s::timestamptz[], %(cleared_at)s::timestamptz[], %(raises)s::int[])
    AS n (device_no, code, occurred_at, last_raised_at, last_at, cleared_at, raises)
RETURNING case_no;

-- name: insert_predicted_cases
INSERT INTO fault_case (device_no, source, problem, prediction_no, occurred_at, last_raised_at, last_at, cleared_at,
    probability, horizon_hours, reason, missing, judged_at)
SELECT device_no, 'predicted', problem, prediction_no, raised_at, raised_at, raised_at,
    CASE WHEN cleared_at IS NOT NULL THEN greatest(cleared_at, raised_at) END, probability, horizon_hours, reason, '{unjudged}', clock_timestamp()
FROM prediction WHERE prediction_no = ANY(%(predictions)s)
ON CONFLICT (prediction_no) DO NOTHING
RETURNING case_no;

-- name: follow_predictions
UPDATE fault_case AS c SET
    cleared_at = CASE WHEN p.cleared_at IS NOT NULL THEN greatest(p.cleared_at, c.occurred_at) END, probability = p.probability,
    horizon_hours = p.horizon_hours, reason = p.reason, last_at = greatest(c.last_at, p.cleared_at)
FROM prediction AS p
WHERE p.prediction_no = c.prediction_no AND c.source = 'predicted' AND c.cleared_at IS NULL
    AND c.merged_into IS NULL
    AND (p.cleared_at IS NOT NULL OR p.probability <> c.probability OR p.reason <> c.reason)
RETURNING c.case_no;

-- name: judge_cases
UPDATE fault_case AS c SET user_id = j.user_id, binding_no = j.binding_no, gtin = j.gtin, serial = j.serial,
    model = j.model, definition_no = j.definition_no, missing = j.missing, judged_at = clock_timestamp()
FROM fault_case AS k
CROSS JOIN LATERAL four_codes(k.device_no, k.occurred_at, k.problem, k.source = 'reported') AS j
WHERE k.case_no = ANY(%(cases)s) AND c.case_no = k.case_no
    AND (c.user_id, c.binding_no, c.gtin, c.serial, c.model, c.definition_no, c.missing)
        IS DISTINCT FROM (j.user_id, j.binding_no, j.gtin, j.serial, j.model, j.definition_no, j.missing)
RETURNING c.case_no;

-- name: cases_of_changes
SELECT case_no FROM fault_case
WHERE merged_into IS NULL AND (
    device_no = ANY(%(devices)s)
    OR gtin = ANY(%(gtins)s)
    OR (model, problem) IN (SELECT * FROM unnest(%(models)s::text[], %(codes)s::text[]))
);

-- name: stale_cases_heard_again
-- Cases that waited for their device to be heard of again, whose fault has not cleared, and whose device was heard of.
SELECT c.case_no FROM fault_case AS c
WHERE c.withheld = 'stale' AND c.cleared_at IS NULL AND c.merged_into IS NULL AND (
    EXISTS (
        SELECT FROM frame AS f
        WHERE f.device_no = c.device_no AND f.started_at > %(now)s - %(stale_after)s::interval
    ) OR EXISTS (
        SELECT FROM fault_report AS r
        WHERE r.device_no = c.device_no AND r.occurred_at > %(now)s - %(stale_after)s::interval
    )
)
LIMIT 1000;

-- name: outlook
SELECT c.case_no, c.device_no, c.source, c.problem, c.occurred_at, c.last_raised_at, c.last_at, c.cleared_at,
    c.raises, c.probability, c.horizon_hours, c.reason, c.user_id, c.gtin, c.serial, c.model, c.definition_no,
    c.missing, c.withheld, c.ticket_no, m.family, y.name AS family_name,
    d.severity::text AS severity, d.safety, d.stops, d.meaning, d.customer_words, d.likely_parts,
    b.user_id AS owner_now, t.user_id AS open_ticket_user, i.incident_no IS NOT NULL AS storm,
    c.last_at > %(now)s - %(stale_after)s::interval
        OR EXISTS (
            SELECT FROM frame AS f
            WHERE f.device_no = c.device_no AND f.started_at > %(now)s - %(stale_after)s::interval
        ) OR EXISTS (
            SELECT FROM fault_report AS r
            WHERE r.device_no = c.device_no AND r.occurred_at > %(now)s - %(stale_after)s::interval
        ) AS heard
FROM fault_case AS c
LEFT JOIN model AS m ON m.model = c.model
LEFT JOIN appliance_family AS y ON y.family = m.family
LEFT JOIN fault_definition AS d ON d.definition_no = c.definition_no
LEFT JOIN binding AS b ON b.device_no = c.device_no AND upper_inf(b.known) AND b.valid @> %(now)s::timestamptz
LEFT JOIN ticket AS t ON t.device_no = c.device_no AND t.problem = c.problem
    AND t.state IN ('proposed', 'confirmed', 'contacted', 'scheduled')
LEFT JOIN incident AS i ON i.incident_no = c.incident_no AND i.state = 'open'
WHERE c.merged_into IS NULL AND (c.case_no = ANY(%(cases)s) OR c.ticket_no = ANY(%(tickets)s))
ORDER BY c.occurred_at, c.case_no;

-- name: withhold
UPDATE fault_case AS c SET withheld = w.why
FROM unnest(%(cases)s::bigint[], %(whys)s::text[]) AS w (case_no, why)
WHERE c.case_no = w.case_no AND c.withheld IS DISTINCT FROM w.why;

-- name: open_ticket
INSERT INTO ticket (device_no, problem, user_id, gtin, serial, model, definition_no, severity, safety, probability,
    expected_value, rank_reason, customer_words, likely_part, detected_at, raised_at, failed_at)
VALUES (%(device_no)s, %(problem)s, %(user_id)s, %(gtin)s, %(serial)s, %(model)s, %(definition_no)s,
    %(severity)s::severity, %(safety)s, %(probability)s, %(expected_value)s, %(rank_reason)s, %(customer_words)s,
    %(likely_part)s, %(detected_at)s, %(raised_at)s, %(failed_at)s)
ON CONFLICT (device_no, problem) WHERE state IN ('proposed', 'confirmed', 'contacted', 'scheduled') DO NOTHING
RETURNING ticket_no;

-- name: open_ticket_of
SELECT ticket_no, user_id FROM ticket
WHERE device_no = %(device_no)s AND problem = %(problem)s
    AND state IN ('proposed', 'confirmed', 'contacted', 'scheduled');

-- name: step
INSERT INTO ticket_step (ticket_no, to_state, person, at, reason)
VALUES (%(ticket_no)s, %(to_state)s, %(person)s, coalesce(%(at)s::timestamptz, desk_now()), %(reason)s)
RETURNING step_no;

-- name: link_case
UPDATE fault_case SET ticket_no = %(ticket_no)s, withheld = NULL WHERE case_no = %(case_no)s;

-- name: put_evidence
INSERT INTO ticket_evidence (ticket_no, case_no, kind, first_seen_at, last_seen_at, times, probability, reason)
SELECT ticket_no, case_no, source, occurred_at, last_raised_at, raises, probability, reason
FROM fault_case WHERE ticket_no = ANY(%(tickets)s) AND merged_into IS NULL
UNION ALL
SELECT ticket_no, case_no, 'cleared', cleared_at, cleared_at, 1, probability, NULL
FROM fault_case WHERE ticket_no = ANY(%(tickets)s) AND merged_into IS NULL AND cleared_at IS NOT NULL
ON CONFLICT (ticket_no, case_no, kind) DO UPDATE SET first_seen_at = excluded.first_seen_at,
    last_seen_at = excluded.last_seen_at, times = excluded.times, probability = excluded.probability,
    reason = excluded.reason;

-- name: refresh_ticket
-- Words and price are frozen once somebody has confirmed the ticket; codes and times follow what is known.
UPDATE ticket SET gtin = %(gtin)s, serial = %(serial)s, model = %(model)s, definition_no = %(definition_no)s,
    severity = %(severity)s::severity, safety = %(safety)s, probability = %(probability)s,
    expected_value = %(expected_value)s, rank_reason = %(rank_reason)s,
    customer_words = CASE WHEN state = 'proposed' THEN %(customer_words)s ELSE customer_words END,
    likely_part = %(likely_part)s, detected_at = least(detected_at, %(detected_at)s),
    failed_at = coalesce(failed_at, %(failed_at)s), version = version + 1
WHERE ticket_no = %(ticket_no)s AND state IN ('proposed', 'confirmed', 'contacted', 'scheduled')
    AND (gtin, serial, model, definition_no, severity, safety, probability, likely_part, detected_at, failed_at)
        IS DISTINCT FROM (%(gtin)s, %(serial)s, %(model)s, %(definition_no)s::bigint, %(severity)s::severity,
            %(safety)s, %(probability)s::real, %(likely_part)s, least(detected_at, %(detected_at)s),
            coalesce(failed_at, %(failed_at)s));

-- name: tickets_not_the_owners
-- Open tickets of these devices whose user does not have the device at the desk's now: whether they had it when the
-- first evidence was seen, or never.
SELECT t.ticket_no, EXISTS (
    SELECT FROM binding AS b
    WHERE b.device_no = t.device_no AND b.user_id = t.user_id AND upper_inf(b.known)
        AND b.valid && tstzrange(t.detected_at, %(now)s, '[]')
) AS was_owner
FROM ticket AS t
WHERE (%(devices)s::int[] IS NULL OR t.device_no = ANY(%(devices)s)) AND t.state IN ('proposed', 'confirmed', 'contacted', 'scheduled')
    AND NOT EXISTS (
        SELECT FROM binding AS b
        WHERE b.device_no = t.device_no AND b.user_id = t.user_id AND upper_inf(b.known)
            AND b.valid @> %(now)s::timestamptz
    )
ORDER BY t.ticket_no;

-- name: tickets_without_codes
SELECT DISTINCT t.ticket_no
FROM ticket AS t JOIN fault_case AS c USING (ticket_no)
WHERE (%(devices)s::int[] IS NULL OR t.device_no = ANY(%(devices)s)) AND t.state IN ('proposed', 'confirmed', 'contacted', 'scheduled')
    AND c.merged_into IS NULL
GROUP BY t.ticket_no
HAVING bool_and(c.missing <> '{}')
ORDER BY t.ticket_no;

-- name: tickets_over
-- Proposed tickets whose every fault has been clear for long enough, and when it had been.
SELECT t.ticket_no, max(c.cleared_at
    + CASE c.source WHEN 'reported' THEN %(reported)s::interval ELSE %(predicted)s::interval END) AS over_at
FROM ticket AS t JOIN fault_case AS c USING (ticket_no)
WHERE t.state = 'proposed' AND c.merged_into IS NULL
GROUP BY t.ticket_no
HAVING bool_and(coalesce(c.cleared_at < %(now)s
    - CASE c.source WHEN 'reported' THEN %(reported)s::interval ELSE %(predicted)s::interval END, false))
ORDER BY t.ticket_no;

-- name: release_cases
UPDATE fault_case SET ticket_no = NULL WHERE ticket_no = %(ticket_no)s AND merged_into IS NULL RETURNING case_no;

-- name: ticket
SELECT * FROM ticket_card WHERE ticket_no = %(ticket_no)s;

-- name: open_tickets
SELECT * FROM ticket_card
WHERE state IN ('proposed', 'confirmed', 'contacted', 'scheduled')
    AND (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(after_value)s::real IS NULL
        OR (expected_value, -ticket_no) < (%(after_value)s::real, -%(after_no)s::bigint))
ORDER BY expected_value DESC, ticket_no
LIMIT %(at_most)s;

-- name: steps
SELECT step_no, ticket_no, from_state, to_state, person, at, reason FROM ticket_step
WHERE ticket_no = %(ticket_no)s ORDER BY step_no;

-- name: evidence
SELECT case_no, kind, first_seen_at, last_seen_at, times, probability, reason FROM ticket_evidence
WHERE ticket_no = %(ticket_no)s ORDER BY first_seen_at, case_no, kind;

-- name: lock_ticket
SELECT version, state, device_no FROM ticket WHERE ticket_no = %(ticket_no)s FOR UPDATE;

-- name: lock_device_of_ticket
SELECT lock_device(device_no) FROM ticket WHERE ticket_no = %(ticket_no)s;

-- name: set_appointment
UPDATE ticket SET scheduled_for = %(scheduled_for)s WHERE ticket_no = %(ticket_no)s;

-- name: set_noticed
UPDATE ticket SET noticed_at = least(noticed_at, %(at)s), version = version + 1 WHERE ticket_no = %(ticket_no)s;

-- name: set_failed
UPDATE ticket SET failed_at = %(at)s WHERE ticket_no = %(ticket_no)s AND %(at)s::timestamptz IS NOT NULL;

-- name: put_finding
INSERT INTO finding (ticket_no, device_no, outcome, code, part, note, person, failed_at, found_at)
VALUES (%(ticket_no)s, %(device_no)s, %(outcome)s, %(code)s, %(part)s, %(note)s, %(person)s, %(failed_at)s,
    coalesce(%(found_at)s::timestamptz, desk_now()))
RETURNING finding_no;

-- name: finding_of_ticket
SELECT finding_no, outcome, code, part, note, person, failed_at, found_at FROM finding
WHERE ticket_no = %(ticket_no)s;

-- name: device_no
SELECT device_no FROM device WHERE device = %(device)s;

-- name: report_health
INSERT INTO program_health (program, instance, at, counters)
VALUES ('desk', %(instance)s, clock_timestamp(), %(counters)s)
ON CONFLICT (program, instance) DO UPDATE SET at = excluded.at, counters = excluded.counters;
