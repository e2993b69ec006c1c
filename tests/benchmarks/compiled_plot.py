"""Draw what a training step takes, engine by engine, on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib import rc_context
from matplotlib.figure import Figure

OURS, THEIRS = "#0072b2", "#bbbbbb"


def plot(times: Mapping[str, Mapping[str, float]], path: str) -> None:
    """Save a bar for the microseconds of each engine's step, a panel for each job."""
    jobs = {job: engines for job, engines in times.items() if engines}
    if not jobs:
        raise SystemExit("there are no steps to plot; leave --only out, or give --only steps")
    rows = max(map(len, jobs.values()))
    figure = Figure(figsize=(5.5 * len(jobs), 0.8 + 0.32 * rows), layout="constrained")
    for axes, (job, engines) in zip(figure.subplots(1, len(jobs), squeeze=False)[0], jobs.items(), strict=True):
        order = sorted(engines, key=lambda name: -engines[name])  # bars are drawn from the bottom up
        colors = [OURS if name.startswith("autograd_lite") else THEIRS for name in order]
        bars = axes.barh(order, [engines[name] for name in order], color=colors)
        axes.bar_label(bars, [f"{engines[name]:,.1f}" for name in order], padding=3, fontsize=9)
        axes.set_xscale("log")
        axes.set_xlim(min(engines.values()) / 2, max(engines.values()) * 3)
        axes.set_title(f"{job}: µs a training step", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    with rc_context({"svg.hashsalt": "autograd_lite"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.endswith(".svg") else None)
