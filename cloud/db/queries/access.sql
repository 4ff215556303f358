-- Accounts, sessions, API clients, the audit log, events and webhooks.

-- name: add_account
INSERT INTO web_account (name, roles, password_hash, engineer, created_by)
VALUES (%(name)s, %(roles)s, %(password_hash)s, %(engineer)s, %(created_by)s)
ON CONFLICT (name) DO NOTHING RETURNING account_no;

-- name: accounts
SELECT name, roles, password_hash IS NOT NULL AS has_password, issuer, engineer, disabled_at, created_at, created_by
FROM web_account ORDER BY name;

-- name: account_to_check
SELECT account_no, password_hash FROM web_account WHERE name = %(name)s AND disabled_at IS NULL;

-- name: rehash
UPDATE web_account SET password_hash = %(password_hash)s WHERE name = %(name)s RETURNING account_no;

-- name: set_roles
UPDATE web_account SET roles = %(roles)s WHERE name = %(name)s RETURNING account_no;

-- name: set_disabled
UPDATE web_account SET disabled_at = CASE WHEN %(disabled)s THEN coalesce(disabled_at, clock_timestamp()) END
WHERE name = %(name)s RETURNING account_no;

-- name: account_of_subject
INSERT INTO web_account (name, roles, issuer, subject, created_by)
VALUES (%(name)s, %(roles)s, %(issuer)s, %(subject)s, %(issuer)s)
ON CONFLICT (issuer, subject) DO UPDATE SET roles = excluded.roles
RETURNING account_no, name, disabled_at IS NOT NULL AS disabled;

-- name: end_sessions_of_account
UPDATE web_session SET ended_at = clock_timestamp(), ended_because = %(because)s
WHERE account_no = %(account_no)s AND ended_at IS NULL;

-- name: begin_session
INSERT INTO web_session (account_no, name, expires_at)
VALUES (%(account_no)s, %(name)s, clock_timestamp() + %(lasts)s) RETURNING session_no;

-- name: add_session_token
INSERT INTO web_session_token (token_hash, session_no) VALUES (%(token_hash)s, %(session_no)s);

-- name: session
SELECT s.session_no, s.name, a.roles, coalesce(a.engineer, a.name) AS engineer, t.used_at IS NULL AS first_use,
    extract(epoch FROM clock_timestamp() - t.issued_at)::float8 AS token_age_s,
    extract(epoch FROM clock_timestamp() - t.replaced_at)::float8 AS replaced_s
FROM web_session_token AS t
JOIN web_session AS s USING (session_no)
LEFT JOIN web_account AS a USING (account_no)
WHERE t.token_hash = %(token_hash)s AND s.ended_at IS NULL AND s.expires_at > clock_timestamp()
    AND a.disabled_at IS NULL;

-- name: session_stands
SELECT s.name, a.roles FROM web_session AS s LEFT JOIN web_account AS a USING (account_no)
WHERE s.session_no = %(session_no)s AND s.ended_at IS NULL AND s.expires_at > clock_timestamp()
    AND a.disabled_at IS NULL;

-- name: first_use
WITH used AS (
    UPDATE web_session_token SET used_at = clock_timestamp()
    WHERE token_hash = %(token_hash)s AND used_at IS NULL RETURNING session_no
)
UPDATE web_session_token AS t SET replaced_at = clock_timestamp() FROM used
WHERE t.session_no = used.session_no AND t.token_hash <> %(token_hash)s AND t.replaced_at IS NULL
    AND t.used_at IS NOT NULL;

-- name: rotate
INSERT INTO web_session_token (token_hash, session_no)
SELECT %(token_hash)s, %(session_no)s WHERE NOT EXISTS (
    SELECT FROM web_session_token
    WHERE session_no = %(session_no)s AND issued_at > clock_timestamp() - interval '1 minute'
) RETURNING session_no;

-- name: end_session
UPDATE web_session SET ended_at = clock_timestamp(), ended_because = %(because)s
WHERE session_no = %(session_no)s AND ended_at IS NULL;

-- name: begin_attempt
INSERT INTO web_sign_in_attempt (state_hash, nonce, verifier, target, expires_at)
VALUES (%(state_hash)s, %(nonce)s, %(verifier)s, %(target)s, clock_timestamp() + interval '10 minutes');

-- name: take_attempt
DELETE FROM web_sign_in_attempt WHERE state_hash = %(state_hash)s AND expires_at > clock_timestamp()
RETURNING nonce, verifier, target;

