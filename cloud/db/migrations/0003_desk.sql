-- The desk: cases (a fault with its four codes), tickets, their steps, and the findings that teach the detector.

CREATE TABLE desk_clock ( -- which clock "now" is: the wall, or (replay, simulation) the latest event time taken in
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    reads text NOT NULL DEFAULT 'wall' CHECK (reads IN ('wall', 'event')),
    watermark timestamptz
);
INSERT INTO desk_clock DEFAULT VALUES;

-- Tickets: one problem of one device ------------------------------------------------------------------------------

CREATE TABLE ticket (
    ticket_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_no int NOT NULL REFERENCES registered_device,
    problem text NOT NULL, -- a fault code, or 'anomaly'
    user_id text NOT NULL REFERENCES app_user, -- whom to call; the owner at the time of the ticket
    gtin text NOT NULL,
    serial text NOT NULL,
    model text NOT NULL REFERENCES model,
    definition_no bigint REFERENCES fault_definition, -- the dictionary's version that was used
    state text NOT NULL DEFAULT 'proposed'
        CHECK (state IN ('proposed', 'confirmed', 'contacted', 'scheduled', 'resolved', 'dismissed')),
    severity severity NOT NULL,
    safety text NOT NULL,
    probability real NOT NULL CHECK (probability BETWEEN 0 AND 1), -- 1 for a code that the appliance reported
    expected_value real NOT NULL, -- what acting is worth, in the currency of costs.toml: the order of the queue
    rank_reason jsonb NOT NULL, -- why it ranks there
    customer_words jsonb NOT NULL, -- by language
    likely_part text,
    detected_at timestamptz NOT NULL, -- event time of the first evidence
    raised_at timestamptz NOT NULL, -- when the ticket was proposed
    confirmed_at timestamptz,
    contacted_at timestamptz,
    scheduled_for timestamptz,
    noticed_at timestamptz, -- when the customer noticed, if they did
    failed_at timestamptz, -- when the appliance stopped doing its work, if it did
    closed_at timestamptz,
    closing_reason text, -- of a dismissal: see docs/desk.md
    version int NOT NULL DEFAULT 1, -- counts changes, so that two people cannot overwrite each other
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX ticket_one_open_a_problem ON ticket (device_no, problem)
    WHERE state IN ('proposed', 'confirmed', 'contacted', 'scheduled');
CREATE INDEX ticket_queue ON ticket (expected_value DESC, ticket_no)
    WHERE state IN ('proposed', 'confirmed', 'contacted', 'scheduled');
CREATE INDEX ticket_device ON ticket (device_no, raised_at DESC);
CREATE INDEX ticket_user ON ticket (user_id);

CREATE TABLE ticket_transition ( -- the legal steps; from_state NULL opens a ticket
    from_state text,
    to_state text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (from_state, to_state)
);
INSERT INTO ticket_transition VALUES
    (NULL, 'proposed'),
    ('proposed', 'confirmed'), ('proposed', 'dismissed'),
    ('confirmed', 'contacted'), ('confirmed', 'dismissed'),
    ('contacted', 'scheduled'), ('contacted', 'resolved'), ('contacted', 'dismissed'),
    ('scheduled', 'contacted'), ('scheduled', 'resolved'), ('scheduled', 'dismissed');

CREATE TABLE ticket_step ( -- append-only; inserting a step is what moves a ticket
    step_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_no bigint NOT NULL REFERENCES ticket,
    from_state text,
    to_state text NOT NULL,
    person text NOT NULL CHECK (person <> ''), -- 'desk' for the system itself
    at timestamptz NOT NULL,
    reason text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ticket_step_ticket ON ticket_step (ticket_no, step_no);

-- Cases: one episode of a fault with its four codes ----------------------------------------------------------------

CREATE TABLE fault_case (
    case_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_no int NOT NULL REFERENCES device,
    source text NOT NULL CHECK (source IN ('reported', 'predicted')),
    problem text NOT NULL,
    prediction_no bigint UNIQUE,
    occurred_at timestamptz NOT NULL, -- event time: the four codes are those of this moment
    last_raised_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL, -- the last report that was folded in
    cleared_at timestamptz, -- NULL while the fault stands
    raises int NOT NULL DEFAULT 1, -- more than one: it chatters, and is one case all the same
    probability real NOT NULL DEFAULT 1,
    horizon_hours real,
    reason jsonb,
    -- the four codes, as known at judged_at
    user_id text,
    binding_no bigint,
    gtin text,
    serial text,
    model text,
    definition_no bigint REFERENCES fault_definition,
    missing text[] NOT NULL, -- of device, user, product, model, code; empty: complete
    judged_at timestamptz NOT NULL,
    ticket_no bigint REFERENCES ticket,
    withheld text, -- why a complete case has no open ticket: stale, over, former_owner, …
    merged_into bigint REFERENCES fault_case, -- a late report showed that two episodes were one
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((source = 'predicted') = (prediction_no IS NOT NULL)),
    CHECK (cleared_at IS NULL OR cleared_at >= occurred_at)
);
CREATE UNIQUE INDEX fault_case_episode ON fault_case (device_no, problem, occurred_at)
    WHERE source = 'reported' AND merged_into IS NULL;
CREATE INDEX fault_case_device ON fault_case (device_no, occurred_at DESC) WHERE merged_into IS NULL;
CREATE INDEX fault_case_ticket ON fault_case (ticket_no) WHERE ticket_no IS NOT NULL;
CREATE INDEX fault_case_incomplete ON fault_case (case_no) WHERE missing <> '{}' AND merged_into IS NULL;
CREATE INDEX fault_case_model ON fault_case (model, problem) WHERE merged_into IS NULL;
CREATE INDEX fault_case_product ON fault_case (gtin, serial) WHERE merged_into IS NULL;
CREATE INDEX fault_case_recent ON fault_case (occurred_at DESC) WHERE merged_into IS NULL;
CREATE INDEX fault_case_standing ON fault_case (prediction_no)
    WHERE source = 'predicted' AND cleared_at IS NULL AND merged_into IS NULL;
CREATE INDEX fault_case_withheld ON fault_case (device_no) WHERE withheld IS NOT NULL AND merged_into IS NULL;

CREATE TABLE ticket_evidence ( -- what a ticket rests on: one row a case and kind
    ticket_no bigint NOT NULL REFERENCES ticket,
    case_no bigint NOT NULL REFERENCES fault_case,
    kind text NOT NULL CHECK (kind IN ('reported', 'predicted', 'cleared')),
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    times int NOT NULL,
    probability real NOT NULL,
    reason jsonb,
    PRIMARY KEY (ticket_no, case_no, kind)
);

CREATE TABLE finding ( -- what was found at the end: the detector's delayed label
    finding_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ticket_no bigint REFERENCES ticket, -- NULL: the customer reported a failure that no ticket foresaw
    device_no int NOT NULL REFERENCES device,
    outcome text NOT NULL CHECK (outcome IN ('fault_confirmed', 'other_fault', 'no_fault_found', 'caused_by_use')),
    code text,
    part text,
    note text NOT NULL DEFAULT '',
    person text NOT NULL DEFAULT 'unknown',
    failed_at timestamptz, -- when the appliance stopped doing its work, if it did
    found_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX finding_one_a_ticket ON finding (ticket_no) WHERE ticket_no IS NOT NULL;
CREATE INDEX finding_device ON finding (device_no, found_at);
CREATE INDEX finding_order ON finding (xid, finding_no);
