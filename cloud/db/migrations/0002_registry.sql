-- The registry: who has which machine, what the machine is, and what its fault codes mean.
-- Ownership and fitting are bitemporal: `valid` is when it was so, `known` is when the registry held it to be so.
-- Nothing that was once known is overwritten: an operation ends a row's `known` and writes what is held from then on.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TYPE severity AS ENUM ('low', 'medium', 'high', 'critical');

-- GS1 General Specifications 7.9: weights 3, 1, 3, … from the left of a GTIN-14; the sum with the check digit
-- is a multiple of ten.
CREATE FUNCTION gtin_is_sound(gtin text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN gtin ~ '^[0-9]{14}$' THEN (
        SELECT sum(substr(gtin, i, 1)::int * CASE WHEN i % 2 = 1 THEN 3 ELSE 1 END) % 10 = 0
        FROM generate_series(1, 14) AS i
    ) ELSE false END
$$;

-- For tables in which what was once written stays: a statement trigger on UPDATE, DELETE and TRUNCATE.
CREATE FUNCTION refuse_alteration() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'FC009';
END $$;

-- What was made -------------------------------------------------------------------------------------------------

CREATE TABLE appliance_family (
    family text PRIMARY KEY,
    name jsonb NOT NULL -- by language: {"en": …, "zh": …}
);

CREATE TABLE model (
    model text PRIMARY KEY,
    family text NOT NULL REFERENCES appliance_family,
    name text NOT NULL,
    price_band text NOT NULL CHECK (price_band IN ('economy', 'middle', 'premium')),
    warranty_months int NOT NULL CHECK (warranty_months >= 0) -- the whole unit; longer terms stand in warranty_term
);

CREATE TABLE warranty_term (
    model text NOT NULL REFERENCES model ON DELETE CASCADE,
    covers text NOT NULL, -- 'main_parts', or a part's code
    months int NOT NULL CHECK (months > 0),
    PRIMARY KEY (model, covers)
);

CREATE TABLE trade_item ( -- a GTIN leads to its model; one model may be sold under several
    gtin text PRIMARY KEY CHECK (gtin_is_sound(gtin)),
    model text NOT NULL REFERENCES model
);

CREATE TABLE product ( -- one unit. Its GTIN may be unknown to the catalogue for a time
    gtin text NOT NULL CHECK (gtin_is_sound(gtin)),
    serial text NOT NULL CHECK (length(serial) BETWEEN 1 AND 20),
    produced_on date,
    lot text CHECK (length(lot) BETWEEN 1 AND 20),
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (gtin, serial)
);
CREATE INDEX product_lot ON product (gtin, lot);

CREATE TABLE part (
    part text PRIMARY KEY,
    name jsonb NOT NULL
);

CREATE TABLE registered_device ( -- devices that the registry knows; `device` also holds those only seen on the wire
    device_no int PRIMARY KEY REFERENCES device,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    registered_by text NOT NULL
);

-- Who uses it ---------------------------------------------------------------------------------------------------

CREATE TABLE app_user ( -- pseudonymous: nothing here names a person
    user_id text PRIMARY KEY CHECK (user_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    locale text NOT NULL DEFAULT 'en',
    time_zone text NOT NULL DEFAULT 'UTC',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at timestamptz
);

CREATE TABLE personal_key ( -- a user's own key, wrapped by the master key. Erasing a user deletes the row
    user_id text PRIMARY KEY REFERENCES app_user,
    master_key text NOT NULL, -- which master key wraps it (its fingerprint)
    wrapped_key bytea NOT NULL
);

CREATE TABLE personal_contact (
    contact_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text NOT NULL REFERENCES personal_key ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('name', 'phone', 'email', 'address')),
    ciphertext bytea NOT NULL, -- AES-256-GCM under the user's key: nonce, then text and tag
    lookup bytea, -- keyed hash of a phone or e-mail, to find its user without reading it
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (user_id, kind)
);
CREATE INDEX personal_contact_lookup ON personal_contact (lookup) WHERE lookup IS NOT NULL;

CREATE TABLE personal_access ( -- every read, change and erasure: who, why, what
    access_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text NOT NULL REFERENCES app_user,
    person text NOT NULL CHECK (person <> ''),
    purpose text NOT NULL CHECK (purpose <> ''),
    action text NOT NULL CHECK (action IN ('read', 'write', 'erase')),
    kinds text[] NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX personal_access_user ON personal_access (user_id, at);

-- Fitting (a device is in a product) and binding (a user takes a device) -----------------------------------------

CREATE TABLE fitting (
    fitting_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_no int NOT NULL REFERENCES registered_device,
    gtin text NOT NULL,
    serial text NOT NULL,
    valid tstzrange NOT NULL CHECK (NOT isempty(valid) AND NOT upper_inc(valid)),
    known tstzrange NOT NULL CHECK (NOT isempty(known) AND NOT lower_inf(known) AND NOT upper_inc(known)),
    recorded_by text NOT NULL,
    FOREIGN KEY (gtin, serial) REFERENCES product,
    CONSTRAINT fitting_one_product_a_device
        EXCLUDE USING gist (device_no WITH =, valid WITH &&, known WITH &&),
    CONSTRAINT fitting_one_device_a_product
        EXCLUDE USING gist (gtin WITH =, serial WITH =, valid WITH &&, known WITH &&)
);

CREATE TABLE binding (
    binding_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_no int NOT NULL REFERENCES registered_device,
    user_id text NOT NULL REFERENCES app_user,
    valid tstzrange NOT NULL CHECK (NOT isempty(valid) AND NOT upper_inc(valid)),
    known tstzrange NOT NULL CHECK (NOT isempty(known) AND NOT lower_inf(known) AND NOT upper_inc(known)),
    recorded_by text NOT NULL,
    CONSTRAINT binding_one_user_a_device
        EXCLUDE USING gist (device_no WITH =, valid WITH &&, known WITH &&)
);
CREATE INDEX binding_user ON binding (user_id);

-- What a fault code means ---------------------------------------------------------------------------------------

CREATE TABLE fault_definition (
    definition_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL REFERENCES model,
    code text NOT NULL CHECK (length(code) BETWEEN 1 AND 64),
    version int NOT NULL CHECK (version > 0),
    known tstzrange NOT NULL CHECK (NOT isempty(known) AND NOT lower_inf(known) AND NOT upper_inc(known)),
    meaning jsonb NOT NULL, -- by language
    severity severity NOT NULL,
    safety text NOT NULL CHECK (safety IN ('none', 'water', 'electric', 'heat', 'gas')),
    stops boolean NOT NULL, -- while the code stands, the appliance does not do its work
    self_help jsonb NOT NULL, -- by language: steps that a customer can safely do; {} when there are none
    likely_parts text[] NOT NULL, -- most likely first
    customer_words jsonb NOT NULL, -- by language: what to say
    confirmation_rule jsonb NOT NULL,
    source text NOT NULL, -- where the meaning was read
    UNIQUE (model, code, version),
    CONSTRAINT fault_definition_one_version_at_a_time
        EXCLUDE USING gist (model WITH =, code WITH =, known WITH &&)
);

-- What changed, for those who have to judge again -----------------------------------------------------------------

CREATE TABLE registry_change (
    change_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    device_no int,
    gtin text,
    model text,
    code text,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX registry_change_order ON registry_change (xid, change_no);
