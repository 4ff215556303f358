-- The registry's operations, the four-code join, and the views over both. Re-run at each migrate.
--
-- Errors carry a SQLSTATE of class FC, which cloud/registry/errors.py turns into typed errors:
-- FC001 unknown device · FC002 unknown or erased user · FC003 already taken · FC004 not so at that time
-- FC005 knowledge written into the past · FC006 unknown product · FC009 the row is append-only

-- One writer a device at a time, for the registry's operations and for the desk's calls alike.
CREATE OR REPLACE FUNCTION lock_device(p_device int) RETURNS void
LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(46626, p_device) $$;

-- A bound range [since, until); until NULL: for good. An empty or reversed one is refused.
CREATE OR REPLACE FUNCTION registry_span(p_since timestamptz, p_until timestamptz) RETURNS tstzrange
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF p_until <= p_since OR p_since IN ('infinity', '-infinity') OR p_until IN ('infinity', '-infinity') THEN
        RAISE EXCEPTION 'from % until %: the end must come after the beginning', p_since, p_until
            USING ERRCODE = 'FC004';
    END IF;
    RETURN tstzrange(p_since, p_until);
END $$;

CREATE OR REPLACE FUNCTION registry_check_device(p_device int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM registered_device WHERE device_no = p_device) THEN
        RAISE EXCEPTION 'device number % is not registered', p_device USING ERRCODE = 'FC001';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION registry_check_user(p_user text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM app_user WHERE user_id = p_user AND erased_at IS NULL) THEN
        RAISE EXCEPTION 'user % is unknown, or was erased', p_user USING ERRCODE = 'FC002';
    END IF;
END $$;

-- Bindings --------------------------------------------------------------------------------------------------------

