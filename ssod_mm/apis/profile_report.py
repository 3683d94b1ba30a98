"""Variants of a training step side by side, as tables: what ``ssod profile`` shows."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from terminaltables import AsciiTable
from torch.utils.data import DataLoader

from ssod_mm.apis import profile
from ssod_mm.apis.step_variants import VARIANTS, Variant
from ssod_mm.apis.synthetic_steps import synthetic_batches, synthetic_loader
from ssod_mm.cli.arguments import config_overrides
from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.cli.tool_files import tools_folder
from ssod_mm.engine.runtime import import_custom_modules
from ssod_mm.engine.speed import FastRunner
from ssod_mm.errors import UserError


def collated_batches(loader: DataLoader, count: int) -> list[dict]:
    """The first batches of a data loader."""
    stream = iter(loader)
    return [next(stream) for _ in range(count)]


def fresh_process_mib(variant: str) -> float:
    """Peak memory of a fresh process that trains one variant, in MiB."""
    tool = str(tools_folder() / "profile_step.py")
    command = [sys.executable, tool, *sys.argv[1:], "--memory-of", variant]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])["peak_mib"]


def quartiles(values: list[float]) -> str:
    """Median and quartiles, for people; a single value is itself."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


def summary(results: dict[str, dict], floor_ms: float, title: str) -> str:
    """One row for each variant."""
    first = next(iter(results.values()))["seconds"]
    keys = ["wall_ms", "host_ms", "busy", "launches", "operations", "waits", "peak_mib"]
    rows = [["variant", *keys, f"{next(iter(results))} / this"]]
    for name, costs in results.items():
        ratios = [a / b for a, b in zip(first, costs["seconds"], strict=True)]
        cells = [f"{costs[key]:.4g}" if key in costs else "" for key in keys]
        rows.append([name, *cells, quartiles(ratios)])
    rows.append(["floor", f"{floor_ms:.4g}", *[""] * len(keys)])
    return AsciiTable(rows, title).table


def details(name: str, costs: dict[str, Any]) -> str:
    """Phases and places of a variant."""
    rows = [["phase", "ms", "operations", "waits"]]
    for phase, cost in costs["phases"].items():
        rows.append(
            [phase, *(f"{cost[key]:.4g}" for key in ("ms", "operations", "waits"))]
        )
    places = [["waits", "where", "called from"], *map(list, costs["sites"][:20])]
    tables = [AsciiTable(rows, f"phases of {name}"), AsciiTable(places, "waits")]
    if "kernels" in costs:
        kernels = [
            [f"{ms:.2f}", f"{n:.0f}", text[:80]] for ms, n, text in costs["kernels"]
        ]
        tables.append(AsciiTable([["ms", "number", "kernel"], *kernels], "kernels"))
    return "\n".join(table.table for table in tables)


def compared_configs(arguments: Namespace) -> tuple[Config, Config | None]:
    """The config, resolved, and the one to compare with.

    Raises:
        UserError: that one is asked for, but not named.
    """
    skipped = {"check_files": ()} if arguments.synthetic else {}
    cfg = resolve_config(
        load_config(arguments.config),
        amp=arguments.amp,
        **skipped,
        **config_overrides(arguments),
    )
    other = None
    if arguments.against:
        other = resolve_config(load_config(arguments.against), check_files=())
    elif "against" in (arguments.variants or ()):
        raise UserError("--variants against needs --against CONFIG")
    if arguments.score_thr is not None:
        for config in filter(None, (cfg, other)):
            config.model.semi_train_cfg.score_thr = arguments.score_thr
    return cfg, other


def run_profile(arguments: Namespace, say: Callable[[str], None]) -> None:
    """Time every variant, look closer at each, and say the tables.

    Args:
        arguments: of the command line of ``tools/profile_step.py``.
        say: takes a text for the user.
    """
    cfg, other = compared_configs(arguments)
    import_custom_modules(cfg)
    init_default_scope("mmdet")
    if arguments.synthetic:
        loader = synthetic_loader(cfg.model)
        batches = synthetic_batches(
            arguments.batches, arguments.images, arguments.synthetic
        )
    else:
        settings = dict(num_workers=0, persistent_workers=False)
        loader = FastRunner.build_dataloader(
            {**cfg.train_dataloader, **settings}, seed=0
        )
        batches = collated_batches(loader, arguments.batches)

    def variant(name: str) -> Variant:
        model, checkpoint = cfg.model, arguments.checkpoint
        if name == "against":
            model, checkpoint = other.model, arguments.against_checkpoint
        boxes = arguments.boxes if arguments.synthetic else None
        return Variant(cfg, name, model, loader, boxes, checkpoint, batches)

    if arguments.memory_of:
        before = profile.resident_mib("VmRSS")
        alone = variant(arguments.memory_of)
        for batch in batches:
            alone.step(batch)
        say(json.dumps({"peak_mib": profile.resident_mib("VmHWM") - before}))
        return
    results, floor_ms = measured(arguments, variant, left_out_of(cfg, other))
    if not arguments.no_phases:
        for name, costs in results.items():
            say(details(name, costs))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    say(summary(results, floor_ms, f"{device}, {arguments.amp or 'float32'}"))
    if arguments.out:
        content = dict(device=device, floor_ms=floor_ms, variants=results)
        Path(arguments.out).write_text(json.dumps(content, indent=2) + "\n")


def left_out_of(cfg: Config, other: Config | None) -> set[str]:
    """Variants that a config does not have."""
    absent = {"method": cfg.model.type == "MeanTeacher", "against": other is None}
    return {name for name, is_absent in absent.items() if is_absent}


def measured(
    arguments: Namespace,
    variant: Callable[[str], Variant],
    left_out: set[str],
) -> tuple[dict[str, dict[str, Any]], float]:
    """Build the variants, time them in turn, and look closer at each.

    Args:
        arguments: of the command line.
        variant: builds a variant by its name.
        left_out: variants that there are not.

    Returns:
        What was measured by variant, and the floor in ms.
    """
    names = arguments.variants or [name for name in VARIANTS if name not in left_out]
    variants = {name: variant(name) for name in names}
    for variant_steps in variants.values():  # warm up
        for batch in variant_steps.batches[:2]:
            variant_steps.step(batch)
    steps = {name: variant_steps.step for name, variant_steps in variants.items()}
    times = profile.alternating_seconds(steps, arguments.rounds)
    results: dict[str, dict[str, Any]] = {}
    for name, variant_steps in variants.items():
        costs = dict(
            seconds=times[name],
            wall_ms=1e3 * statistics.median(times[name]),
            host_ms=1e3 * profile.host_seconds(variant_steps.step, 5),
        )
        if not arguments.no_phases:
            costs.update(variant_steps.look_closer())
            for key in ("operations", "waits"):
                costs[key] = sum(cost[key] for cost in costs["phases"].values())
        if "busy_ms" in costs:
            costs["busy"] = costs["busy_ms"] / costs["wall_ms"]
        if not (arguments.no_memory or torch.cuda.is_available()):
            costs["peak_mib"] = fresh_process_mib(name)
        results[name] = costs
    return results, next(iter(variants.values())).floor_ms()
