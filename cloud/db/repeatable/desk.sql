-- The desk's rules that the database keeps, and views for screens. Re-run at each migrate.
--
-- Errors, see cloud/desk/errors.py: FC009 append-only · FC010 no such step · FC011 not the owner · FC012 no such ticket

-- What "now" is for the desk: the wall clock, or in a replay the latest event time that was taken in.
CREATE OR REPLACE FUNCTION desk_now() RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT CASE WHEN reads = 'event' THEN coalesce(watermark, clock_timestamp())
        ELSE clock_timestamp() END FROM desk_clock);
END $$;

-- A step moves a ticket, if the transition is legal; contact and appointment also need that the ticket's user has
-- the device at that moment and still, as known now. The device is locked first, so that no transfer can come between.
CREATE OR REPLACE FUNCTION take_ticket_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    held ticket;
BEGIN
    SELECT * INTO held FROM ticket WHERE ticket_no = NEW.ticket_no;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no ticket %', NEW.ticket_no USING ERRCODE = 'FC012';
    END IF;
    IF NEW.to_state IN ('contacted', 'scheduled') THEN
        PERFORM pg_advisory_xact_lock(46626, held.device_no);
    END IF;
    SELECT * INTO held FROM ticket WHERE ticket_no = NEW.ticket_no FOR UPDATE;
    NEW.from_state := CASE
        WHEN EXISTS (SELECT FROM ticket_step WHERE ticket_no = NEW.ticket_no) THEN held.state
    END;
    IF NOT EXISTS (
        SELECT FROM ticket_transition
        WHERE from_state IS NOT DISTINCT FROM NEW.from_state AND to_state = NEW.to_state
    ) THEN
        RAISE EXCEPTION 'ticket % is %: it cannot become %', NEW.ticket_no,
            coalesce(NEW.from_state, 'not yet proposed'), NEW.to_state USING ERRCODE = 'FC010';
    END IF;
    IF NEW.to_state IN ('contacted', 'scheduled') AND NOT EXISTS (
        SELECT FROM binding
        WHERE device_no = held.device_no AND user_id = held.user_id AND upper_inf(known)
            AND valid @> NEW.at AND valid @> desk_now()
    ) THEN
        RAISE EXCEPTION 'user % does not have the device of ticket % any more', held.user_id, NEW.ticket_no
            USING ERRCODE = 'FC011', HINT = 'A former owner is never called.';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION move_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.from_state IS NOT NULL THEN
        UPDATE ticket SET
            state = NEW.to_state,
            version = version + 1,
            confirmed_at = CASE WHEN NEW.to_state = 'confirmed' THEN NEW.at ELSE confirmed_at END,
            contacted_at = CASE WHEN NEW.to_state = 'contacted' THEN coalesce(contacted_at, NEW.at)
                ELSE contacted_at END,
            closed_at = CASE WHEN NEW.to_state IN ('resolved', 'dismissed') THEN NEW.at END,
            closing_reason = CASE WHEN NEW.to_state = 'dismissed' THEN NEW.reason END
        WHERE ticket_no = NEW.ticket_no;
    END IF;
    PERFORM pg_notify('ticket', NEW.ticket_no::text);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER take_step BEFORE INSERT ON ticket_step
    FOR EACH ROW EXECUTE FUNCTION take_ticket_step();
CREATE OR REPLACE TRIGGER move_ticket AFTER INSERT ON ticket_step
    FOR EACH ROW EXECUTE FUNCTION move_ticket();

-- The state moves by steps alone: an UPDATE from anywhere but the trigger above is refused.
CREATE OR REPLACE FUNCTION refuse_silent_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'ticket % moves by a row in ticket_step, not by an UPDATE', OLD.ticket_no
            USING ERRCODE = 'FC010';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER moves_by_steps BEFORE UPDATE ON ticket
    FOR EACH ROW EXECUTE FUNCTION refuse_silent_move();

-- A ticket is born proposed, and its first step is written with it: none can exist without who and when.
CREATE OR REPLACE FUNCTION refuse_stepless_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ticket_step WHERE ticket_no = NEW.ticket_no) THEN
        RAISE EXCEPTION 'ticket % was opened without its first step', NEW.ticket_no USING ERRCODE = 'FC010';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS opens_with_a_step ON ticket;
CREATE CONSTRAINT TRIGGER opens_with_a_step AFTER INSERT ON ticket DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION refuse_stepless_ticket();

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ticket_step
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON finding
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();

CREATE OR REPLACE FUNCTION announce_finding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('finding', NEW.finding_no::text);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER announce AFTER INSERT ON finding FOR EACH ROW EXECUTE FUNCTION announce_finding();

CREATE OR REPLACE FUNCTION announce_case() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('fault_case', NEW.case_no::text);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER announce AFTER INSERT OR UPDATE ON fault_case
    FOR EACH ROW EXECUTE FUNCTION announce_case();

-- For screens ------------------------------------------------------------------------------------------------------

-- A ticket with the names that its codes lead to, and whether anything behind it still stands.
CREATE OR REPLACE VIEW ticket_card AS
SELECT t.ticket_no, t.state, t.problem, t.severity::text AS severity, t.safety, t.probability, t.expected_value,
    t.rank_reason, t.customer_words, t.likely_part, t.detected_at, t.raised_at, t.confirmed_at, t.contacted_at,
    t.scheduled_for, t.noticed_at, t.failed_at, t.closed_at, t.closing_reason, t.version,
    t.device_no, v.device, t.user_id, t.gtin, t.serial, p.produced_on, p.lot,
    t.model, m.name AS model_name, m.family, m.price_band,
    t.definition_no, d.meaning, d.self_help, d.likely_parts, d.confirmation_rule,
    EXISTS (
        SELECT FROM fault_case AS c
        WHERE c.ticket_no = t.ticket_no AND c.cleared_at IS NULL AND c.merged_into IS NULL
    ) AS fault_stands
FROM ticket AS t
JOIN device AS v USING (device_no)
JOIN model AS m ON m.model = t.model
LEFT JOIN product AS p ON p.gtin = t.gtin AND p.serial = t.serial
LEFT JOIN fault_definition AS d ON d.definition_no = t.definition_no;

-- A case with the names that its codes lead to: the live list of faults.
CREATE OR REPLACE VIEW case_card AS
SELECT c.case_no, c.source, c.problem, c.occurred_at, c.last_raised_at, c.cleared_at, c.raises, c.probability,
    c.reason, c.missing, c.withheld, c.ticket_no, t.state AS ticket_state,
    c.device_no, v.device, c.user_id, c.gtin, c.serial, c.model, m.name AS model_name, m.family,
    c.definition_no, d.meaning, d.severity::text AS severity, d.safety, c.judged_at, c.recorded_at
FROM fault_case AS c
JOIN device AS v USING (device_no)
LEFT JOIN model AS m ON m.model = c.model
LEFT JOIN fault_definition AS d ON d.definition_no = c.definition_no
LEFT JOIN ticket AS t ON t.ticket_no = c.ticket_no
WHERE c.merged_into IS NULL;
