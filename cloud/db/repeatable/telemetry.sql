-- Views and functions over telemetry. Re-run at each migrate: changing one is editing it here.

-- The weeks (UTC, from Monday) in which instants lie. date_trunc with a zone: independent of the session's.
CREATE OR REPLACE FUNCTION frame_week(at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_trunc('week', at, 'UTC');

-- Make the native partitions of `frame` for these instants; nothing to do on a hypertable. Attaching a table made
-- beforehand locks out neither readers nor writers, unlike CREATE TABLE ... PARTITION OF.
CREATE OR REPLACE FUNCTION ensure_frame_partitions(instants timestamptz[]) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    week timestamptz;
    partition_name text;
    made int := 0;
BEGIN
    IF (SELECT relkind <> 'p' FROM pg_class WHERE oid = 'frame'::regclass) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('frame partitions'));
    FOR week IN SELECT DISTINCT frame_week(i) FROM unnest(instants) AS i ORDER BY 1 LOOP
        partition_name := 'frame_' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD');
        IF to_regclass(partition_name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE frame INCLUDING DEFAULTS INCLUDING STORAGE)', partition_name);
            EXECUTE format('ALTER TABLE frame ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                partition_name, week, frame_week(week + interval '8 days'));
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- Drop whole weeks of frames that ended before `before`; returns how many chunks or partitions went.
CREATE OR REPLACE FUNCTION drop_frames(before timestamptz) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    old text;
    dropped int := 0;
BEGIN
    IF (SELECT relkind <> 'p' FROM pg_class WHERE oid = 'frame'::regclass) THEN
        SELECT count(*) INTO dropped FROM drop_chunks('frame', older_than => before);
        RETURN dropped;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('frame partitions'));
    FOR old IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'frame'::regclass
            AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 7)::timestamp AT TIME ZONE 'UTC' <= before
    LOOP
        EXECUTE format('DROP TABLE %I', old);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

-- Batches after a cursor that no transaction still running can precede: safe to read with several writers.
CREATE OR REPLACE FUNCTION committed_batches(after_xid xid8, after_batch bigint, at_most int)
RETURNS SETOF ingest_batch
LANGUAGE sql STABLE AS $$
    SELECT * FROM ingest_batch
    WHERE (xid, batch_no) > (after_xid, after_batch) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY xid, batch_no
    LIMIT at_most
$$;

-- Single samples by name, for any SQL tool. A channel of a set not yet declared is called '#' and its place.
-- Bound `started_at` as well as `at` when asking for a span of time: it is what partitions are found by.
CREATE OR REPLACE VIEW any_sample AS
SELECT
    d.device,
    coalesce(s.names[c.place], '#' || c.place) AS channel,
    coalesce(s.units[c.place], '') AS unit,
    f.started_at + ((r.place - 1) / f.channels) * f.period_ms * interval '1 millisecond' AS at,
    r.value,
    f.boot,
    f.seq,
    f.device_no,
    f.started_at,
    (f.flags & 1) = 1 AS freeze_frame
FROM frame AS f
JOIN device AS d USING (device_no)
CROSS JOIN LATERAL unnest(f.readings) WITH ORDINALITY AS r (value, place)
CROSS JOIN LATERAL (SELECT ((r.place - 1) % f.channels + 1)::int AS place) AS c
LEFT JOIN channel_set AS s ON s.device_no = f.device_no AND s.channel_set = f.channel_set
WHERE r.value <> 'NaN';

CREATE OR REPLACE VIEW sample AS
SELECT device, channel, unit, at, value, boot, seq, device_no, started_at FROM any_sample WHERE NOT freeze_frame;
CREATE OR REPLACE VIEW freeze_sample AS
SELECT device, channel, unit, at, value, boot, seq, device_no, started_at FROM any_sample WHERE freeze_frame;

-- Hourly roll-ups by name. The same channel in two sets (a firmware update within the hour) is one row.
CREATE OR REPLACE VIEW rollup_hour AS
SELECT
    r.device_no,
    coalesce(s.names[r.place + 1], '#' || (r.place + 1)) AS channel,
    r.hour,
    min(r.low) AS low,
    sum(r.mean * r.readings) / sum(r.readings) AS mean,
    max(r.high) AS high,
    sum(r.readings)::bigint AS readings
FROM channel_rollup AS r
LEFT JOIN channel_set AS s USING (device_no, channel_set)
GROUP BY r.device_no, r.hour, coalesce(s.names[r.place + 1], '#' || (r.place + 1));

-- Low, mean, high and count a channel and hour of these batches' frames: what a roll-up adds. Freeze frames repeat what regular frames
-- hold and are left out, as is NaN ("no reading").
CREATE OR REPLACE FUNCTION hourly(batches bigint[], first_at timestamptz, last_at timestamptz)
RETURNS TABLE (device_no int, channel_set bigint, place smallint, hour timestamptz,
    low real, mean double precision, high real, readings bigint)
LANGUAGE sql STABLE AS $$
    SELECT f.device_no, f.channel_set, ((r.place - 1) % f.channels)::smallint,
        date_trunc('hour', f.started_at + ((r.place - 1) / f.channels) * f.period_ms * interval '1 millisecond', 'UTC'),
        min(r.value), avg(r.value), max(r.value), count(*)
    FROM frame AS f CROSS JOIN LATERAL unnest(f.readings) WITH ORDINALITY AS r (value, place)
    WHERE f.batch_no = ANY(batches) AND f.started_at BETWEEN first_at AND last_at
        AND f.flags & 1 = 0 AND r.value <> 'NaN'
    GROUP BY 1, 2, 3, 4
$$;

-- Compress chunks older than `age` where TimescaleDB's licence in force has compression; elsewhere nothing happens.
-- Returns how many chunks were compressed.
CREATE OR REPLACE FUNCTION compress_frames(age interval) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    compressed int;
BEGIN
    IF current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale'
        OR (SELECT relkind = 'p' FROM pg_class WHERE oid = 'frame'::regclass)
    THEN
        RETURN 0;
    END IF;
    IF NOT (SELECT compression_enabled FROM timescaledb_information.hypertables WHERE hypertable_name = 'frame') THEN
        ALTER TABLE frame SET (timescaledb.compress, timescaledb.compress_segmentby = 'device_no',
            timescaledb.compress_orderby = 'started_at');
    END IF;
    SELECT count(compress_chunk(c, if_not_compressed => true)) INTO compressed
    FROM show_chunks('frame', older_than => age) AS c;
    RETURN compressed;
END $$;
