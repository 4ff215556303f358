-- What the console and the API show of a fault and of a ticket, joined with what it means. Re-run at each migrate.

DROP VIEW IF EXISTS shown_fault;
CREATE VIEW shown_fault AS
SELECT c.case_no, c.source, c.problem, d.device, c.occurred_at, c.last_at, c.cleared_at, c.raises, c.probability,
    c.horizon_hours, c.user_id, c.gtin, c.serial, c.model, m.name AS model_name, m.family, c.missing, c.withheld,
    c.ticket_no, t.state AS ticket_state, coalesce(t.severity, f.severity)::text AS severity, f.meaning,
    c.recorded_at
FROM fault_case AS c
JOIN device AS d USING (device_no)
LEFT JOIN model AS m ON m.model = c.model
LEFT JOIN fault_definition AS f ON f.definition_no = c.definition_no
LEFT JOIN ticket AS t ON t.ticket_no = c.ticket_no
WHERE c.merged_into IS NULL;

DROP VIEW IF EXISTS shown_ticket;
CREATE VIEW shown_ticket AS
SELECT t.ticket_no, d.device, t.problem, t.state, t.severity::text AS severity, t.safety, t.probability,
    t.expected_value::float8 AS expected_value, t.user_id, t.gtin, t.serial, t.model, m.name AS model_name, m.family,
    f.meaning, t.detected_at, t.raised_at, t.confirmed_at, t.contacted_at, t.scheduled_for, t.noticed_at,
    t.failed_at, t.closed_at, t.closing_reason, t.version, q.place, q.today, q.sentence AS place_reason,
    q.probability::float8 AS place_probability, q.value::float8 AS place_value
FROM ticket AS t
JOIN device AS d USING (device_no)
JOIN model AS m ON m.model = t.model
LEFT JOIN fault_definition AS f ON f.definition_no = t.definition_no
LEFT JOIN queue_place AS q ON q.ticket_no = t.ticket_no AND t.state IN ('proposed', 'confirmed');

-- Copies of counts: nothing that anybody did.
INSERT INTO audit_exempt (subject, reason) VALUES ('screen_snapshot', 'computed')
ON CONFLICT (subject) DO UPDATE SET reason = excluded.reason;
