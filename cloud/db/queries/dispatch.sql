-- Dispatch's statements. One round at a time (advisory lock); rows are locked as: work order, then its slots.

-- name: lock_round
SELECT pg_advisory_xact_lock(46628);

-- name: need_visits
-- Tickets whose customer may be offered a visit and that have no work order yet: where self-help is safe to try it comes
-- first, until it was declined, or did not help; and nobody is sent who was told to stay away.
INSERT INTO work_order (ticket_no, experienced, waiting_since, not_before, fails_by)
SELECT t.ticket_no,
    coalesce(p.tier = 'high', false) OR (
        SELECT count(*) FROM ticket AS x
        WHERE x.gtin = t.gtin AND x.serial = t.serial AND x.user_id = t.user_id AND x.state <> 'dismissed'
            AND x.raised_at > desk_now() - interval '90 days'
    ) >= %(repeated)s,
    coalesce(t.confirmed_at, desk_now()),
    c.not_before,
    (
        SELECT min(CASE WHEN k.source = 'reported' THEN NULL
            ELSE k.occurred_at + make_interval(secs => 3600 * coalesce(r.hours_left_low, k.horizon_hours)) END)
        FROM fault_case AS k LEFT JOIN prediction AS r USING (prediction_no)
        WHERE k.ticket_no = t.ticket_no AND k.merged_into IS NULL AND k.cleared_at IS NULL
    )
FROM ticket AS t
LEFT JOIN fault_definition AS d ON d.definition_no = t.definition_no
LEFT JOIN customer_profile AS p ON p.user_id = t.user_id
LEFT JOIN contact_preference AS c ON c.user_id = t.user_id
LEFT JOIN self_help_watch AS w ON w.ticket_no = t.ticket_no
LEFT JOIN LATERAL (
    SELECT array_agg(a.action) AS actions FROM outreach_answer AS a JOIN outreach AS o USING (outreach_no)
    WHERE o.ticket_no = t.ticket_no
) AS said ON true
WHERE t.state IN ('confirmed', 'contacted')
    AND NOT coalesce(said.actions && '{stop}', false)
    AND (w.ticket_no IS NULL OR w.state = 'came_back' OR coalesce(said.actions && '{visit,call_me}', false))
    AND (
        coalesce(said.actions && '{visit,call_me}', false) OR w.state = 'came_back'
        OR coalesce(d.self_help, '{}') = '{}' OR t.safety NOT IN ('none', 'water')
        OR EXISTS (SELECT FROM self_help_watch AS s WHERE s.device_no = t.device_no
            AND s.state IN ('came_back', 'relapsed') AND s.began_at > desk_now() - interval '180 days')
    )
    AND NOT EXISTS (
        SELECT FROM work_order AS o WHERE o.ticket_no = t.ticket_no AND o.state IN ('waiting', 'offered', 'booked')
    )
ON CONFLICT DO NOTHING
RETURNING work_order_no;

-- name: end_holds
-- Holds that ran out: the window is free again, its customer waits on (and has waited since the same day as before).
WITH over AS (
    UPDATE visit_slot SET state = 'released', changed_at = clock_timestamp()
    WHERE state IN ('held', 'offered') AND (hold_until <= desk_now() OR lower(span) <= desk_now())
    RETURNING work_order_no, state
)
UPDATE work_order AS w SET state = 'waiting'
WHERE w.state = 'offered' AND w.work_order_no IN (SELECT work_order_no FROM over)
    AND NOT EXISTS (
        SELECT FROM visit_slot AS s WHERE s.work_order_no = w.work_order_no AND s.state IN ('held', 'offered')
            AND s.hold_until > desk_now() AND lower(s.span) > desk_now()
    );

-- name: waiting_orders
SELECT w.work_order_no, m.family, t.problem, coalesce(p.region, '') AS region, t.severity::text AS severity,
    w.waiting_since, t.likely_part AS part, w.experienced, t.failed_at IS NOT NULL AS failed, w.fails_by, w.not_before,
    u.time_zone, y.name AS family_name, n.name AS part_name, t.device_no,
    (SELECT count(*) FROM visit_slot AS s WHERE s.work_order_no = w.work_order_no AND s.kept
        AND s.state = 'released') AS holds_before
