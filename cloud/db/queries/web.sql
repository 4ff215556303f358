-- What the API and the console read. Every list is bounded; a series is down-sampled here, never in the program.

-- name: channels
SELECT DISTINCT ON (name) name AS channel, unit, role, hold_ms, declared_at
FROM channel_set AS s
CROSS JOIN LATERAL unnest(s.names, s.units, s.roles) WITH ORDINALITY AS c (name, unit, role, place)
WHERE s.device_no = %(device_no)s
ORDER BY name, declared_at DESC;

-- name: span_readings
SELECT coalesce(sum(samples::bigint * channels), 0)::bigint AS readings
FROM frame
WHERE device_no = %(device_no)s
    AND started_at >= %(since)s - interval '1 hour' AND started_at < %(until)s;

-- name: series_from_frames
SELECT channel, date_bin(%(step)s, at, %(since)s) AS at,
    min(value)::float8 AS low, avg(value)::float8 AS mean, max(value)::float8 AS high, count(*) AS readings
FROM any_sample
WHERE device_no = %(device_no)s
    AND started_at >= %(since)s - interval '1 hour' AND started_at < %(until)s
    AND at >= %(since)s AND at < %(until)s
    AND value > '-Infinity' AND value < 'Infinity'
    AND (%(channels)s::text[] IS NULL OR channel = ANY (%(channels)s))
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: series_from_hours
SELECT channel, date_bin(%(step)s, hour, %(since)s) AS at,
    min(low)::float8 AS low, (sum(mean * readings) / sum(readings))::float8 AS mean, max(high)::float8 AS high,
    sum(readings)::bigint AS readings
FROM rollup_hour
WHERE device_no = %(device_no)s AND hour >= %(since)s - interval '1 hour' AND hour < %(until)s
    AND (%(channels)s::text[] IS NULL OR channel = ANY (%(channels)s))
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: usual_ranges
SELECT channel,
    percentile_cont(0.1) WITHIN GROUP (ORDER BY low)::float8 AS low,
    percentile_cont(0.9) WITHIN GROUP (ORDER BY high)::float8 AS high,
    count(*) AS hours
FROM rollup_hour
WHERE device_no = %(device_no)s AND hour >= %(until)s - interval '14 days' AND hour < %(until)s
    AND (%(channels)s::text[] IS NULL OR channel = ANY (%(channels)s))
GROUP BY channel
HAVING count(*) >= %(hours)s;

-- name: consumables
SELECT channel, name, when_new, when_spent FROM consumable WHERE model = %(model)s ORDER BY channel;

-- name: consumable_levels
SELECT channel, date_bin(%(step)s, hour, %(since)s) AS at, (sum(mean * readings) / sum(readings))::float8 AS mean
FROM rollup_hour
WHERE device_no = %(device_no)s AND hour >= %(since)s AND hour < %(until)s AND channel = ANY (%(channels)s)
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: newest_sample
SELECT started_at + (samples - 1) * period_ms * interval '1 millisecond' AS at
FROM frame WHERE device_no = %(device_no)s ORDER BY started_at DESC LIMIT 1;

-- name: newest_batch
SELECT batch_no, committed_at, last_at FROM ingest_batch ORDER BY batch_no DESC LIMIT 1;

-- name: recent_batches
SELECT count(*) AS batches, coalesce(sum(frames), 0)::bigint AS frames,
    coalesce(sum(fault_reports), 0)::bigint AS fault_reports
FROM (SELECT frames, fault_reports, committed_at FROM ingest_batch ORDER BY batch_no DESC LIMIT 5000) AS newest
WHERE committed_at > clock_timestamp() - interval '1 minute';

-- name: fleet_counts
SELECT (SELECT count(*) FROM gateway) AS gateways,
    (SELECT count(*) FROM gateway WHERE online) AS gateways_online,
    (SELECT count(*) FROM device) AS devices,
    (SELECT count(*) FROM device WHERE active_faults <> '{}') AS devices_with_faults;

