-- Statements of accounts and of the product's own pages.

-- Accounts -------------------------------------------------------------------------------------------------------

-- name: lock_contact
SELECT pg_advisory_xact_lock(46631, hashtext(encode(%(lookup)s::bytea, 'hex')));

-- name: accounts_with_contact
-- Living accounts that have this contact; the one whose holder proved it comes first, then the oldest.
SELECT r.account
FROM (
    SELECT account_root(p.user_id) AS account, bool_or(v.user_id IS NOT NULL) AS proved
    FROM personal_contact AS p
    LEFT JOIN verified_contact AS v ON v.lookup = p.lookup AND account_root(v.user_id) = account_root(p.user_id)
    WHERE p.lookup = %(lookup)s
    GROUP BY 1
) AS r
JOIN app_user AS u ON u.user_id = r.account AND u.erased_at IS NULL
ORDER BY r.proved DESC, u.created_at, u.user_id;

-- name: members_with_contact
SELECT count(*) FROM personal_contact
WHERE lookup = %(lookup)s AND user_id IN (SELECT account_members(%(account)s));

-- name: were_separated
-- Whether a merge between these two accounts was undone: then it is not made again by itself.
SELECT EXISTS (
    SELECT FROM account_merge AS m
    WHERE m.undone_at IS NOT NULL AND (
        (m.user_id IN (SELECT account_members(%(one)s)) AND m.into_user IN (SELECT account_members(%(other)s)))
        OR (m.user_id IN (SELECT account_members(%(other)s)) AND m.into_user IN (SELECT account_members(%(one)s)))
    )
);

-- name: put_merge
INSERT INTO account_merge (user_id, into_user, reason, person)
VALUES (%(user_id)s, %(into_user)s, %(reason)s, %(person)s)
RETURNING merge_no;

-- name: undo_merge
UPDATE account_merge SET undone_at = clock_timestamp(), undone_by = %(person)s
WHERE merge_no = %(merge_no)s AND undone_at IS NULL
RETURNING user_id;

-- name: merges
SELECT merge_no, user_id, into_user, reason, person, at, undone_at, undone_by FROM account_merge
WHERE user_id IN (SELECT account_members(%(user_id)s)) OR into_user IN (SELECT account_members(%(user_id)s))
ORDER BY merge_no;

-- name: root
SELECT account_root(u.user_id), r.erased_at IS NOT NULL
FROM app_user AS u JOIN app_user AS r ON r.user_id = account_root(u.user_id)
WHERE u.user_id = %(user_id)s;

-- name: members
SELECT m.user_id FROM account_members(%(user_id)s) AS m (user_id) JOIN app_user AS u USING (user_id)
WHERE u.erased_at IS NULL
ORDER BY m.user_id <> account_root(%(user_id)s), u.created_at, m.user_id;

-- name: put_verified
INSERT INTO verified_contact (lookup, kind, user_id) VALUES (%(lookup)s, %(kind)s, %(user_id)s)
ON CONFLICT (lookup) DO UPDATE SET user_id = excluded.user_id, verified_at = clock_timestamp();

-- name: forget_other_verified
DELETE FROM verified_contact AS v
WHERE v.user_id = %(user_id)s AND NOT EXISTS (
    SELECT FROM personal_contact AS p WHERE p.user_id = v.user_id AND p.lookup = v.lookup
);

-- name: forget_user
WITH verified AS (
    DELETE FROM verified_contact WHERE user_id = %(user_id)s
), handles AS (
    DELETE FROM messaging_address WHERE user_id = %(user_id)s
)
DELETE FROM handover WHERE from_user = %(user_id)s AND used_at IS NULL;

-- One-time codes --------------------------------------------------------------------------------------------------

-- name: count_try
SELECT count_check_try(%(subject)s, %(span)s, %(at_most)s);

