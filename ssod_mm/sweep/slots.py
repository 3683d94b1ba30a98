"""Places for trainings on this machine: GPUs, or shares of the CPU."""

from __future__ import annotations

import os
import subprocess

from ssod_mm.sweep.local import Slot


def gpu_numbers(given: str | None) -> list[str]:
    """GPUs to use; none on a machine without."""
    if given is not None:
        return [one.strip() for one in given.split(",") if one.strip()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [one for one in visible.split(",") if one.strip() not in ("", "-1")]
    try:
        found = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(n) for n, line in enumerate(found.splitlines()) if "GPU " in line]


def make_slots(gpus: list[str], per_run: int, slots: int | None) -> list[Slot]:
    """The places for trainings.

    Raises:
        ValueError: fewer GPUs than a training wants, or numbers below 1.
    """
    if per_run < 1 or (slots is not None and slots < 1):
        raise ValueError("--gpus-per-run and --slots must be at least 1")
    if not gpus or slots is not None:
        count = slots or 1
        threads = str(max(1, (os.cpu_count() or 1) // count))
        environment = {"CUDA_VISIBLE_DEVICES": "-1"}
        environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", threads)
        return [Slot(f"CPU {n + 1}", environment, per_run) for n in range(count)]
    groups = [gpus[n : n + per_run] for n in range(0, len(gpus), per_run)]
    groups = [group for group in groups if len(group) == per_run]
    if not groups:
        raise ValueError(f"--gpus-per-run {per_run}, but there are {len(gpus)} GPUs")
    return [
        Slot(
            f"GPU {','.join(group)}", {"CUDA_VISIBLE_DEVICES": ",".join(group)}, per_run
        )
        for group in groups
    ]
