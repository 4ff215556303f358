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

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON visit_photo
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON sla_escalation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();

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
LEFT JOIN gentle_run AS g ON g.work_order_no = w.work_order_no
LEFT JOIN visit_report AS r ON r.work_order_no = w.work_order_no;