-- name: add_client
INSERT INTO api_client (name, scopes, created_by) VALUES (%(name)s, %(scopes)s, %(created_by)s)
ON CONFLICT (name) DO UPDATE SET scopes = excluded.scopes, disabled_at = NULL RETURNING client_no;

-- name: add_api_token
INSERT INTO api_token (token_hash, client_no, begins, created_by, expires_at)
VALUES (%(token_hash)s, %(client_no)s, %(begins)s, %(created_by)s, clock_timestamp() + %(lasts)s::interval);

-- name: client_of_token
SELECT c.name, c.scopes FROM api_token AS t JOIN api_client AS c USING (client_no)
WHERE t.token_hash = %(token_hash)s AND t.revoked_at IS NULL AND c.disabled_at IS NULL
    AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp());

-- name: clients
SELECT c.name, c.scopes, c.disabled_at, t.begins, t.created_at, t.expires_at, t.revoked_at
FROM api_client AS c LEFT JOIN api_token AS t USING (client_no) ORDER BY c.name, t.created_at;

-- name: revoke_tokens
UPDATE api_token AS t SET revoked_at = clock_timestamp() FROM api_client AS c
WHERE c.client_no = t.client_no AND c.name = %(name)s AND t.revoked_at IS NULL
    AND (%(begins)s::text IS NULL OR t.begins = %(begins)s);

-- name: engineer_visits_user
SELECT engineer_visits_user(%(engineer)s, %(user_id)s);

-- name: act_as
SELECT set_config('firstcall.person', %(person)s, true);

-- name: claim_key
INSERT INTO idempotent_answer (owner, key, fingerprint, answered, headers, body)
VALUES (%(owner)s, %(key)s, %(fingerprint)s, 0, '{}', '')
ON CONFLICT (owner, key) DO NOTHING RETURNING key;

-- name: kept_answer
SELECT fingerprint, answered, headers, body FROM idempotent_answer WHERE owner = %(owner)s AND key = %(key)s;

-- name: keep_answer
UPDATE idempotent_answer SET answered = %(answered)s, headers = %(headers)s, body = %(body)s
WHERE owner = %(owner)s AND key = %(key)s;

-- name: seal
SELECT seal_audit(%(at_most)s);

-- name: audit_entries
SELECT e.entry_no, e.at, e.person, e.program, e.login, e.action, e.subject, e.key, e.detail,
    s.position, encode(s.hash, 'hex') AS hash
FROM audit_entry AS e LEFT JOIN audit_seal AS s USING (entry_no)
WHERE (%(number)s::bigint IS NULL OR e.entry_no < %(number)s)
    AND (%(person)s::text IS NULL OR e.person = %(person)s)
    AND (%(subject)s::text IS NULL OR e.subject = %(subject)s)
    AND (%(action)s::text IS NULL OR e.action = %(action)s)
ORDER BY e.entry_no DESC LIMIT %(limit)s;

-- name: audit_head
SELECT position, encode(hash, 'hex') AS hash FROM audit_seal
WHERE %(position)s::bigint IS NULL OR position = %(position)s ORDER BY position DESC LIMIT 1;

-- name: audit_faults
SELECT at_position, wrong FROM audit_faults();

-- name: event_head
SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text AS xid, 9223372036854775807 AS event_no;

-- name: oldest_event
-- The first event of all still there: nothing was ever thrown away, so any place will do.
SELECT CASE WHEN kept.whole THEN '0' ELSE e.xid::text END AS xid, CASE WHEN kept.whole THEN 0 ELSE e.event_no END AS event_no
FROM web_event AS e, (SELECT min(event_no) = 1 AS whole FROM web_event) AS kept
ORDER BY e.xid, e.event_no LIMIT 1;

