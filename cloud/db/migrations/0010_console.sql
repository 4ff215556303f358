-- What the console keeps for itself: faults that a person has put on the shelf. Shelving changes what screens show, and
-- nothing else: cases, tickets and calls go on.

CREATE TABLE shelf (
    shelf_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    problem text NOT NULL,
    device_no int REFERENCES device, -- of one device,
    model text REFERENCES model,     -- or of all devices of a model
    reason text NOT NULL CHECK (reason <> ''),
    person text NOT NULL CHECK (person <> ''),
    shelved_at timestamptz NOT NULL, -- desk time, as are the next two
    until timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by text,
    CHECK (num_nonnulls(device_no, model) = 1),
    CHECK (until > shelved_at),
    CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE INDEX shelf_until ON shelf (until) WHERE ended_at IS NULL;
DROP INDEX fault_case_recent; -- the next one serves its readers too
CREATE INDEX fault_case_happened ON fault_case (occurred_at) INCLUDE (device_no, problem, model)
    WHERE merged_into IS NULL;
