"""A column of devices says the same as the plain list of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.detection.columns import DeviceColumn, looked_up

devices = st.lists(st.sampled_from("abcdef"), max_size=30)


@given(devices)
def test_a_column_reads_like_the_list(listed: list[str]) -> None:
    column = DeviceColumn.of(listed)
    assert list(column) == listed
    assert [column[i] for i in range(len(column))] == listed
    assert column[1:7] == listed[1:7]
    assert column.names == list(dict.fromkeys(listed))
    assert column.last_rows() == [len(listed) - 1 - listed[::-1].index(name) for name in column.names]
    assert DeviceColumn.of(column) is column


@given(devices.filter(len), st.randoms(use_true_random=False))
def test_rows_in_another_order_are_numbered_anew(listed: list[str], chance) -> None:
    order = chance.sample(range(len(listed)), len(listed))
    moved = DeviceColumn.of(listed).taken(np.array(order))
    assert list(moved) == [listed[i] for i in order]
    assert moved.names == list(dict.fromkeys(moved))


@given(devices)
def test_looked_up_a_row(listed: list[str]) -> None:
    numbers = {name: 10 * i for i, name in enumerate("abcdef")}
    expected = [numbers[name] for name in listed]
    assert looked_up(listed, numbers).tolist() == expected
    assert looked_up(DeviceColumn.of(listed), numbers).tolist() == expected


def test_a_device_without_a_number_is_named() -> None:
    with pytest.raises(KeyError, match="b"):
        looked_up(["a", "b"], {"a": 1})