-- name: events_after
SELECT xid::text AS xid, event_no, kind, number FROM web_event
WHERE (xid, event_no) > (%(xid)s::xid8, %(event_no)s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, event_no LIMIT %(limit)s;

-- name: shown_ticket
SELECT * FROM shown_ticket WHERE ticket_no = %(ticket_no)s;

-- name: purge
WITH answers AS (DELETE FROM idempotent_answer WHERE at < clock_timestamp() - interval '24 hours'),
    attempts AS (DELETE FROM web_sign_in_attempt WHERE expires_at < clock_timestamp()),
    tokens AS (
        DELETE FROM web_session_token AS t USING web_session AS s
        WHERE s.session_no = t.session_no AND s.expires_at < clock_timestamp() - interval '1 day'
    ),
    deliveries AS (
        DELETE FROM webhook_delivery WHERE state <> 'due' AND created_at < clock_timestamp() - interval '30 days'
    )
DELETE FROM web_event AS e WHERE e.at < clock_timestamp() - interval '3 days' AND NOT EXISTS (
    SELECT FROM webhook_cursor AS c JOIN webhook AS h USING (webhook_no)
    WHERE h.enabled AND (c.xid, c.event_no) < (e.xid, e.event_no)
);

-- name: add_webhook
WITH made AS (
    INSERT INTO webhook (url, kinds, secret, created_by)
    VALUES (%(url)s, %(kinds)s, %(secret)s, %(created_by)s) RETURNING webhook_no
)
INSERT INTO webhook_cursor (webhook_no) SELECT webhook_no FROM made RETURNING webhook_no;

-- name: webhooks
SELECT h.webhook_no, h.url, h.kinds, h.enabled, h.created_at, h.created_by,
    count(*) FILTER (WHERE d.state = 'due') AS due, count(*) FILTER (WHERE d.state = 'failed') AS failed
FROM webhook AS h LEFT JOIN webhook_delivery AS d USING (webhook_no)
WHERE %(webhook_no)s::int IS NULL OR h.webhook_no = %(webhook_no)s
GROUP BY h.webhook_no ORDER BY h.webhook_no;

-- name: set_webhook
UPDATE webhook SET enabled = %(enabled)s, url = coalesce(%(url)s, url), kinds = coalesce(%(kinds)s, kinds)
WHERE webhook_no = %(webhook_no)s RETURNING webhook_no;

-- name: delete_webhook
DELETE FROM webhook WHERE webhook_no = %(webhook_no)s RETURNING webhook_no;

-- name: deliveries
SELECT delivery_no, event_no, kind, state, tries, due_at, created_at, delivered_at, trouble FROM webhook_delivery
WHERE webhook_no = %(webhook_no)s AND (%(number)s::bigint IS NULL OR delivery_no < %(number)s)
    AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY delivery_no DESC LIMIT %(limit)s;

-- name: replay_deliveries
UPDATE webhook_delivery SET state = 'due', tries = 0, due_at = clock_timestamp(), trouble = NULL
WHERE webhook_no = %(webhook_no)s AND (%(delivery_no)s::bigint IS NULL OR delivery_no = %(delivery_no)s)
    AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
    AND (%(failed_only)s IS FALSE OR state = 'failed');

-- name: behind_webhooks
SELECT c.webhook_no, h.kinds, c.xid::text AS xid, c.event_no FROM webhook_cursor AS c JOIN webhook AS h USING (webhook_no)
WHERE h.enabled ORDER BY c.webhook_no FOR UPDATE OF c SKIP LOCKED;

-- name: add_delivery
INSERT INTO webhook_delivery (webhook_no, event_no, kind, body)
VALUES (%(webhook_no)s, %(event_no)s, %(kind)s, %(body)s) ON CONFLICT (webhook_no, event_no) DO NOTHING;

-- name: move_webhook
UPDATE webhook_cursor SET xid = %(xid)s::xid8, event_no = %(event_no)s WHERE webhook_no = %(webhook_no)s;

-- name: claim_deliveries
UPDATE webhook_delivery AS d SET due_at = clock_timestamp() + %(lease)s::interval, tries = tries + 1
FROM webhook AS h
WHERE h.webhook_no = d.webhook_no AND d.delivery_no = ANY (ARRAY(
    SELECT due.delivery_no FROM webhook_delivery AS due JOIN webhook AS w USING (webhook_no)
    WHERE due.state = 'due' AND due.due_at <= clock_timestamp() AND w.enabled
    ORDER BY due.due_at LIMIT %(limit)s FOR UPDATE OF due SKIP LOCKED
))
RETURNING d.delivery_no, d.kind, d.body, d.tries, h.url, h.secret;

-- name: delivered
UPDATE webhook_delivery SET state = 'delivered', delivered_at = clock_timestamp(), trouble = NULL
WHERE delivery_no = %(delivery_no)s;

-- name: undelivered
UPDATE webhook_delivery SET state = %(state)s, due_at = clock_timestamp() + %(again_in)s::interval, trouble = %(trouble)s
WHERE delivery_no = %(delivery_no)s AND state = 'due';
