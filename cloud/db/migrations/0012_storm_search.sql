-- Cases of one meaning by event time: what storms and rates are found by.
CREATE INDEX fault_case_same ON fault_case (model, problem, occurred_at)
    WHERE source = 'reported' AND merged_into IS NULL;
