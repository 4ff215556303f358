-- The order of the day.

-- name: lock
SELECT pg_try_advisory_xact_lock(46632);

-- name: now
SELECT desk_now();

-- name: candidates
SELECT t.ticket_no, t.severity::text AS severity, m.family, t.probability, v.verdict,
    coalesce(n.real, 0)::int AS real, coalesce(n.found, 0)::int AS found,
    coalesce(d.self_help, '{}') <> '{}' AS self_help
FROM ticket AS t
JOIN model AS m ON m.model = t.model
LEFT JOIN fault_definition AS d ON d.definition_no = t.definition_no
LEFT JOIN ticket_verdict AS v USING (ticket_no)
LEFT JOIN (
    SELECT x.model, x.problem, count(*) FILTER (WHERE f.outcome IN ('fault_confirmed', 'other_fault')) AS real,
        count(*) AS found
    FROM finding AS f JOIN ticket AS x USING (ticket_no)
    WHERE f.found_at > %(now)s::timestamptz - interval '1 year'
    GROUP BY 1, 2
) AS n ON n.model = t.model AND n.problem = t.problem
WHERE t.state IN ('proposed', 'confirmed');

-- name: used
-- What was used of the day: calls that reached somebody, visits that were agreed.
SELECT count(DISTINCT ticket_no) FILTER (WHERE to_state = 'contacted' AND from_state = 'confirmed'),
    count(DISTINCT ticket_no) FILTER (WHERE to_state = 'scheduled')
FROM ticket_step WHERE at >= %(day)s AND at <= %(now)s AND to_state IN ('contacted', 'scheduled');

-- name: forget
DELETE FROM queue_place WHERE NOT ticket_no = ANY(%(tickets)s);

-- name: put
INSERT INTO queue_place AS q (ticket_no, place, today, probability, value, visits, sentence, made_at)
SELECT *, %(now)s FROM unnest(%(tickets)s::bigint[], %(places)s::int[], %(today)s::boolean[],
    %(probabilities)s::real[], %(values)s::real[], %(visits)s::real[], %(sentences)s::jsonb[])
ON CONFLICT (ticket_no) DO UPDATE SET place = excluded.place, today = excluded.today,
    probability = excluded.probability, value = excluded.value, visits = excluded.visits,
    sentence = excluded.sentence, made_at = excluded.made_at
WHERE (q.place, q.today, q.probability, q.value, q.visits) IS DISTINCT FROM
    (excluded.place, excluded.today, excluded.probability, excluded.value, excluded.visits);

-- name: announce
NOTIFY queue;

-- name: queue
SELECT c.* FROM queue_card AS c
WHERE (%(today)s::boolean IS NULL OR c.today = %(today)s)
    AND (%(turn)s::float8 IS NULL OR (c.turn, c.ticket_no) > (%(turn)s::float8, %(number)s::bigint))
ORDER BY c.turn, c.ticket_no LIMIT %(at_most)s;
