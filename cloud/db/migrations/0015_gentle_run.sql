-- Gentle running becomes a command to the device. A row of gentle_run is one visit's wish; what a device was asked follows
-- from all of its wishes, see settle_gentle_running in repeatable/dispatch.sql.

ALTER TABLE gentle_run ADD COLUMN ended_at timestamptz; -- desk time: the visit is over, not needed, or comes in time after all
CREATE INDEX gentle_run_device ON gentle_run (device_no) WHERE ended_at IS NULL;
CREATE INDEX gentle_run_command ON gentle_run (command_id);

CREATE TABLE gentle_order ( -- what was last asked of a device
    device_no int PRIMARY KEY REFERENCES device,
    orders int NOT NULL DEFAULT 0, -- numbers the commands
    command_id text,
    until timestamptz -- NULL: run normally
);

CREATE INDEX command_device ON command (device_no);
