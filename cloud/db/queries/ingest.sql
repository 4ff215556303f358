-- What ingest asks of the database. One transaction a batch; the order of rows is the order of locks.

-- name: create_gateways
INSERT INTO gateway (gateway, partition)
SELECT g.gateway, g.partition FROM unnest(%s::text[], %s::smallint[]) AS g (gateway, partition)
WHERE NOT EXISTS (SELECT FROM gateway AS known WHERE known.gateway = g.gateway)
ORDER BY g.gateway
ON CONFLICT (gateway) DO NOTHING

-- name: find_gateways
SELECT gateway, gateway_no FROM gateway WHERE gateway = ANY(%s::text[])

-- name: create_devices
WITH heard AS (SELECT * FROM unnest(%s::text[], %s::int[]) AS h (device, gateway_no)),
moved AS (
    UPDATE device SET gateway_no = heard.gateway_no FROM heard
    WHERE device.device = heard.device AND device.gateway_no IS DISTINCT FROM heard.gateway_no
)
INSERT INTO device (device, gateway_no)
SELECT heard.device, heard.gateway_no FROM heard
WHERE NOT EXISTS (SELECT FROM device AS known WHERE known.device = heard.device)
ORDER BY heard.device
ON CONFLICT (device) DO NOTHING

-- name: find_devices
SELECT device, device_no FROM device WHERE device = ANY(%s::text[])

-- name: ensure_partitions
SELECT ensure_frame_partitions(%s::timestamptz[])

-- name: next_batch_numbers
SELECT nextval(pg_get_serial_sequence('ingest_batch', 'batch_no')) FROM generate_series(1, %s::int)

-- name: copy_frames
COPY frame (device_no, started_at, boot, seq, gateway_no, channel_set, period_ms, samples, channels, flags,
    readings, batch_no, ingested_at) FROM STDIN (FORMAT binary)

-- name: make_staging
CREATE TEMPORARY TABLE IF NOT EXISTS frame_staging (
    device_no int, started_at timestamptz, boot bigint, seq bigint, gateway_no int, channel_set bigint,
    period_ms bigint, samples int, channels int, flags smallint, readings real[], batch_no bigint,
    ingested_at timestamptz
) ON COMMIT DELETE ROWS

-- name: copy_staging
COPY frame_staging (device_no, started_at, boot, seq, gateway_no, channel_set, period_ms, samples, channels, flags,
    readings, batch_no, ingested_at) FROM STDIN (FORMAT binary)

-- name: insert_from_staging
INSERT INTO frame (device_no, started_at, boot, seq, gateway_no, channel_set, period_ms, samples, channels, flags,
    readings, batch_no, ingested_at)
SELECT device_no, started_at, boot, seq, gateway_no, channel_set, period_ms, samples, channels, flags,
    readings, batch_no, ingested_at
FROM frame_staging
ORDER BY device_no, started_at, boot, seq
ON CONFLICT DO NOTHING

-- name: finish_batch
WITH batch AS (
    INSERT INTO ingest_batch (batch_no, frames, fault_reports, first_at, last_at)
    OVERRIDING SYSTEM VALUE VALUES (%(batch_no)s, %(frames)s, %(fault_reports)s, %(first_at)s, %(last_at)s)
    RETURNING batch_no
)
SELECT pg_notify('ingest_batch', batch_no::text) FROM batch

-- name: declare_channel_sets
INSERT INTO channel_set (device_no, channel_set, names, units, resolutions, roles, period_ms, hold_ms, declared_at)
SELECT (s->>'device_no')::int, (s->>'channel_set')::bigint,
    ARRAY(SELECT jsonb_array_elements_text(s->'names')), ARRAY(SELECT jsonb_array_elements_text(s->'units')),
    ARRAY(SELECT jsonb_array_elements_text(s->'resolutions')::real),
    ARRAY(SELECT jsonb_array_elements_text(s->'roles')),
    (s->>'period_ms')::bigint, (s->>'hold_ms')::bigint, (s->>'declared_at')::timestamptz
FROM unnest(%s::jsonb[]) AS s
ORDER BY 1, 2
ON CONFLICT (device_no, channel_set) DO NOTHING

-- name: note_gateways
UPDATE gateway SET
    online = g.online,
    boot = greatest(g.boot, gateway.boot),
    firmware = coalesce(g.firmware, gateway.firmware),
    heartbeat = coalesce(g.heartbeat, gateway.heartbeat),
    last_seen_at = greatest(g.seen_at, gateway.last_seen_at)
FROM unnest(%s::int[], %s::boolean[], %s::bigint[], %s::text[], %s::jsonb[], %s::timestamptz[])
    AS g (gateway_no, online, boot, firmware, heartbeat, seen_at)
