"""Time and memory of a training step against mmdet's detectors and the limit.

    python tools/benchmark_step.py CONFIG [--checkpoint FILE] [--rounds 15] [--amp bf16]
        [--out FILE.json]

CONFIG is a config of MeanTeacher or of a method on it. In one run, in turn, on the same
batches, it times one full step (losses, backward, optimiser, EMA) of

- `method`: the config's own model, where that is not MeanTeacher;
- `mean_teacher`: MeanTeacher with the config's detector;
- `semi_base`: mmdet's SemiBaseDetector with mmdet's EMA;
- `soft_teacher`: mmdet's SoftTeacher with mmdet's EMA;
- `limit`: one student forward and backward on the joint batch, one teacher forward,
  optimiser and EMA: no mean teacher can do with less;
- `against`: the model of another config (--against), such as the mean teacher with a
  plain box head beside a method that brings its own head.

Times of shared machines drift, so what counts is the median of the per-round ratios
(with quartiles). Memory is the peak of a fresh process per variant (CUDA: of the
allocator). Give a trained checkpoint: an untrained teacher's boxes are not typical.

Of a `method` that is a DenseGuidanceTeacher it also reports what its clusters cost:

- `clustering`: NMS clusters of the teacher's candidates, of all dense stages;
- `mapping`: clusters and anchors, from the teacher's view to the student's;
- `matching`: the student's anchors that correspond to the teacher's;
- `statistics`: assignment shares and rank agreement, for the log.

These are timed in rounds of their own, since each of their calls waits for the device
before and after. A round has a step with these waits and one without, on the same
batch; the share is of the latter.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from mmdet.engine.hooks.mean_teacher_hook import MeanTeacherHook
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.registry import OPTIM_WRAPPERS, init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmengine.structures import InstanceData
from terminaltables import AsciiTable

from ssod_mm.apis.step_times import (
    measure_parts,
    measure_times,
    part_costs,
    resident_mib,
)
from ssod_mm.cli.arguments import add_config_arguments, config_overrides
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.engine.runtime import import_custom_modules
from ssod_mm.errors import UserError

VARIANTS = ("method", "mean_teacher", "semi_base", "soft_teacher", "limit", "against")
FRAME_KEYS = ("detector", "data_preprocessor", "semi_train_cfg", "semi_test_cfg")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument("--checkpoint", help="weights of teacher and student")
    parser.add_argument("--against", metavar="CONFIG", help="a config to compare with")
    parser.add_argument("--against-checkpoint", metavar="FILE", help="its weights")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds")
    parser.add_argument("--batches", type=int, default=4, help="batches to cycle over")
    parser.add_argument("--score-thr", type=float, help="pseudo labels, all variants")
    parser.add_argument("--amp", choices=["bf16", "fp16"], help="mixed precision")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, help="default: all")
    parser.add_argument("--no-memory", action="store_true", help="times only")
    parser.add_argument("--out", help="write the results to this json file")
    parser.add_argument("--memory-of", choices=VARIANTS, help=argparse.SUPPRESS)
    return parser.parse_args()


def variant_config(model: ConfigDict, variant: str) -> ConfigDict:
    """The model config of a variant, with one score threshold for all.

    Args:
        model: config of a ``MeanTeacher`` or of a method on it.
        variant: one of ``VARIANTS``.
    """
    cfg = copy.deepcopy(model)
    if variant != "method":
        cfg = ConfigDict({key: cfg[key] for key in FRAME_KEYS if key in cfg})
        cfg.type = "MeanTeacher"
    thr = cfg.semi_train_cfg.get("score_thr", 0.7)
    shared = dict(
        freeze_teacher=True,
        sup_weight=1.0,
        unsup_weight=cfg.semi_train_cfg.get("unsup_weight", 1.0),
        cls_pseudo_thr=thr,
        min_pseudo_bbox_wh=(1e-2, 1e-2),
    )
    if variant == "semi_base":
        cfg.type, cfg.semi_train_cfg = "SemiBaseDetector", ConfigDict(shared)
    elif variant == "soft_teacher":
        cfg.type = "SoftTeacher"
        cfg.semi_train_cfg = ConfigDict(
            shared,
            pseudo_label_initial_score_thr=0.5,
            rpn_pseudo_thr=thr,
            reg_pseudo_thr=0.02,
            jitter_times=10,
            jitter_scale=0.06,
        )
    else:
        cfg.semi_train_cfg.update(burn_in=0, ramp_iters=0)
    return cfg


class Step:
    """One variant: its model, optimiser and EMA.

    Args:
        cfg: resolved config.
        variant: one of ``VARIANTS``.
        checkpoint: weights, or None.
        model: config of the model; None for that of ``cfg``.
    """

    def __init__(
        self,
        cfg: Config,
        variant: str,
        checkpoint: str | None,
        model: ConfigDict | None = None,
    ) -> None:
        self.variant = variant
        self.model = MODELS.build(variant_config(model or cfg.model, variant))
        self.model.init_weights()
        if checkpoint:
            load_checkpoint(self.model, checkpoint, map_location="cpu")
        else:
            self.model.teacher.load_state_dict(self.model.student.state_dict())
        self.model.to(get_device()).train()
        wrapper = copy.deepcopy(cfg.optim_wrapper)
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        kind = wrapper.optimizer.pop("type")
        # So small a rate that weights, hence pseudo labels, stay those of the start.
        wrapper.optimizer["lr"] = 1e-7
        wrapper.optimizer = getattr(torch.optim, kind)(parameters, **wrapper.optimizer)
        self.wrapper = OPTIM_WRAPPERS.build(wrapper)
        self.mmdet_ema = MeanTeacherHook()

    def __call__(self, batch: dict) -> None:
        """Train on a collated batch.

        Args:
            batch: as the data loader gives it; not changed.
        """
        from ssod_mm.engine.teacher_hook import MeanTeacherEMAHook
        from ssod_mm.maths.ema import update_ema

        self.model.train()
        if self.variant == "limit":
            self._limit_step(batch)
        else:
            self.model.train_step(copy.deepcopy(batch), self.wrapper)
        if self.variant in ("semi_base", "soft_teacher"):
            self.mmdet_ema.momentum_update(self.model, 0.001)
        else:
            states = MeanTeacherEMAHook.states(self.model)
            update_ema(*states, momentum=0.999)

    def _limit_step(self, batch: dict) -> None:
        """Forward and backward of the joint batch, forward of the teacher."""
        from ssod_mm.models.features import stack_padded

        model = self.model
        with self.wrapper.optim_context(model):
            data = model.data_preprocessor(copy.deepcopy(batch), True)
            inputs, samples = data["inputs"], data["data_samples"]
            with torch.no_grad():
                found = model.teacher_guidance(
                    inputs["unsup_teacher"], samples["unsup_teacher"]
                )
            labels = model.select(found).instances
            joint = list(samples["sup"])
            for sample, one in zip(samples["unsup_student"], labels, strict=True):
                made = DetDataSample(metainfo=sample.metainfo)
                made.gt_instances = InstanceData(bboxes=one.bboxes, labels=one.labels)
                joint.append(made)
            images = stack_padded([inputs["sup"], inputs["unsup_student"]])
            losses = model.student.loss(images, joint)
        loss, _ = model.parse_losses(losses)
        self.wrapper.update_params(loss)


def collated_batches(cfg: Config, count: int) -> list[dict]:
    """The first batches of the config's own data loader."""
    loader = Runner.build_dataloader(
        {**cfg.train_dataloader, "num_workers": 0, "persistent_workers": False}, seed=0
    )
    stream = iter(loader)
    return [next(stream) for _ in range(count)]


