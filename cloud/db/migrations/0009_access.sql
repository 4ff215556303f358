-- Who may do what, what was done, and who is told: accounts, sessions, API clients, the audit log, the event feed,
-- idempotency keys and webhooks. The database role that programs facing people use is `firstcall_app`; what it may
-- do is granted in repeatable/who_may.sql.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'firstcall_app') THEN
        CREATE ROLE firstcall_app NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server made it just now
    WHEN insufficient_privilege THEN
        RAISE WARNING 'role firstcall_app is missing and cannot be made by %: see docs/security.md', current_user;
END $$;

-- Accounts and sessions ------------------------------------------------------------------------------------------

CREATE TABLE web_account (
    account_no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[^[:cntrl:][:space:]]{1,64}$'), -- as in ticket_step.person
    roles text[] NOT NULL CHECK (roles <@ ARRAY['agent', 'engineer', 'dispatcher', 'quality', 'admin', 'auditor']),
    password_hash text, -- argon2id; NULL: signs in at the provider only
    issuer text, -- of OpenID Connect, with the subject there
    subject text,
    engineer text, -- which engineer of dispatch this is; NULL: the one of the same name
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    UNIQUE (issuer, subject),
    CHECK ((issuer IS NULL) = (subject IS NULL))
);

CREATE TABLE web_session (
    session_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_no int REFERENCES web_account, -- NULL: signed in with the shared password
    name text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    ended_because text CHECK (ended_because IN ('signed_out', 'revoked', 'account_changed', 'old_token_used'))
);
CREATE INDEX web_session_account ON web_session (account_no) WHERE ended_at IS NULL;

CREATE TABLE web_session_token ( -- the cookie, hashed; a session's token is replaced from time to time
    token_hash bytea PRIMARY KEY,
    session_no bigint NOT NULL REFERENCES web_session ON DELETE CASCADE,
    issued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at timestamptz, -- first use: from then on the tokens before are replaced
    replaced_at timestamptz
);
CREATE INDEX web_session_token_session ON web_session_token (session_no);

CREATE TABLE web_sign_in_attempt ( -- somebody is at the OpenID Connect provider and should come back
    state_hash bytea PRIMARY KEY,
    nonce text NOT NULL,
    verifier text NOT NULL, -- of PKCE
    target text NOT NULL, -- the page that they wanted
    expires_at timestamptz NOT NULL
);

-- Programs that use the API --------------------------------------------------------------------------------------

CREATE TABLE api_client (
    client_no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9_.-]{1,64}$'),
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    disabled_at timestamptz
);

CREATE TABLE api_token (
    token_hash bytea PRIMARY KEY, -- SHA-256: the token is 256 random bits, nothing to guess slowly
    client_no int NOT NULL REFERENCES api_client,
    begins text NOT NULL, -- its first characters, to tell tokens apart
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_token_client ON api_token (client_no);

CREATE TABLE idempotent_answer ( -- what a request with an Idempotency-Key was answered, written with its effects
    owner text NOT NULL, -- who asked
    key text NOT NULL,
    fingerprint bytea NOT NULL, -- SHA-256 of method, path, condition and body: the same key for another request is refused
    answered int NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotent_answer_at ON idempotent_answer (at);

-- The audit log ---------------------------------------------------------------------------------------------------

CREATE TABLE audit_entry ( -- written by triggers alone (repeatable/who_may.sql)
    entry_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    person text, -- in whose name, as the program said; NULL: the program of itself
    program text NOT NULL, -- application_name
    login text NOT NULL, -- the database role that signed in
    action text NOT NULL CHECK (action IN ('insert', 'update', 'delete', 'truncate', 'look')),
    subject text NOT NULL, -- the table
    key jsonb NOT NULL, -- the row's primary key
    detail jsonb NOT NULL
);
CREATE INDEX audit_entry_order ON audit_entry (xid, entry_no);
CREATE INDEX audit_entry_subject ON audit_entry (subject, entry_no DESC);
CREATE INDEX audit_entry_person ON audit_entry (person, entry_no DESC) WHERE person IS NOT NULL;

CREATE TABLE audit_seal ( -- the hash chain: each hash covers its entry and the hash before
    position bigint PRIMARY KEY CHECK (position > 0),
    entry_no bigint NOT NULL UNIQUE REFERENCES audit_entry,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);

CREATE TABLE audit_exempt ( -- tables that the audit log leaves out, each with the reason
    subject text PRIMARY KEY,
    reason text NOT NULL
);

-- What happened, for those who follow: the stream and webhooks ----------------------------------------------------

CREATE TABLE web_event ( -- written by triggers in the transaction of the change
    event_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind text NOT NULL CHECK (kind IN ('fault', 'ticket', 'finding')),
    number bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX web_event_order ON web_event (xid, event_no);
CREATE INDEX web_event_at ON web_event USING brin (at);

CREATE TABLE webhook (
    webhook_no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL,
    kinds text[] NOT NULL CHECK (cardinality(kinds) > 0 AND kinds <@ ARRAY['fault', 'ticket', 'finding']),
    secret text NOT NULL, -- signs what is sent; whoever reads it can sign too
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL
);

CREATE TABLE webhook_cursor ( -- up to which event its outbox is filled
    webhook_no int PRIMARY KEY REFERENCES webhook ON DELETE CASCADE,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    event_no bigint NOT NULL DEFAULT 0
);

CREATE TABLE webhook_delivery ( -- the outbox
    delivery_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_no int NOT NULL REFERENCES webhook ON DELETE CASCADE,
    event_no bigint NOT NULL,
    kind text NOT NULL,
    body bytea NOT NULL, -- as it is signed and sent, the same at each attempt
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'delivered', 'failed')),
    tries int NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(), -- also the end of a sender's lease
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered_at timestamptz,
    trouble text, -- of the last attempt
    UNIQUE (webhook_no, event_no)
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (due_at) WHERE state = 'due';
CREATE INDEX webhook_delivery_list ON webhook_delivery (webhook_no, delivery_no DESC);