-- name: loss_totals
SELECT count(*) AS gaps, coalesce(sum(dropped), 0)::bigint AS dropped, coalesce(sum(bytes), 0)::bigint AS bytes
FROM loss_ledger;

-- name: losses
SELECT g.gateway, d.device, l.boot, l.seq, l.kind, l.dropped, l.bytes, l.first_at, l.last_at, l.reported_at
FROM loss_ledger AS l
JOIN gateway AS g USING (gateway_no)
JOIN device AS d USING (device_no)
ORDER BY l.reported_at DESC, l.device_no, l.boot, l.seq
LIMIT %(limit)s;

-- name: dead_letter_totals
SELECT reason, count(*) AS letters, sum(times)::bigint AS times,
    count(*) FILTER (WHERE replayed_at IS NULL) AS waiting
FROM dead_letter GROUP BY reason ORDER BY reason;

-- name: dead_letters
SELECT dead_letter_no, received_at, last_received_at, topic, reason, detail, times,
    octet_length(payload) AS payload_bytes, replayed_at
FROM dead_letter
WHERE (%(key)s::timestamptz IS NULL OR (last_received_at, dead_letter_no) < (%(key)s, %(number)s))
ORDER BY last_received_at DESC, dead_letter_no DESC
LIMIT %(limit)s;

-- name: programs
SELECT program, instance, at, counters FROM program_health ORDER BY program, instance;

-- name: faults
SELECT * FROM shown_fault
WHERE (%(device)s::text IS NULL OR device = %(device)s)
    AND (%(model)s::text IS NULL OR model = %(model)s)
    AND (%(source)s::text IS NULL OR source = %(source)s)
    AND (%(severity)s::text IS NULL OR severity = %(severity)s)
    AND (%(standing)s::boolean IS NULL OR (cleared_at IS NULL) = %(standing)s)
    AND (%(complete)s::boolean IS NULL OR (missing = '{}') = %(complete)s)
    AND (%(since)s::timestamptz IS NULL OR occurred_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR occurred_at < %(until)s)
    AND (%(key)s::timestamptz IS NULL OR (occurred_at, case_no) < (%(key)s, %(number)s))
ORDER BY occurred_at DESC, case_no DESC
LIMIT %(limit)s;

-- name: newest_faults
SELECT * FROM shown_fault ORDER BY case_no DESC LIMIT %(limit)s;

-- name: fault
SELECT * FROM shown_fault WHERE case_no = %(case_no)s;

-- name: standing_by_severity
SELECT coalesce(severity, 'unknown') AS severity, count(*) AS faults
FROM shown_fault WHERE cleared_at IS NULL GROUP BY 1;

-- name: tickets_in_order
WITH first AS MATERIALIZED (
    SELECT ticket_no, turn
    FROM queue_turn
    WHERE (%(state)s::text IS NULL OR state = %(state)s)
        AND (%(severity)s::text IS NULL OR severity = %(severity)s::severity)
        AND (%(device)s::text IS NULL OR device_no = (SELECT device_no FROM device WHERE device = %(device)s))
        AND (%(key)s::float8 IS NULL OR (turn, ticket_no) > (%(key)s::float8, %(number)s))
    ORDER BY turn, ticket_no
    LIMIT %(limit)s
)
SELECT v.*, first.turn FROM first JOIN shown_ticket AS v USING (ticket_no) ORDER BY first.turn, ticket_no;

-- name: tickets_by_time
SELECT * FROM shown_ticket
WHERE (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(open)s::boolean IS NULL OR (state IN ('proposed', 'confirmed', 'contacted', 'scheduled')) = %(open)s)
    AND (%(severity)s::text IS NULL OR severity = %(severity)s)
    AND (%(device)s::text IS NULL OR device = %(device)s)
    AND (%(key)s::timestamptz IS NULL OR (raised_at, ticket_no) < (%(key)s, %(number)s))
ORDER BY raised_at DESC, ticket_no DESC
LIMIT %(limit)s;

