"""What is long over costs nothing: a turn on a database with many closed tickets and outreaches."""

from __future__ import annotations

import time
from collections.abc import Callable

from psycopg_pool import AsyncConnectionPool

from cloud.desk.dispatch.settings import DispatchSettings
from cloud.desk.outreach.delivery import Courier
from cloud.desk.outreach.service import turn
from cloud.desk.outreach.settings import OutreachSettings
from tests.outreach.conftest import MailServer
from tests.support.service_desk import ServiceDesk

CLOSED = 100_000
WITHIN_S = 0.5  # of a turn that has nothing to do; the machine may be busy


async def test_a_turn_does_not_look_at_what_is_over(
    desk: ServiceDesk,
    migrated_url: str,
    mail: MailServer,
    settings: OutreachSettings,
    make_courier: Callable[[OutreachSettings], Courier],
) -> None:
    await desk.catalogue()
    await desk.engineer()
    user, device = await desk.customer()
    async with desk.connection.transaction():
        await desk.connection.execute("SET LOCAL session_replication_role = replica")  # no triggers
        await desk.connection.execute(
            "INSERT INTO ticket (device_no, problem, user_id, gtin, serial, model, state, severity, safety,"
            " probability, expected_value, rank_reason, customer_words, detected_at, raised_at, closed_at)"
            " SELECT %s, '5E', %s || (n %% 5000), '04012345123456', 'S' || (n %% 5000), 'W-100', 'resolved', 'high',"
            " 'none', 1, n %% 100, '{}', '{}', now() - n * interval '1 minute', now(), now()"
            " FROM generate_series(1, %s) AS n",
            [device, user, CLOSED],
        )
        await desk.connection.execute(
            "INSERT INTO ticket_step (ticket_no, to_state, person, at)"
            " SELECT ticket_no, 'resolved', 'x', now() FROM ticket"
        )
        await desk.connection.execute(
            "INSERT INTO outreach (ticket_no, step_no, user_id, purpose, state, closed_at)"
            " SELECT ticket_no, step_no, 'u1', 'closing', 'told', now() FROM ticket_step"
        )
        await desk.connection.execute(
            "INSERT INTO outreach_message (outreach_no, channel, key, household, proactive, state, tries,"
            " first_tried_at, last_tried_at, delivered_at) SELECT outreach_no, 'email', 'k' || outreach_no,"
            " 'h' || outreach_no % 5000,"
            " true, 'delivered', 1, now() - interval '1 year', now() - interval '1 year', now() - interval '1 year'"
            " FROM outreach",
        )
    await desk.connection.execute("ANALYZE")
    ticket = await desk.ticket(user, device)
    async with AsyncConnectionPool(
        migrated_url, kwargs={"autocommit": True, "options": "-c timezone=UTC"}, min_size=1, max_size=4, open=False
    ) as pool:
        courier = make_courier(settings)
        await turn(pool, courier, DispatchSettings())
        took = []
        for _ in range(5):
            started = time.perf_counter()
            await turn(pool, courier, DispatchSettings())
            took.append(time.perf_counter() - started)
    assert [letter["Message-ID"].startswith(f"<t{ticket}-") for letter in mail.letters] == [True]
    assert min(took) < WITHIN_S, took
