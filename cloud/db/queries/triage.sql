-- Triage's statements: verdicts, storms, lots, the queue.

-- name: await_verdicts
-- Cases of open tickets are judged, and judged again whenever they change; what a person said stands.
INSERT INTO triage (case_no)
SELECT c.case_no FROM fault_case AS c JOIN ticket AS t USING (ticket_no)
WHERE c.case_no = ANY(%(cases)s) AND c.merged_into IS NULL AND t.state IN ('proposed', 'confirmed')
ON CONFLICT (case_no) DO UPDATE SET look_at = '-infinity' WHERE triage.person = 'desk';

-- name: answered_self_tests
-- The reply has come: look now.
UPDATE triage AS t SET look_at = '-infinity'
WHERE t.verdict = 'waiting' AND t.self_test IS NOT NULL AND t.look_at < 'infinity' AND t.look_at > %(now)s
    AND EXISTS (SELECT FROM reply AS r WHERE r.command_id = t.self_test);

-- name: due
SELECT case_no FROM triage WHERE look_at <= %(now)s AND look_at < 'infinity'
ORDER BY look_at, case_no LIMIT %(at_most)s FOR UPDATE SKIP LOCKED;

-- name: dossiers
-- A case with what its verdict needs. `raised`: at most the last thousand.
SELECT c.case_no, c.device_no, c.ticket_no, t.state AS ticket_state, c.source, c.problem, c.probability,
    c.occurred_at, c.last_raised_at, c.cleared_at, c.model, p.lot, d.confirmation_rule, g.self_test,
    coalesce(h.raised, '{}') AS raised,
    greatest(c.last_at, c.last_raised_at, f.at, r.at) AS heard_at,
    a.outcome AS reply_outcome, a.result AS reply_result, a.detail AS reply_detail,
    k.expires_at AS self_test_until
FROM fault_case AS c
JOIN triage AS g USING (case_no)
LEFT JOIN ticket AS t USING (ticket_no)
LEFT JOIN product AS p ON p.gtin = c.gtin AND p.serial = c.serial
LEFT JOIN fault_definition AS d ON d.definition_no = c.definition_no
LEFT JOIN LATERAL (
    SELECT array_agg(n.occurred_at ORDER BY n.occurred_at) AS raised FROM (
        SELECT DISTINCT x.occurred_at FROM fault_report AS x
        WHERE x.device_no = c.device_no AND x.code = c.problem AND x.raised
            AND x.occurred_at BETWEEN c.occurred_at - %(longest)s::interval AND coalesce(c.cleared_at, c.last_at)
        ORDER BY x.occurred_at DESC LIMIT 1000
    ) AS n
) AS h ON true
LEFT JOIN LATERAL (
    SELECT y.started_at + y.samples * y.period_ms * interval '1 millisecond' AS at FROM frame AS y
    WHERE y.device_no = c.device_no AND y.started_at <= %(now)s ORDER BY y.started_at DESC LIMIT 1
) AS f ON true
LEFT JOIN LATERAL (
    SELECT z.occurred_at AS at FROM fault_report AS z
    WHERE z.device_no = c.device_no AND z.occurred_at <= %(now)s ORDER BY z.occurred_at DESC LIMIT 1
) AS r ON true
LEFT JOIN command AS k ON k.command_id = g.self_test
LEFT JOIN LATERAL (
    SELECT w.outcome, w.result, w.detail FROM reply AS w
    WHERE w.command_id = g.self_test AND w.device_no = c.device_no ORDER BY w.replied_at LIMIT 1
) AS a ON true
WHERE c.case_no = ANY(%(cases)s)
ORDER BY c.case_no;

-- name: readings
-- Each channel around the fault: mean of the freeze frame, mean of regular samples, and what the week before had.
WITH seen AS (
    SELECT s.channel, min(s.unit) AS unit, avg(s.value) FILTER (WHERE s.freeze_frame) AS frozen,
        avg(s.value) FILTER (WHERE NOT s.freeze_frame) AS around, count(*) AS samples
    FROM any_sample AS s
    WHERE s.device_no = %(device_no)s AND s.started_at BETWEEN %(since)s::timestamptz - interval '10 minutes' AND %(until)s
        AND s.at BETWEEN %(since)s AND %(until)s
    GROUP BY s.channel
)
SELECT seen.channel, seen.unit, seen.frozen, seen.around, seen.samples, usual.mean AS usual
FROM seen LEFT JOIN LATERAL (
    SELECT sum(r.mean * r.readings) / sum(r.readings) AS mean FROM rollup_hour AS r
    WHERE r.device_no = %(device_no)s AND r.channel = seen.channel
        AND r.hour BETWEEN %(since)s::timestamptz - interval '8 days' AND %(since)s::timestamptz - interval '1 day'
) AS usual ON true
ORDER BY seen.channel;

-- name: peers
-- How many other devices of the same model, and of the same lot, had the same problem lately.
SELECT count(DISTINCT c.device_no) AS of_model,
    count(DISTINCT c.device_no) FILTER (WHERE p.lot = %(lot)s) AS of_lot,
    (SELECT sum(devices) FROM cohort_size WHERE model = %(model)s) AS model_devices,
    (SELECT devices FROM cohort_size WHERE model = %(model)s AND lot = %(lot)s) AS lot_devices
FROM fault_case AS c LEFT JOIN product AS p ON p.gtin = c.gtin AND p.serial = c.serial
WHERE c.model = %(model)s AND c.problem = %(problem)s AND c.merged_into IS NULL AND c.device_no <> %(device_no)s
    AND c.occurred_at > %(since)s;

