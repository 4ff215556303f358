-- The audit log's triggers and its hash chain, the event feed, and what role firstcall_app may do. Last of the
-- repeatable scripts by name, so that it finds every table and view. Re-run at each migrate.

-- What the audit log leaves out: what machines write about machines. Everything else is audited, new tables too.
INSERT INTO audit_exempt (subject, reason) VALUES
    ('schema_migration', 'kept by migrate, with checksums'),
    ('gateway', 'seen on the wire'), ('device', 'seen on the wire'), ('channel_set', 'declared on the wire'),
    ('ingest_batch', 'telemetry'), ('frame', 'telemetry'), ('fault_report', 'telemetry'), ('fault_state', 'telemetry'),
    ('loss_ledger', 'append-only, from gateways'), ('dead_letter', 'from the wire'), ('reply', 'from the wire'),
    ('channel_rollup', 'computed'), ('tail_cursor', 'a program''s place'), ('program_health', 'counters'),
    ('prediction', 'computed'), ('device_health', 'computed'), ('detector_cohort', 'computed'),
    ('detector_lesson', 'computed'), ('detector_checkpoint', 'computed'), ('detector_checkpoint_chunk', 'computed'),
    ('fault_case', 'computed from reports and the registry'), ('ticket_evidence', 'computed'),
    ('desk_clock', 'the replay''s clock'), ('registry_change', 'an echo of audited changes'),
    ('check_try', 'a counter of attempts'), ('self_help_watch', 'computed'),
    ('web_session_token', 'goes with web_session, which is audited'),
    ('web_sign_in_attempt', 'ends as a row of web_session, or not at all'),
    ('idempotent_answer', 'copies of answers'), ('web_event', 'an echo of audited changes'),
    ('webhook_cursor', 'a program''s place'), ('webhook_delivery', 'copies of events'),
    ('audit_entry', 'the log itself'), ('audit_seal', 'the log itself')
ON CONFLICT (subject) DO UPDATE SET reason = excluded.reason;

-- Columns whose values are safe to show in the log: they hold neither free text nor anything of a customer.
CREATE OR REPLACE FUNCTION audit_shown(row_now jsonb, names text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(name, row_now -> name), '{}') FROM unnest(names) AS name WHERE row_now ? name
$$;
CREATE OR REPLACE FUNCTION audit_safe_columns() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['state', 'from_state', 'to_state', 'ticket_no', 'device_no', 'user_id', 'version', 'roles', 'scopes',
        'disabled_at', 'ended_because', 'revoked_at', 'granted', 'channel', 'outcome', 'kind',
        'kinds', 'action', 'enabled', 'tier', 'engineer', 'active', 'account_no', 'client_no']
$$;
CREATE OR REPLACE FUNCTION audit_person() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT nullif(current_setting('firstcall.person', true), '')
$$;

-- They run as their owner: whoever changes a row needs no right to the log, and cannot write it in any other way.
CREATE OR REPLACE FUNCTION audit_added() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO audit_entry (person, program, login, action, subject, key, detail)
    SELECT coalesce(audit_person(), CASE WHEN TG_TABLE_NAME = 'personal_access' THEN row_now ->> 'person' END),
        current_setting('application_name'), session_user,
        CASE WHEN TG_TABLE_NAME = 'personal_access' AND row_now ->> 'action' = 'read' THEN 'look' ELSE 'insert' END,
        TG_TABLE_NAME, audit_shown(row_now, TG_ARGV[0]::text[]), audit_shown(row_now, audit_safe_columns())
    FROM (SELECT to_jsonb(added) AS row_now FROM added) AS rows;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION audit_altered() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
    before jsonb := to_jsonb(OLD);
    after jsonb := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(NEW) ELSE '{}'::jsonb END;
    changed text[];
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT array_agg(b.key ORDER BY b.key) INTO changed
        FROM jsonb_each(before) AS b WHERE b.value IS DISTINCT FROM after -> b.key;
        IF changed IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO audit_entry (person, program, login, action, subject, key, detail)
    VALUES (audit_person(), current_setting('application_name'), session_user, lower(TG_OP), TG_TABLE_NAME,
        audit_shown(before, TG_ARGV[0]::text[]),
        CASE WHEN TG_OP = 'DELETE' THEN '{}' ELSE jsonb_build_object('changed', changed,
            'from', audit_shown(before, ARRAY(SELECT unnest(changed) INTERSECT SELECT unnest(audit_safe_columns()))),
            'to', audit_shown(after, ARRAY(SELECT unnest(changed) INTERSECT SELECT unnest(audit_safe_columns())))) END);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION audit_truncated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO audit_entry (person, program, login, action, subject, key, detail)
    VALUES (audit_person(), current_setting('application_name'), session_user, 'truncate', TG_TABLE_NAME, '{}', '{}');
    RETURN NULL;
END $$;

DO $$
DECLARE
    audited record;