-- name: moved_tickets
WITH newest AS (
    SELECT ticket_no, max(step_no) AS step_no
    FROM (SELECT ticket_no, step_no FROM ticket_step ORDER BY step_no DESC LIMIT %(limit)s) AS steps
    GROUP BY ticket_no
)
SELECT v.* FROM newest JOIN shown_ticket AS v USING (ticket_no) ORDER BY newest.step_no DESC;

-- name: ticket_counts
SELECT state, count(*) AS tickets FROM ticket GROUP BY state;

-- name: ticket
SELECT v.*, t.device_no, m.price_band, p.produced_on, p.lot, f.version AS definition_version, f.self_help, f.source,
    f.stops, f.likely_parts, f.confirmation_rule, t.rank_reason, t.customer_words, t.likely_part
FROM shown_ticket AS v
JOIN ticket AS t USING (ticket_no)
JOIN model AS m ON m.model = t.model
LEFT JOIN product AS p ON p.gtin = t.gtin AND p.serial = t.serial
LEFT JOIN fault_definition AS f ON f.definition_no = t.definition_no
WHERE ticket_no = %(ticket_no)s;

-- name: ticket_steps
SELECT step_no, from_state, to_state, person, at, reason FROM ticket_step
WHERE ticket_no = %(ticket_no)s ORDER BY step_no;

-- name: gentle_run_of_ticket
SELECT state, until, detail, reason FROM gentle_card
WHERE ticket_no = %(ticket_no)s ORDER BY work_order_no DESC LIMIT 1;

-- name: ticket_evidence
SELECT e.case_no, e.kind, c.problem, e.first_seen_at, e.last_seen_at, e.times, e.probability, e.reason,
    c.horizon_hours
FROM ticket_evidence AS e
JOIN fault_case AS c USING (case_no)
WHERE e.ticket_no = %(ticket_no)s ORDER BY e.first_seen_at, e.case_no, e.kind;

-- name: findings
SELECT n.finding_no, n.ticket_no, d.device, n.outcome, n.code, n.part, n.note, n.person, n.failed_at, n.found_at,
    n.recorded_at
FROM finding AS n
JOIN device AS d USING (device_no)
WHERE (%(ticket_no)s::bigint IS NULL OR n.ticket_no = %(ticket_no)s)
    AND (%(device)s::text IS NULL OR d.device = %(device)s)
    AND (%(key)s::timestamptz IS NULL OR (n.found_at, n.finding_no) < (%(key)s, %(number)s))
ORDER BY n.found_at DESC, n.finding_no DESC
LIMIT %(limit)s;

-- name: finding
SELECT n.finding_no, n.ticket_no, d.device, n.outcome, n.code, n.part, n.note, n.person, n.failed_at, n.found_at,
    n.recorded_at
FROM finding AS n
JOIN device AS d USING (device_no)
WHERE n.finding_no = %(finding_no)s;

-- name: part_names
SELECT part, name FROM part WHERE part = ANY (%(parts)s);

-- name: part_choices
SELECT part, name FROM part ORDER BY part LIMIT 500;

-- name: model_codes
SELECT code, meaning FROM fault_definition
WHERE model = %(model)s AND upper_inf(known) ORDER BY code LIMIT 500;

-- name: devices
SELECT d.device_no, d.device, g.gateway, d.first_seen_at, d.last_seen_at, d.firmware, d.active_faults,
    i.model, m.name AS model_name, m.family, b.user_id,
    (SELECT count(*) FROM ticket AS t WHERE t.device_no = d.device_no
        AND t.state IN ('proposed', 'confirmed', 'contacted', 'scheduled')) AS open_tickets
FROM device AS d
LEFT JOIN gateway AS g USING (gateway_no)
LEFT JOIN fitting AS x ON x.device_no = d.device_no AND upper_inf(x.known) AND upper_inf(x.valid)
LEFT JOIN trade_item AS i USING (gtin)
LEFT JOIN model AS m USING (model)
LEFT JOIN binding AS b ON b.device_no = d.device_no AND upper_inf(b.known) AND upper_inf(b.valid)
WHERE (%(model)s::text IS NULL OR i.model = %(model)s)
    AND (%(beginning)s::text IS NULL OR starts_with(d.device, %(beginning)s))
    AND (%(faulty)s::boolean IS NULL OR (d.active_faults <> '{}') = %(faulty)s)
    AND (%(after)s::text IS NULL OR d.device > %(after)s)