-- name: write_verdict
UPDATE triage SET verdict = %(verdict)s, reasons = %(reasons)s, evidence = %(evidence)s, judged_at = %(now)s,
    look_at = coalesce(%(look_at)s::timestamptz, 'infinity'), self_test = coalesce(%(self_test)s, self_test)
WHERE case_no = %(case_no)s AND person = 'desk';

-- name: ask
-- Idempotent by its id: a turn that is repeated asks for the same.
INSERT INTO command (command_id, device_no, instruction, requested_at, requested_by, expires_at)
VALUES (%(command_id)s, %(device_no)s, %(instruction)s, %(now)s, %(person)s, %(expires_at)s)
ON CONFLICT (command_id) DO NOTHING;

-- name: tickets_to_move
-- Proposed tickets with a confirmed case that is not over by now, and those of which every case is refuted.
SELECT t.ticket_no,
    CASE WHEN bool_or(g.verdict = 'confirmed') THEN 'confirmed' ELSE 'refuted' END AS verdict,
    (array_agg(g.reasons ORDER BY g.verdict <> 'confirmed', c.case_no))[1] AS reasons
FROM ticket AS t
JOIN fault_case AS c ON c.ticket_no = t.ticket_no AND c.merged_into IS NULL
LEFT JOIN triage AS g USING (case_no)
WHERE t.state = 'proposed' AND t.ticket_no = ANY(%(tickets)s)
GROUP BY t.ticket_no
HAVING bool_or(g.verdict = 'confirmed' AND (c.cleared_at IS NULL OR c.cleared_at > %(now)s
        - CASE c.source WHEN 'reported' THEN %(reported)s::interval ELSE %(predicted)s::interval END)) OR bool_and(coalesce(g.verdict = 'refuted', false))
ORDER BY t.ticket_no;

-- name: confirmed_too_late
-- Tickets that the desk confirmed though, as a late report now shows, the fault had long been over then; not called yet.
SELECT t.ticket_no
FROM ticket AS t JOIN fault_case AS c USING (ticket_no)
WHERE t.state = 'confirmed' AND c.merged_into IS NULL AND t.ticket_no = ANY(%(tickets)s)
    AND (SELECT s.person FROM ticket_step AS s WHERE s.ticket_no = t.ticket_no AND s.to_state = 'confirmed'
        ORDER BY s.step_no DESC LIMIT 1) = 'desk'
GROUP BY t.ticket_no, t.confirmed_at
HAVING bool_and(coalesce(c.cleared_at <= t.confirmed_at
    - CASE c.source WHEN 'reported' THEN %(reported)s::interval ELSE %(predicted)s::interval END, false))
ORDER BY t.ticket_no;

-- name: overrule
UPDATE triage AS g SET verdict = %(verdict)s, person = %(person)s, note = %(note)s, judged_at = desk_now(),
    look_at = 'infinity'
FROM fault_case AS c
WHERE c.case_no = g.case_no AND c.ticket_no = %(ticket_no)s AND c.merged_into IS NULL;

-- name: add_overruled
INSERT INTO triage (case_no, verdict, person, note, judged_at, look_at)
SELECT c.case_no, %(verdict)s, %(person)s, %(note)s, desk_now(), 'infinity' FROM fault_case AS c
WHERE c.ticket_no = %(ticket_no)s AND c.merged_into IS NULL
ON CONFLICT (case_no) DO NOTHING;

-- name: reopen
-- A ticket that the desk refuted, once more: a closed one stays closed.
INSERT INTO ticket (device_no, problem, user_id, gtin, serial, model, definition_no, severity, safety, probability,
    expected_value, rank_reason, customer_words, likely_part, detected_at, raised_at, failed_at)
SELECT device_no, problem, user_id, gtin, serial, model, definition_no, severity, safety, probability,
    expected_value, rank_reason, customer_words, likely_part, detected_at, desk_now(), failed_at
FROM ticket WHERE ticket_no = %(ticket_no)s AND state = 'dismissed'
ON CONFLICT (device_no, problem) WHERE state IN ('proposed', 'confirmed', 'contacted', 'scheduled') DO NOTHING
RETURNING ticket_no;

-- name: move_cases
UPDATE fault_case SET ticket_no = %(to)s, withheld = NULL WHERE ticket_no = %(ticket_no)s AND merged_into IS NULL;

-- name: verdict_of_ticket
SELECT ticket_no, case_no, verdict, reasons, evidence, judged_at, look_at, person, note, self_test
FROM ticket_verdict WHERE ticket_no = %(ticket_no)s;

-- name: verdicts_of_ticket
SELECT v.verdict_no, v.case_no, v.verdict, v.reasons, v.person, v.note, v.at
FROM verdict AS v JOIN fault_case AS c USING (case_no)
WHERE c.ticket_no = %(ticket_no)s ORDER BY v.verdict_no;

-- name: cases_to_test
SELECT c.case_no, c.device_no, (SELECT count(*) FROM command AS k WHERE k.command_id LIKE 'self-test-' || c.case_no || '-%%') AS tries
FROM fault_case AS c
WHERE c.ticket_no = %(ticket_no)s AND c.merged_into IS NULL ORDER BY c.case_no DESC LIMIT 1;

-- name: note_self_test
INSERT INTO triage (case_no, self_test) VALUES (%(case_no)s, %(command_id)s)
ON CONFLICT (case_no) DO UPDATE SET self_test = excluded.self_test,
    look_at = CASE WHEN triage.person = 'desk' THEN '-infinity' ELSE triage.look_at END;