-- name: put_challenge
WITH old AS (
    DELETE FROM contact_challenge WHERE expires_at < clock_timestamp() - interval '1 day'
)
INSERT INTO contact_challenge (code_hash, expires_at, tries_left)
VALUES (%(code_hash)s, clock_timestamp() + %(valid_for)s::interval, %(tries)s)
RETURNING challenge_no;

-- name: try_challenge
UPDATE contact_challenge SET tries_left = tries_left - 1
WHERE challenge_no = %(challenge_no)s AND used_at IS NULL AND tries_left > 0 AND expires_at > clock_timestamp()
RETURNING code_hash;

-- name: use_challenge
UPDATE contact_challenge SET used_at = clock_timestamp() WHERE challenge_no = %(challenge_no)s AND used_at IS NULL;

-- Products --------------------------------------------------------------------------------------------------------

-- name: lock_device
SELECT lock_device(%(device_no)s);

-- name: knows_gtin
SELECT m.name, m.family FROM trade_item AS t JOIN model AS m USING (model) WHERE t.gtin = %(gtin)s;

-- name: warranty_terms
SELECT w.covers, w.months, p.name FROM warranty_term AS w LEFT JOIN part AS p ON p.part = w.covers
WHERE w.model = %(model)s
ORDER BY w.months, w.covers;

-- name: warranty_begun
SELECT starts_on FROM warranty_card WHERE gtin = %(gtin)s AND serial = %(serial)s;

-- name: begin_warranty
INSERT INTO warranty_card (gtin, serial, starts_on) VALUES (%(gtin)s, %(serial)s, %(starts_on)s)
ON CONFLICT (gtin, serial) DO NOTHING;

-- name: code_meanings
SELECT code, meaning, severity::text AS severity, safety, self_help FROM fault_definition
WHERE model = %(model)s AND upper_inf(known)
ORDER BY code;

-- name: manuals
SELECT language, url FROM model_manual WHERE model = %(model)s;

-- name: own_tickets
SELECT t.ticket_no, t.state, t.problem, t.safety, t.customer_words, t.raised_at, t.closed_at,
    coalesce(lower(v.span), t.scheduled_for) AS starts_at, upper(v.span) AS ends_at,
    EXISTS (
        SELECT FROM self_help_watch AS w WHERE w.ticket_no = t.ticket_no AND w.state IN ('waiting', 'settling')
    ) AS watching
FROM ticket AS t
LEFT JOIN LATERAL (
    SELECT s.span FROM visit_slot AS s JOIN work_order AS o USING (work_order_no)
    WHERE o.ticket_no = t.ticket_no AND s.state = 'booked' AND o.state = 'booked'
) AS v ON true
WHERE t.device_no = %(device_no)s AND t.user_id IN (SELECT account_members(%(account)s))
    AND (t.state IN ('confirmed', 'contacted', 'scheduled')
        OR (t.state = 'resolved' AND t.closed_at > desk_now() - interval '30 days'))
ORDER BY t.closed_at IS NOT NULL, t.ticket_no DESC
LIMIT 10;

-- name: lacks_address
-- Whether one of these tickets has a visit agreed whose customer has not said where.
SELECT EXISTS (
    SELECT FROM ticket AS t WHERE t.ticket_no = ANY(%(tickets)s) AND t.state = 'scheduled'
        AND NOT EXISTS (SELECT FROM personal_contact AS p WHERE p.user_id = t.user_id AND p.kind = 'address')
);

-- name: own_products
SELECT c.gtin, c.serial, c.model_name, c.family, c.family_name, d.device, lower(b.valid) AS since
FROM binding AS b
JOIN device AS d USING (device_no)
JOIN fitting AS f USING (device_no)
JOIN product_card AS c USING (gtin, serial)
WHERE b.user_id IN (SELECT account_members(%(account)s))
    AND upper_inf(b.known) AND b.valid @> clock_timestamp()
    AND upper_inf(f.known) AND f.valid @> clock_timestamp()
