-- Commands on their way down. Times of expiry are the desk's (desk_now: the wall clock, or event time in a replay),
-- for the gateways' clocks run by it too.

-- name: claim
-- Commands neither answered nor expired, never sent or sent long enough ago, of gateways of these partitions; marked
-- as sent by whoever takes them, so that two programs do not send the same at the same moment.
UPDATE command AS c SET sent_at = clock_timestamp()
FROM (
    SELECT k.command_id, d.device, g.gateway
    FROM command AS k
    JOIN device AS d USING (device_no)
    JOIN gateway AS g USING (gateway_no)
    WHERE k.expires_at > desk_now()
        AND (k.sent_at IS NULL OR k.sent_at < clock_timestamp() - %(resend_after)s::interval)
        AND g.partition = ANY(%(partitions)s::smallint[])
        AND NOT EXISTS (SELECT FROM reply AS r WHERE r.command_id = k.command_id)
    ORDER BY k.requested_at, k.command_id
    LIMIT %(at_most)s
    FOR UPDATE OF k SKIP LOCKED
) AS due
WHERE c.command_id = due.command_id
RETURNING c.command_id, due.gateway, due.device, c.instruction,
    (extract(epoch FROM c.requested_at) * 1000)::bigint AS at_ms,
    (extract(epoch FROM c.expires_at) * 1000)::bigint AS expires_ms;
