-- The registry's statements. Operations are functions in repeatable/registry.sql.

-- name: put_user
INSERT INTO app_user (user_id, locale, time_zone) VALUES (%(user_id)s, %(locale)s, %(time_zone)s)
ON CONFLICT (user_id) DO UPDATE SET locale = excluded.locale, time_zone = excluded.time_zone
WHERE app_user.erased_at IS NULL
RETURNING user_id;

-- name: user
SELECT user_id, locale, time_zone, erased_at IS NOT NULL AS erased FROM app_user WHERE user_id = %(user_id)s;

-- name: user_key
SELECT u.erased_at IS NOT NULL, k.wrapped_key
FROM app_user AS u LEFT JOIN personal_key AS k USING (user_id)
WHERE u.user_id = %(user_id)s
FOR UPDATE OF u;

-- name: put_key
INSERT INTO personal_key (user_id, master_key, wrapped_key)
VALUES (%(user_id)s, %(master_key)s, %(wrapped_key)s);

-- name: put_contact
INSERT INTO personal_contact (user_id, kind, ciphertext, lookup)
VALUES (%(user_id)s, %(kind)s, %(ciphertext)s, %(lookup)s)
ON CONFLICT (user_id, kind) DO UPDATE
SET ciphertext = excluded.ciphertext, lookup = excluded.lookup, recorded_at = clock_timestamp();

-- name: contacts
SELECT kind, ciphertext FROM personal_contact
WHERE user_id = %(user_id)s AND kind = ANY(%(kinds)s)
ORDER BY kind;

-- name: users_with_contact
SELECT user_id FROM personal_contact WHERE lookup = %(lookup)s ORDER BY user_id;

-- name: log_access
INSERT INTO personal_access (user_id, person, purpose, action, kinds)
VALUES (%(user_id)s, %(person)s, %(purpose)s, %(action)s, %(kinds)s);

-- name: mark_erased
UPDATE app_user SET erased_at = clock_timestamp() WHERE user_id = %(user_id)s AND erased_at IS NULL
RETURNING user_id;

-- name: destroy_key
DELETE FROM personal_key WHERE user_id = %(user_id)s;

-- name: end_bindings_of
-- Ends what the user has now or would have later, at this moment (or where it begins, if that is later).
SELECT registry_revoke(
    device_no, user_id, greatest(clock_timestamp(), lower(valid)), clock_timestamp(), %(person)s
)
FROM binding
WHERE user_id = %(user_id)s AND upper_inf(known) AND (upper_inf(valid) OR upper(valid) > clock_timestamp());

-- name: put_gateway
INSERT INTO gateway (gateway, partition) VALUES (%(gateway)s, %(partition)s) ON CONFLICT (gateway) DO NOTHING;

-- name: put_device
WITH made AS (
    INSERT INTO device (device, gateway_no)
    VALUES (%(device)s, (SELECT gateway_no FROM gateway WHERE gateway = %(gateway)s))
    ON CONFLICT (device) DO UPDATE SET gateway_no = coalesce(device.gateway_no, excluded.gateway_no)
    RETURNING device_no
), registered AS (
    INSERT INTO registered_device (device_no, registered_by)
    SELECT device_no, %(person)s FROM made
    ON CONFLICT (device_no) DO NOTHING
)
SELECT device_no FROM made;

-- name: device_no
SELECT d.device_no FROM device AS d JOIN registered_device USING (device_no) WHERE d.device = %(device)s;

-- name: put_product
INSERT INTO product (gtin, serial, produced_on, lot)
VALUES (%(gtin)s, %(serial)s, %(produced_on)s, %(lot)s)
ON CONFLICT (gtin, serial) DO UPDATE
SET produced_on = coalesce(excluded.produced_on, product.produced_on), lot = coalesce(excluded.lot, product.lot);

-- name: fit
SELECT registry_fit(
    %(device_no)s, %(gtin)s, %(serial)s, %(since)s, %(until)s,
    coalesce(%(known_at)s::timestamptz, clock_timestamp()), %(person)s
);

