-- name: committed_batches
SELECT batch_no, xid::text, first_at, last_at
FROM committed_batches(%(xid)s::xid8, %(batch_no)s, %(at_most)s)

-- name: frames_of_batches
SELECT d.device, f.boot, f.seq, extract(epoch FROM f.started_at)::float8, f.period_ms, f.samples, f.channels,
    f.readings, extract(epoch FROM f.ingested_at)::float8, f.device_no, f.channel_set
FROM frame AS f
JOIN device AS d USING (device_no)
WHERE f.batch_no = ANY (%(batches)s) AND f.started_at BETWEEN %(first_at)s AND %(last_at)s
    AND f.flags & 1 = 0
ORDER BY f.batch_no, f.device_no, f.started_at, f.boot, f.seq

-- name: fault_reports_of_batches
SELECT d.device, extract(epoch FROM r.occurred_at)::float8, r.code, r.raised,
    extract(epoch FROM r.ingested_at)::float8
FROM fault_report AS r
JOIN device AS d USING (device_no)
WHERE r.batch_no = ANY (%(batches)s)
ORDER BY r.batch_no, r.device_no, r.occurred_at, r.boot, r.seq, r.code

-- name: frames_between
SELECT d.device, f.boot, f.seq, extract(epoch FROM f.started_at)::float8, f.period_ms, f.samples, f.channels,
    f.readings, extract(epoch FROM f.ingested_at)::float8, f.device_no, f.channel_set
FROM frame AS f
JOIN device AS d USING (device_no)
WHERE f.started_at >= %(since)s AND f.started_at < %(before)s AND f.flags & 1 = 0
ORDER BY f.started_at, f.device_no, f.boot, f.seq

-- name: fault_reports_between
SELECT d.device, extract(epoch FROM r.occurred_at)::float8, r.code, r.raised,
    extract(epoch FROM r.ingested_at)::float8
FROM fault_report AS r
JOIN device AS d USING (device_no)
WHERE r.occurred_at >= %(since)s AND r.occurred_at < %(before)s
ORDER BY r.occurred_at, r.device_no, r.boot, r.seq, r.code

-- name: stored_span
SELECT min(started_at), max(started_at) FROM frame

-- name: channel_sets
SELECT device_no, channel_set, names, roles, hold_ms FROM channel_set WHERE device_no = ANY (%(devices)s)

-- name: models
SELECT f.device_no, t.model
FROM fitting AS f
JOIN trade_item AS t USING (gtin)
WHERE f.device_no = ANY (%(devices)s) AND upper_inf(f.valid) AND upper_inf(f.known)

-- name: families_of_models
SELECT model, family FROM model ORDER BY model

-- name: new_findings
SELECT f.finding_no, d.device, f.outcome, coalesce(f.code, f.part, ''),
    extract(epoch FROM coalesce(f.failed_at, t.raised_at, f.found_at))::float8,
    extract(epoch FROM f.found_at)::float8, f.ticket_no IS NULL, f.part
FROM finding AS f
JOIN device AS d USING (device_no)
LEFT JOIN ticket AS t USING (ticket_no)
LEFT JOIN detector_lesson AS l ON l.finding_no = f.finding_no AND l.detector = %(detector)s
WHERE l.finding_no IS NULL AND f.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY f.finding_no

-- name: lessons
SELECT f.finding_no, d.device, f.outcome, coalesce(f.code, f.part, ''),
    extract(epoch FROM coalesce(f.failed_at, t.raised_at, f.found_at))::float8,
    extract(epoch FROM f.found_at)::float8, f.ticket_no IS NULL, f.part, l.tick
FROM detector_lesson AS l
JOIN finding AS f USING (finding_no)
JOIN device AS d USING (device_no)
LEFT JOIN ticket AS t USING (ticket_no)
WHERE l.detector = %(detector)s AND l.tick >= %(since_tick)s
ORDER BY l.tick, f.finding_no

-- name: record_lesson
INSERT INTO detector_lesson (detector, finding_no, tick) VALUES (%(detector)s, %(finding_no)s, %(tick)s)
ON CONFLICT DO NOTHING

-- name: cohorts
SELECT d.device, c.since_tick, c.cohort
FROM detector_cohort AS c JOIN device AS d USING (device_no)
WHERE c.detector = %(detector)s
ORDER BY c.since_tick

