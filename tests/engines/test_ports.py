"""Free ports are free, and out of the way of clients' ports."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from cloud.engines import ports
from cloud.engines.ports import LOOPBACK, answers, can_listen, free_port


def test_a_free_port_is_below_the_clients_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = tmp_path / "range"
    kernel.write_text("16500\t60999\n")
    monkeypatch.setattr(ports, "EPHEMERAL_RANGE", kernel)
    chosen = {free_port(random.Random(seed)) for seed in range(50)}
    assert max(chosen) < 16_500
    assert min(chosen) >= ports.LOWEST


def test_without_a_kernel_that_tells_the_usual_range_is_kept_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "EPHEMERAL_RANGE", tmp_path / "absent")
    assert all(free_port(random.Random(seed)) < ports.USUAL_EPHEMERAL_START for seed in range(50))


def test_a_port_in_use_is_neither_chosen_nor_free() -> None:
    class Stubborn(random.Random):
        def __init__(self, taken: int) -> None:
            super().__init__(1)
            self.answers = [taken, taken]

        def randrange(self, *arguments: int) -> int:  # type: ignore[override]
            return self.answers.pop() if self.answers else super().randrange(*arguments)

    with socket.create_server((LOOPBACK, 0)) as listener:
        taken = listener.getsockname()[1]
        assert not can_listen(taken)
        assert answers(taken)
        assert free_port(Stubborn(taken)) != taken
    assert not answers(taken)