def peak_memory_mib(arguments: argparse.Namespace, variant: str) -> float:
    """Peak memory of a fresh process that trains one variant, in MiB."""
    command = [sys.executable, *sys.argv, "--memory-of", variant]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"The memory run of {variant} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])["peak_mib"]


def report_memory(step: Step, batches: list[dict]) -> None:
    """Train on every batch and print the growth of this process as JSON."""
    cuda = torch.cuda.is_available()
    before = 0.0 if cuda else resident_mib("VmRSS")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    for batch in batches:
        step(batch)
    peak = torch.cuda.max_memory_allocated() / 2**20 if cuda else resident_mib("VmHWM")
    print(json.dumps({"peak_mib": peak - before}))


def quartiles(values: list[float]) -> str:
    """Median and quartiles, for people."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


def result_table(times: dict[str, list[float]], memory: dict[str, float]) -> str:
    """The table: seconds, and our step as a ratio of every other variant's."""
    ours = times.get("method", times.get("mean_teacher"))
    rows = [["variant", "s / step (median)", "ours / this", "peak MiB"]]
    for name, values in times.items():
        ratio = (
            ""
            if ours is None
            else quartiles([a / b for a, b in zip(ours, values, strict=True)])
        )
        peak = f"{memory[name]:.0f}" if name in memory else ""
        rows.append([name, f"{statistics.median(values):.3f}", ratio, peak])
    return AsciiTable(rows, "training step").table


