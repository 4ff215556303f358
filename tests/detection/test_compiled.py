"""Compiled loops: what numba keeps of them on disk, and what they compute."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud import detection
from cloud.detection.bank import FLOOR, ChannelBank

MODULES = sorted(Path(detection.__file__).parent.glob("*.py"))


def loops_of(tree: ast.Module) -> list[ast.FunctionDef]:
    return [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(d, ast.Name) and d.id == "compiled" for d in node.decorator_list)
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_loop_depends_on_no_other_module_of_the_project(path):
    """A kept loop is compiled anew when its own file changes, and only then."""
    tree = ast.parse(path.read_text())
    imported = {
        name.asname or name.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cloud")
        for name in node.names
    }
    for loop in loops_of(tree):
        read = {node.id for statement in loop.body for node in ast.walk(statement) if isinstance(node, ast.Name)}
        assert not read & imported, (loop.name, read & imported)


readings = st.one_of(st.floats(-1e30, 1e30), st.floats(-3, 3), st.just(np.nan))


@given(st.lists(st.lists(readings, min_size=3, max_size=3), min_size=20, max_size=60), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_the_bank_computes_what_its_docstring_says(rows, devices):
    """Against the formulas in array form: smoothed readings, T squared and the baseline of each device."""
    bank = ChannelBank(3, (1, 4, 16, 64), 1.0, 40, 1000)
    bank.grow(devices)
    here, alpha = np.arange(devices), np.array([2.0 / (s + 1.0) for s in bank.spans])
    samples, moves = np.full((devices, 3), 98.0), np.tile([98.0, 9.0, 0.0], (devices, 1))
    reach = np.array([15.0, 15.0, np.sqrt(2.0 * np.log(100.0))])  # the last channel hardly ever moves
    for first in range(0, len(rows) - devices + 1, devices):
        values = np.array(rows[first : first + devices])
        seen = np.isfinite(values)
        x = np.where(seen, values, 0.0)
        count, mean, var = bank.count.copy(), bank.mean.copy(), bank.var.copy()
        smooth, precision = bank.smooth.copy(), bank.precision.copy()
        calm, q_mean, q_var, family_q = bank.calm.copy(), bank.q_mean.copy(), bank.q_var.copy(), bank.family_q.copy()
        surprise, young = bank.observe(here, x, seen, np.zeros(devices, np.int64), samples, moves)
        z = np.clip((x - mean) / (np.sqrt(var) + 1e-9 * np.abs(mean) + 1e-9), -reach, reach) * (seen & (count >= 3))
        smooth += alpha[:, None, None] * (z - smooth)
        assert np.allclose(bank.smooth, smooth, rtol=1e-9, atol=1e-12)
        t = np.einsum("snc,scd,snd->sn", smooth, precision, smooth) / 3
        q = np.log(t + FLOOR)
        own = calm / (calm + 20.0)
        centre = own * q_mean + (1.0 - own) * family_q[0]
        sd = np.sqrt(own * q_var + (1.0 - own) * family_q[1] + 0.02)
        assert np.allclose(surprise, ((q - centre) / sd).mean(axis=0), rtol=1e-6, atol=1e-6)
        learnt = seen & ((surprise < 1.0) | young)[:, None]
        assert np.array_equal(bank.count, count + learnt)
        bound = np.where((count > 10) & (var > 0), 5.0 * np.sqrt(var), np.inf)
        step = np.clip(x - mean, -bound, bound)
        rate = np.maximum(1.0 / (count + 1.0), 1e-3)
        assert np.allclose(bank.mean, np.where(learnt, mean + rate * step, mean), rtol=1e-12)
        assert np.allclose(bank.var, np.where(learnt, (1.0 - rate) * (var + rate * step**2), var), rtol=1e-9)