-- name: unfit
SELECT registry_unfit(
    %(device_no)s, %(since)s, %(until)s, coalesce(%(known_at)s::timestamptz, clock_timestamp()), %(person)s
);

-- name: bind
SELECT registry_bind(
    %(device_no)s, %(user_id)s, %(since)s, %(until)s,
    coalesce(%(known_at)s::timestamptz, clock_timestamp()), %(person)s
);

-- name: transfer
SELECT registry_transfer(
    %(device_no)s, %(user_id)s, %(at)s, coalesce(%(known_at)s::timestamptz, clock_timestamp()), %(person)s
);

-- name: correct
SELECT registry_correct(
    %(binding_no)s, %(user_id)s, %(since)s, %(until)s, %(open_end)s,
    coalesce(%(known_at)s::timestamptz, clock_timestamp()), %(person)s
);

-- name: revoke
SELECT registry_revoke(
    %(device_no)s, %(user_id)s, %(at)s, coalesce(%(known_at)s::timestamptz, clock_timestamp()), %(person)s
);

-- name: owner
SELECT b.binding_no, d.device, b.user_id, lower(b.valid) AS since, upper(b.valid) AS until
FROM binding AS b JOIN device AS d USING (device_no)
WHERE d.device = %(device)s AND upper_inf(b.known)
    AND b.valid @> coalesce(%(at)s::timestamptz, clock_timestamp());

-- name: bindings_of_device
SELECT b.binding_no, d.device, b.user_id, lower(b.valid) AS since, upper(b.valid) AS until
FROM binding AS b JOIN device AS d USING (device_no)
WHERE d.device = %(device)s AND upper_inf(b.known)
ORDER BY lower(b.valid) DESC NULLS LAST;

-- name: devices_of_user
SELECT b.binding_no, d.device, b.user_id, lower(b.valid) AS since, upper(b.valid) AS until
FROM binding AS b JOIN device AS d USING (device_no)
WHERE b.user_id = %(user_id)s AND upper_inf(b.known) AND b.valid @> clock_timestamp()
ORDER BY d.device;

-- name: product_of_device
SELECT c.gtin, c.serial, c.produced_on, c.lot, c.model, c.model_name, c.family, c.family_name, c.price_band,
    c.warranty_months
FROM device AS d
JOIN fitting AS f USING (device_no)
JOIN product_card AS c USING (gtin, serial)
WHERE d.device = %(device)s AND upper_inf(f.known)
    AND f.valid @> coalesce(%(at)s::timestamptz, clock_timestamp());

-- name: product
SELECT gtin, serial, produced_on, lot, model, model_name, family, family_name, price_band, warranty_months
FROM product_card WHERE gtin = %(gtin)s AND serial = %(serial)s;

-- name: device_in_product
SELECT d.device FROM fitting AS f JOIN device AS d USING (device_no)
WHERE f.gtin = %(gtin)s AND f.serial = %(serial)s AND upper_inf(f.known)
    AND f.valid @> coalesce(%(at)s::timestamptz, clock_timestamp());

-- name: four_codes
SELECT j.* FROM device AS d
CROSS JOIN LATERAL four_codes(
    d.device_no, %(at)s, %(problem)s, %(reported)s, coalesce(%(known_at)s::timestamptz, 'infinity')
) AS j
WHERE d.device = %(device)s;

-- name: put_family
INSERT INTO appliance_family (family, name) VALUES (%(family)s, %(name)s)
ON CONFLICT (family) DO UPDATE SET name = excluded.name;

-- name: put_part
INSERT INTO part (part, name) VALUES (%(part)s, %(name)s) ON CONFLICT (part) DO UPDATE SET name = excluded.name;

-- name: put_model
INSERT INTO model (model, family, name, price_band, warranty_months)
VALUES (%(model)s, %(family)s, %(name)s, %(price_band)s, %(warranty_months)s)
ON CONFLICT (model) DO UPDATE SET family = excluded.family, name = excluded.name,
    price_band = excluded.price_band, warranty_months = excluded.warranty_months;