ORDER BY d.device
LIMIT %(limit)s;

-- name: device
SELECT d.device_no, d.device, g.gateway, g.online AS gateway_online, d.first_seen_at, d.last_seen_at, d.firmware,
    d.active_faults, EXISTS (SELECT FROM registered_device AS r WHERE r.device_no = d.device_no) AS registered
FROM device AS d
LEFT JOIN gateway AS g USING (gateway_no)
WHERE d.device = %(device)s;

-- name: fittings
SELECT x.gtin, x.serial, p.produced_on, p.lot, i.model, m.name AS model_name, m.family, m.price_band,
    m.warranty_months, lower(x.valid) AS valid_from, upper(x.valid) AS valid_until
FROM fitting AS x
LEFT JOIN product AS p USING (gtin, serial)
LEFT JOIN trade_item AS i USING (gtin)
LEFT JOIN model AS m USING (model)
WHERE x.device_no = %(device_no)s AND upper_inf(x.known)
ORDER BY lower(x.valid) DESC NULLS LAST;

-- name: bindings
SELECT b.user_id, u.locale, u.time_zone, u.erased_at, lower(b.valid) AS valid_from, upper(b.valid) AS valid_until
FROM binding AS b
JOIN app_user AS u USING (user_id)
WHERE b.device_no = %(device_no)s AND upper_inf(b.known)
ORDER BY lower(b.valid) DESC NULLS LAST;

-- name: fault_states
SELECT s.code, s.active, s.changed_at, f.meaning, f.severity::text AS severity
FROM fault_state AS s
LEFT JOIN fault_definition AS f ON f.model = %(model)s AND f.code = s.code AND upper_inf(f.known)
WHERE s.device_no = %(device_no)s
ORDER BY s.active DESC, s.changed_at DESC;

-- name: clocks
SELECT clock_timestamp() AS wall_at, desk_now() AS desk_at, reads FROM desk_clock;

-- name: predictions
SELECT p.prediction_no, d.device, p.problem, p.state, p.raised_at, p.cleared_at, p.chattering, p.probability,
    p.horizon_hours, p.hours_left_low, p.hours_left_high, p.reason, p.detector, p.created_at
FROM prediction AS p
JOIN device AS d USING (device_no)
WHERE (%(device)s::text IS NULL OR d.device = %(device)s)
    AND (%(state)s::text IS NULL OR p.state = %(state)s)
    AND (%(key)s::timestamptz IS NULL OR (p.raised_at, p.prediction_no) < (%(key)s, %(number)s))
ORDER BY p.raised_at DESC, p.prediction_no DESC
LIMIT %(limit)s;

-- name: device_health
SELECT judged_at, score, probability, completeness, judgeable, silent FROM device_health
WHERE device_no = %(device_no)s;

-- name: shelves
SELECT s.shelf_no, s.problem, d.device, s.model, s.reason, s.person, s.shelved_at, s.until
FROM shelf AS s
LEFT JOIN device AS d USING (device_no)
WHERE s.ended_at IS NULL AND s.until > desk_now() AND s.shelved_at <= desk_now()
ORDER BY s.until, s.shelf_no
LIMIT 500;

-- name: put_on_shelf
WITH shelved AS (
    INSERT INTO shelf (problem, device_no, model, reason, person, shelved_at, until)
    SELECT c.problem, CASE WHEN NOT %(whole_model)s THEN c.device_no END, CASE WHEN %(whole_model)s THEN c.model END,
        %(reason)s, %(person)s, d.now, d.now + %(lasts)s
    FROM fault_case AS c CROSS JOIN (SELECT desk_now() AS now OFFSET 0) AS d WHERE c.case_no = %(case_no)s AND (c.model IS NOT NULL OR NOT %(whole_model)s)
    RETURNING shelf_no
)
SELECT shelf_no, pg_notify('fault_case', 'shelf') FROM shelved;

