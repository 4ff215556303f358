-- The rules of dispatch that the database keeps, and views for screens. Re-run at each migrate.

-- A ticket that is closed needs no visit: its open work order and what was proposed for it go with it, in the same
-- transaction. A resolved one is done. A visit that fell through waits again, since the day that it waited from before.
CREATE OR REPLACE FUNCTION close_work_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.to_state IN ('resolved', 'dismissed') THEN
        UPDATE work_order SET closed_at = clock_timestamp(),
            state = CASE WHEN state = 'booked' AND NEW.to_state = 'resolved' THEN 'done' ELSE 'cancelled' END
        WHERE ticket_no = NEW.ticket_no AND state IN ('waiting', 'offered', 'booked');
        UPDATE visit_slot AS s SET state = 'released', changed_at = clock_timestamp()
        FROM work_order AS w
        WHERE w.work_order_no = s.work_order_no AND w.ticket_no = NEW.ticket_no
            AND (s.state IN ('held', 'offered') OR (s.state = 'booked' AND NEW.to_state = 'dismissed'));
    ELSIF NEW.from_state = 'scheduled' AND NEW.to_state = 'contacted' THEN
        UPDATE work_order SET state = 'waiting' WHERE ticket_no = NEW.ticket_no AND state = 'booked';
        UPDATE visit_slot AS s SET state = 'released', changed_at = clock_timestamp()
        FROM work_order AS w
        WHERE w.work_order_no = s.work_order_no AND w.ticket_no = NEW.ticket_no AND s.state = 'booked';
    END IF;
    IF NEW.to_state IN ('resolved', 'dismissed') THEN
        UPDATE sla_pause SET span = tstzrange(lower(span), greatest(NEW.at, lower(span) + interval '1 second'))
        WHERE ticket_no = NEW.ticket_no AND upper_inf(span);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER close_work_order AFTER INSERT ON ticket_step
    FOR EACH ROW EXECUTE FUNCTION close_work_order();

CREATE OR REPLACE FUNCTION announce_dispatch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('dispatch', NEW.work_order_no::text);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER announce AFTER INSERT OR UPDATE ON work_order
    FOR EACH ROW EXECUTE FUNCTION announce_dispatch();

-- A clock was stopped or runs on: whoever looks at the ticket sees it.
CREATE OR REPLACE FUNCTION announce_pause() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('ticket', NEW.ticket_no::text);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER announce AFTER INSERT OR UPDATE ON sla_pause
    FOR EACH ROW EXECUTE FUNCTION announce_pause();

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON visit_photo
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sla_escalation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();

-- Gentle running ---------------------------------------------------------------------------------------------------

-- Asks a device for what its visits wish for now, in the transaction that changed a wish: gently until the latest of them,
-- or normally. The same wish again asks for nothing. A command that is overtaken is sent no more; the device itself
-- lets the later one stand. A device has a day to answer [K]; after `until` it runs normally of itself.
CREATE OR REPLACE FUNCTION settle_gentle_running(p_device_no int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now timestamptz := desk_now();
    wanted timestamptz;
    asked gentle_order;
BEGIN
    INSERT INTO gentle_order (device_no) VALUES (p_device_no) ON CONFLICT DO NOTHING;
    SELECT * INTO asked FROM gentle_order WHERE device_no = p_device_no FOR UPDATE;
    SELECT max(until) INTO wanted FROM gentle_run
    WHERE device_no = p_device_no AND ended_at IS NULL AND until > now;
    IF wanted IS DISTINCT FROM asked.until THEN
        UPDATE command SET expires_at = now
        WHERE command_id = asked.command_id AND expires_at > now
            AND NOT EXISTS (SELECT FROM reply WHERE reply.command_id = asked.command_id);
        asked.until := wanted;
        IF wanted IS NOT NULL OR may_run_gently(p_device_no) THEN
            asked.orders := asked.orders + 1;
            asked.command_id := 'gentle-' || p_device_no || '-' || asked.orders;
            INSERT INTO command (command_id, device_no, instruction, requested_at, requested_by, expires_at)
            VALUES (asked.command_id, p_device_no, CASE WHEN wanted IS NULL THEN '{"action": "run_normally"}'
                ELSE jsonb_build_object('action', 'run_gently', 'until', (extract(epoch FROM wanted) * 1000)::bigint)
                END, now, 'dispatch', least(now + interval '1 day', coalesce(wanted, 'infinity')));
        END IF;
        UPDATE gentle_order SET orders = asked.orders, command_id = asked.command_id, until = asked.until
        WHERE device_no = p_device_no;
    END IF;
    UPDATE gentle_run SET command_id = asked.command_id
    WHERE device_no = p_device_no AND ended_at IS NULL AND until > now AND command_id IS DISTINCT FROM asked.command_id;
END $$;

-- Whether a device may have taken an order that is not over: it was sent, and not refused.
CREATE OR REPLACE FUNCTION may_run_gently(p_device_no int) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM command AS k
        WHERE k.device_no = p_device_no AND k.instruction ->> 'action' = 'run_gently' AND k.sent_at IS NOT NULL
            AND (k.instruction ->> 'until')::bigint > extract(epoch FROM desk_now()) * 1000
            AND NOT EXISTS (SELECT FROM reply AS r
                WHERE r.command_id = k.command_id AND r.outcome IN ('refused', 'expired'))
    )
