-- Outreach's statements. Locks are taken in one order everywhere: device, ticket, outreach, household.

-- name: due
SELECT outreach_no FROM outreach
WHERE state = 'open' AND (look_at <= desk_now() OR wall_at <= clock_timestamp())
ORDER BY incident_no IS NOT NULL, look_at, outreach_no -- a storm's many come after those whose appliance is at fault
LIMIT %(at_most)s;

-- name: next_wall
SELECT extract(epoch FROM min(wall_at) - clock_timestamp())::float8 FROM outreach
WHERE state = 'open' AND wall_at < 'infinity';

-- name: lock_device_of
SELECT lock_device(s.device_no) FROM outreach_subject AS s WHERE s.outreach_no = %(outreach_no)s;

-- name: lock_ticket_of
SELECT t.ticket_no FROM ticket AS t
WHERE t.ticket_no = (SELECT ticket_no FROM outreach WHERE outreach_no = %(outreach_no)s) FOR UPDATE;

-- name: lock_outreach
SELECT outreach_no FROM outreach WHERE outreach_no = %(outreach_no)s AND state = 'open' FOR UPDATE;

-- name: lock_household
SELECT pg_advisory_xact_lock(46629, hashtext(%(household)s));

-- name: case_file
-- An outreach with what it is about (a ticket or a storm), its customer, and what the dictionary says.
SELECT o.outreach_no, o.ticket_no, o.step_no, o.incident_no, o.purpose, o.user_id, o.state AS outreach_state,
    t.ticket_state, t.device_no, t.problem, t.severity, t.safety, t.customer_words, t.self_help,
    t.gtin, t.serial, t.family, y.name AS family_name,
    u.locale, u.time_zone, u.erased_at IS NOT NULL AS erased,
    coalesce(p.household, o.user_id) AS household,
    coalesce(c.quiet_from, '20:00') AS quiet_from, coalesce(c.quiet_until, '09:00') AS quiet_until,
    coalesce(c.urgent_any_hour, false) AS urgent_any_hour, c.not_before, c.preferred_channel,
    EXISTS (
        SELECT FROM binding AS b
        WHERE b.device_no = t.device_no AND upper_inf(b.known) AND b.valid @> desk_now()
            AND (b.user_id = o.user_id OR (o.purpose = 'storm' AND account_root(b.user_id) = o.user_id))
    ) AS owner,
    t.overtaken,
    EXISTS (SELECT FROM outreach_answer AS a WHERE a.outreach_no = o.outreach_no) AS answered,
    (
        SELECT a.channel FROM outreach_answer AS a JOIN outreach AS x USING (outreach_no)
        WHERE x.ticket_no = o.ticket_no ORDER BY a.answer_no DESC LIMIT 1
    ) AS answered_on,
    EXISTS (
        SELECT FROM self_help_watch AS w WHERE w.device_no = t.device_no AND w.state IN ('came_back', 'relapsed')
            AND w.began_at > desk_now() - interval '180 days'
    ) OR EXISTS (
        SELECT FROM outreach_answer AS a JOIN outreach AS x USING (outreach_no)
        WHERE x.ticket_no = o.ticket_no AND a.action = 'visit'
    ) AS self_help_spent,
    desk_now() AS now
FROM outreach AS o
JOIN outreach_subject AS t USING (outreach_no)
JOIN app_user AS u ON u.user_id = o.user_id
LEFT JOIN appliance_family AS y ON y.family = t.family
LEFT JOIN customer_profile AS p ON p.user_id = o.user_id
LEFT JOIN contact_preference AS c ON c.user_id = o.user_id
WHERE o.outreach_no = %(outreach_no)s;

-- name: reachable
-- Channels that the user consented to and has an address for.
SELECT c.channel FROM consent_now AS c
WHERE c.user_id = %(user_id)s AND c.granted AND (
    (c.channel IN ('sms', 'phone') AND EXISTS (
        SELECT FROM personal_contact AS p WHERE p.user_id = c.user_id AND p.kind = 'phone'))
    OR (c.channel = 'email' AND EXISTS (
        SELECT FROM personal_contact AS p WHERE p.user_id = c.user_id AND p.kind = 'email'))
    OR (c.channel IN ('push', 'messaging') AND EXISTS (
        SELECT FROM messaging_address AS a WHERE a.user_id = c.user_id AND a.channel = c.channel))
);

