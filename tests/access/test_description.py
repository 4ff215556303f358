"""schemathesis: what the API's description allows, and much that it does not, is answered without an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error

EXAMPLES = 6
ENDLESS = "/api/v1/stream"
FEW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_no_request_of_the_description_ends_in_a_server_error(start_console: Callable[..., str]) -> None:
    url = start_console()
    schema = schemathesis.openapi.from_dict(httpx.get(f"{url}/api/openapi.json").json())
    answered: dict[str, set[int]] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.startswith("/api/") and operation.path != ENDLESS:
            answered[operation.label] = _try(operation, url)
    assert len(answered) > 30
    assert sum(any(status < 300 for status in statuses) for statuses in answered.values()) > 10, answered


def _try(operation: Any, url: str) -> set[int]:
    statuses = set()

    @FEW
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        answer = case.call(base_url=url)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=[not_a_server_error])

    holds()
    return statuses
