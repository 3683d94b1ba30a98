"""Times and memory of training steps, in turn on the same batches."""

from __future__ import annotations

import pkgutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from ssod_mm.errors import UserError

Step = Callable[[dict], None]
# Functions by the names that they are called by; none calls another.
DENSE_PARTS = {
    "clustering": ("anchors.nms_clusters", "rcnn.nms_clusters"),
    "mapping": ("guidance.clusters_in",),
    "matching": ("anchors.matched_rows",),
    "statistics": ("rcnn.assignment_shares", "losses.rank_agreement"),
}


def seconds(run: Callable[[], None]) -> float:
    """Wall time of a call, waiting for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure_times(steps: Mapping[str, Step], batches: list[dict], rounds: int) -> dict:
    """Seconds of every variant in every round; the order turns with the round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for name in names:  # warm-up
        steps[name](batches[0])
    for index in range(rounds):
        batch = batches[index % len(batches)]
        for name in names[index % len(names) :] + names[: index % len(names)]:
            torch.manual_seed(index)
            times[name].append(seconds(partial(steps[name], batch)))
        sys.stderr.write(f"round {index + 1}/{rounds}\r")
        sys.stderr.flush()
    return times


@contextmanager
def timed_calls(parts: Mapping[str, Sequence[str]]) -> Iterator[dict[str, float]]:
    """Time every call of some functions, waiting for the device.

    Args:
        parts: for each part the dotted names by which its functions are called.

    Yields:
        Seconds that each part has taken so far.
    """
    spent = dict.fromkeys(parts, 0.0)

    def timed(part: str, function: Callable) -> Callable:
        def run(*args: Any, **kwargs: Any) -> Any:
            made = []
            spent[part] += seconds(lambda: made.append(function(*args, **kwargs)))
            return made[0]

        return run

    with ExitStack() as patches:
        for part, names in parts.items():
            for name in names:
                function = timed(part, pkgutil.resolve_name(name))
                patches.enter_context(patch(name, function))
        yield spent


def measure_parts(step: Step, batches: list[dict], rounds: int) -> dict:
    """Seconds of what clusters cost in a step, and of the step, in every round.

    Args:
        step: of a ``DenseGuidanceTeacher``, warmed up.
        batches: collated batches to cycle over.
        rounds: how many.

    Returns:
        Lists of seconds by part; those of the step without waits in between as "step".
    """
    package = "ssod_mm.models.dense"
    parts = {
        part: [f"{package}.{name}" for name in names]
        for part, names in DENSE_PARTS.items()
    }
    times: dict[str, list[float]] = {name: [] for name in ("step", *parts)}
    for index in range(rounds):
        run = partial(step, batches[index % len(batches)])
        torch.manual_seed(index)
        times["step"].append(seconds(run))
        torch.manual_seed(index)
        with timed_calls(parts) as spent:
            run()
        for part, value in spent.items():
            times[part].append(value)
    return times


def part_costs(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Medians over the rounds of each part, and of ``all`` together.

    Args:
        times: what :func:`measure_parts` gave.

    Returns:
        For each part ``ms``, and ``share`` of the step in [0, 1].
    """
    values = {part: times[part] for part in DENSE_PARTS}
    values["all"] = [sum(one) for one in zip(*values.values(), strict=True)]
    return {
        part: dict(
            ms=1000 * statistics.median(spent),
            share=statistics.median(
                [a / b for a, b in zip(spent, times["step"], strict=True)]
            ),
        )
        for part, spent in values.items()
    }


def resident_mib(key: str) -> float:
    """Resident memory of this process in MiB.

    Args:
        key: "VmRSS" (now) or "VmHWM" (peak). ``getrusage`` would not do: on Linux its
            peak includes that of the parent process.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 2**10
    raise UserError(f"/proc/self/status has no {key}: use --no-memory.")