-- From p_known on, nobody is held to have the device within p_span; what lies outside of it is kept.
CREATE OR REPLACE FUNCTION binding_release(p_device int, p_span tstzrange, p_known timestamptz, p_person text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held binding;
BEGIN
    IF EXISTS (
        SELECT FROM binding WHERE device_no = p_device
            AND (lower(known) > p_known OR (NOT upper_inf(known) AND upper(known) > p_known))
    ) THEN
        RAISE EXCEPTION 'something later than % is already known of device number %', p_known, p_device
            USING ERRCODE = 'FC005';
    END IF;
    FOR held IN
        SELECT * FROM binding WHERE device_no = p_device AND upper_inf(known) AND valid && p_span
    LOOP
        IF lower(held.known) = p_known THEN
            DELETE FROM binding WHERE binding_no = held.binding_no; -- it was never visible
        ELSE
            UPDATE binding SET known = tstzrange(lower(known), p_known) WHERE binding_no = held.binding_no;
        END IF;
        INSERT INTO binding (device_no, user_id, valid, known, recorded_by)
        SELECT p_device, held.user_id, piece, tstzrange(p_known, NULL), p_person
        FROM unnest(tstzmultirange(held.valid) - tstzmultirange(p_span)) AS piece;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION binding_write(
    p_device int, p_user text, p_span tstzrange, p_known timestamptz, p_person text
) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO binding (device_no, user_id, valid, known, recorded_by)
    VALUES (p_device, p_user, p_span, tstzrange(p_known, NULL), p_person)
    RETURNING binding_no
$$;

-- The binding that is held now and was in force at p_at.
CREATE OR REPLACE FUNCTION binding_at(p_device int, p_at timestamptz) RETURNS SETOF binding
LANGUAGE sql STABLE AS $$
    SELECT * FROM binding WHERE device_no = p_device AND upper_inf(known) AND valid @> p_at
$$;

CREATE OR REPLACE FUNCTION binding_refuse_overlap(p_device int, p_span tstzrange) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    held binding;
BEGIN
    SELECT * INTO held FROM binding WHERE device_no = p_device AND upper_inf(known) AND valid && p_span LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'device number % is bound to user % during %', p_device, held.user_id, held.valid
            USING ERRCODE = 'FC003', HINT = 'Transfer it, or correct that binding first.';
    END IF;
END $$;

-- A user takes a device.
CREATE OR REPLACE FUNCTION registry_bind(
    p_device int, p_user text, p_since timestamptz, p_until timestamptz, p_known timestamptz, p_person text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    span tstzrange := registry_span(p_since, p_until);
BEGIN
    PERFORM lock_device(p_device), registry_check_device(p_device), registry_check_user(p_user);
    PERFORM binding_refuse_overlap(p_device, span);
    PERFORM binding_release(p_device, span, p_known, p_person); -- releases nothing, checks the known time
    RETURN binding_write(p_device, p_user, span, p_known, p_person);
END $$;

-- The device goes from whoever has it at p_at to another user, until the old binding would have ended.
CREATE OR REPLACE FUNCTION registry_transfer(
    p_device int, p_user text, p_at timestamptz, p_known timestamptz, p_person text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    held binding;
    span tstzrange;
BEGIN
    PERFORM lock_device(p_device), registry_check_device(p_device), registry_check_user(p_user);
    SELECT * INTO held FROM binding_at(p_device, p_at);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'device number % has no user at %', p_device, p_at
            USING ERRCODE = 'FC004', HINT = 'Bind it instead.';
    ELSIF held.user_id = p_user THEN
        RAISE EXCEPTION 'device number % is already bound to user % at %', p_device, p_user, p_at
            USING ERRCODE = 'FC003';
    END IF;
    span := tstzrange(p_at, upper(held.valid));
    PERFORM binding_release(p_device, span, p_known, p_person);
    RETURN binding_write(p_device, p_user, span, p_known, p_person);
END $$;

-- What was written about one binding was wrong: another user, or other dates. NULL keeps what is held.
CREATE OR REPLACE FUNCTION registry_correct(
    p_binding bigint, p_user text, p_since timestamptz, p_until timestamptz, p_open_end boolean,
    p_known timestamptz, p_person text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    held binding;
    span tstzrange;
BEGIN
    SELECT * INTO held FROM binding WHERE binding_no = p_binding;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no binding %', p_binding USING ERRCODE = 'FC004';
    END IF;
    PERFORM lock_device(held.device_no), registry_check_user(coalesce(p_user, held.user_id));
    SELECT * INTO held FROM binding WHERE binding_no = p_binding AND upper_inf(known);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'binding % has been superseded', p_binding
            USING ERRCODE = 'FC004', HINT = 'Look up what is held now and correct that.';
    END IF;
    span := registry_span(
        coalesce(p_since, lower(held.valid)),
        CASE WHEN p_open_end THEN NULL ELSE coalesce(p_until, upper(held.valid)) END
    );
    PERFORM binding_release(held.device_no, held.valid, p_known, p_person);
    PERFORM binding_refuse_overlap(held.device_no, span);
    RETURN binding_write(held.device_no, coalesce(p_user, held.user_id), span, p_known, p_person);
END $$;

-- A user has the device no longer from p_at on, and nobody takes it.
CREATE OR REPLACE FUNCTION registry_revoke(
    p_device int, p_user text, p_at timestamptz, p_known timestamptz, p_person text
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held binding;
BEGIN
    PERFORM lock_device(p_device), registry_check_device(p_device);
    SELECT * INTO held FROM binding_at(p_device, p_at);
    IF NOT FOUND OR held.user_id <> p_user THEN
        RAISE EXCEPTION 'user % does not have device number % at %', p_user, p_device, p_at
            USING ERRCODE = 'FC004';
    END IF;
    PERFORM binding_release(p_device, tstzrange(p_at, upper(held.valid)), p_known, p_person);
END $$;

-- Fittings --------------------------------------------------------------------------------------------------------

-- From p_known on, the device is held to be in no product within p_span.
CREATE OR REPLACE FUNCTION fitting_release(p_device int, p_span tstzrange, p_known timestamptz, p_person text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held fitting;
BEGIN
    IF EXISTS (
        SELECT FROM fitting WHERE device_no = p_device
            AND (lower(known) > p_known OR (NOT upper_inf(known) AND upper(known) > p_known))
    ) THEN
        RAISE EXCEPTION 'something later than % is already known of device number %', p_known, p_device
            USING ERRCODE = 'FC005';
    END IF;
    FOR held IN
        SELECT * FROM fitting WHERE device_no = p_device AND upper_inf(known) AND valid && p_span
    LOOP
        IF lower(held.known) = p_known THEN
            DELETE FROM fitting WHERE fitting_no = held.fitting_no;
        ELSE
            UPDATE fitting SET known = tstzrange(lower(known), p_known) WHERE fitting_no = held.fitting_no;
        END IF;
        INSERT INTO fitting (device_no, gtin, serial, valid, known, recorded_by)
        SELECT p_device, held.gtin, held.serial, piece, tstzrange(p_known, NULL), p_person
        FROM unnest(tstzmultirange(held.valid) - tstzmultirange(p_span)) AS piece;
    END LOOP;
END $$;

-- From p_known on, the device is held to be in this product within [p_since, p_until); it replaces what was held
-- of the device in that span. p_since NULL: since it was made.
CREATE OR REPLACE FUNCTION registry_fit(
    p_device int, p_gtin text, p_serial text, p_since timestamptz, p_until timestamptz,
    p_known timestamptz, p_person text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    span tstzrange := registry_span(p_since, p_until);
    other fitting;
    written bigint;
BEGIN
    PERFORM lock_device(p_device), registry_check_device(p_device);
    IF NOT EXISTS (SELECT FROM product WHERE gtin = p_gtin AND serial = p_serial) THEN
        RAISE EXCEPTION 'product (01)%(21)% is not registered', p_gtin, p_serial USING ERRCODE = 'FC006';
    END IF;
    SELECT * INTO other FROM fitting
    WHERE gtin = p_gtin AND serial = p_serial AND device_no <> p_device AND upper_inf(known) AND valid && span
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'product (01)%(21)% holds device number % during %', p_gtin, p_serial,
            other.device_no, other.valid USING ERRCODE = 'FC003', HINT = 'Remove that device from it first.';
    END IF;
    PERFORM fitting_release(p_device, span, p_known, p_person);
    INSERT INTO fitting (device_no, gtin, serial, valid, known, recorded_by)
    VALUES (p_device, p_gtin, p_serial, span, tstzrange(p_known, NULL), p_person)
    RETURNING fitting_no INTO written;
    RETURN written;
END $$;

-- The device is in no product from p_since (NULL: ever) until p_until.
CREATE OR REPLACE FUNCTION registry_unfit(
    p_device int, p_since timestamptz, p_until timestamptz, p_known timestamptz, p_person text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_device(p_device), registry_check_device(p_device);
    PERFORM fitting_release(p_device, registry_span(p_since, p_until), p_known, p_person);
END $$;

-- The four-code join ----------------------------------------------------------------------------------------------

-- Who had which product when p_problem arose on p_device at event time p_at, as known at p_known ('infinity': now),
-- and what the code means on that model. `missing` names the codes that could not be found: device (never
-- registered), user, product, model (its GTIN is not in the catalogue), code (not in the model's dictionary).
-- A predicted problem needs no dictionary entry: its words come from the detector's reason.
CREATE OR REPLACE FUNCTION four_codes(
    p_device int, p_at timestamptz, p_problem text, p_reported boolean, p_known timestamptz DEFAULT 'infinity'
) RETURNS TABLE (
    user_id text, binding_no bigint, gtin text, serial text, model text, definition_no bigint, missing text[]
) LANGUAGE sql STABLE AS $$
    SELECT b.user_id, b.binding_no, f.gtin, f.serial, t.model, d.definition_no,
        array_remove(ARRAY[
            CASE WHEN r.device_no IS NULL THEN 'device' END,
            CASE WHEN b.binding_no IS NULL THEN 'user' END,
            CASE WHEN f.fitting_no IS NULL THEN 'product' END,
            CASE WHEN f.fitting_no IS NOT NULL AND t.model IS NULL THEN 'model' END,
            CASE WHEN p_reported AND t.model IS NOT NULL AND d.definition_no IS NULL THEN 'code' END
        ], NULL)
    FROM (VALUES (p_device)) AS asked (device_no)
    LEFT JOIN registered_device AS r ON r.device_no = asked.device_no
    LEFT JOIN binding AS b
        ON b.device_no = asked.device_no AND b.valid @> p_at AND b.known @> p_known
    LEFT JOIN fitting AS f
        ON f.device_no = asked.device_no AND f.valid @> p_at AND f.known @> p_known
    LEFT JOIN trade_item AS t ON t.gtin = f.gtin
    LEFT JOIN fault_definition AS d
        ON d.model = t.model AND d.code = p_problem AND d.known @> p_known
$$;

-- Every fault report with its four codes, as known now. For SQL tools; the desk writes the same into fault_case.
CREATE OR REPLACE VIEW reported_fault AS
SELECT r.device_no, v.device, r.occurred_at, r.code, r.raised,
    j.user_id, j.gtin, j.serial, j.model, j.definition_no, j.missing
FROM fault_report AS r
JOIN device AS v USING (device_no)
CROSS JOIN LATERAL four_codes(r.device_no, r.occurred_at, r.code, true) AS j;

-- Who has which device now, as known now.
CREATE OR REPLACE VIEW owned_device AS
SELECT v.device_no, v.device, b.user_id, b.binding_no, lower(b.valid) AS since
FROM binding AS b
JOIN device AS v USING (device_no)
WHERE upper_inf(b.known) AND b.valid @> clock_timestamp();

-- A product with what its GTIN leads to.
CREATE OR REPLACE VIEW product_card AS
SELECT p.gtin, p.serial, p.produced_on, p.lot, m.model, m.name AS model_name, m.family, y.name AS family_name,
    m.price_band, m.warranty_months
FROM product AS p
LEFT JOIN trade_item AS t USING (gtin)
LEFT JOIN model AS m USING (model)
LEFT JOIN appliance_family AS y USING (family);

-- Codes that appliances report and no dictionary explains: the quarantine, largest first.
CREATE OR REPLACE VIEW unknown_code AS
SELECT c.model, c.problem AS code, count(*) AS cases, count(DISTINCT c.device_no) AS devices,
    min(c.occurred_at) AS first_at, max(c.last_at) AS last_at
FROM fault_case AS c
WHERE c.missing @> '{code}' AND c.merged_into IS NULL
GROUP BY c.model, c.problem
ORDER BY count(*) DESC;

-- What changed -----------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION note_registry_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
BEGIN
    INSERT INTO registry_change (device_no, gtin, model, code) VALUES (
        (changed ->> 'device_no')::int,
        CASE WHEN TG_TABLE_NAME = 'trade_item' THEN changed ->> 'gtin' END,
        CASE WHEN TG_TABLE_NAME = 'fault_definition' THEN changed ->> 'model' END,
        CASE WHEN TG_TABLE_NAME = 'fault_definition' THEN changed ->> 'code' END
    );
    NOTIFY registry;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER note_change AFTER INSERT OR DELETE ON registered_device
    FOR EACH ROW EXECUTE FUNCTION note_registry_change();
CREATE OR REPLACE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON binding
    FOR EACH ROW EXECUTE FUNCTION note_registry_change();
CREATE OR REPLACE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON fitting
    FOR EACH ROW EXECUTE FUNCTION note_registry_change();
CREATE OR REPLACE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON trade_item
    FOR EACH ROW EXECUTE FUNCTION note_registry_change();
CREATE OR REPLACE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON fault_definition
    FOR EACH ROW EXECUTE FUNCTION note_registry_change();

-- Changes after a cursor that no transaction still running can precede: safe to read with several writers.
CREATE OR REPLACE FUNCTION committed_changes(after_xid xid8, after_change bigint, at_most int)
RETURNS SETOF registry_change LANGUAGE sql STABLE AS $$
    SELECT * FROM registry_change
    WHERE (xid, change_no) > (after_xid, after_change) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY xid, change_no
    LIMIT at_most
$$;

-- What was once written is never altered --------------------------------------------------------------------------

CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON personal_access
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();
