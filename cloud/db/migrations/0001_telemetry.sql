-- What gateways send: who they are, what they measured, which faults they report, what was lost or could not be read.
-- Event time is when it happened at the appliance, ingest time when it was committed here. All times are timestamptz.

-- TimescaleDB when the server has it and lets us. The extension must be preloaded: without that, CREATE EXTENSION
-- would end the session, so it is looked for first.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
        AND current_setting('shared_preload_libraries') LIKE '%timescaledb%'
    THEN
        CREATE EXTENSION IF NOT EXISTS timescaledb;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE WARNING 'timescaledb is there but this role may not create it: native partitions are used';
END $$;

CREATE TABLE gateway (
    gateway_no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway text NOT NULL UNIQUE,
    partition smallint NOT NULL,                      -- protocols.identifiers.partition(gateway)
    first_seen_at timestamptz NOT NULL DEFAULT now(), -- ingest time, as is last_seen_at
    last_seen_at timestamptz,
    online boolean NOT NULL DEFAULT false,
    boot bigint,                                      -- of the newest birth, death or heartbeat
    firmware text,                                    -- the agent's version
    heartbeat jsonb                                   -- the newest one, as sent
);
CREATE INDEX gateway_partition ON gateway (partition);
COMMENT ON TABLE gateway IS 'One row a gateway; made at first sight by ingest or beforehand by the registry.';

CREATE TABLE device (
    device_no int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device text NOT NULL UNIQUE,
    gateway_no int REFERENCES gateway,                -- through which it was heard last
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz,
    firmware text,
    active_faults text[] NOT NULL DEFAULT '{}'        -- derived from fault_state, for display
);
CREATE INDEX device_gateway ON device (gateway_no);
COMMENT ON TABLE device IS 'One row a device: the appliance''s registered identity (its chip''s id).';

CREATE TABLE channel_set (
    device_no int NOT NULL REFERENCES device,
    channel_set bigint NOT NULL,
    names text[] NOT NULL,
    units text[] NOT NULL,
    resolutions real[] NOT NULL,
    roles text[] NOT NULL,
    period_ms bigint NOT NULL,
    hold_ms bigint NOT NULL DEFAULT 0,                -- a reading stands so long when none follows (deadband)
    declared_at timestamptz NOT NULL,                 -- event time of the birth that declared it
    PRIMARY KEY (device_no, channel_set),
    CHECK (cardinality(names) = cardinality(units)
        AND cardinality(names) = cardinality(resolutions) AND cardinality(names) = cardinality(roles))
);
COMMENT ON TABLE channel_set IS 'The channels of a frame in order. Kept for good: old frames stay readable.';

