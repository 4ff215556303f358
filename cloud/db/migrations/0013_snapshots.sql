-- Figures that take seconds to count on a large fleet, as counted last: screens show these, and count anew behind.

CREATE TABLE screen_snapshot (
    name text PRIMARY KEY,
    body jsonb NOT NULL,
    desk_at timestamptz NOT NULL, -- the desk's now when it was counted
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    took_s real NOT NULL
);