-- name: clear_warranty_terms
DELETE FROM warranty_term WHERE model = %(model)s;

-- name: put_warranty_term
INSERT INTO warranty_term (model, covers, months) VALUES (%(model)s, %(covers)s, %(months)s);

-- name: put_trade_item
INSERT INTO trade_item (gtin, model) VALUES (%(gtin)s, %(model)s)
ON CONFLICT (gtin) DO UPDATE SET model = excluded.model WHERE trade_item.model <> excluded.model;

-- name: put_definition
-- A changed definition ends what was known and adds a version; an equal one changes nothing.
WITH clock AS (
    SELECT clock_timestamp() AS at
), offered AS (
    SELECT %(model)s::text AS model, %(code)s::text AS code, %(meaning)s::jsonb AS meaning,
        %(severity)s::severity AS severity, %(safety)s::text AS safety, %(stops)s::boolean AS stops,
        %(self_help)s::jsonb AS self_help, %(likely_parts)s::text[] AS likely_parts,
        %(customer_words)s::jsonb AS customer_words, %(confirmation_rule)s::jsonb AS confirmation_rule,
        %(source)s::text AS source
), held AS (
    SELECT d.* FROM fault_definition AS d JOIN offered USING (model, code) WHERE upper_inf(d.known)
), differs AS (
    SELECT o.* FROM offered AS o LEFT JOIN held AS h USING (model, code)
    WHERE (h.meaning, h.severity, h.safety, h.stops, h.self_help, h.likely_parts, h.customer_words,
            h.confirmation_rule, h.source)
        IS DISTINCT FROM (o.meaning, o.severity, o.safety, o.stops, o.self_help, o.likely_parts, o.customer_words,
            o.confirmation_rule, o.source)
), ended AS (
    UPDATE fault_definition AS d SET known = tstzrange(lower(d.known), clock.at)
    FROM differs, clock
    WHERE d.model = differs.model AND d.code = differs.code AND upper_inf(d.known)
    RETURNING d.version
)
INSERT INTO fault_definition (model, code, version, known, meaning, severity, safety, stops, self_help,
    likely_parts, customer_words, confirmation_rule, source)
SELECT model, code, coalesce((SELECT max(version) FROM ended), 0) + 1, tstzrange(clock.at, NULL), meaning, severity,
    safety, stops, self_help, likely_parts, customer_words, confirmation_rule, source
FROM differs, clock
RETURNING version;

-- name: put_consumable
INSERT INTO consumable AS c (model, channel, name, when_new, when_spent)
VALUES (%(model)s, %(channel)s, %(name)s, %(when_new)s, %(when_spent)s)
ON CONFLICT (model, channel) DO UPDATE
SET name = excluded.name, when_new = excluded.when_new, when_spent = excluded.when_spent
WHERE (c.name, c.when_new, c.when_spent) IS DISTINCT FROM (excluded.name, excluded.when_new, excluded.when_spent);

-- name: put_place
INSERT INTO region AS r (region, latitude, longitude) VALUES (%(region)s, %(latitude)s, %(longitude)s)
ON CONFLICT (region) DO UPDATE SET latitude = excluded.latitude, longitude = excluded.longitude
WHERE (r.latitude, r.longitude) IS DISTINCT FROM (excluded.latitude, excluded.longitude);

-- name: definition
SELECT definition_no, model, code, version, meaning, severity::text AS severity, safety, stops, self_help,
    likely_parts, customer_words, confirmation_rule, source
FROM fault_definition
WHERE model = %(model)s AND code = %(code)s AND upper_inf(known);

-- name: dictionary
SELECT definition_no, model, code, version, meaning, severity::text AS severity, safety, stops, self_help,
    likely_parts, customer_words, confirmation_rule, source
FROM fault_definition
WHERE model = %(model)s AND upper_inf(known)
ORDER BY code;