-- name: take_off_shelf
WITH ended AS (
    UPDATE shelf SET ended_at = greatest(desk_now(), shelved_at), ended_by = %(person)s
    WHERE shelf_no = %(shelf_no)s AND ended_at IS NULL RETURNING shelf_no
)
SELECT shelf_no, pg_notify('fault_case', 'shelf') FROM ended;

-- name: fleet_rates
-- Faults by a property of the appliances, in the last span and the one before it. A fault that a device reports again
-- within a span counts once. Exposure: time with a present owner, in years.
WITH span AS MATERIALIZED (
    SELECT desk_now() AS until, desk_now() - %(length)s AS middle, desk_now() - 2 * %(length)s AS since
), happened AS (
    SELECT device_no, count(*) FILTER (WHERE recent) AS recent, count(*) FILTER (WHERE before) AS before
    FROM (
        SELECT c.device_no, c.problem, bool_or(c.occurred_at >= s.middle) AS recent,
            bool_or(c.occurred_at < s.middle) AS before
        FROM span AS s JOIN fault_case AS c ON c.occurred_at >= s.since AND c.occurred_at < s.until
        WHERE c.merged_into IS NULL AND (%(problem)s::text IS NULL OR c.problem = %(problem)s)
        GROUP BY c.device_no, c.problem
    ) AS once
    GROUP BY device_no
), appliance AS (
    SELECT x.device_no, CASE %(by)s WHEN 'family' THEN m.family WHEN 'model' THEN i.model WHEN 'lot' THEN p.lot
            WHEN 'firmware' THEN d.firmware WHEN 'region' THEN nullif(u.region, '') END AS member,
        CASE WHEN %(by)s = 'lot' THEN m.name WHEN %(by)s = 'model' THEN m.name END AS name,
        greatest(s.since, coalesce(lower(b.valid), s.since)) AS used_since, s.until, s.middle
    FROM span AS s
    CROSS JOIN fitting AS x
    JOIN trade_item AS i USING (gtin)
    JOIN model AS m USING (model)
    LEFT JOIN product AS p ON %(by)s = 'lot' AND p.gtin = x.gtin AND p.serial = x.serial
    LEFT JOIN device AS d ON %(by)s = 'firmware' AND d.device_no = x.device_no
    LEFT JOIN binding AS b ON b.device_no = x.device_no AND upper_inf(b.known) AND upper_inf(b.valid)
    LEFT JOIN customer_profile AS u
        ON (%(by)s = 'region' OR %(region)s::text IS NOT NULL) AND u.user_id = b.user_id
    WHERE upper_inf(x.known) AND upper_inf(x.valid) AND (%(region)s::text IS NULL OR u.region = %(region)s)
)
SELECT a.member, a.name, count(*) AS devices, coalesce(sum(h.recent), 0)::bigint AS faults,
    count(*) FILTER (WHERE h.recent > 0) AS affected, coalesce(sum(h.before), 0)::bigint AS faults_before,
    (sum(greatest(extract(epoch FROM a.until - greatest(a.used_since, a.middle)), 0)) / 31557600)::float8 AS years,
    (sum(greatest(extract(epoch FROM a.middle - a.used_since), 0)) / 31557600)::float8 AS years_before
FROM appliance AS a
LEFT JOIN happened AS h USING (device_no)
GROUP BY a.member, a.name
ORDER BY faults DESC, a.member
LIMIT 2000;

-- name: places
SELECT region, latitude, longitude FROM region ORDER BY region LIMIT 5000;