FROM work_order AS w
JOIN ticket AS t USING (ticket_no)
JOIN model AS m ON m.model = t.model
JOIN app_user AS u ON u.user_id = t.user_id
LEFT JOIN appliance_family AS y ON y.family = m.family
LEFT JOIN part AS n ON n.part = t.likely_part
LEFT JOIN customer_profile AS p ON p.user_id = t.user_id
WHERE w.state = 'waiting' AND t.state IN ('confirmed', 'contacted')
ORDER BY w.waiting_since, w.work_order_no
LIMIT 500
FOR UPDATE OF w;

-- name: engineers
SELECT e.engineer, e.name, e.seniority, e.regions, e.time_zone,
    coalesce((SELECT jsonb_object_agg(s.family, to_jsonb(s.problems)) FROM engineer_skill AS s
        WHERE s.engineer = e.engineer), '{}') AS skills,
    coalesce((SELECT jsonb_object_agg(v.part, v.quantity) FROM van_stock AS v
        WHERE v.engineer = e.engineer AND v.quantity > 0), '{}') AS stock,
    coalesce((SELECT jsonb_agg(jsonb_build_array(h.weekday, h.starts, h.ends)) FROM engineer_hours AS h
        WHERE h.engineer = e.engineer), '[]') AS hours
FROM engineer AS e
WHERE e.active
ORDER BY e.engineer;

-- name: taken
SELECT engineer, lower(span), upper(span) FROM visit_slot
WHERE state IN ('held', 'booked') AND span && tstzrange(%(start)s, %(end)s)
UNION ALL
SELECT engineer, greatest(lower(span), %(start)s), least(upper(span), %(end)s) FROM engineer_absence
WHERE span && tstzrange(%(start)s, %(end)s);

-- name: chosen
SELECT engineer, lower(span) FROM visit_slot
WHERE state = 'booked' AND chosen AND span && tstzrange(%(start)s, %(end)s);

-- name: propose
INSERT INTO visit_slot (work_order_no, engineer, span, state, kept, overtime, hold_until, explanation)
VALUES (%(work_order_no)s, %(engineer)s, tstzrange(%(start)s, %(end)s), %(state)s, %(state)s = 'held', %(overtime)s, %(hold_until)s,
    %(explanation)s);

-- name: set_order_state
UPDATE work_order SET state = %(state)s WHERE work_order_no = %(work_order_no)s;

-- name: mark_offered
UPDATE work_order SET state = 'offered' WHERE work_order_no = ANY(%(orders)s) AND state = 'waiting';

-- name: ask_to_run_gently
-- The command to the device follows by trigger. The same visit again asks for nothing new.
INSERT INTO gentle_run AS g (work_order_no, device_no, until, reason, asked_at)
VALUES (%(work_order_no)s, %(device_no)s, %(until)s, %(reason)s, desk_now())
ON CONFLICT (work_order_no) DO UPDATE SET until = excluded.until, reason = excluded.reason, ended_at = NULL,
    asked_at = excluded.asked_at
WHERE g.until <> excluded.until OR g.ended_at IS NOT NULL OR g.command_id IS NULL;

-- name: end_gentle_run
UPDATE gentle_run SET ended_at = desk_now()
WHERE work_order_no = %(work_order_no)s AND ended_at IS NULL AND until > desk_now();

-- name: windows
SELECT s.slot_no, s.state, lower(s.span) AS starts_at, upper(s.span) AS ends_at, s.hold_until
FROM visit_slot AS s JOIN work_order AS w USING (work_order_no)
WHERE w.ticket_no = %(ticket_no)s AND w.state IN ('waiting', 'offered', 'booked')
    AND (s.state = 'booked' OR (s.state IN ('held', 'offered') AND s.hold_until > desk_now()
        AND lower(s.span) > desk_now()))
    AND NOT EXISTS (
        SELECT FROM visit_slot AS x WHERE x.engineer = s.engineer AND x.span && s.span AND x.slot_no <> s.slot_no
            AND x.state IN ('held', 'booked') AND s.state = 'offered'
    )
