"""Semi-supervised detectors of this package and of mmdet, ready to train."""

from __future__ import annotations

import copy
import tempfile
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner, load_checkpoint
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.data import DataLoader

from ssod_mm.apis import profile
from ssod_mm.apis.synthetic_steps import calibrate
from ssod_mm.engine.loss_hook import LossInfoHook
from ssod_mm.engine.speed import FastRunner
from ssod_mm.errors import UserError

VARIANTS = ("method", "mean_teacher", "semi_base", "soft_teacher", "against")
FRAME_KEYS = ("detector", "data_preprocessor", "semi_train_cfg", "semi_test_cfg")
OF_MMDET = ("semi_base", "soft_teacher")
HOOKS = ("IterationSeedHook", "StopOnNaNHook", "MeanTeacherEMAHook")


def variant_config(model: ConfigDict, variant: str) -> ConfigDict:
    """The model config of a variant, with one score threshold for all.

    Args:
        model: config of a ``MeanTeacher`` or of a method on it.
        variant: one of ``VARIANTS``.
    """
    cfg = copy.deepcopy(model)
    if variant not in ("method", "against"):
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
        head = cfg.detector.get("roi_head", {}).get("bbox_head")
        if isinstance(head, dict) and head["type"] == "IntervalBBoxHead":
            raise UserError(
                "mmdet's SoftTeacher reads a box loss that IntervalBBoxHead does not "
                "have: leave soft_teacher out of --variants, or take a config with a "
                "plain head (certainty_faster-rcnn-plain_*)."
            )
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


class Variant:
    """One variant, ready to train.

    Args:
        cfg: resolved config.
        name: one of ``VARIANTS``.
        model: config of the model.
        loader: says what the classes are; nothing is drawn from it.
        boxes: pseudo labels an image that an untrained detector is made to give; None
            leaves its weights.
        checkpoint: weights, or None.
        batches: collated batches.
    """

    def __init__(
        self,
        cfg: Config,
        name: str,
        model: ConfigDict,
        loader: DataLoader,
        boxes: float | None,
        checkpoint: str | None,
        batches: list[dict],
    ) -> None:
        stock = name in OF_MMDET
        cfg_of_model = variant_config(model, name)
        if boxes is not None:  # no file, and nothing from the network
            cfg_of_model.detector.backbone.init_cfg = None
        wrapper = copy.deepcopy(cfg.optim_wrapper)
        # So small a rate that weights, hence pseudo labels, stay those of the start.
        wrapper.optimizer["lr"] = 1e-7
        hooks = [*(cfg.get("default_hooks") or {}).values()]
        hooks = [*filter(None, hooks), *(cfg.get("custom_hooks") or [])]
        hooks = [hook for hook in hooks if hook["type"].endswith(HOOKS)]
        if stock:
            hooks = [dict(type="MeanTeacherHook")]
        self.runner = (Runner if stock else FastRunner)(
            model=cfg_of_model,
            work_dir=tempfile.mkdtemp(prefix="profile_"),
            train_dataloader=loader,
            train_cfg=dict(type="IterBasedTrainLoop", max_iters=10**6),
            optim_wrapper=wrapper,
            default_hooks=dict(
                **({} if stock else {"runtime_info": LossInfoHook(late=True)}),
                logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
                checkpoint=None,
                sampler_seed=None,
            ),
            custom_hooks=hooks,
            log_processor=dict(type="LogProcessor", window_size=50, by_epoch=False),
            log_level="ERROR",
            randomness=dict(seed=0),
            env_cfg=dict({"dist_cfg": dict(backend="nccl")}, **cfg.get("env_cfg", {})),
            experiment_name=f"profile_{name}",
            visualizer=dict(type="Visualizer", name=f"profile_{name}"),
            default_scope="mmdet",
        )
        runner, self.batches = self.runner, batches
        runner.model.init_weights()
        if checkpoint:
            load_checkpoint(runner.model, checkpoint, map_location="cpu")
        else:
            runner.model.teacher.load_state_dict(runner.model.student.state_dict())
        if boxes is not None and not checkpoint:
            calibrate(runner.model, copy.deepcopy(batches[0]), boxes)
        runner._load_from = checkpoint or "none"  # a frozen teacher wants to know
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        for moment in ("before_run", "before_train", "before_train_epoch"):
            runner.call_hook(moment)
        runner.model.train()
        self.count = 0

    def step(self, batch: dict | None = None) -> None:
        """Do an iteration of the training loop on a batch, or on the next one.

        Args:
            batch: as the data loader gives it; not changed.
        """
        if batch is None:
            batch = self.batches[self.count % len(self.batches)]
            self.count += 1
        inputs = {branch: list(images) for branch, images in batch["inputs"].items()}
        with _disable_current_modes():  # the copy is no part of the iteration
            samples = copy.deepcopy(batch["data_samples"])
        self.runner.train_loop.run_iter({"inputs": inputs, "data_samples": samples})

    def floor_ms(self) -> float:
        """What the networks alone need, see :func:`profile.network_floor`."""
        model, wrapper = self.runner.model, self.runner.optim_wrapper
        data = model.data_preprocessor(copy.deepcopy(self.batches[0]), True)
        return 1e3 * profile.network_floor(model, wrapper, data["inputs"])

    def look_closer(self) -> dict[str, Any]:
        """Phases, waits, and on CUDA what the device does."""
        model, wrapper = self.runner.model, self.runner.optim_wrapper
        parts = profile.phases_of(model, wrapper)
        costs = profile.profiled(self.step, self.batches[:2], parts)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            costs.update(profile.device_activity(self.step, 3))
            costs["peak_mib"] = torch.cuda.max_memory_allocated() / 2**20
        return costs