-- name: consents
SELECT channel, granted, source, at FROM consent_now WHERE user_id = %(user_id)s ORDER BY channel;

-- name: attempts
SELECT channel, state, first_tried_at, last_tried_at, delivered_at, retry_at <= clock_timestamp() AS retry_due,
    coalesce(claimed_until <= clock_timestamp(), true) AS lease_over
FROM outreach_message WHERE outreach_no = %(outreach_no)s ORDER BY message_no;

-- name: next_wall_of
SELECT least(min(retry_at) FILTER (WHERE state = 'due' AND retry_at > '-infinity'), min(claimed_until))
FROM outreach_message WHERE outreach_no = %(outreach_no)s AND state IN ('due', 'in_flight');

-- name: household_sends
SELECT coalesce(delivered_at, last_tried_at) FROM outreach_message
WHERE household = %(household)s AND proactive AND outreach_no <> %(outreach_no)s AND state <> 'refused'
    AND last_tried_at > %(now)s::timestamptz - %(within)s::interval;

-- name: offers
SELECT slot_no, lower(span) AS starts_at, upper(span) AS ends_at
FROM visit_slot AS s JOIN work_order AS w USING (work_order_no)
WHERE w.ticket_no = %(ticket_no)s AND w.state IN ('waiting', 'offered') AND s.state IN ('held', 'offered')
    AND s.hold_until > desk_now() AND lower(s.span) > desk_now()
ORDER BY s.state = 'held' DESC, lower(s.span)
LIMIT 3;

-- name: appointment
SELECT s.slot_no, lower(s.span) AS starts_at, upper(s.span) AS ends_at
FROM visit_slot AS s JOIN work_order AS w USING (work_order_no)
WHERE w.ticket_no = %(ticket_no)s AND s.state = 'booked' AND w.state IN ('booked', 'done');

-- name: appointment_of_ticket
SELECT 0::bigint AS slot_no, scheduled_for AS starts_at, scheduled_for + interval '2 hours' AS ends_at FROM ticket
WHERE ticket_no = %(ticket_no)s AND scheduled_for IS NOT NULL;

-- name: gentle_run
SELECT until, state = 'accepted' AS accepted FROM gentle_card
WHERE ticket_no = %(ticket_no)s AND until > desk_now() AND state <> 'ended'
ORDER BY work_order_no DESC LIMIT 1;

-- name: wait
UPDATE outreach SET reason = %(reason)s, look_at = coalesce(%(look_at)s::timestamptz, 'infinity'),
    wall_at = coalesce(%(wall_at)s::timestamptz, 'infinity')
WHERE outreach_no = %(outreach_no)s AND state = 'open';

-- name: end
UPDATE outreach SET state = %(state)s, reason = %(reason)s, closed_at = clock_timestamp()
WHERE outreach_no = %(outreach_no)s AND state = 'open';

-- name: expire
UPDATE outreach_message SET state = 'expired'
WHERE outreach_no = %(outreach_no)s AND channel = ANY(%(channels)s) AND state = 'due';

-- name: claim
-- The first try makes the row, a later one takes it up again: the key is the same whatever happens in between.
INSERT INTO outreach_message AS m (outreach_no, channel, key, household, proactive, state, tries, first_tried_at,
    last_tried_at, claimed_until, claimed_by, locale, subject, body)
VALUES (%(outreach_no)s, %(channel)s, %(key)s, %(household)s, %(proactive)s, 'in_flight', 1, %(now)s, %(now)s,
    clock_timestamp() + %(lease)s::interval, %(claimed_by)s, %(locale)s, %(subject)s, %(body)s)
ON CONFLICT (outreach_no, channel) DO UPDATE SET state = 'in_flight', tries = m.tries + 1, last_tried_at = %(now)s,
    claimed_until = excluded.claimed_until, claimed_by = excluded.claimed_by, locale = excluded.locale,
    subject = excluded.subject, body = excluded.body
RETURNING message_no;