def part_table(costs: dict[str, dict[str, float]]) -> str:
    """The table of what clusters cost; see :func:`part_costs`."""
    rows = [["part", "ms / step (median)", "share of the step"]]
    for part, cost in costs.items():
        rows.append([part, f"{cost['ms']:.1f}", f"{100 * cost['share']:.2f} %"])
    return AsciiTable(rows, "clusters in a step of method").table


def main() -> None:
    """Run the benchmark."""
    arguments = parse_arguments()
    with one_line_errors():
        run_benchmark(arguments)


def compared_configs(arguments: argparse.Namespace) -> tuple[Config, Config | None]:
    """The config, resolved, and the one to compare with.

    Raises:
        ValueError: that one is asked for, but not named.
    """
    cfg = resolve_config(
        load_config(arguments.config, arguments.cfg_options),
        amp=arguments.amp,
        **config_overrides(arguments),
    )
    other = None
    if arguments.against:
        other = load_config(arguments.against, arguments.cfg_options)
    elif "against" in (arguments.variants or ()):
        raise UserError("--variants against needs --against CONFIG")
    if arguments.score_thr is not None:
        for one in filter(None, (cfg, other)):
            one.model.semi_train_cfg.score_thr = arguments.score_thr
    return cfg, other


def run_benchmark(arguments: argparse.Namespace) -> None:
    """Time every variant, then measure its memory, and print the tables."""
    from ssod_mm.models import DenseGuidanceTeacher

    cfg, other = compared_configs(arguments)
    import_custom_modules(cfg)
    init_default_scope("mmdet")
    batches = collated_batches(cfg, arguments.batches)

    def step(name: str) -> Step:
        if name == "against":
            return Step(cfg, "method", arguments.against_checkpoint, other.model)
        return Step(cfg, name, arguments.checkpoint)

    if arguments.memory_of:
        report_memory(step(arguments.memory_of), batches)
        return
    no_method = cfg.model.type == "MeanTeacher"
    left_out = {"method": no_method, "against": other is None}
    names = arguments.variants or [one for one in VARIANTS if not left_out.get(one)]
    steps = {name: step(name) for name in names}
    times = measure_times(steps, batches, arguments.rounds)
    costs, memory = {}, {}
    if "method" in steps and isinstance(steps["method"].model, DenseGuidanceTeacher):
        costs = part_costs(measure_parts(steps["method"], batches, arguments.rounds))
    if not arguments.no_memory:
        memory = {name: peak_memory_mib(arguments, name) for name in steps}
    print(result_table(times, memory))
    if costs:
        print(part_table(costs))
    if arguments.out:
        results = {"step_s": times, "peak_mib": memory, "clusters": costs}
        Path(arguments.out).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