-- name: record_cohort
INSERT INTO detector_cohort (detector, device_no, since_tick, cohort)
SELECT %(detector)s, device_no, %(since_tick)s, %(cohort)s FROM device WHERE device = %(device)s
ON CONFLICT DO NOTHING

-- name: raise_prediction
INSERT INTO prediction (device_no, problem, raised_at, probability, horizon_hours, hours_left_low, hours_left_high,
    reason, detector)
SELECT device_no, %(problem)s, to_timestamp(%(at)s), %(probability)s, %(horizon_hours)s, %(hours_left_low)s,
    %(hours_left_high)s, %(reason)s, %(detector)s
FROM device WHERE device = %(device)s
ON CONFLICT DO NOTHING

-- name: clear_prediction
UPDATE prediction SET state = 'cleared', cleared_at = to_timestamp(%(at)s), xid = pg_current_xact_id()
WHERE device_no = (SELECT device_no FROM device WHERE device = %(device)s)
    AND problem = %(problem)s AND state = 'active' AND raised_at <= to_timestamp(%(at)s)

-- name: mark_chattering
UPDATE prediction SET chattering = true
WHERE device_no = (SELECT device_no FROM device WHERE device = %(device)s) AND problem = %(problem)s AND state = 'active'

-- name: record_health
INSERT INTO device_health (device_no, judged_at, score, probability, completeness, judgeable, silent, late_samples)
SELECT d.device_no, to_timestamp(h.judged_at), h.score, h.probability, h.completeness, h.judgeable, h.silent, h.late
FROM unnest(%(devices)s::text[], %(judged_at)s::float8[], %(scores)s::real[], %(probabilities)s::real[],
        %(completeness)s::real[], %(judgeable)s::boolean[], %(silent)s::boolean[], %(late)s::bigint[])
    AS h (device, judged_at, score, probability, completeness, judgeable, silent, late)
JOIN device AS d USING (device)
ON CONFLICT (device_no) DO UPDATE SET judged_at = excluded.judged_at, score = excluded.score,
    probability = excluded.probability, completeness = excluded.completeness, judgeable = excluded.judgeable,
    silent = excluded.silent, late_samples = excluded.late_samples

-- name: decisions
SELECT d.device, p.problem, extract(epoch FROM p.raised_at)::float8, extract(epoch FROM p.cleared_at)::float8,
    p.probability
FROM prediction AS p
JOIN device AS d USING (device_no)
WHERE p.detector = %(detector)s
ORDER BY p.raised_at, d.device, p.problem

-- name: checkpoint_head
SELECT xid::text, batch_no, chunks FROM detector_checkpoint WHERE detector = %(detector)s

-- name: checkpoint_chunks
SELECT body FROM detector_checkpoint_chunk WHERE detector = %(detector)s ORDER BY chunk

-- name: drop_checkpoint
DELETE FROM detector_checkpoint WHERE detector = %(detector)s

-- name: write_checkpoint
INSERT INTO detector_checkpoint (detector, xid, batch_no, chunks)
VALUES (%(detector)s, %(xid)s::xid8, %(batch_no)s, %(chunks)s)

-- name: write_checkpoint_chunk
INSERT INTO detector_checkpoint_chunk (detector, chunk, body) VALUES (%(detector)s, %(chunk)s, %(body)s)

-- name: record_program_health
INSERT INTO program_health (program, instance, at, counters) VALUES ('detect', %(instance)s, now(), %(counters)s)
ON CONFLICT (program, instance) DO UPDATE SET at = excluded.at, counters = excluded.counters

-- name: recorded_failures
SELECT DISTINCT d.device, extract(epoch FROM coalesce(f.failed_at, f.found_at))::float8 AS at
FROM finding AS f
JOIN device AS d USING (device_no)
WHERE f.outcome IN ('fault_confirmed', 'other_fault')
ORDER BY at, d.device

-- name: families
SELECT d.device, coalesce(m.family, 'unknown')
FROM device AS d
LEFT JOIN fitting AS f ON f.device_no = d.device_no AND upper_inf(f.valid) AND upper_inf(f.known)
LEFT JOIN trade_item AS t USING (gtin)
LEFT JOIN model AS m USING (model)