-- name: postpone
-- The provider is being spared: the message is owed from now on, and was not given to it.
INSERT INTO outreach_message AS m (outreach_no, channel, key, household, proactive, first_tried_at, retry_at)
VALUES (%(outreach_no)s, %(channel)s, %(key)s, %(household)s, %(proactive)s, %(now)s, %(retry_at)s)
ON CONFLICT (outreach_no, channel) DO UPDATE SET retry_at = excluded.retry_at, state = 'due';

-- name: put_code
INSERT INTO check_code (message_no, gtin, serial, code_hash, expires_at)
VALUES (%(message_no)s, %(gtin)s, %(serial)s, %(code_hash)s, clock_timestamp() + %(valid_for)s::interval)
ON CONFLICT (message_no) DO UPDATE SET expires_at = excluded.expires_at;

-- name: delivered
UPDATE outreach_message SET state = 'delivered', delivered_at = greatest(desk_now(), last_tried_at),
    reference = %(reference)s, trouble = NULL, claimed_until = NULL
WHERE message_no = %(message_no)s AND state = 'in_flight' AND claimed_by = %(claimed_by)s
RETURNING outreach_no;

-- name: not_delivered
UPDATE outreach_message SET state = %(state)s, trouble = %(trouble)s, claimed_until = NULL,
    retry_at = coalesce(%(retry_at)s::timestamptz, retry_at)
WHERE message_no = %(message_no)s AND state = 'in_flight' AND claimed_by = %(claimed_by)s
RETURNING outreach_no;

-- name: look_again
UPDATE outreach SET look_at = '-infinity' WHERE outreach_no = %(outreach_no)s AND state = 'open';

-- name: put_call
INSERT INTO call_task (message_no, script) VALUES (%(message_no)s, %(script)s) ON CONFLICT (message_no) DO NOTHING;

-- name: messaging_address
SELECT address FROM messaging_address WHERE user_id = %(user_id)s AND channel = %(channel)s;

-- name: ticket_state
SELECT state FROM ticket WHERE ticket_no = %(ticket_no)s;

-- name: put_consent
INSERT INTO consent (user_id, channel, granted, source)
SELECT %(user_id)s, channel, %(granted)s, %(source)s FROM unnest(%(channels)s::text[]) AS channel
WHERE NOT EXISTS (
    SELECT FROM consent_now AS c
    WHERE c.user_id = %(user_id)s AND c.channel = channel AND c.granted = %(granted)s
);

-- name: put_preference
INSERT INTO contact_preference AS p (user_id, quiet_from, quiet_until, urgent_any_hour, preferred_channel)
VALUES (%(user_id)s, %(quiet_from)s, %(quiet_until)s, %(urgent_any_hour)s, %(preferred_channel)s)
ON CONFLICT (user_id) DO UPDATE SET quiet_from = excluded.quiet_from, quiet_until = excluded.quiet_until,
    urgent_any_hour = excluded.urgent_any_hour, preferred_channel = excluded.preferred_channel;

-- name: preference
SELECT quiet_from, quiet_until, urgent_any_hour, preferred_channel, not_before FROM contact_preference
WHERE user_id = %(user_id)s;

-- name: put_not_before
INSERT INTO contact_preference (user_id, not_before) VALUES (%(user_id)s, %(at)s)
ON CONFLICT (user_id) DO UPDATE SET not_before = greatest(contact_preference.not_before, excluded.not_before);

-- name: clear_not_before
UPDATE contact_preference SET not_before = NULL WHERE user_id = %(user_id)s AND not_before IS NOT NULL;

-- name: put_profile
INSERT INTO customer_profile AS p (user_id, household, region, tier, tags)
VALUES (%(user_id)s, %(household)s, %(region)s, %(tier)s, %(tags)s)
ON CONFLICT (user_id) DO UPDATE SET household = excluded.household, region = excluded.region, tier = excluded.tier,
    tags = excluded.tags;

-- name: put_messaging_address
INSERT INTO messaging_address (user_id, channel, address) VALUES (%(user_id)s, %(channel)s, %(address)s)
ON CONFLICT (user_id, channel) DO UPDATE SET address = excluded.address;