ORDER BY lower(s.span);

-- name: slot
SELECT s.slot_no, s.work_order_no, s.engineer, s.state, lower(s.span) AS starts_at, upper(s.span) AS ends_at,
    s.hold_until, w.ticket_no, w.state AS order_state, w.fails_by, t.device_no, t.state AS ticket_state,
    u.time_zone, desk_now() AS now
FROM visit_slot AS s JOIN work_order AS w USING (work_order_no) JOIN ticket AS t USING (ticket_no)
JOIN app_user AS u USING (user_id)
WHERE s.slot_no = %(slot_no)s;

-- name: lock_order
SELECT state FROM work_order WHERE work_order_no = %(work_order_no)s FOR UPDATE;

-- name: release_slots
UPDATE visit_slot SET state = 'released', changed_at = clock_timestamp()
WHERE work_order_no = %(work_order_no)s AND state IN ('held', 'offered', 'booked') AND slot_no <> %(but)s;

-- name: book_slot
UPDATE visit_slot SET state = 'booked', chosen = (state = 'offered'), changed_at = clock_timestamp()
WHERE slot_no = %(slot_no)s AND state IN ('held', 'offered') RETURNING slot_no;

-- name: chosen_on_day
SELECT count(*) FROM visit_slot
WHERE engineer = %(engineer)s AND state = 'booked' AND chosen
    AND span && tstzrange(%(start)s, %(end)s);

-- name: engineer
SELECT time_zone, coalesce((SELECT jsonb_agg(jsonb_build_array(h.weekday, h.starts, h.ends)) FROM engineer_hours AS h
    WHERE h.engineer = e.engineer), '[]') AS hours
FROM engineer AS e WHERE e.engineer = %(engineer)s;

-- name: order_of_ticket
SELECT work_order_no FROM work_order WHERE ticket_no = %(ticket_no)s AND state IN ('waiting', 'offered', 'booked');

-- name: lock_ticket_device
SELECT lock_device(device_no) FROM ticket WHERE ticket_no = %(ticket_no)s;

-- name: lock_ticket
SELECT state FROM ticket WHERE ticket_no = %(ticket_no)s FOR UPDATE;

-- name: day_of
SELECT * FROM visit_card
WHERE engineer = %(engineer)s AND state IN ('booked', 'done') AND starts_at >= %(start)s AND starts_at < %(end)s
ORDER BY starts_at;

-- name: board
SELECT * FROM visit_card WHERE state IN ('waiting', 'offered', 'booked')
ORDER BY coalesce(starts_at, 'infinity'), waiting_since LIMIT %(at_most)s;

-- name: order
SELECT w.work_order_no, w.ticket_no, w.state, t.device_no, t.state AS ticket_state, s.engineer
FROM work_order AS w JOIN ticket AS t USING (ticket_no)
LEFT JOIN visit_slot AS s ON s.work_order_no = w.work_order_no AND s.state = 'booked'
WHERE w.work_order_no = %(work_order_no)s;

-- name: report_of
SELECT finding_no, digest FROM visit_report WHERE work_order_no = %(work_order_no)s;

-- name: put_report
INSERT INTO visit_report (work_order_no, finding_no, digest) VALUES (%(work_order_no)s, %(finding_no)s, %(digest)s);

-- name: use_part
UPDATE van_stock SET quantity = quantity - 1 WHERE engineer = %(engineer)s AND part = %(part)s AND quantity > 0;

-- name: put_photo
INSERT INTO visit_photo (work_order_no, digest, media_type, body)
VALUES (%(work_order_no)s, %(digest)s, %(media_type)s, %(body)s) ON CONFLICT DO NOTHING;

-- name: photos
SELECT encode(digest, 'hex') AS digest, media_type, octet_length(body) AS bytes, received_at FROM visit_photo
WHERE work_order_no = %(work_order_no)s ORDER BY received_at, digest;