BEGIN
    FOR audited IN
        SELECT c.oid::regclass AS name, ARRAY(
            SELECT a.attname::text FROM pg_index AS i
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = c.oid AND i.indisprimary
        )::text AS keys
        FROM pg_class AS c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND c.relname NOT IN (SELECT subject FROM audit_exempt)
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER audit_added AFTER INSERT ON %s REFERENCING NEW TABLE AS added
            FOR EACH STATEMENT EXECUTE FUNCTION audit_added(%L)', audited.name, audited.keys);
        EXECUTE format('CREATE OR REPLACE TRIGGER audit_altered AFTER UPDATE OR DELETE ON %s
            FOR EACH ROW EXECUTE FUNCTION audit_altered(%L)', audited.name, audited.keys);
        EXECUTE format('CREATE OR REPLACE TRIGGER audit_truncated AFTER TRUNCATE ON %s
            FOR EACH STATEMENT EXECUTE FUNCTION audit_truncated()', audited.name);
    END LOOP;
END $$;

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();

-- The chain: SHA-256 over the hash before and the entry's fields. Sealed soon after the commit, in the order of
-- (xid, entry_no) below the oldest running transaction: no writer ever waits for another's seal.
CREATE OR REPLACE FUNCTION audit_hash(before bytea, e audit_entry) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(before || convert_to(jsonb_build_array(e.entry_no, e.xid::text,
        to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), e.person, e.program, e.login, e.action,
        e.subject, e.key, e.detail)::text, 'UTF8'))
$$;

CREATE OR REPLACE FUNCTION seal_audit(at_most int DEFAULT 10000) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
    entry audit_entry;
    place bigint := 0;
    hash_before bytea := decode(repeat('00', 32), 'hex');
    last_xid xid8 := '0';
    last_no bigint := 0;
    sealed int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(46627, 0);
    SELECT s.position, s.hash, e.xid, e.entry_no INTO place, hash_before, last_xid, last_no
    FROM audit_seal AS s JOIN audit_entry AS e USING (entry_no) ORDER BY s.position DESC LIMIT 1;
    IF NOT FOUND THEN
        place := 0; hash_before := decode(repeat('00', 32), 'hex'); last_xid := '0'; last_no := 0;
    END IF;
    FOR entry IN
        SELECT * FROM audit_entry AS e
        WHERE (e.xid, e.entry_no) > (last_xid, last_no) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY e.xid, e.entry_no LIMIT at_most
    LOOP
        place := place + 1;
        hash_before := audit_hash(hash_before, entry);
        INSERT INTO audit_seal VALUES (place, entry.entry_no, hash_before);
        sealed := sealed + 1;
    END LOOP;
    RETURN sealed;
END $$;

-- What is wrong with the log, the first hundred places; nothing when it is whole.
CREATE OR REPLACE FUNCTION audit_faults() RETURNS TABLE (at_position bigint, wrong text) LANGUAGE sql STABLE AS $$
    WITH chain AS (
        SELECT s.position AS place, s.hash AS hash_now, s.entry_no AS number,
            lag(s.hash, 1, decode(repeat('00', 32), 'hex')) OVER (ORDER BY s.position) AS hash_before,
            row_number() OVER (ORDER BY s.position) AS expected
        FROM audit_seal AS s
    ), last_sealed AS (
        SELECT e.xid, e.entry_no FROM audit_seal AS s JOIN audit_entry AS e USING (entry_no)
        ORDER BY s.position DESC LIMIT 1
    )
    SELECT c.place, CASE
        WHEN c.place <> c.expected THEN 'a seal before this one is gone'
        WHEN e.entry_no IS NULL THEN 'entry ' || c.number || ' is gone'
        ELSE 'entry ' || c.number || ' is not as it was sealed' END
    FROM chain AS c LEFT JOIN audit_entry AS e ON e.entry_no = c.number
    WHERE c.place <> c.expected OR e.entry_no IS NULL OR audit_hash(c.hash_before, e) <> c.hash_now
    UNION ALL
    SELECT NULL, 'entry ' || e.entry_no || ' was slipped in behind the seals'
    FROM audit_entry AS e, last_sealed AS l
    WHERE (e.xid, e.entry_no) < (l.xid, l.entry_no)
        AND NOT EXISTS (SELECT FROM audit_seal AS s WHERE s.entry_no = e.entry_no)
    ORDER BY 1 LIMIT 100
$$;

-- The event feed ---------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION note_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO web_event (kind, number) VALUES (TG_ARGV[0], CASE TG_ARGV[0]
        WHEN 'ticket' THEN (to_jsonb(NEW) ->> 'ticket_no') WHEN 'fault' THEN (to_jsonb(NEW) ->> 'case_no')
        ELSE (to_jsonb(NEW) ->> 'finding_no') END::bigint);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER note_event AFTER INSERT OR UPDATE ON ticket
    FOR EACH ROW EXECUTE FUNCTION note_event('ticket');
CREATE OR REPLACE TRIGGER note_event AFTER INSERT OR UPDATE ON fault_case
    FOR EACH ROW EXECUTE FUNCTION note_event('fault');
CREATE OR REPLACE TRIGGER note_event AFTER INSERT ON finding
    FOR EACH ROW EXECUTE FUNCTION note_event('finding');

-- An engineer sees a customer's contact for an assigned visit: booked, and neither done nor cancelled.
CREATE OR REPLACE FUNCTION engineer_visits_user(who text, visited text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM visit_slot AS s
        JOIN work_order AS w USING (work_order_no)
        JOIN ticket AS t ON t.ticket_no = w.ticket_no
        WHERE s.engineer = who AND s.state = 'booked' AND w.state = 'booked' AND t.user_id = visited
    )
$$;

-- What the programs that face people may do ------------------------------------------------------------------------

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'firstcall_app') THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO firstcall_app', current_schema());
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO firstcall_app', current_schema());
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO firstcall_app', current_schema());
    REVOKE INSERT, UPDATE, DELETE ON audit_entry, audit_seal, audit_exempt, schema_migration FROM firstcall_app;
    REVOKE UPDATE, DELETE ON personal_access, ticket_step, finding, consent FROM firstcall_app;
END $$;