CREATE TABLE ingest_batch (
    batch_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    frames int NOT NULL,
    fault_reports int NOT NULL,
    first_at timestamptz NOT NULL,                    -- least and greatest started_at / occurred_at in the batch:
    last_at timestamptz NOT NULL,                     -- with them a reader touches few partitions
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ingest_batch_xid ON ingest_batch (xid, batch_no);
COMMENT ON TABLE ingest_batch IS 'One row a committed batch: what readers of the tail follow. See committed_batches().';

CREATE TABLE tail_cursor (
    consumer text PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT '0',
    batch_no bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE tail_cursor IS 'How far each consumer has read; moved in the same transaction as its effects.';

-- No foreign keys on frame: a check a row would cost more than the row. ingest writes numbers it has just looked up.
DO $$
DECLARE
    timescale boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
    EXECUTE format($table$
        CREATE TABLE frame (
            device_no int NOT NULL,
            started_at timestamptz NOT NULL,           -- event time of the first sample
            boot bigint NOT NULL,
            seq bigint NOT NULL,
            gateway_no int NOT NULL,
            channel_set bigint NOT NULL,
            period_ms bigint NOT NULL,
            samples int NOT NULL,
            channels int NOT NULL,
            flags smallint NOT NULL,                   -- bit 0: freeze frame
            readings real[] NOT NULL,                  -- samples x channels, sample by sample; NaN: no reading
            batch_no bigint NOT NULL,
            ingested_at timestamptz NOT NULL,
            PRIMARY KEY (device_no, started_at, boot, seq)
        ) %s $table$,
        CASE WHEN timescale THEN '' ELSE 'PARTITION BY RANGE (started_at)' END);
    IF timescale THEN
        PERFORM create_hypertable('frame', 'started_at',
            chunk_time_interval => interval '7 days', create_default_indexes => false);
    END IF;
END $$;
CREATE INDEX frame_batch ON frame (batch_no);
COMMENT ON TABLE frame IS 'One row a telemetry frame. A hypertable, or a table partitioned by weeks of event time.';

CREATE TABLE fault_report (
    device_no int NOT NULL REFERENCES device,
    occurred_at timestamptz NOT NULL,
    boot bigint NOT NULL,
    seq bigint NOT NULL,
    code text NOT NULL,
    raised boolean NOT NULL,                          -- false: cleared
    freeze_frame jsonb,                               -- {started_at, ended_at} in ms since the epoch
    gateway_no int NOT NULL,
    inferred boolean NOT NULL DEFAULT false,          -- concluded from a birth, not reported as such
    batch_no bigint NOT NULL,
    ingested_at timestamptz NOT NULL,
    PRIMARY KEY (device_no, occurred_at, boot, seq, code, inferred)
);
CREATE INDEX fault_report_batch ON fault_report (batch_no);
CREATE INDEX fault_report_code ON fault_report (device_no, code, occurred_at);
COMMENT ON TABLE fault_report IS 'Fault codes raised and cleared. (device_no, code, raised, occurred_at) names one '
    'happening: an inferred report may be followed by the genuine one when a spool drains.';

CREATE TABLE fault_state (
    device_no int NOT NULL REFERENCES device,
    code text NOT NULL,
    active boolean NOT NULL,
    changed_at timestamptz NOT NULL,                  -- event time; an older report changes nothing
    PRIMARY KEY (device_no, code)
);
COMMENT ON TABLE fault_state IS 'Which fault codes a device shows now, by the newest event time known.';

CREATE TABLE loss_ledger (
    gateway_no int NOT NULL REFERENCES gateway,
    device_no int NOT NULL REFERENCES device,
    boot bigint NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    dropped bigint NOT NULL,                          -- messages
    bytes bigint NOT NULL,
    first_at timestamptz NOT NULL,                    -- event time of the oldest and the newest of them
    last_at timestamptz NOT NULL,
    reported_at timestamptz NOT NULL,                 -- event time
    PRIMARY KEY (device_no, boot, seq)
);
COMMENT ON TABLE loss_ledger IS 'What a full spool had to drop, as the gateway reports it.';

CREATE TABLE dead_letter (
    dead_letter_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    topic text NOT NULL,
    payload bytea NOT NULL,
    reason text NOT NULL,                             -- a short stable word, for counting
    detail text NOT NULL,                             -- what was found and what was expected
    digest text NOT NULL,                             -- protocols.messages.payload_digest(payload)
    last_received_at timestamptz NOT NULL DEFAULT now(),
    times bigint NOT NULL DEFAULT 1,                  -- the same bytes on the same topic are filed once
    replayed_at timestamptz,                          -- when it was given to ingest again and was stored
    UNIQUE (topic, digest)
);
CREATE INDEX dead_letter_received ON dead_letter (last_received_at);
COMMENT ON TABLE dead_letter IS 'What could not be stored, with its bytes. Listed and replayed by `firstcall dead-letters`.';

CREATE TABLE command (
    command_id text PRIMARY KEY,                      -- the idempotency key on the wire
    device_no int NOT NULL REFERENCES device,
    instruction jsonb NOT NULL,                       -- protocols.messages.Command.order
    requested_at timestamptz NOT NULL DEFAULT now(),
    requested_by text,
    expires_at timestamptz NOT NULL,
    sent_at timestamptz
);
CREATE TABLE reply (
    device_no int NOT NULL REFERENCES device,
    command_id text NOT NULL,                         -- no foreign key: a reply to a forgotten command is kept too
    boot bigint NOT NULL,
    seq bigint NOT NULL,
    outcome text NOT NULL,
    detail text NOT NULL,
    result jsonb NOT NULL,
    replied_at timestamptz NOT NULL,                  -- event time
    PRIMARY KEY (device_no, boot, seq)
);
CREATE INDEX reply_command ON reply (command_id);
COMMENT ON TABLE command IS 'What was asked of a device; written by whoever asks, sent by the dispatcher.';
COMMENT ON TABLE reply IS 'What devices answered; a command may be answered several times, always the same.';

CREATE TABLE channel_rollup (
    device_no int NOT NULL,
    channel_set bigint NOT NULL,
    place smallint NOT NULL,                          -- 0-based place in the channel set
    hour timestamptz NOT NULL,
    low real NOT NULL,
    mean double precision NOT NULL,
    high real NOT NULL,
    readings bigint NOT NULL,
    PRIMARY KEY (device_no, hour, channel_set, place)
);
COMMENT ON TABLE channel_rollup IS 'Hourly roll-ups by place in the channel set, so that readings of a set not yet '
    'declared count too. Read them by name in rollup_hour. Freeze frames are not part of it.';

CREATE TABLE program_health (
    program text NOT NULL,
    instance text NOT NULL,
    at timestamptz NOT NULL,
    counters jsonb NOT NULL,
    PRIMARY KEY (program, instance)
);
COMMENT ON TABLE program_health IS 'Each running program''s counters, written every few seconds.';
