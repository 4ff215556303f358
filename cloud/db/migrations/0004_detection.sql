-- The detector's side: what it predicts, what it can say of each device, and what it needs to go on after a restart.

CREATE TABLE prediction ( -- an alarm of the detector; the desk makes cases of them
    prediction_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_no int NOT NULL REFERENCES device,
    problem text NOT NULL, -- a fault code or part where the detector names one, else 'anomaly'
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'cleared')),
    raised_at timestamptz NOT NULL, -- event time
    cleared_at timestamptz,
    chattering boolean NOT NULL DEFAULT false,
    probability real NOT NULL CHECK (probability BETWEEN 0 AND 1),
    horizon_hours real NOT NULL, -- the probability is that of a fault within this time
    hours_left_low real, -- where degradation is visible: when it will fail
    hours_left_high real,
    reason jsonb NOT NULL,
    detector text NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state = 'cleared') = (cleared_at IS NOT NULL)),
    UNIQUE (device_no, problem, raised_at) -- a restart decides the same again and writes nothing twice
);
CREATE INDEX prediction_active ON prediction (device_no) WHERE state = 'active';
CREATE INDEX prediction_xid ON prediction (xid, prediction_no);

CREATE TABLE device_health ( -- what the detector can say of a device now
    device_no int PRIMARY KEY REFERENCES device,
    judged_at timestamptz NOT NULL, -- event time
    score real NOT NULL,
    probability real NOT NULL,
    completeness real NOT NULL, -- share of the readings that should have come lately
    judgeable boolean NOT NULL, -- false: a fault could not have been seen
    silent boolean NOT NULL DEFAULT false,
    late_samples bigint NOT NULL DEFAULT 0 -- came after their time had been judged; a replay takes them up
);

CREATE TABLE detector_cohort ( -- which model the detector took a device for, and since which tick
    detector text NOT NULL,
    device_no int NOT NULL REFERENCES device,
    since_tick bigint NOT NULL,
    cohort text NOT NULL,
    PRIMARY KEY (detector, device_no, since_tick)
);

CREATE TABLE detector_lesson ( -- at which tick a finding was learnt from: a replay does the same
    detector text NOT NULL,
    finding_no bigint NOT NULL REFERENCES finding,
    tick bigint NOT NULL,
    PRIMARY KEY (detector, finding_no)
);

CREATE TABLE detector_checkpoint (
    detector text PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid xid8 NOT NULL, -- everything up to this batch is in the state
    batch_no bigint NOT NULL,
    chunks int NOT NULL
);
CREATE TABLE detector_checkpoint_chunk (
    detector text NOT NULL REFERENCES detector_checkpoint ON DELETE CASCADE,
    chunk int NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (detector, chunk)
);
