-- The rules of outreach that the database keeps. Re-run at each migrate.

CREATE OR REPLACE VIEW consent_now AS
SELECT DISTINCT ON (user_id, channel) user_id, channel, granted, source, at
FROM consent ORDER BY user_id, channel, consent_no DESC;

-- A step that the customer should hear of puts its outreach into the outbox in the same transaction: a ticket cannot
-- be confirmed without the call being owed, nor a call be owed for a step that was rolled back.
CREATE OR REPLACE FUNCTION owe_outreach() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    purpose text := CASE
        WHEN NEW.to_state = 'confirmed' THEN 'first_call'
        WHEN NEW.to_state = 'scheduled' THEN 'appointment'
        WHEN NEW.from_state = 'scheduled' AND NEW.to_state = 'contacted' THEN 'new_time'
        WHEN NEW.from_state IN ('contacted', 'scheduled') AND NEW.to_state = 'resolved' THEN 'closing'
        WHEN NEW.from_state IN ('contacted', 'scheduled') AND NEW.to_state = 'dismissed'
            AND NEW.reason NOT IN ('former_owner', 'wrong_owner') THEN 'all_clear'
    END;
BEGIN
    -- What was still to be said about the step before is overtaken, but for a message that is on its way.
    UPDATE outreach SET state = 'cancelled', reason = 'overtaken', closed_at = clock_timestamp()
    WHERE ticket_no = NEW.ticket_no AND state = 'open' AND NEW.to_state <> 'contacted';
    IF purpose IS NOT NULL THEN
        INSERT INTO outreach (ticket_no, step_no, user_id, purpose)
        SELECT NEW.ticket_no, NEW.step_no, t.user_id, purpose FROM ticket AS t WHERE t.ticket_no = NEW.ticket_no;
        PERFORM pg_notify('outreach', NEW.ticket_no::text);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER owe_outreach AFTER INSERT ON ticket_step
    FOR EACH ROW EXECUTE FUNCTION owe_outreach();

-- Who has to hear of a storm, and by which of their cases: the fault stands, within an open storm, at somebody who has
-- the device, and no ticket is open about it (then that is what is talked about). One row a case.
CREATE OR REPLACE VIEW storm_concern AS
SELECT c.case_no, c.incident_no, account_root(c.user_id) AS user_id
FROM fault_case AS c
JOIN incident AS i ON i.incident_no = c.incident_no AND i.state = 'open' AND i.merged_into IS NULL
WHERE c.merged_into IS NULL AND c.cleared_at IS NULL
    AND EXISTS (
        SELECT FROM binding AS b WHERE b.device_no = c.device_no AND b.user_id = c.user_id AND upper_inf(b.known)
            AND b.valid @> desk_now()
    )
    AND NOT EXISTS (
        SELECT FROM ticket AS t WHERE t.device_no = c.device_no AND t.problem = c.problem
            AND t.state IN ('proposed', 'confirmed', 'contacted', 'scheduled')
    );

-- Whether a customer hears of the storm by the notice of another incident, for the two turned out to be one: by any
-- that is not cancelled (of two, the older; `than` is the number of the one that asks), or that may have been delivered.
CREATE OR REPLACE FUNCTION told_of_same_storm(customer text, incident bigint, than bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM outreach AS o
        JOIN incident AS i ON i.incident_no = o.incident_no
        JOIN incident AS j ON j.incident_no = incident
        WHERE o.user_id = customer AND o.incident_no <> incident
            AND coalesce(i.merged_into, i.incident_no) = coalesce(j.merged_into, j.incident_no)
            AND ((o.state <> 'cancelled' AND (than IS NULL OR o.outreach_no < than)) OR EXISTS (
                SELECT FROM outreach_message AS m
                WHERE m.outreach_no = o.outreach_no AND m.state IN ('in_flight', 'delivered')))
    )
$$;

-- What an outreach is about, whichever of the two that is. A storm endangers nobody: critical codes are never in one.
CREATE OR REPLACE VIEW outreach_subject AS
SELECT o.outreach_no, t.device_no, t.state AS ticket_state, t.problem, t.severity, t.safety, t.customer_words,
    t.self_help, t.gtin, t.serial, t.family,
    EXISTS (
        SELECT FROM ticket_step AS s
        WHERE s.ticket_no = o.ticket_no AND s.step_no > o.step_no AND s.to_state <> 'contacted'
    ) AS overtaken
FROM outreach AS o JOIN ticket_card AS t USING (ticket_no)
UNION ALL
SELECT o.outreach_no, c.device_no, NULL, c.problem, 'low', 'none', i.words, NULL, c.gtin, c.serial, m.family,
    told_of_same_storm(o.user_id, o.incident_no, o.outreach_no)
        OR NOT EXISTS (SELECT FROM storm_concern AS s WHERE s.case_no = o.case_no AND s.user_id = o.user_id)
FROM outreach AS o
JOIN incident AS i USING (incident_no)
JOIN fault_case AS c ON c.case_no = o.case_no
JOIN model AS m ON m.model = c.model;

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consent
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON outreach_answer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();

-- Counts one try of a subject and says whether it is still within the limit. One statement: two tries at the same
-- moment cannot both be the last that is allowed. Old spans go with it.
CREATE OR REPLACE FUNCTION count_check_try(p_subject text, p_span interval, p_at_most int) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    this_span timestamptz := date_bin(p_span, clock_timestamp(), 'epoch');
    counted int;
BEGIN
    DELETE FROM check_try WHERE subject = p_subject AND span_start < this_span;
    INSERT INTO check_try AS c VALUES (p_subject, this_span, 1)
    ON CONFLICT (subject, span_start) DO UPDATE SET tries = c.tries + 1
    RETURNING tries INTO counted;
    RETURN counted <= p_at_most;
END $$;

-- For screens ----------------------------------------------------------------------------------------------------

-- What was said and what became of it; no contact in it.
CREATE OR REPLACE VIEW outreach_card AS
SELECT o.outreach_no, o.ticket_no, o.step_no, o.user_id, o.purpose, o.state, o.reason, o.look_at, o.created_at,
    o.closed_at, m.message_no, m.channel, m.state AS message_state, m.tries, m.first_tried_at, m.delivered_at,
    m.trouble, m.locale, m.subject, m.body,
    (SELECT array_agg(a.action ORDER BY a.answer_no) FROM outreach_answer AS a WHERE a.outreach_no = o.outreach_no)
        AS answers, o.incident_no
FROM outreach AS o
LEFT JOIN outreach_message AS m USING (outreach_no);

-- Customers whom nothing could reach: a person has to think of something. Shown, never dropped.
CREATE OR REPLACE VIEW outreach_stuck AS
SELECT o.outreach_no, o.ticket_no, o.user_id, o.purpose, o.reason, o.closed_at, i.incident_no
FROM outreach AS o
LEFT JOIN ticket AS t USING (ticket_no)
LEFT JOIN incident AS j ON j.incident_no = o.incident_no
LEFT JOIN incident AS i ON i.incident_no = coalesce(j.merged_into, j.incident_no)
WHERE o.state = 'exhausted' AND (
    (o.purpose IN ('first_call', 'came_back', 'new_time') AND t.state IN ('confirmed', 'contacted'))
    OR (o.purpose = 'storm' AND i.state = 'open')
);