-- name: fleet_problems
-- The faults of the last span by kind, with how many devices had each, and in the span before.
WITH once AS (
    SELECT c.device_no, c.problem, bool_or(c.occurred_at >= (SELECT desk_now()) - %(length)s) AS recent,
        bool_or(c.occurred_at < (SELECT desk_now()) - %(length)s) AS before
    FROM fault_case AS c
    WHERE c.merged_into IS NULL AND c.occurred_at >= (SELECT desk_now()) - 2 * %(length)s::interval
        AND c.occurred_at < (SELECT desk_now())
        AND (%(region)s::text IS NULL OR EXISTS (SELECT FROM binding AS b JOIN customer_profile AS u USING (user_id)
            WHERE b.device_no = c.device_no AND upper_inf(b.known) AND upper_inf(b.valid) AND u.region = %(region)s))
    GROUP BY c.device_no, c.problem
), counted AS (
    SELECT problem, count(*) FILTER (WHERE recent) AS devices, count(*) FILTER (WHERE before) AS devices_before
    FROM once GROUP BY problem ORDER BY 2 DESC, 1 LIMIT 40
)
SELECT n.problem, d.meaning, d.severity::text AS severity, n.devices, n.devices_before
FROM counted AS n
LEFT JOIN LATERAL (
    SELECT f.meaning, f.severity FROM fault_definition AS f WHERE f.code = n.problem AND upper_inf(f.known)
    ORDER BY f.severity DESC, f.definition_no LIMIT 1
) AS d ON true
ORDER BY n.devices DESC, n.problem;

-- name: trust_faults
-- Real faults that ended within the span: known by a finding that is not `no_fault_found`.
SELECT count(*) AS faults,
    count(*) FILTER (WHERE t.contacted_at < coalesce(t.noticed_at, 'infinity')) AS called_first,
    count(*) FILTER (WHERE t.ticket_no IS NULL) AS unforeseen
FROM finding AS f
LEFT JOIN ticket AS t USING (ticket_no)
WHERE f.outcome <> 'no_fault_found' AND f.found_at > (SELECT desk_now()) - %(length)s AND f.found_at <= (SELECT desk_now());

-- name: trust_leads
-- Whole hours from the call to the moment when the customer noticed or the appliance failed; where neither happened
-- (the repair came first) the time until the finding, as censored.
SELECT greatest(floor(extract(epoch FROM coalesce(ended, f.found_at) - t.contacted_at) / 3600), 0)::int AS hours,
    ended IS NULL AS censored, count(*) AS faults
FROM finding AS f
JOIN ticket AS t USING (ticket_no)
CROSS JOIN LATERAL (
    SELECT CASE WHEN least(t.noticed_at, t.failed_at) > t.contacted_at THEN least(t.noticed_at, t.failed_at) END AS ended
) AS e
WHERE f.outcome <> 'no_fault_found' AND f.found_at > (SELECT desk_now()) - %(length)s AND f.found_at <= (SELECT desk_now())
    AND t.contacted_at < coalesce(t.noticed_at, 'infinity') AND t.contacted_at < coalesce(t.failed_at, 'infinity')
GROUP BY 1, 2
ORDER BY 1;

-- name: trust_false_calls
-- Calls for nothing: contacted, and no fault was found, or dismissed after the call.
SELECT count(*) FILTER (WHERE f.outcome = 'no_fault_found' OR t.state = 'dismissed') AS needless, count(*) AS calls
FROM ticket AS t
LEFT JOIN finding AS f USING (ticket_no)
WHERE t.contacted_at IS NOT NULL AND t.closed_at > (SELECT desk_now()) - %(length)s AND t.closed_at <= (SELECT desk_now());

-- name: trust_exposure
SELECT coalesce(sum(greatest(extract(epoch FROM least(upper(valid), (SELECT desk_now()))
    - greatest(lower(valid), (SELECT desk_now()) - %(length)s)), 0)) / 31557600, 0)::float8 AS years
FROM binding WHERE upper_inf(known);

-- name: trust_calibration
-- What the detector stated before a finding came, against what was found.
SELECT least(floor(stated * 10), 9)::int AS tenth, avg(stated)::float8 AS stated, count(*) AS findings,
    count(*) FILTER (WHERE outcome IN ('fault_confirmed', 'other_fault')) AS confirmed
