-- Indexes for the screens' counts and lists; benchmarks/screens.py measures them on a large fleet.

CREATE INDEX fault_case_counted ON fault_case (definition_no, ticket_no)
    WHERE cleared_at IS NULL AND merged_into IS NULL;
CREATE INDEX ticket_newest ON ticket (raised_at DESC, ticket_no DESC);
