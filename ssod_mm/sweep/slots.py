"""Places for trainings on this machine: GPUs, or shares of the CPU."""

from __future__ import annotations

import os
import subprocess

from ssod_mm.errors import UserError
from ssod_mm.sweep.local import Slot


def gpu_numbers(given: str | None) -> list[str]:
    """GPUs to use; empty on a machine without a GPU."""
    if given is not None:
        return [number.strip() for number in given.split(",") if number.strip()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [
            number for number in visible.split(",") if number.strip() not in ("", "-1")
        ]
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(n) for n, line in enumerate(listing.splitlines()) if "GPU " in line]


def make_slots(
    gpus: list[str], per_run: int, slots: int | None, runs_per_gpu: int = 1
) -> list[Slot]:
    """The places for trainings.

    Args:
        gpus: numbers of the GPUs.
        per_run: number of GPUs of a training.
        slots: trainings at a time on the CPU; None to use the GPUs, if there are any.
        runs_per_gpu: trainings that share a GPU; each gets its part of the CPU cores.

    Returns:
        In the order in which they are filled: every GPU gets its first training before
        one gets its second.

    Raises:
        ValueError: fewer GPUs than a training wants, numbers below 1, or a shared GPU
            with trainings of several GPUs or on the CPU.
    """
    if min(per_run, runs_per_gpu, 1 if slots is None else slots) < 1:
        raise UserError("--gpus-per-run, --runs-per-gpu and --slots must be at least 1")
    if runs_per_gpu > 1 and per_run > 1:
        raise UserError(
            f"--runs-per-gpu {runs_per_gpu} is for trainings of one GPU each, not for "
            f"--gpus-per-run {per_run}: leave one of the two out"
        )
    if runs_per_gpu > 1 and (slots is not None or not gpus):
        raise UserError(
            f"--runs-per-gpu {runs_per_gpu} needs a GPU: on the CPU --slots says how "
            "many trainings run at a time"
        )
    if not gpus or slots is not None:
        count = slots or 1
        threads = str(max(1, (os.cpu_count() or 1) // count))
        environment = {"CUDA_VISIBLE_DEVICES": "-1"}
        environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", threads)
        return [Slot(f"CPU {n + 1}", environment, per_run) for n in range(count)]
    groups = [gpus[n : n + per_run] for n in range(0, len(gpus), per_run)]
    groups = [group for group in groups if len(group) == per_run]
    if not groups:
        raise UserError(f"--gpus-per-run {per_run}, but there are {len(gpus)} GPUs")
    places = []
    for number in range(runs_per_gpu):
        for group in groups:
            name, environment = ",".join(group), {}
            environment["CUDA_VISIBLE_DEVICES"] = name
            if runs_per_gpu > 1:
                name = f"{name}.{number + 1}"
                count = len(groups) * runs_per_gpu
                threads = str(max(1, (os.cpu_count() or 1) // count))
                threads = os.environ.get("OMP_NUM_THREADS", threads)
                environment["OMP_NUM_THREADS"] = threads
            places.append(Slot(f"GPU {name}", environment, per_run))
    return places
