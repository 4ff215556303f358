-- Storm notices go the way of every other message: outreach is about a ticket's step, or about a storm.

ALTER TABLE outreach
    ALTER COLUMN ticket_no DROP NOT NULL,
    ALTER COLUMN step_no DROP NOT NULL,
    ADD COLUMN incident_no bigint REFERENCES incident, -- the storm, as it was when the notice was owed
    ADD COLUMN case_no bigint REFERENCES fault_case, -- the member by which the customer is concerned
    DROP CONSTRAINT outreach_purpose_check,
    ADD CONSTRAINT outreach_purpose_check CHECK (purpose IN (
        'first_call', 'reminder', 'came_back', 'new_time', 'appointment', 'all_clear', 'closing', 'storm')),
    ADD CONSTRAINT outreach_about_one_thing CHECK (CASE WHEN purpose = 'storm'
        THEN num_nulls(ticket_no, step_no) = 2 AND num_nulls(incident_no, case_no) = 0
        ELSE num_nulls(ticket_no, step_no) = 0 AND num_nulls(incident_no, case_no) = 2 END);
CREATE UNIQUE INDEX outreach_storm ON outreach (user_id, incident_no) WHERE incident_no IS NOT NULL; -- told once
CREATE INDEX outreach_incident ON outreach (incident_no) WHERE incident_no IS NOT NULL;

-- An incident that was absorbed names the one that stands, in one step however often that happened.
WITH RECURSIVE up AS (
    SELECT incident_no, merged_into FROM incident WHERE merged_into IS NOT NULL
    UNION ALL
    SELECT up.incident_no, i.merged_into FROM up JOIN incident AS i ON i.incident_no = up.merged_into
    WHERE i.merged_into IS NOT NULL
)
UPDATE incident AS i SET merged_into = last.merged_into
FROM (SELECT incident_no, min(merged_into) AS merged_into FROM up GROUP BY 1) AS last -- the oldest number stays
WHERE i.incident_no = last.incident_no;
CREATE INDEX incident_merged ON incident (merged_into) WHERE merged_into IS NOT NULL;

INSERT INTO outreach (incident_no, case_no, user_id, purpose, state, reason, created_at, closed_at)
SELECT n.incident_no, c.case_no, n.user_id, 'storm', CASE WHEN n.told_at IS NULL THEN 'open' ELSE 'told' END,
    CASE WHEN n.told_at IS NULL THEN '' ELSE 'told' END, n.owed_at, n.told_at
FROM incident_notice AS n
CROSS JOIN LATERAL (
    SELECT min(c.case_no) AS case_no FROM fault_case AS c
    WHERE c.incident_no = n.incident_no AND c.user_id = n.user_id
) AS c
WHERE c.case_no IS NOT NULL;
DROP VIEW IF EXISTS incident_card; -- made anew with the other views
DROP TABLE incident_notice;

-- Regions: what customers say of themselves is not overwritten by what a list of the company's says.
ALTER TABLE customer_profile
    ADD COLUMN region_by text NOT NULL DEFAULT 'company' CHECK (region_by IN ('company', 'customer'));
CREATE INDEX customer_profile_region ON customer_profile (region) WHERE region <> '';
