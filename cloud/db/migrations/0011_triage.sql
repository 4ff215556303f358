-- Confirm before calling: verdicts on cases, storms of a region, defective lots, the day's queue.

CREATE INDEX command_open ON command (expires_at);

-- Verdicts --------------------------------------------------------------------------------------------------------

CREATE TABLE triage ( -- one row a case that has, or had, a ticket: the verdict as it stands
    case_no bigint PRIMARY KEY REFERENCES fault_case,
    verdict text NOT NULL DEFAULT 'waiting' CHECK (verdict IN ('waiting', 'confirmed', 'refuted', 'needs_person')),
    reasons jsonb NOT NULL DEFAULT '[]', -- one entry a test: test, outcome, by language what was seen
    evidence jsonb NOT NULL DEFAULT '{}', -- what was gathered: readings, repetition, self-test, model and lot
    judged_at timestamptz, -- desk time, as is look_at
    look_at timestamptz NOT NULL DEFAULT '-infinity', -- before which nothing can change; infinity: the verdict stands
    person text NOT NULL DEFAULT 'desk' CHECK (person <> ''), -- anybody else overruled, and is not overruled by the desk
    note text NOT NULL DEFAULT '',
    self_test text, -- the command by which the device was asked for its self-test
    CHECK (person = 'desk' OR note <> '')
);
CREATE INDEX triage_due ON triage (look_at) WHERE look_at < 'infinity';

CREATE TABLE verdict ( -- append-only: every verdict that differed from the one before
    verdict_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_no bigint NOT NULL REFERENCES fault_case,
    verdict text NOT NULL,
    reasons jsonb NOT NULL,
    person text NOT NULL,
    note text NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX verdict_case ON verdict (case_no, verdict_no);

-- Storms ----------------------------------------------------------------------------------------------------------

CREATE TABLE incident ( -- many devices of one region report the same: one trouble, and not theirs
    incident_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    region text NOT NULL CHECK (region <> ''),
    cause text NOT NULL, -- of storms.toml, or 'family: meaning'
    began_at timestamptz NOT NULL, -- event time of the first and the last report that belongs to it
    last_at timestamptz NOT NULL,
    devices int NOT NULL,
    needed int NOT NULL, -- so many devices within the window could not be chance
    region_devices int NOT NULL,
    words jsonb NOT NULL, -- by language: what customers are told
    sentence jsonb NOT NULL, -- by language: why it is taken for a storm
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'over')),
    over_at timestamptz,
    closed_by text,
    note text NOT NULL DEFAULT '',
    merged_into bigint REFERENCES incident
);
CREATE INDEX incident_place ON incident (region, cause, last_at) WHERE merged_into IS NULL;
CREATE INDEX incident_open ON incident (last_at) WHERE state = 'open' AND merged_into IS NULL;

ALTER TABLE fault_case ADD COLUMN incident_no bigint REFERENCES incident;
CREATE INDEX fault_case_incident ON fault_case (incident_no) WHERE incident_no IS NOT NULL;

CREATE TABLE incident_notice ( -- the outbox of a storm: each customer is told once
    incident_no bigint NOT NULL REFERENCES incident,
    user_id text NOT NULL REFERENCES app_user,
    owed_at timestamptz NOT NULL,
    told_at timestamptz,
    channel text,
    PRIMARY KEY (incident_no, user_id)
);
CREATE INDEX incident_notice_owed ON incident_notice (incident_no) WHERE told_at IS NULL;

-- Lots, models, firmwares whose fault rate stands out -----------------------------------------------------------------

CREATE TABLE quality_round ( -- when all rates were compared last, and how many comparisons that were
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    at timestamptz NOT NULL, -- desk time
    comparisons int NOT NULL,
    standing_out int NOT NULL
);

CREATE TABLE cohort_size ( -- devices fitted and bound, by model and lot ('' : not known), as of the last round
    model text NOT NULL,
    lot text NOT NULL,
    devices int NOT NULL,
    PRIMARY KEY (model, lot)
);

CREATE TABLE quality_finding (
    quality_finding_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('lot', 'model', 'firmware')),
    scope text NOT NULL, -- with what it was compared: the rest of this model, for a model that of its family
    member text NOT NULL, -- the lot, model or firmware
    problem text NOT NULL,
    devices int NOT NULL,
    affected int NOT NULL,
    rest_devices int NOT NULL,
    rest_affected int NOT NULL,
    p_value double precision NOT NULL,
    q_value double precision NOT NULL, -- Benjamini-Hochberg: the false-discovery rate at which it is just found
    sentence jsonb NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'faded', 'closed')),
    found_at timestamptz NOT NULL, -- desk time
    seen_at timestamptz NOT NULL, -- the last round that found it
    closed_by text,
    closed_at timestamptz,
    closed_affected int, -- a closed one opens again when twice as many are affected
    note text NOT NULL DEFAULT '',
    UNIQUE (kind, scope, member, problem)
);
CREATE TABLE quality_member ( -- the devices behind it, with the first case of each
    quality_finding_no bigint NOT NULL REFERENCES quality_finding ON DELETE CASCADE,
    device_no int NOT NULL REFERENCES device,
    case_no bigint NOT NULL REFERENCES fault_case,
    PRIMARY KEY (quality_finding_no, device_no)
);

-- The queue -------------------------------------------------------------------------------------------------------

CREATE TABLE queue_place ( -- the order of the day, made anew by the desk
    ticket_no bigint PRIMARY KEY REFERENCES ticket,
    place int NOT NULL,
    today boolean NOT NULL, -- within today's calls and visits
    probability real NOT NULL, -- that the fault is real, with verdict and findings taken into account
    value real NOT NULL, -- dollars, or the currency of the costs file
    visits real NOT NULL, -- expected
    sentence jsonb NOT NULL,
    made_at timestamptz NOT NULL
);
CREATE INDEX queue_place_order ON queue_place (place);