-- name: put_answer
INSERT INTO outreach_answer (outreach_no, action, choice, channel, at)
VALUES (%(outreach_no)s, %(action)s, %(choice)s, %(channel)s, desk_now())
ON CONFLICT DO NOTHING RETURNING answer_no;

-- name: put_reminder
INSERT INTO outreach (ticket_no, step_no, user_id, purpose, look_at)
SELECT ticket_no, step_no, user_id, 'reminder', %(at)s FROM outreach WHERE outreach_no = %(outreach_no)s
ON CONFLICT DO NOTHING;

-- name: put_came_back
INSERT INTO outreach (ticket_no, step_no, user_id, purpose)
SELECT t.ticket_no, max(s.step_no), t.user_id, 'came_back'
FROM ticket AS t JOIN ticket_step AS s USING (ticket_no) WHERE t.ticket_no = %(ticket_no)s
GROUP BY t.ticket_no, t.user_id
ON CONFLICT DO NOTHING;

-- name: stop_outreach_of
UPDATE outreach SET state = 'exhausted', reason = 'stopped', closed_at = clock_timestamp()
WHERE user_id = %(user_id)s AND state = 'open';

-- name: answer_open_of_ticket
UPDATE outreach SET state = 'answered', reason = %(action)s, closed_at = clock_timestamp()
WHERE ticket_no = %(ticket_no)s AND state = 'open'
    AND purpose IN ('first_call', 'reminder', 'came_back', 'new_time');

-- name: cancel_calls_of_ticket
UPDATE call_task AS c SET state = 'cancelled', done_at = clock_timestamp()
FROM outreach_message AS m JOIN outreach AS o USING (outreach_no)
WHERE c.message_no = m.message_no AND o.ticket_no = %(ticket_no)s AND c.state = 'open';

-- name: put_asked_call
-- The customer asked to be called: a task whose script is written when it is taken. An earlier call is opened again.
WITH message AS (
    INSERT INTO outreach_message AS m (outreach_no, channel, key, household, proactive, state, tries, first_tried_at,
        last_tried_at, delivered_at)
    SELECT %(outreach_no)s, 'phone', %(key)s, o.user_id, false, 'delivered', 1, desk_now(), desk_now(), desk_now()
    FROM outreach AS o WHERE o.outreach_no = %(outreach_no)s
    ON CONFLICT (outreach_no, channel) DO UPDATE SET tries = m.tries + 1
    RETURNING message_no
)
INSERT INTO call_task AS c (message_no, script) SELECT message_no, '' FROM message
ON CONFLICT (message_no) DO UPDATE SET state = 'open', agent = NULL, outcome = NULL, script = '';

-- name: live_codes
SELECT c.code_hash, m.channel, coalesce(m.delivered_at, m.last_tried_at) AS sent_at, o.purpose, m.message_no
FROM check_code AS c JOIN outreach_message AS m USING (message_no) JOIN outreach AS o USING (outreach_no)
WHERE c.gtin = %(gtin)s AND c.serial = %(serial)s AND c.expires_at > clock_timestamp() AND m.tries > 0
ORDER BY m.message_no DESC LIMIT 200;

-- name: count_check_try
SELECT count_check_try(%(subject)s, %(span)s::interval, %(at_most)s);

-- name: open_calls
SELECT c.call_no, o.ticket_no, o.purpose, m.locale, c.state, c.agent, t.severity::text AS severity, t.expected_value,
    c.created_at, u.time_zone
FROM call_task AS c
JOIN outreach_message AS m USING (message_no)
JOIN outreach AS o USING (outreach_no)
JOIN ticket AS t USING (ticket_no)
JOIN app_user AS u ON u.user_id = o.user_id
WHERE c.state IN ('open', 'taken')
ORDER BY t.expected_value DESC, c.call_no
LIMIT %(at_most)s;

-- name: call
SELECT c.call_no, c.message_no, c.script, c.state, c.agent, c.outcome, m.outreach_no, o.ticket_no, o.user_id, m.key
FROM call_task AS c JOIN outreach_message AS m USING (message_no) JOIN outreach AS o USING (outreach_no)
WHERE c.call_no = %(call_no)s;

-- name: lock_call
SELECT state, agent, outcome FROM call_task WHERE call_no = %(call_no)s FOR UPDATE;

