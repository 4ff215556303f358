-- Dispatch: who can go, when, with what in the van; which visit is whose; how long things may take.

CREATE TABLE engineer (
    engineer text PRIMARY KEY CHECK (engineer ~ '^[A-Za-z0-9_.@-]{1,64}$'), -- as in finding.person
    name text NOT NULL CHECK (name <> ''),
    seniority smallint NOT NULL CHECK (seniority BETWEEN 1 AND 5), -- 4 and 5: experienced
    regions text[] NOT NULL CHECK (cardinality(regions) > 0),
    time_zone text NOT NULL DEFAULT 'UTC',
    active boolean NOT NULL DEFAULT true
);

CREATE TABLE engineer_skill (
    engineer text NOT NULL REFERENCES engineer ON DELETE CASCADE,
    family text NOT NULL REFERENCES appliance_family,
    problems text[], -- fault codes that the engineer can put right; NULL: all of the family
    PRIMARY KEY (engineer, family)
);

CREATE TABLE engineer_hours (
    engineer text NOT NULL REFERENCES engineer ON DELETE CASCADE,
    weekday smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7), -- ISO: Monday is 1
    starts time NOT NULL,
    ends time NOT NULL,
    CHECK (starts < ends),
    PRIMARY KEY (engineer, weekday, starts)
);

CREATE TABLE engineer_absence (
    absence_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    engineer text NOT NULL REFERENCES engineer ON DELETE CASCADE,
    span tstzrange NOT NULL CHECK (NOT isempty(span)),
    reason text NOT NULL DEFAULT ''
);
CREATE INDEX engineer_absence_span ON engineer_absence USING gist (engineer, span);

CREATE TABLE van_stock (
    engineer text NOT NULL REFERENCES engineer ON DELETE CASCADE,
    part text NOT NULL REFERENCES part,
    quantity int NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (engineer, part)
);

CREATE TABLE work_order ( -- a visit that a ticket needs
    work_order_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_no bigint NOT NULL REFERENCES ticket,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'offered', 'booked', 'done', 'cancelled')),
    experienced boolean NOT NULL, -- a high tier, or complaints repeated: an experienced engineer, and a choice of windows
    waiting_since timestamptz NOT NULL, -- desk time; the age that nobody can overtake for good
    not_before timestamptz, -- the customer asked for later
    fails_by timestamptz, -- when it is predicted to fail, if it is
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz
);
CREATE UNIQUE INDEX work_order_one_open_a_ticket ON work_order (ticket_no) WHERE state IN ('waiting', 'offered', 'booked');
CREATE INDEX work_order_waiting ON work_order (waiting_since) WHERE state IN ('waiting', 'offered');

CREATE TABLE visit_slot ( -- an engineer's window, proposed to a customer or taken
    slot_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    work_order_no bigint NOT NULL REFERENCES work_order,
    engineer text NOT NULL REFERENCES engineer,
    span tstzrange NOT NULL CHECK (NOT isempty(span) AND NOT upper_inf(span) AND NOT lower_inf(span)),
    state text NOT NULL CHECK (state IN ('held', 'offered', 'booked', 'released')),
    kept boolean NOT NULL, -- it began as held, and not as one choice among others
    overtime boolean NOT NULL DEFAULT false,
    chosen boolean NOT NULL DEFAULT false, -- booked by the customer's own choice, against the engineer's quota of the day
    hold_until timestamptz NOT NULL, -- desk time: until then the customer can take it by one tap
    explanation jsonb NOT NULL, -- by language: why this engineer at this time
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- held is kept for one customer, offered is first come, first served. Whatever programs do: never two at a time.
    CONSTRAINT visit_slot_one_visit_at_a_time EXCLUDE USING gist (engineer WITH =, span WITH &&)
        WHERE (state IN ('held', 'booked'))
);
CREATE INDEX visit_slot_order ON visit_slot (work_order_no);
CREATE UNIQUE INDEX visit_slot_one_booking ON visit_slot (work_order_no) WHERE state = 'booked';
CREATE INDEX visit_slot_span ON visit_slot USING gist (engineer, span) WHERE state IN ('held', 'booked');

CREATE TABLE gentle_run ( -- the visit comes later than the predicted failure: the appliance should take it easy
    work_order_no bigint PRIMARY KEY REFERENCES work_order,
    device_no int NOT NULL REFERENCES device,
    until timestamptz NOT NULL,
    reason jsonb NOT NULL, -- by language
    asked_at timestamptz NOT NULL, -- desk time
    command_id text -- of the command to the device, where its protocol knows one
);

CREATE TABLE sla_pause ( -- time that does not count against us
    pause_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_no bigint NOT NULL REFERENCES ticket,
    reason text NOT NULL
        CHECK (reason IN ('customer_asked_later', 'customer_unreachable', 'waiting_for_part', 'no_access', 'watching')),
    span tstzrange NOT NULL CHECK (NOT isempty(span)), -- open above while it lasts
    person text NOT NULL CHECK (person <> ''),
    EXCLUDE USING gist (ticket_no WITH =, span WITH &&)
);

CREATE TABLE sla_escalation (
    ticket_no bigint NOT NULL REFERENCES ticket,
    clock text NOT NULL CHECK (clock IN ('contact', 'visit')),
    level text NOT NULL CHECK (level IN ('warning', 'breach', 'critical')),
    at timestamptz NOT NULL, -- desk time
    PRIMARY KEY (ticket_no, clock, level)
);

CREATE TABLE visit_report ( -- what an engineer sent at the end of a visit, as it was sent: the same again is no news
    work_order_no bigint PRIMARY KEY REFERENCES work_order,
    finding_no bigint NOT NULL UNIQUE REFERENCES finding,
    digest bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE visit_photo (
    work_order_no bigint NOT NULL REFERENCES work_order,
    digest bytea NOT NULL, -- SHA-256 of the body
    media_type text NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png', 'image/webp', 'image/heic')),
    body bytea NOT NULL CHECK (octet_length(body) BETWEEN 1 AND 8388608),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (work_order_no, digest)
);
