-- Outreach: who may be reached how and when, what was said, what was answered, and what is watched afterwards.

CREATE TABLE customer_profile ( -- pseudonymous: what decides how a customer is served, nothing that names a person
    user_id text PRIMARY KEY REFERENCES app_user,
    household text NOT NULL CHECK (household <> ''), -- users with the same one share the cap on messages
    region text NOT NULL DEFAULT '', -- where the appliance is visited; '' is not known
    tier text NOT NULL DEFAULT 'standard' CHECK (tier IN ('standard', 'high')),
    tags text[] NOT NULL DEFAULT '{}'
);

CREATE TABLE contact_preference (
    user_id text PRIMARY KEY REFERENCES app_user,
    quiet_from time NOT NULL DEFAULT '20:00', -- local time of the user's time zone
    quiet_until time NOT NULL DEFAULT '09:00',
    urgent_any_hour boolean NOT NULL DEFAULT false, -- the customer wants to be woken for danger
    not_before timestamptz, -- "not now": nothing until then
    preferred_channel text
);

CREATE TABLE consent ( -- append-only; the newest row of a user and channel is what holds. No row: no consent
    consent_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text NOT NULL REFERENCES app_user,
    channel text NOT NULL CHECK (channel IN ('push', 'messaging', 'sms', 'email', 'phone')),
    granted boolean NOT NULL,
    source text NOT NULL CHECK (source <> ''), -- where it was given: a page, a message's stop, an agent
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX consent_newest ON consent (user_id, channel, consent_no DESC);

CREATE TABLE messaging_address ( -- how a push or messaging provider knows a user: an opaque handle, not a contact
    user_id text NOT NULL REFERENCES app_user,
    channel text NOT NULL CHECK (channel IN ('push', 'messaging')),
    address text NOT NULL CHECK (address <> ''),
    PRIMARY KEY (user_id, channel)
);

-- The outbox -----------------------------------------------------------------------------------------------------

CREATE TABLE outreach ( -- one a ticket's step that the customer should hear of; written in the step's transaction
    outreach_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_no bigint NOT NULL REFERENCES ticket,
    step_no bigint NOT NULL REFERENCES ticket_step,
    user_id text NOT NULL REFERENCES app_user,
    purpose text NOT NULL
        CHECK (purpose IN ('first_call', 'reminder', 'came_back', 'new_time', 'appointment', 'all_clear', 'closing')),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'answered', 'told', 'exhausted', 'cancelled')),
    reason text NOT NULL DEFAULT '', -- why it is where it is, in a stable word
    look_at timestamptz NOT NULL DEFAULT '-infinity', -- desk time before which there is nothing to decide
    wall_at timestamptz NOT NULL DEFAULT 'infinity', -- wall time of a retry or a lease's end: whichever comes first
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    UNIQUE (step_no, purpose)
);
CREATE INDEX outreach_open ON outreach (look_at) WHERE state = 'open';
CREATE INDEX outreach_ticket ON outreach (ticket_no);

CREATE TABLE outreach_message ( -- one a channel of an outreach: its key is what makes delivery idempotent
    message_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outreach_no bigint NOT NULL REFERENCES outreach,
    channel text NOT NULL CHECK (channel IN ('push', 'messaging', 'sms', 'email', 'phone')),
    key text NOT NULL UNIQUE, -- <ticket>-<step>-<channel>
    household text NOT NULL,
    proactive boolean NOT NULL, -- counts to the household's cap; false: an answer to what the customer did
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'in_flight', 'delivered', 'refused', 'expired')),
    tries int NOT NULL DEFAULT 0,
    first_tried_at timestamptz NOT NULL, -- desk time, as are the next two
    last_tried_at timestamptz,
    delivered_at timestamptz,
    retry_at timestamptz NOT NULL DEFAULT '-infinity', -- wall time
    claimed_until timestamptz, -- wall time: whoever sends it has until then
    claimed_by text,
    reference text, -- the provider's own
    trouble text, -- what the provider said last when it did not take it
    locale text,
    subject text, -- as it was sent, without codes, links and contacts
    body text,
    UNIQUE (outreach_no, channel)
);
CREATE INDEX outreach_message_household ON outreach_message (household, last_tried_at) WHERE proactive;

CREATE TABLE check_code ( -- what a customer types on the product's page to see that a call or message is ours
    message_no bigint PRIMARY KEY REFERENCES outreach_message,
    gtin text NOT NULL,
    serial text NOT NULL,
    code_hash bytea NOT NULL, -- keyed: neither the database nor a dump gives a code away
    expires_at timestamptz NOT NULL, -- wall time
    UNIQUE (gtin, serial, code_hash)
);

CREATE TABLE check_try ( -- the rate limit on guessing: tries a subject (a client's keyed hash, or a product) and span
    subject text NOT NULL,
    span_start timestamptz NOT NULL,
    tries int NOT NULL,
    PRIMARY KEY (subject, span_start)
);

CREATE TABLE outreach_answer ( -- what the customer said. Append-only; the same twice is once
    answer_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outreach_no bigint NOT NULL REFERENCES outreach,
    action text NOT NULL CHECK (action IN ('accept', 'visit', 'solved', 'not_now', 'stop', 'call_me')),
    choice bigint, -- accept: which offer
    channel text NOT NULL,
    at timestamptz NOT NULL, -- desk time
    UNIQUE NULLS NOT DISTINCT (outreach_no, action, choice)
);

CREATE TABLE call_task ( -- the phone: what an agent has to do, with the words to say
    call_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_no bigint NOT NULL UNIQUE REFERENCES outreach_message,
    script text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'taken', 'done', 'cancelled')),
    agent text,
    taken_at timestamptz,
    outcome text CHECK (outcome IN ('reached', 'no_answer', 'voicemail', 'wrong_number', 'asked_to_stop')),
    note text NOT NULL DEFAULT '',
    done_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX call_task_open ON call_task (call_no) WHERE state IN ('open', 'taken');

-- After self-help: the physics has the last word -----------------------------------------------------------------

CREATE TABLE self_help_watch (
    ticket_no bigint PRIMARY KEY REFERENCES ticket,
    device_no int NOT NULL REFERENCES device,
    channels text[] NOT NULL, -- those that carried the evidence; empty: the fault code alone is watched
    began_at timestamptz NOT NULL, -- desk time, as are all below
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'settling', 'healed', 'came_back', 'relapsed')),
    normal_since timestamptz,
    decided_at timestamptz,
    seen jsonb NOT NULL DEFAULT '{}' -- what the last look saw, for screens
);
CREATE INDEX self_help_watch_running ON self_help_watch (ticket_no) WHERE state IN ('waiting', 'settling', 'healed');