ORDER BY c.family, c.gtin, c.serial;

-- Handing on ------------------------------------------------------------------------------------------------------

-- name: withdraw_handover
DELETE FROM handover WHERE device_no = %(device_no)s AND used_at IS NULL;

-- name: put_handover
INSERT INTO handover (device_no, from_user, code_hash, expires_at)
VALUES (%(device_no)s, %(from_user)s, %(code_hash)s, clock_timestamp() + %(valid_for)s::interval);

-- name: use_handover
-- Good only while the one who made it still has the device.
UPDATE handover AS h SET used_at = clock_timestamp(), taken_by = %(account)s
WHERE h.device_no = %(device_no)s AND h.code_hash = %(code_hash)s AND h.used_at IS NULL
    AND h.expires_at > clock_timestamp()
    AND EXISTS (
        SELECT FROM binding AS b WHERE b.device_no = h.device_no AND b.user_id = h.from_user
            AND upper_inf(b.known) AND b.valid @> clock_timestamp()
    );

-- Requests --------------------------------------------------------------------------------------------------------

-- name: ticket_to_join
-- The open ticket of the device's user that a request is about: of the same wish; for a repair, of any fault.
SELECT t.ticket_no, t.state FROM ticket AS t
WHERE t.device_no = %(device_no)s AND t.state IN ('proposed', 'confirmed', 'contacted', 'scheduled')
    AND (t.problem = %(problem)s OR (%(any_fault)s AND t.problem <> 'installation'))
    AND EXISTS (
        SELECT FROM binding AS b WHERE b.device_no = t.device_no AND b.user_id = t.user_id
            AND upper_inf(b.known) AND b.valid @> desk_now()
    )
ORDER BY t.problem = %(problem)s DESC, t.expected_value DESC, t.ticket_no
LIMIT 1;

-- name: open_asked
INSERT INTO ticket (device_no, problem, user_id, gtin, serial, model, severity, safety, probability,
    expected_value, rank_reason, customer_words, detected_at, raised_at)
SELECT %(device_no)s, %(problem)s, b.user_id, %(gtin)s, %(serial)s, %(model)s, %(severity)s::severity, 'none', 1,
    %(expected_value)s, %(rank_reason)s, %(customer_words)s, desk_now(), desk_now()
FROM binding AS b
WHERE b.device_no = %(device_no)s AND upper_inf(b.known) AND b.valid @> desk_now()
RETURNING ticket_no;

-- name: first_step
INSERT INTO ticket_step (ticket_no, to_state, person, at, reason)
VALUES (%(ticket_no)s, 'proposed', %(person)s, desk_now(), %(reason)s);

-- Account page ----------------------------------------------------------------------------------------------------

-- name: verified_of
SELECT kind, verified_at FROM verified_contact
WHERE user_id IN (SELECT account_members(%(account)s))
ORDER BY kind, verified_at;

-- name: set_place
UPDATE app_user SET locale = %(locale)s, time_zone = %(time_zone)s
WHERE user_id IN (SELECT account_members(%(account)s)) AND erased_at IS NULL;

-- name: known_regions
-- Names of regions, each once: by steps along the index, however many customers there are.
WITH RECURSIVE named (region) AS (
    (SELECT p.region FROM customer_profile AS p WHERE p.region <> '' ORDER BY p.region LIMIT 1)
    UNION ALL
    SELECT (
        SELECT p.region FROM customer_profile AS p WHERE p.region <> '' AND p.region > n.region
        ORDER BY p.region LIMIT 1
    ) FROM named AS n WHERE n.region IS NOT NULL
)
SELECT region FROM named WHERE region IS NOT NULL
UNION
SELECT unnest(regions) FROM engineer WHERE active
ORDER BY 1 LIMIT 1000;

