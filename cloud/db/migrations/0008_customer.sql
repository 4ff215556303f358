-- Customers on the product's own pages: one account a person, codes that prove a contact, handing an appliance on.

-- Entries that turned out to be the same person. A row says that `user_id` belongs to `into_user`; it is undone by
-- setting `undone_at`, never deleted. Nothing else is moved: bindings, tickets and contacts stay where they were
-- written, so that undoing restores everything. Rules: repeatable/customer.sql.
CREATE TABLE account_merge (
    merge_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text NOT NULL REFERENCES app_user,
    into_user text NOT NULL REFERENCES app_user CHECK (into_user <> user_id),
    reason text NOT NULL CHECK (reason <> ''), -- 'same verified email', or what a person gave
    person text NOT NULL CHECK (person <> ''),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    undone_at timestamptz,
    undone_by text,
    CHECK ((undone_at IS NULL) = (undone_by IS NULL))
);
CREATE UNIQUE INDEX account_merge_into_one ON account_merge (user_id) WHERE undone_at IS NULL;
CREATE INDEX account_merge_into ON account_merge (into_user) WHERE undone_at IS NULL;

CREATE TABLE verified_contact ( -- who last proved to hold a phone or e-mail; the contact itself stands encrypted elsewhere
    lookup bytea PRIMARY KEY, -- keyed hash of kind and contact, as in personal_contact
    kind text NOT NULL CHECK (kind IN ('phone', 'email')),
    user_id text NOT NULL REFERENCES app_user,
    verified_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX verified_contact_user ON verified_contact (user_id);

CREATE TABLE contact_challenge ( -- a one-time code that was sent; to whom is not written here
    challenge_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code_hash bytea NOT NULL, -- keyed
    expires_at timestamptz NOT NULL,
    tries_left int NOT NULL CHECK (tries_left >= 0),
    used_at timestamptz
);
CREATE INDEX contact_challenge_expiry ON contact_challenge (expires_at);

CREATE TABLE handover ( -- an owner hands an appliance on: whoever has the code takes it
    handover_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_no int NOT NULL REFERENCES registered_device,
    from_user text NOT NULL REFERENCES app_user,
    code_hash bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    taken_by text REFERENCES app_user,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX handover_one_a_device ON handover (device_no) WHERE used_at IS NULL;

CREATE TABLE warranty_card ( -- when the warranty of a unit began; handing it on does not begin it anew
    gtin text NOT NULL,
    serial text NOT NULL,
    starts_on date NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (gtin, serial),
    FOREIGN KEY (gtin, serial) REFERENCES product
);

CREATE TABLE model_manual ( -- the maker's full manual, where there is one to link to
    model text NOT NULL REFERENCES model ON DELETE CASCADE,
    language text NOT NULL CHECK (language ~ '^[a-z]{2}$'),
    url text NOT NULL CHECK (url ~ '^https://'),
    PRIMARY KEY (model, language)
);