-- name: photo
SELECT media_type, body FROM visit_photo WHERE work_order_no = %(work_order_no)s AND digest = decode(%(digest)s, 'hex');

-- name: ask_for_later
-- The customer asked for later: what was kept for now is free again.
UPDATE work_order SET not_before = %(at)s, state = 'waiting'
WHERE ticket_no = %(ticket_no)s AND state IN ('waiting', 'offered') RETURNING work_order_no;

-- name: cancel_order
UPDATE work_order SET state = 'cancelled', closed_at = clock_timestamp()
WHERE ticket_no = %(ticket_no)s AND state IN ('waiting', 'offered') RETURNING work_order_no;

-- name: sla_tickets
SELECT t.ticket_no, t.severity::text AS severity, t.state, t.confirmed_at, t.contacted_at, t.closed_at,
    coalesce((SELECT jsonb_agg(jsonb_build_array(lower(p.span), upper(p.span))) FROM sla_pause AS p
        WHERE p.ticket_no = t.ticket_no), '[]') AS pauses,
    coalesce((SELECT jsonb_agg(jsonb_build_array(e.clock, e.level)) FROM sla_escalation AS e
        WHERE e.ticket_no = t.ticket_no), '[]') AS told,
    desk_now() AS now
FROM ticket AS t
WHERE t.state IN ('confirmed', 'contacted', 'scheduled')
    AND (%(ticket_no)s::bigint IS NULL OR t.ticket_no = %(ticket_no)s);

-- name: escalate
INSERT INTO sla_escalation (ticket_no, clock, level, at) VALUES (%(ticket_no)s, %(clock)s, %(level)s, %(at)s)
ON CONFLICT DO NOTHING RETURNING ticket_no;

-- name: pause
INSERT INTO sla_pause (ticket_no, reason, span, person)
SELECT %(ticket_no)s, %(reason)s, tstzrange(desk_now(), %(until)s), %(person)s
WHERE NOT EXISTS (SELECT FROM sla_pause WHERE ticket_no = %(ticket_no)s
    AND span && tstzrange(desk_now(), %(until)s))
RETURNING pause_no;

-- name: resume
UPDATE sla_pause SET span = tstzrange(lower(span), greatest(desk_now(), lower(span) + interval '1 microsecond'))
WHERE ticket_no = %(ticket_no)s AND (upper_inf(span) OR upper(span) > desk_now());

-- name: put_engineer
INSERT INTO engineer (engineer, name, seniority, regions, time_zone, active)
VALUES (%(engineer)s, %(name)s, %(seniority)s, %(regions)s, %(time_zone)s, %(active)s)
ON CONFLICT (engineer) DO UPDATE SET name = excluded.name, seniority = excluded.seniority, regions = excluded.regions,
    time_zone = excluded.time_zone, active = excluded.active;

-- name: clear_skills
DELETE FROM engineer_skill WHERE engineer = %(engineer)s;

-- name: put_skill
INSERT INTO engineer_skill (engineer, family, problems) VALUES (%(engineer)s, %(family)s, %(problems)s)
ON CONFLICT (engineer, family) DO UPDATE SET problems = excluded.problems;

-- name: clear_hours
DELETE FROM engineer_hours WHERE engineer = %(engineer)s;

-- name: put_hours
INSERT INTO engineer_hours (engineer, weekday, starts, ends) VALUES (%(engineer)s, %(weekday)s, %(starts)s, %(ends)s);

-- name: put_absence
INSERT INTO engineer_absence (engineer, span, reason)
VALUES (%(engineer)s, tstzrange(%(start)s, %(end)s), %(reason)s) RETURNING absence_no;

-- name: put_stock
INSERT INTO van_stock (engineer, part, quantity) VALUES (%(engineer)s, %(part)s, %(quantity)s)
ON CONFLICT (engineer, part) DO UPDATE SET quantity = excluded.quantity;

-- name: now
SELECT desk_now();