-- name: region_of
SELECT p.region FROM customer_profile AS p
WHERE p.user_id IN (SELECT account_members(%(account)s))
ORDER BY p.region = '', p.user_id <> %(account)s, p.user_id LIMIT 1;

-- name: set_region
INSERT INTO customer_profile AS p (user_id, household, region, region_by)
SELECT m.user_id, m.user_id, %(region)s, 'customer' FROM account_members(%(account)s) AS m (user_id)
ON CONFLICT (user_id) DO UPDATE SET region = excluded.region, region_by = excluded.region_by;

-- Export ----------------------------------------------------------------------------------------------------------

-- name: export_entries
SELECT u.user_id, u.locale, u.time_zone, u.created_at, coalesce(p.region, '') AS region
FROM app_user AS u LEFT JOIN customer_profile AS p USING (user_id)
WHERE u.user_id = ANY(%(users)s) ORDER BY u.user_id;

-- name: export_appliances
SELECT b.user_id, d.device, f.gtin, f.serial, lower(b.valid) AS since, upper(b.valid) AS until
FROM binding AS b
JOIN device AS d USING (device_no)
LEFT JOIN fitting AS f ON f.device_no = b.device_no AND upper_inf(f.known) AND f.valid && b.valid
WHERE b.user_id = ANY(%(users)s) AND upper_inf(b.known)
ORDER BY lower(b.valid), d.device;

-- name: export_tickets
SELECT ticket_no, user_id, gtin, serial, problem, state, customer_words, raised_at, confirmed_at, contacted_at,
    scheduled_for, closed_at, closing_reason
FROM ticket WHERE user_id = ANY(%(users)s) ORDER BY ticket_no;

-- name: export_messages
SELECT o.ticket_no, o.incident_no, o.purpose, m.channel, m.state, m.first_tried_at, m.delivered_at, m.subject, m.body
FROM outreach AS o JOIN outreach_message AS m USING (outreach_no)
WHERE o.user_id = ANY(%(users)s) ORDER BY m.message_no;

-- name: export_answers
SELECT o.ticket_no, a.action, a.channel, a.at FROM outreach_answer AS a JOIN outreach AS o USING (outreach_no)
WHERE o.user_id = ANY(%(users)s) ORDER BY a.answer_no;

-- name: export_consents
SELECT user_id, channel, granted, source, at FROM consent WHERE user_id = ANY(%(users)s) ORDER BY consent_no;

-- name: export_preferences
SELECT user_id, quiet_from, quiet_until, urgent_any_hour, not_before, preferred_channel FROM contact_preference
WHERE user_id = ANY(%(users)s) ORDER BY user_id;

-- name: export_looks
SELECT user_id, person, purpose, action, kinds, at FROM personal_access WHERE user_id = ANY(%(users)s)
ORDER BY access_no;

-- name: time_zone_of
SELECT time_zone FROM app_user WHERE user_id = %(user_id)s;

-- name: waits_for_answer
-- The newest outreach that asks this ticket's customer something and has no answer; the channel to answer on; and
-- whether a visit was asked for by it, so that only the time is open.
SELECT o.outreach_no, coalesce((
    SELECT m.channel FROM outreach_message AS m WHERE m.outreach_no = o.outreach_no ORDER BY m.message_no DESC LIMIT 1
), 'email'), EXISTS (SELECT FROM outreach_answer AS a WHERE a.outreach_no = o.outreach_no AND a.action = 'visit')
FROM outreach AS o JOIN ticket AS t USING (ticket_no)
WHERE o.ticket_no = %(ticket_no)s AND o.purpose IN ('first_call', 'reminder', 'came_back', 'new_time')
    AND o.state <> 'cancelled' AND t.state IN ('confirmed', 'contacted')
    AND NOT EXISTS (
        SELECT FROM outreach_answer AS a
        WHERE a.outreach_no = o.outreach_no AND a.action NOT IN ('not_now', 'visit')
    )
ORDER BY o.outreach_no DESC LIMIT 1;
