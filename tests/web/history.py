"""What a fleet has behind it: months of faults, calls, findings, regions, engineers with visits, a storm, a bad lot.

Written by plain rows with triggers off, so that it takes a second. Everything follows from the database's numbers.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

Connection = AsyncConnection[Any]
DEVICES = 400

STATEMENTS = [
    "SET session_replication_role = replica",
    "CREATE TEMP TABLE made AS SELECT row_number() OVER () - 1 AS place, model, gtin FROM trade_item ORDER BY model",
    "INSERT INTO app_user (user_id, locale, time_zone) SELECT 'u_old' || i,"
    " CASE WHEN i % 3 = 0 THEN 'zh-CN' ELSE 'en' END, 'Europe/Berlin' FROM generate_series(1, {devices}) AS i",
    "INSERT INTO customer_profile (user_id, household, region, tier, tags) SELECT user_id, user_id,"
    " (ARRAY['north', 'harbour', 'old town', 'hills'])[1 + length(user_id) % 2 + (right(user_id, 1) >= '5')::int * 2],"
    " CASE WHEN right(user_id, 1) = '7' THEN 'high' ELSE 'standard' END, '{{}}' FROM app_user",
    "INSERT INTO region VALUES ('north', 54.3, 9.4), ('harbour', 53.5, 10.0), ('old town', 52.4, 9.7),"
    " ('hills', 51.8, 10.6)",
    "INSERT INTO device (device, last_seen_at, firmware) SELECT 'home-' || lpad(i::text, 4, '0'), now(),"
    " (ARRAY['2.3.9', '2.4.0', '2.4.1'])[1 + i % 3] FROM generate_series(1, {devices}) AS i",
    "INSERT INTO registered_device SELECT device_no, now(), 'history' FROM device ON CONFLICT DO NOTHING",
    "CREATE TEMP TABLE home AS SELECT device_no, device, m.model, m.gtin, 'H' || device_no AS serial,"
    " 'u_old' || right(device, 4)::int AS user_id, right(device, 4)::int AS n,"
    " 'L25' || lpad((1 + right(device, 4)::int / 4 % 6)::text, 2, '0') AS lot"
    " FROM device JOIN made AS m ON m.place = right(device, 4)::int % 4 WHERE device LIKE 'home-%'",
    "INSERT INTO product SELECT gtin, serial, date '2025-02-01' + n % 200, lot FROM home",
    "INSERT INTO fitting (device_no, gtin, serial, valid, known, recorded_by)"
    " SELECT device_no, gtin, serial, '(,)', '[2025-01-01,)', 'history' FROM home",
    "INSERT INTO binding (device_no, user_id, valid, known, recorded_by) SELECT device_no, user_id,"
    " tstzrange(now() - interval '300 days' + n * interval '10 hours', NULL), '[2025-01-01,)', 'history' FROM home",
    "CREATE TEMP TABLE happened AS SELECT h.*, f.code, f.definition_no, f.severity, f.likely_parts[1] AS part,"
    " now() - (n * 37 % 80 + 1) * interval '1 day' - n * interval '7 minutes' AS at, n % 5 <> 0 AS foreseen,"
    " 0.12 + (n * 13 % 85) / 100.0 AS stated FROM home AS h JOIN LATERAL (SELECT * FROM fault_definition AS d"
    " WHERE d.model = h.model ORDER BY (length(d.code) + h.n) % 3, d.code LIMIT 1) AS f ON true"
    " WHERE n % 3 = 0 OR (h.lot = 'L2503' AND h.model = 'WM-8014')",
    "INSERT INTO ticket (device_no, problem, user_id, gtin, serial, model, definition_no, state, severity, safety,"
    " probability, expected_value, rank_reason, customer_words, likely_part, detected_at, raised_at, confirmed_at,"
    " contacted_at, noticed_at, failed_at, closed_at) SELECT device_no, code, user_id, gtin, serial, model,"
    " definition_no, 'resolved', severity, 'none', stated, 100, '{{}}', '{{}}', part, at, at, at + interval '1 hour',"
    " at + interval '2 hours', CASE WHEN n % 4 = 0 THEN at + (n % 90) * interval '1 hour' END,"
    " CASE WHEN n % 7 = 0 THEN at + (2 + n % 200) * interval '1 hour' END, at + (4 + n % 72) * interval '1 hour'"
    " FROM happened",
    "INSERT INTO ticket_step (ticket_no, to_state, person, at, reason) SELECT ticket_no, 'resolved', 'history',"
    " closed_at, '' FROM ticket WHERE expected_value = 100",
    "INSERT INTO fault_case (case_no, device_no, source, problem, prediction_no, occurred_at, last_raised_at, last_at,"
    " cleared_at, probability, horizon_hours, user_id, gtin, serial, model, definition_no, missing, judged_at,"
    " ticket_no) OVERRIDING SYSTEM VALUE SELECT -h.device_no, h.device_no,"
    " CASE WHEN foreseen THEN 'predicted' ELSE 'reported' END, h.code,"
    " CASE WHEN foreseen THEN 100000 + h.device_no END, h.at, h.at, h.at, t.closed_at,"
    " CASE WHEN foreseen THEN stated ELSE 1 END, CASE WHEN foreseen THEN 72 END, h.user_id, h.gtin, h.serial, h.model,"
    " h.definition_no, '{{}}', h.at, t.ticket_no FROM happened AS h JOIN ticket AS t USING (device_no)"
    " WHERE t.expected_value = 100",
    "INSERT INTO ticket_evidence SELECT ticket_no, case_no, source, occurred_at, occurred_at, 1, probability, NULL"
    " FROM fault_case WHERE ticket_no IN (SELECT ticket_no FROM ticket WHERE expected_value = 100)",
    "INSERT INTO finding (ticket_no, device_no, outcome, code, part, person, found_at) SELECT ticket_no, device_no,"
    " CASE WHEN (device_no * 29 % 100) / 100.0 < probability THEN 'fault_confirmed' ELSE 'no_fault_found' END, problem,"
    " likely_part, 'lena', closed_at FROM ticket WHERE expected_value = 100 AND closed_at < now()",
    "INSERT INTO quality_finding (kind, scope, member, problem, devices, affected, rest_devices, rest_affected,"
    " p_value, q_value, sentence, found_at, seen_at) VALUES ('lot', 'WM-8014', 'L2503', '5E', 17, 16, 83, 27, 1e-6,"
    ' 2e-5, \'{{"en": "16 of 17 washers of this lot do not drain, 27 of 83 of the others.",'
    ' "zh": "该批次 17 台洗衣机中有 16 台不排水，其余 83 台中有 27 台。"}}\', now() - interval \'2 days\', now())',
    "INSERT INTO engineer (engineer, name, seniority, regions, time_zone) VALUES"
    " ('lena', 'Lena Hoff', 4, '{{north,harbour}}', 'Europe/Berlin'), ('tom', 'Tom Reiss', 2, '{{hills}}', 'UTC')",
    "INSERT INTO van_stock VALUES ('lena', 'drain-pump', 2), ('lena', 'thermal-fuse', 1)",
    "CREATE TEMP TABLE visited AS SELECT DISTINCT ON (h.model) h.*, row_number() OVER (ORDER BY h.n) AS turn,"
    " f.code, f.definition_no, f.severity, f.safety, f.likely_parts[1] AS part FROM home AS h"
    " JOIN fault_definition AS f USING (model) WHERE h.n BETWEEN 40 AND 60 AND n % 3 <> 0 ORDER BY h.model, h.n",
    "INSERT INTO ticket (device_no, problem, user_id, gtin, serial, model, definition_no, state, severity, safety,"
    " probability, expected_value, rank_reason, customer_words, likely_part, detected_at, raised_at, confirmed_at,"
    " contacted_at, scheduled_for) SELECT device_no, code, user_id, gtin, serial, model, definition_no, 'scheduled',"
    " severity, safety, 0.9, 88, '{{}}', '{{}}', part, now() - interval '30 hours', now() - interval '30 hours',"
    " now() - interval '29 hours', now() - interval '20 hours', now() FROM visited",
    "INSERT INTO ticket_step (ticket_no, to_state, person, at, reason) SELECT ticket_no, 'scheduled', 'history',"
    " contacted_at, '' FROM ticket WHERE expected_value = 88",
    "INSERT INTO work_order (ticket_no, state, experienced, waiting_since) SELECT ticket_no, 'booked', false,"
    " contacted_at FROM ticket WHERE expected_value = 88",
    "INSERT INTO visit_slot (work_order_no, engineer, span, state, kept, hold_until, explanation)"
    " SELECT work_order_no, 'lena', tstzrange(day + (6 + 2 * n) * interval '1 hour',"
    " day + (8 + 2 * n) * interval '1 hour'), 'booked', true, now(), '{{}}' FROM (SELECT work_order_no,"
    " row_number() OVER (ORDER BY work_order_no) AS n,"
    " date_trunc('day', now(), 'Europe/Berlin') AS day FROM work_order WHERE state = 'booked') AS w",
    "INSERT INTO device_health (device_no, judged_at, score, probability, completeness, judgeable)"
    " SELECT device_no, now(), 0.2, 0.04, 0.97, true FROM device ON CONFLICT DO NOTHING",
    "SET session_replication_role = origin",
]


async def add_history(connection: Connection) -> None:
    """Write it behind the fleet of tests.web.fleet (an autocommit connection)."""
    async with connection.transaction():
        for statement in STATEMENTS:
            await connection.execute(statement.format(devices=DEVICES))
    await connection.execute("ANALYZE")