WHERE gateway.gateway_no = g.gateway_no AND g.boot >= coalesce(gateway.boot, 0)

-- name: note_firmware
UPDATE device SET firmware = d.firmware
FROM unnest(%s::int[], %s::text[]) AS d (device_no, firmware)
WHERE device.device_no = d.device_no AND device.firmware IS DISTINCT FROM d.firmware

-- name: note_devices_heard
-- Locked in order, so that several ingestors do not wait for each other in a circle.
UPDATE device SET last_seen_at = now()
FROM (
    SELECT device_no FROM device WHERE device_no = ANY(%s::int[]) ORDER BY device_no FOR NO KEY UPDATE
) AS heard
WHERE device.device_no = heard.device_no

-- name: note_gateways_heard
UPDATE gateway SET last_seen_at = now()
FROM (
    SELECT gateway_no FROM gateway WHERE gateway_no = ANY(%s::int[]) ORDER BY gateway_no FOR NO KEY UPDATE
) AS heard
WHERE gateway.gateway_no = heard.gateway_no

-- name: store_fault_reports
INSERT INTO fault_report
    (device_no, occurred_at, boot, seq, code, raised, freeze_frame, gateway_no, batch_no, ingested_at)
SELECT f.*, %s::bigint, %s::timestamptz
FROM unnest(%s::int[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::text[], %s::boolean[], %s::jsonb[],
    %s::int[]) AS f (device_no, occurred_at, boot, seq, code, raised, freeze_frame, gateway_no)
ON CONFLICT DO NOTHING

-- name: settle_fault_state
WITH newest AS (
    SELECT DISTINCT ON (device_no, code) device_no, code, raised, occurred_at
    FROM fault_report
    WHERE batch_no = %s::bigint AND NOT inferred
    ORDER BY device_no, code, occurred_at DESC, boot DESC, seq DESC
)
INSERT INTO fault_state (device_no, code, active, changed_at)
SELECT device_no, code, raised, occurred_at FROM newest ORDER BY device_no, code
ON CONFLICT (device_no, code) DO UPDATE SET active = excluded.active, changed_at = excluded.changed_at
WHERE excluded.changed_at >= fault_state.changed_at

-- name: infer_fault_reports
WITH stated AS (
    SELECT * FROM unnest(%(devices)s::int[], %(codes)s::text[], %(since)s::timestamptz[])
        AS s (device_no, code, since)
),
differing AS (
    SELECT s.device_no, s.code, true AS raised, s.since AS occurred_at
    FROM stated AS s LEFT JOIN fault_state AS f USING (device_no, code)
    WHERE f.device_no IS NULL OR (NOT f.active AND f.changed_at <= %(at)s)
    UNION ALL
    SELECT f.device_no, f.code, false, %(at)s::timestamptz
    FROM fault_state AS f
    WHERE f.device_no = ANY(%(inventory)s::int[]) AND f.active AND f.changed_at <= %(at)s
        AND NOT EXISTS (SELECT FROM stated AS s WHERE s.device_no = f.device_no AND s.code = f.code)
),
settled AS (
    INSERT INTO fault_state (device_no, code, active, changed_at)
    SELECT DISTINCT ON (device_no, code) device_no, code, raised, %(at)s::timestamptz
    FROM differing ORDER BY device_no, code
    ON CONFLICT (device_no, code) DO UPDATE SET active = excluded.active, changed_at = excluded.changed_at
)
INSERT INTO fault_report
    (device_no, occurred_at, boot, seq, code, raised, gateway_no, inferred, batch_no, ingested_at)
SELECT d.device_no, d.occurred_at, %(boot)s, %(seq)s, d.code, d.raised, %(gateway_no)s, true, %(batch_no)s,
    %(ingested_at)s
FROM differing AS d
WHERE NOT EXISTS (
    SELECT FROM fault_report AS known
    WHERE known.device_no = d.device_no AND known.code = d.code
        AND known.raised = d.raised AND known.occurred_at = d.occurred_at
)
ON CONFLICT DO NOTHING
RETURNING occurred_at

-- name: refresh_active_faults
UPDATE device SET active_faults = faults.codes
FROM (
    SELECT d.device_no, coalesce(array_agg(f.code ORDER BY f.code) FILTER (WHERE f.active), '{}') AS codes
    FROM unnest(%s::int[]) AS d (device_no) LEFT JOIN fault_state AS f USING (device_no)
    GROUP BY d.device_no
) AS faults
WHERE device.device_no = faults.device_no AND device.active_faults <> faults.codes

-- name: store_losses
INSERT INTO loss_ledger
    (gateway_no, device_no, boot, seq, kind, dropped, bytes, first_at, last_at, reported_at)
SELECT * FROM unnest(%s::int[], %s::int[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[],
    %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
ON CONFLICT DO NOTHING

-- name: store_replies
INSERT INTO reply (device_no, command_id, boot, seq, outcome, detail, result, replied_at)
SELECT * FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::jsonb[],
    %s::timestamptz[])
ON CONFLICT DO NOTHING

-- name: file_dead_letters
INSERT INTO dead_letter (topic, payload, reason, detail, digest)
SELECT DISTINCT ON (topic, digest) topic, payload, reason, detail, digest
FROM unnest(%s::text[], %s::bytea[], %s::text[], %s::text[], %s::text[])
    AS d (topic, payload, reason, detail, digest)
ORDER BY topic, digest
ON CONFLICT (topic, digest) DO UPDATE SET
    times = dead_letter.times + 1, last_received_at = now(), reason = excluded.reason, detail = excluded.detail

-- name: list_dead_letters
SELECT dead_letter_no, last_received_at, times, topic, reason, detail, octet_length(payload), replayed_at
FROM dead_letter
WHERE (%(reason)s::text IS NULL OR reason = %(reason)s) AND (%(all)s OR replayed_at IS NULL)
ORDER BY dead_letter_no DESC
LIMIT %(at_most)s

-- name: dead_letters_to_replay
SELECT dead_letter_no, topic, payload
FROM dead_letter
WHERE replayed_at IS NULL AND dead_letter_no > %(after)s
    AND (%(numbers)s::bigint[] IS NULL OR dead_letter_no = ANY(%(numbers)s))
    AND (%(reason)s::text IS NULL OR reason = %(reason)s)
ORDER BY dead_letter_no
LIMIT %(at_most)s

-- name: mark_replayed
UPDATE dead_letter SET replayed_at = now() WHERE dead_letter_no = ANY(%s)

-- name: report_health
INSERT INTO program_health (program, instance, at, counters) VALUES (%s, %s, now(), %s)
ON CONFLICT (program, instance) DO UPDATE SET at = excluded.at, counters = excluded.counters

-- name: drop_frames
SELECT drop_frames(now() - %s * interval '1 day')

-- name: forget_batches
-- Batches that every consumer has passed, older than a week: nobody follows them any more.
DELETE FROM ingest_batch AS b
WHERE b.committed_at < now() - interval '7 days'
    AND NOT EXISTS (SELECT FROM tail_cursor AS c WHERE (c.xid, c.batch_no) < (b.xid, b.batch_no))
    AND EXISTS (SELECT FROM tail_cursor)

-- name: start_cursor
INSERT INTO tail_cursor (consumer) VALUES (%s) ON CONFLICT DO NOTHING

-- name: take_cursor
SELECT xid::text, batch_no FROM tail_cursor WHERE consumer = %s FOR UPDATE SKIP LOCKED

-- name: next_batches
SELECT xid::text, batch_no, first_at, last_at FROM committed_batches(%s::text::xid8, %s::bigint, %s::int)

-- name: any_passed
SELECT EXISTS (
    SELECT FROM ingest_batch WHERE batch_no = ANY(%s::bigint[]) AND (xid, batch_no) <= (%s::text::xid8, %s::bigint)
)

-- name: move_cursor
UPDATE tail_cursor SET xid = %s::text::xid8, batch_no = %s WHERE consumer = %s

-- name: roll_up_frames
INSERT INTO channel_rollup AS known SELECT * FROM hourly(%s::bigint[], %s::timestamptz, %s::timestamptz)
ON CONFLICT (device_no, hour, channel_set, place) DO UPDATE SET
    low = least(known.low, excluded.low),
    high = greatest(known.high, excluded.high),
    mean = (known.mean * known.readings + excluded.mean * excluded.readings) / (known.readings + excluded.readings),
    readings = known.readings + excluded.readings

-- name: make_rollup_staging
CREATE TEMPORARY TABLE IF NOT EXISTS rollup_staging (LIKE channel_rollup) ON COMMIT DELETE ROWS

-- name: copy_rollup_staging
COPY rollup_staging (device_no, channel_set, place, hour, low, mean, high, readings) FROM STDIN (FORMAT binary)

-- name: merge_rollup_staging
INSERT INTO channel_rollup AS known SELECT * FROM rollup_staging
ON CONFLICT (device_no, hour, channel_set, place) DO UPDATE SET
    low = least(known.low, excluded.low),
    high = greatest(known.high, excluded.high),
    mean = (known.mean * known.readings + excluded.mean * excluded.readings) / (known.readings + excluded.readings),
    readings = known.readings + excluded.readings

-- name: compress_after
SELECT compress_frames(%s * interval '1 day')
