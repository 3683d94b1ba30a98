"""Where a training step spends time and memory."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssod_mm.apis.step_costs import (
    CountedOperations,
    Phases,
    Step,
    noted_waits,
    wait_for_device,
)
from ssod_mm.errors import UserError


def seconds(run: Callable[[], Any]) -> float:
    """Wall time of a call, waiting for the device."""
    wait_for_device()
    start = time.perf_counter()
    run()
    wait_for_device()
    return time.perf_counter() - start


def alternating_seconds(steps: Mapping[str, Step], rounds: int) -> dict[str, list]:
    """Seconds of every variant in every round; the order turns with the round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for index in range(rounds):
        for name in names[index % len(names) :] + names[: index % len(names)]:
            times[name].append(seconds(steps[name]))
    return times


def phases_of(model: nn.Module, wrapper: Any) -> dict[str, tuple[Any, str | None]]:
    """The parts of a semi-supervised step that are phases, see ``Phases.watching``.

    Args:
        model: holds ``teacher`` and ``student``.
        wrapper: its optimiser wrapper.
    """
    parts: dict[str, tuple[Any, str | None]] = {
        "preprocessing": (model.data_preprocessor, None),
        "backward": (wrapper, "backward"),
        "optimiser": (wrapper, "step"),
        "parse_losses": (model, "parse_losses"),
    }
    own = ("teacher_guidance", "select", "to_student_view", "guided_loss")
    of_mmdet = ("get_pseudo_instances", "project_pseudo_instances")
    for method in (*own, *of_mmdet):
        if hasattr(model, method):
            parts[method] = (model, method)
    for who in ("student", "teacher"):
        detector = getattr(model, who)
        for name in ("backbone", "neck", "rpn_head", "bbox_head"):
            module = getattr(detector, name, None)
            if isinstance(module, nn.Module):
                parts[f"{who} {name}"] = (module, None)
                parts.update(_methods(who, name, module))
        if hasattr(detector, "roi_head"):
            parts.update(_methods(who, "roi_head", detector.roi_head))
    return parts


def _methods(who: str, name: str, module: nn.Module) -> dict[str, tuple[Any, str]]:
    """Methods of a head that are phases."""
    methods = ("loss_by_feat", "predict_by_feat")
    if name == "roi_head":
        methods = ("loss", "predict_bbox")
    return {
        f"{who} {name} {method}": (module, method)
        for method in methods
        if hasattr(module, method)
    }


def device_activity(step: Step, repeats: int) -> dict[str, Any]:
    """What a CUDA device does in a step, by PyTorch's profiler.

    Args:
        step: one step.
        repeats: how many are profiled.

    Returns:
        ``busy_ms`` and ``launches`` (kernels and copies) of a step, and ``kernels``,
        the ten that take longest: (ms, number, name).
    """
    activities = [torch.profiler.ProfilerActivity.CUDA]
    wait_for_device()
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(repeats):
            step()
        wait_for_device()
    spans, by_name = [], defaultdict(lambda: [0.0, 0])
    for event in profiler.events():
        on_device = event.device_type == torch.autograd.DeviceType.CUDA
        if on_device and not event.is_user_annotation:
            spans.append((event.time_range.start, event.time_range.end))
            by_name[event.name][0] += event.time_range.elapsed_us() / 1e3 / repeats
            by_name[event.name][1] += 1
    busy = end = 0.0
    for start, finish in sorted(spans):
        busy += max(0.0, finish - max(start, end))
        end = max(end, finish)
    longest = sorted(by_name.items(), key=lambda item: -item[1][0])[:10]
    return dict(
        busy_ms=busy / 1e3 / repeats,
        launches=len(spans) / repeats,
        kernels=[(ms, number / repeats, name) for name, (ms, number) in longest],
    )


def host_seconds(step: Step, repeats: int) -> float:
    """Median time after which a step has been started; the device may still work."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    wait_for_device()
    return statistics.median(times)


def network_floor(
    model: nn.Module, wrapper: Any, images: Mapping[str, Tensor]
) -> float:
    """Seconds that no step can do without: what the backbones and necks compute.

    Args:
        model: holds ``teacher`` and ``student``.
        wrapper: optimiser wrapper, for its precision.
        images: preprocessed batches of the three branches.

    Returns:
        Median of the teacher's forward, and the student's forward and backward, pass.
    """
    learnt = [images["sup"], images["unsup_student"]]
    if learnt[0].shape[1:] == learnt[1].shape[1:]:
        learnt = [torch.cat(learnt)]

    def run() -> None:
        with wrapper.optim_context(model):
            with torch.no_grad():
                model.teacher.extract_feat(images["unsup_teacher"])
            maps = [
                level for one in learnt for level in model.student.extract_feat(one)
            ]
            loss = sum(level.float().mean() for level in maps)
        loss.backward()
        model.student.zero_grad()

    run()
    return statistics.median(seconds(run) for _ in range(5))


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


def profiled(step: Callable[[dict], None], batches: list[dict], parts: Mapping) -> dict:
    """Phases, operations and waits of steps, after a warm-up.

    Args:
        step: trains on a batch.
        batches: one for each step that is looked at.
        parts: see :meth:`Phases.watching`.

    Returns:
        ``phases``: for each its ``ms``, ``operations`` and ``waits``, and ``sites``:
        (waits, innermost place, place in this package). Without CUDA the waits are
        predicted; with it operations are not counted.
    """
    cuda, number = torch.cuda.is_available(), len(batches)
    timed, counted = Phases(timed=True), Phases()
    with timed.watching(parts):
        for batch in batches:
            timed.run(partial(step, batch))
    watch = noted_waits(counted) if cuda else CountedOperations(counted)
    with counted.watching(parts), watch:
        for batch in batches:
            counted.run(partial(step, batch))
    phases = {
        name: dict(
            ms=1e3 * spent / number,
            operations=counted.operations[name] / number,
            waits=counted.waits[name] / number,
        )
        for name, spent in sorted(timed.seconds.items(), key=lambda item: -item[1])
    }
    sites = [(n / number, *place) for place, n in counted.sites.most_common()]
    return dict(phases=phases, sites=sites)