-- name: known_names
SELECT
    (SELECT coalesce(array_agg(family), '{}') FROM appliance_family) AS families,
    (SELECT coalesce(array_agg(part), '{}') FROM part) AS parts,
    (SELECT coalesce(array_agg(model), '{}') FROM model) AS models;

-- name: present_users
SELECT user_id FROM app_user WHERE user_id = ANY(%(names)s) AND erased_at IS NULL;

-- name: present_devices
SELECT d.device FROM device AS d JOIN registered_device USING (device_no) WHERE d.device = ANY(%(names)s);

-- name: counts
SELECT
    (SELECT count(*) FROM appliance_family) AS families,
    (SELECT count(*) FROM model) AS models,
    (SELECT count(*) FROM trade_item) AS trade_items,
    (SELECT count(*) FROM fault_definition WHERE upper_inf(known)) AS definitions,
    (SELECT count(*) FROM app_user WHERE erased_at IS NULL) AS users,
    (SELECT count(*) FROM registered_device) AS devices,
    (SELECT count(*) FROM product) AS products,
    (SELECT count(*) FROM binding WHERE upper_inf(known)) AS bindings;

-- name: binding_is_held
SELECT b.binding_no FROM binding AS b JOIN device AS d USING (device_no)
WHERE d.device = %(device)s AND b.user_id = %(user_id)s AND upper_inf(b.known)
    AND b.valid = tstzrange(%(since)s, %(until)s);

-- name: put_gateways
INSERT INTO gateway (gateway, partition) SELECT * FROM unnest(%(gateways)s::text[], %(partitions)s::smallint[])
ON CONFLICT (gateway) DO NOTHING;

-- name: put_devices
WITH asked AS (
    SELECT DISTINCT ON (device) device, gateway
    FROM unnest(%(devices)s::text[], %(gateways)s::text[]) AS a (device, gateway)
    ORDER BY device, gateway
), made AS (
    INSERT INTO device (device, gateway_no)
    SELECT a.device, g.gateway_no FROM asked AS a LEFT JOIN gateway AS g USING (gateway) ORDER BY a.device
    ON CONFLICT (device) DO UPDATE SET gateway_no = coalesce(device.gateway_no, excluded.gateway_no)
    RETURNING device, device_no
), registered AS (
    INSERT INTO registered_device (device_no, registered_by)
    SELECT device_no, %(person)s FROM made
    ON CONFLICT (device_no) DO NOTHING
)
SELECT device, device_no FROM made;

-- name: put_products
INSERT INTO product (gtin, serial, produced_on, lot)
SELECT DISTINCT ON (gtin, serial) gtin, serial, produced_on, lot
FROM unnest(%(gtins)s::text[], %(serials)s::text[], %(produced_on)s::date[], %(lots)s::text[])
    AS p (gtin, serial, produced_on, lot)
ORDER BY gtin, serial, produced_on, lot
ON CONFLICT (gtin, serial) DO UPDATE
SET produced_on = coalesce(excluded.produced_on, product.produced_on), lot = coalesce(excluded.lot, product.lot)
WHERE (product.produced_on, product.lot) IS DISTINCT FROM
    (coalesce(excluded.produced_on, product.produced_on), coalesce(excluded.lot, product.lot));

-- name: fit_unless_held
SELECT registry_fit(%(device_no)s, %(gtin)s, %(serial)s, %(since)s, NULL, clock_timestamp(), %(person)s)
WHERE NOT EXISTS (
    SELECT FROM fitting
    WHERE device_no = %(device_no)s AND gtin = %(gtin)s AND serial = %(serial)s AND upper_inf(known)
        AND valid = tstzrange(%(since)s, NULL)
);

-- name: put_region
-- Where a user's appliances are, coarsely: a town or a district, nothing that finds a home. What customers say of
-- themselves stands.
INSERT INTO customer_profile AS p (user_id, household, region) VALUES (%(user_id)s, %(user_id)s, %(region)s)
ON CONFLICT (user_id) DO UPDATE SET region = excluded.region
WHERE p.region <> excluded.region AND p.region_by = 'company';
