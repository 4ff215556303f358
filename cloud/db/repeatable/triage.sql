-- Rules and views of triage. Re-run at each migrate.

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON verdict
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();

-- A command wakes whoever sends it.
CREATE OR REPLACE FUNCTION announce_command() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('command', NEW.command_id);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER announce AFTER INSERT ON command FOR EACH ROW EXECUTE FUNCTION announce_command();

-- Every verdict that differs from the one before stays on record, whoever gave it.
CREATE OR REPLACE FUNCTION keep_verdict() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.judged_at IS NOT NULL AND (TG_OP = 'INSERT'
        OR (NEW.verdict, NEW.person, NEW.note) IS DISTINCT FROM (OLD.verdict, OLD.person, OLD.note)
        OR OLD.judged_at IS NULL)
    THEN
        INSERT INTO verdict (case_no, verdict, reasons, person, note, at)
        VALUES (NEW.case_no, NEW.verdict, NEW.reasons, NEW.person, NEW.note, NEW.judged_at);
        PERFORM pg_notify('triage', NEW.case_no::text);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER keep_verdict AFTER INSERT OR UPDATE ON triage
    FOR EACH ROW EXECUTE FUNCTION keep_verdict();

CREATE OR REPLACE FUNCTION announce_incident() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('incident', NEW.incident_no::text);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER announce AFTER INSERT OR UPDATE ON incident
    FOR EACH ROW EXECUTE FUNCTION announce_incident();
-- Its notices wake outreach when they are owed, and screens whenever one fares on.
CREATE OR REPLACE FUNCTION announce_storm_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('incident', NEW.incident_no::text);
    IF NEW.state = 'open' THEN
        PERFORM pg_notify('outreach', 'incident ' || NEW.incident_no);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER announce_storm AFTER INSERT OR UPDATE OF state ON outreach
    FOR EACH ROW WHEN (NEW.incident_no IS NOT NULL) EXECUTE FUNCTION announce_storm_notice();

-- For screens ------------------------------------------------------------------------------------------------------

-- A ticket's verdict: that of the case that speaks most for it.
CREATE OR REPLACE VIEW ticket_verdict AS
SELECT DISTINCT ON (c.ticket_no) c.ticket_no, c.case_no, t.verdict, t.reasons, t.evidence, t.judged_at,
    CASE WHEN isfinite(t.look_at) THEN t.look_at END AS look_at, -- NULL: at the next turn, or never again
    t.person, t.note, t.self_test
FROM triage AS t JOIN fault_case AS c USING (case_no)
WHERE c.merged_into IS NULL AND c.ticket_no IS NOT NULL
ORDER BY c.ticket_no, array_position(ARRAY['confirmed', 'needs_person', 'waiting', 'refuted'], t.verdict), c.case_no;

-- Where every open ticket stands: `turn` is one number to sort by. First what waits for a call, by its place; what has
-- none yet stands before the first place that is worth no more, the one worth more first. Then those who were called
-- and whose answer is awaited, by worth; then agreed visits, by their time.
CREATE OR REPLACE VIEW queue_turn AS
SELECT ticket_no, device_no, state, severity, place, today, (CASE state
        WHEN 'scheduled' THEN 1e10 + extract(epoch FROM coalesce(scheduled_for, raised_at))
        WHEN 'contacted' THEN 1e9 - expected_value
        ELSE coalesce(place, coalesce(next_place, 1e8) - 0.5 - 0.25 * expected_value / (1 + abs(expected_value)))
    END)::float8 AS turn
FROM (
    SELECT t.ticket_no, t.device_no, t.state, t.severity, t.scheduled_for, t.raised_at, t.expected_value, q.place, q.today,
        min(q.place) OVER (ORDER BY coalesce(q.value, t.expected_value)) AS next_place
    FROM ticket AS t
    LEFT JOIN queue_place AS q ON q.ticket_no = t.ticket_no AND t.state IN ('proposed', 'confirmed')
    WHERE t.state IN ('proposed', 'confirmed', 'contacted', 'scheduled')
) AS open_ticket;

-- The queue: open tickets with their place, where they have one, and their verdict.
DROP VIEW IF EXISTS queue_card;
CREATE VIEW queue_card AS
SELECT o.turn, o.place, o.today, q.sentence, q.probability AS queue_probability, q.value, q.visits, q.made_at,
    v.verdict, v.reasons AS verdict_reasons, v.look_at, v.person AS verdict_by, c.*
FROM queue_turn AS o
JOIN ticket_card AS c USING (ticket_no)
LEFT JOIN queue_place AS q ON q.ticket_no = o.ticket_no AND o.place IS NOT NULL
LEFT JOIN ticket_verdict AS v ON v.ticket_no = o.ticket_no;

-- A storm with its customers: told, not reachable by anything that they allow, and (the rest) waiting for their hours,
-- the household's cap or a provider, or no more concerned before they were told.
CREATE OR REPLACE VIEW incident_card AS
SELECT i.*, (SELECT count(*) FROM fault_case AS c
        WHERE c.incident_no = i.incident_no AND c.merged_into IS NULL AND c.cleared_at IS NULL) AS standing,
    n.customers, n.told, n.unreachable
FROM incident AS i
CROSS JOIN LATERAL (
    SELECT count(DISTINCT o.user_id) AS customers,
        count(DISTINCT o.user_id) FILTER (WHERE o.state = 'told') AS told,
        count(DISTINCT o.user_id) FILTER (WHERE o.state = 'exhausted') AS unreachable
    FROM outreach AS o
    WHERE o.incident_no IN (
        SELECT j.incident_no FROM incident AS j WHERE j.incident_no = i.incident_no OR j.merged_into = i.incident_no
    )
) AS n
WHERE i.merged_into IS NULL;

CREATE OR REPLACE VIEW quality_card AS
SELECT f.*, f.affected::float8 / nullif(f.devices, 0) AS rate,
    f.rest_affected::float8 / nullif(f.rest_devices, 0) AS rest_rate
FROM quality_finding AS f;

-- Counts and orders that the desk makes anew: nothing that anybody did.
INSERT INTO audit_exempt (subject, reason) VALUES
    ('queue_place', 'computed'), ('cohort_size', 'computed'), ('quality_round', 'computed')
ON CONFLICT (subject) DO UPDATE SET reason = excluded.reason;
DROP TRIGGER IF EXISTS audit_added ON queue_place;
DROP TRIGGER IF EXISTS audit_altered ON queue_place;
DROP TRIGGER IF EXISTS audit_truncated ON queue_place;
