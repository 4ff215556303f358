"""Draw the reliability diagram and the lead-time histogram from ``benchmarks/results/detection.json``.

python benchmarks/draw_detection.py       writes docs/images/detection-*.svg
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "firstcall"
from matplotlib import pyplot as plt  # noqa: E402 - after the backend is chosen

HERE = Path(__file__).resolve().parent


def main() -> None:
    """One picture each."""
    sets = json.loads((HERE / "results" / "detection.json").read_text())["sets"]
    images = HERE.parent / "docs" / "images"
    images.mkdir(exist_ok=True)
    azure = sets["azure_pdm"]["feedback"]
    figure, axes = plt.subplots(figsize=(4.5, 4))
    bins = azure["calibration"]["reliability_stated_true_n"]
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    axes.plot([b[0] for b in bins], [b[1] for b in bins], color="tab:blue", marker="o")
    for stated, true, n in bins:
        axes.annotate(str(n), (stated, true), textcoords="offset points", xytext=(6, -10), fontsize=8)
    axes.set(xlabel="stated probability", ylabel="share that failed within the horizon")
    axes.set_title("azure_pdm, a device and day, number of statements", fontsize=9)
    figure.tight_layout()
    figure.savefig(images / "detection-reliability.svg", metadata={"Date": None})
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3))
    left.hist(azure["leads_h"], bins=range(12, 76, 4))
    left.set(xlabel="hours before the failure", ylabel="failures foreseen", title="azure_pdm")
    right.hist([h / 24 for h in sets["cmapss_FD001"]["feedback"]["leads_h"]], bins=range(10, 62, 4))
    right.set(xlabel="cycles before the failure", title="cmapss_FD001")
    figure.tight_layout()
    figure.savefig(images / "detection-lead-times.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