-- name: take_call
UPDATE call_task SET state = 'taken', agent = %(agent)s, taken_at = clock_timestamp() WHERE call_no = %(call_no)s;

-- name: end_call
UPDATE call_task SET state = %(state)s, outcome = %(outcome)s, note = %(note)s, done_at = clock_timestamp()
WHERE call_no = %(call_no)s;

-- name: start_watch
INSERT INTO self_help_watch (ticket_no, device_no, channels, began_at)
SELECT t.ticket_no, t.device_no, coalesce((
    SELECT array_agg(DISTINCT c.channel) FROM ticket_evidence AS e
    CROSS JOIN LATERAL jsonb_path_query(e.reason, '$.channels[*].channel ? (@.type() == "string")') AS q (name)
    CROSS JOIN LATERAL (SELECT q.name #>> '{}' AS channel) AS c
    WHERE e.ticket_no = t.ticket_no
), '{}'), desk_now()
FROM ticket AS t WHERE t.ticket_no = %(ticket_no)s
ON CONFLICT (ticket_no) DO UPDATE SET began_at = excluded.began_at, state = 'waiting', normal_since = NULL,
    decided_at = NULL
WHERE self_help_watch.state = 'came_back';

-- name: running_watches
SELECT w.ticket_no, w.device_no, w.channels, w.began_at, w.state, w.normal_since, w.decided_at, t.problem,
    t.state AS ticket_state, t.detected_at, desk_now() AS now
FROM self_help_watch AS w JOIN ticket AS t USING (ticket_no)
WHERE w.state IN ('waiting', 'settling')
    OR (w.state = 'healed' AND w.decided_at > desk_now() - %(relapse)s::interval)
ORDER BY w.ticket_no;

-- name: look_at_faults
SELECT coalesce(bool_or(c.cleared_at IS NULL), false) AS stands, max(c.cleared_at) AS cleared_at,
    max(c.last_raised_at) AS raised_at
FROM fault_case AS c
WHERE c.device_no = %(device_no)s AND c.problem = %(problem)s AND c.merged_into IS NULL
    AND c.last_raised_at >= %(since)s::timestamptz - interval '90 days';

-- name: heard_until
SELECT greatest(
    (SELECT max(f.started_at) FROM frame AS f WHERE f.device_no = %(device_no)s AND f.started_at > %(since)s),
    (SELECT max(r.occurred_at) FROM fault_report AS r WHERE r.device_no = %(device_no)s AND r.occurred_at > %(since)s)
);

-- name: look_at_channels
-- Hours since the watch began whose mean lies outside the channel's usual band, which is that of the two weeks that end
-- two days before the fault was first seen. A channel without enough history has no band and is not judged.
WITH band AS (
    SELECT channel, percentile_cont(0.05) WITHIN GROUP (ORDER BY low) AS low,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY high) AS high
    FROM rollup_hour
    WHERE device_no = %(device_no)s AND channel = ANY(%(channels)s)
        AND hour >= %(detected_at)s::timestamptz - interval '16 days'
        AND hour < %(detected_at)s::timestamptz - interval '2 days'
    GROUP BY channel HAVING count(*) >= 24
)
SELECT max(r.hour) FILTER (WHERE r.mean NOT BETWEEN b.low - 0.1 * (b.high - b.low) AND b.high + 0.1 * (b.high - b.low))
        AS odd_at,
    max(r.hour) AS heard_at, count(DISTINCT r.channel) AS judged
FROM rollup_hour AS r JOIN band AS b USING (channel)
WHERE r.device_no = %(device_no)s AND r.hour >= %(since)s;

-- name: move_watch
UPDATE self_help_watch SET state = %(state)s, normal_since = %(normal_since)s, decided_at = %(decided_at)s, seen = %(seen)s
WHERE ticket_no = %(ticket_no)s;

-- name: report_health
INSERT INTO program_health (program, instance, at, counters)
VALUES ('outreach', %(instance)s, clock_timestamp(), %(counters)s)
ON CONFLICT (program, instance) DO UPDATE SET at = excluded.at, counters = excluded.counters;

-- name: counts
SELECT state, count(*) FROM outreach GROUP BY state;