FROM (
    SELECT f.outcome, max(e.probability) AS stated
    FROM finding AS f
    JOIN ticket_evidence AS e USING (ticket_no)
    WHERE e.kind = 'predicted' AND f.found_at > (SELECT desk_now()) - %(length)s AND f.found_at <= (SELECT desk_now())
    GROUP BY f.finding_no, f.outcome
) AS labelled
GROUP BY 1 ORDER BY 1;

-- name: trust_backlog
SELECT (SELECT count(*) FROM ticket WHERE state IN ('contacted', 'scheduled')) AS awaited,
    (SELECT min(contacted_at) FROM ticket WHERE state IN ('contacted', 'scheduled')) AS oldest_at,
    count(*) AS predictions,
    count(*) FILTER (WHERE t.state = 'resolved') AS labelled,
    count(*) FILTER (WHERE c.occurred_at + c.horizon_hours * interval '1 hour' < (SELECT desk_now())
        AND t.state IS DISTINCT FROM 'resolved') AS overdue
FROM fault_case AS c
LEFT JOIN ticket AS t USING (ticket_no)
WHERE c.source = 'predicted' AND c.merged_into IS NULL
    AND c.occurred_at > (SELECT desk_now()) - %(length)s AND c.occurred_at <= (SELECT desk_now());

-- name: quality_findings
SELECT quality_finding_no, kind, scope, member, problem, devices, affected, rest_devices, rest_affected, q_value,
    sentence, state, found_at
FROM quality_finding
ORDER BY state <> 'open', found_at DESC, quality_finding_no DESC
LIMIT %(limit)s;

-- name: engineers
SELECT engineer, name, time_zone FROM engineer WHERE active ORDER BY name LIMIT 500;

-- name: day_visits
-- An engineer's visits of a day in their order, with what is needed at the door; no contact in it.
SELECT v.work_order_no, v.ticket_no, v.state, v.starts_at, v.ends_at, v.overtime, v.device, v.user_id, v.problem,
    v.severity, v.safety, v.likely_part, v.model, m.name AS model_name, v.family, v.gtin, v.serial, v.region, v.fails_by,
    v.finding_no, f.meaning, f.likely_parts, n.outcome, u.locale,
    (SELECT s.quantity FROM van_stock AS s WHERE s.engineer = v.engineer AND s.part = v.likely_part) AS in_van,
    (SELECT p.name FROM part AS p WHERE p.part = v.likely_part) AS part_name
FROM visit_card AS v
JOIN ticket AS t USING (ticket_no)
JOIN model AS m ON m.model = v.model
JOIN app_user AS u ON u.user_id = v.user_id
LEFT JOIN fault_definition AS f ON f.definition_no = t.definition_no
LEFT JOIN finding AS n ON n.finding_no = v.finding_no
WHERE v.engineer = %(engineer)s AND v.state IN ('booked', 'done')
    AND v.starts_at >= %(start)s AND v.starts_at < %(end)s
ORDER BY v.starts_at;

-- name: work_order
SELECT w.work_order_no, w.ticket_no, t.user_id, s.engineer
FROM work_order AS w
JOIN ticket AS t USING (ticket_no)
LEFT JOIN visit_slot AS s ON s.work_order_no = w.work_order_no AND s.state = 'booked'
WHERE w.work_order_no = %(work_order_no)s;

-- name: sla_pauses
SELECT ticket_no, lower(span) AS since, upper(span) AS until, reason FROM sla_pause
WHERE ticket_no = ANY (%(tickets)s) ORDER BY ticket_no, lower(span);

-- name: sla_pause_now
SELECT reason, person, lower(span) AS since, upper(span) AS until FROM sla_pause
WHERE ticket_no = %(ticket_no)s AND span @> desk_now();