$$;

CREATE OR REPLACE FUNCTION follow_gentle_wishes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM settle_gentle_running(NEW.device_no);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER follow_wishes AFTER INSERT OR UPDATE OF until, ended_at ON gentle_run
    FOR EACH ROW EXECUTE FUNCTION follow_gentle_wishes();

-- No visit, no wish: with its work order, however that ends.
CREATE OR REPLACE FUNCTION end_gentle_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gentle_run SET ended_at = desk_now()
    WHERE work_order_no = NEW.work_order_no AND ended_at IS NULL AND until > desk_now();
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER end_gentle_run AFTER UPDATE OF state ON work_order
    FOR EACH ROW WHEN (NEW.state IN ('done', 'cancelled')) EXECUTE FUNCTION end_gentle_run();

-- The device has answered: whoever looks at the ticket sees it.
CREATE OR REPLACE FUNCTION announce_gentle_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('ticket', w.ticket_no::text)
    FROM gentle_run AS g JOIN work_order AS w USING (work_order_no) WHERE g.command_id = NEW.command_id;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER announce_gentle_answer AFTER INSERT ON reply
    FOR EACH ROW WHEN (NEW.command_id LIKE 'gentle-%') EXECUTE FUNCTION announce_gentle_answer();

-- What became of a visit's wish. `expired`: the device has not answered in time, or not in a way that says yes or no.
CREATE OR REPLACE VIEW gentle_card AS
SELECT g.work_order_no, w.ticket_no, g.device_no, g.until, g.reason, g.asked_at, g.ended_at, g.command_id,
    r.replied_at AS answered_at, coalesce(r.detail, '') AS detail,
    CASE
        WHEN g.ended_at IS NOT NULL THEN 'ended'
        WHEN r.outcome IN ('refused', 'failed') THEN r.outcome
        WHEN r.outcome = 'done' AND g.until <= desk_now() THEN 'over'
        WHEN r.outcome = 'done' THEN 'accepted'
        WHEN r.outcome = 'expired' OR coalesce(k.expires_at, '-infinity') <= desk_now() THEN 'expired'
        ELSE 'asked'
    END AS state
FROM gentle_run AS g
JOIN work_order AS w USING (work_order_no)
LEFT JOIN command AS k ON k.command_id = g.command_id
LEFT JOIN LATERAL (
    SELECT y.outcome, y.detail, y.replied_at FROM reply AS y
    WHERE y.command_id = g.command_id AND y.device_no = g.device_no ORDER BY y.replied_at LIMIT 1
) AS r ON true;

-- An engineer's day and the dispatcher's board: one row a visit, without a contact in it.
CREATE OR REPLACE VIEW visit_card AS
SELECT w.work_order_no, w.ticket_no, w.state, w.experienced, w.waiting_since, w.fails_by,
    s.slot_no, s.engineer, e.name AS engineer_name, lower(s.span) AS starts_at, upper(s.span) AS ends_at, s.overtime,
    s.explanation, t.device_no, v.device, t.user_id, t.problem, t.severity::text AS severity, t.safety, t.likely_part,
    t.model, m.family, t.gtin, t.serial, c.region, g.until AS gentle_until, r.finding_no
FROM work_order AS w
JOIN ticket AS t USING (ticket_no)
JOIN device AS v ON v.device_no = t.device_no
JOIN model AS m ON m.model = t.model
LEFT JOIN visit_slot AS s ON s.work_order_no = w.work_order_no AND s.state IN ('held', 'booked')
LEFT JOIN engineer AS e ON e.engineer = s.engineer
LEFT JOIN customer_profile AS c ON c.user_id = t.user_id
LEFT JOIN gentle_run AS g ON g.work_order_no = w.work_order_no AND g.ended_at IS NULL
LEFT JOIN visit_report AS r ON r.work_order_no = w.work_order_no;