-- name: customer
-- Who somebody is to the service, without anything that names them.
SELECT u.user_id, u.locale, u.time_zone, u.erased_at, coalesce(p.tier, 'standard') AS tier,
    coalesce(p.tags, '{}') AS tags, coalesce(p.region, '') AS region, desk_now() AS now,
    (SELECT min(lower(valid)) FROM binding AS b WHERE b.user_id = u.user_id AND upper_inf(b.known)) AS owner_since,
    (SELECT count(*) FROM ticket AS t WHERE t.user_id = u.user_id AND t.noticed_at IS NOT NULL
        AND t.raised_at > desk_now() - interval '1 year') AS noticed,
    (SELECT count(*) FROM ticket AS t WHERE t.user_id = u.user_id
        AND t.state IN ('proposed', 'confirmed', 'contacted', 'scheduled')) AS open_tickets,
    (SELECT count(*) FROM ticket AS t WHERE t.user_id = u.user_id AND t.state <> 'dismissed'
        AND t.raised_at > desk_now() - interval '1 year') AS tickets,
    (SELECT coalesce(array_agg(c.channel ORDER BY c.channel), '{}') FROM consent_now AS c
        WHERE c.user_id = u.user_id AND c.granted) AS consents
FROM app_user AS u
LEFT JOIN customer_profile AS p USING (user_id)
WHERE u.user_id = %(user_id)s;

-- name: customer_products
SELECT d.device, x.gtin, x.serial, m.model, m.name AS model_name, m.family, lower(b.valid) AS since,
    upper(b.valid) AS until, p.produced_on, m.warranty_months,
    (coalesce(lower(b.valid), p.produced_on) + make_interval(months => m.warranty_months)) AS warranty_until
FROM binding AS b
JOIN device AS d USING (device_no)
LEFT JOIN fitting AS x ON x.device_no = b.device_no AND upper_inf(x.known) AND upper_inf(x.valid)
LEFT JOIN product AS p ON p.gtin = x.gtin AND p.serial = x.serial
LEFT JOIN trade_item AS i ON i.gtin = x.gtin
LEFT JOIN model AS m ON m.model = i.model
WHERE b.user_id = %(user_id)s AND upper_inf(b.known)
ORDER BY upper(b.valid) DESC NULLS FIRST, lower(b.valid) DESC NULLS LAST
LIMIT 50;

-- name: verdict_of_ticket
SELECT verdict, reasons, judged_at, person, note FROM ticket_verdict WHERE ticket_no = %(ticket_no)s;

-- name: messages_of_ticket
SELECT purpose, state, reason, created_at, channel, message_state, delivered_at, subject, body,
    coalesce(answers, '{}') AS answers
FROM outreach_card WHERE ticket_no = %(ticket_no)s ORDER BY outreach_no DESC, message_no DESC NULLS LAST LIMIT 30;

-- name: visits_of_device
SELECT v.work_order_no, v.ticket_no, v.state, v.engineer_name, v.starts_at, v.ends_at, v.problem, n.outcome, n.code,
    n.part, n.note, n.found_at
FROM ticket AS t
JOIN visit_card AS v USING (ticket_no)
LEFT JOIN finding AS n ON n.finding_no = v.finding_no
WHERE t.device_no = %(device_no)s
ORDER BY coalesce(v.starts_at, v.waiting_since) DESC
LIMIT 20;

-- name: open_incidents
SELECT i.incident_no, i.region, i.cause, i.began_at, i.last_at, i.devices, i.region_devices, i.words, i.sentence,
    i.standing, i.customers, i.told, i.unreachable
FROM incident_card AS i
WHERE i.state = 'open'
ORDER BY i.last_at DESC
LIMIT 20;

-- name: incident_cases
SELECT case_no, incident_no FROM fault_case WHERE incident_no = ANY (%(incidents)s) AND case_no = ANY (%(cases)s);

-- name: snapshot
SELECT body, desk_at, extract(epoch FROM clock_timestamp() - made_at)::float8 AS age_s, took_s
FROM screen_snapshot WHERE name = %(name)s;

-- name: keep_snapshot
INSERT INTO screen_snapshot (name, body, desk_at, took_s) VALUES (%(name)s, %(body)s, desk_now(), %(took_s)s)
ON CONFLICT (name) DO UPDATE SET body = excluded.body, desk_at = excluded.desk_at, took_s = excluded.took_s,
    made_at = clock_timestamp();
