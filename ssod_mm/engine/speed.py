"""What makes a step fast and leaves alone what it computes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from mmdet.models import SemiBaseDetector
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from ssod_mm.engine.amp import keep_detection_ops_in_float32
from ssod_mm.engine.folding import fold_frozen_norms
from ssod_mm.engine.loss_hook import LossInfoHook
from ssod_mm.engine.run_log import TerseRunner
from ssod_mm.models.batched import batch_heads
from ssod_mm.settings import Settings, flag

_KEYS_OF_MMENGINE = ("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit")


@dataclass(frozen=True)
class SpeedSettings(Settings):
    """Keys of ``env_cfg`` beside those of mmengine.

    Attributes:
        batched_heads: let the heads of a detector that no teacher trains treat all
            images of a batch at once, as `model.batched_heads` does under one.
        channels_last: keep images, weights and feature maps of convolutions with the
            channels innermost, the order in which they are fastest on CUDA and on a
            CPU. The numbers differ by rounding.
        fold_norm: let convolutions of the backbones do the work of frozen batch norms
            behind them: half the saved activations, one pass over them less.
        tf32: let CUDA round the factors of float32 matrix products to TF32. Its
            convolutions do so anyway.
    """

    key: ClassVar[str] = "env_cfg"

    batched_heads: bool = flag(True)
    channels_last: bool = flag(True)
    fold_norm: bool = flag(True)
    tf32: bool = flag(False)

    @classmethod
    def of_env(cls, env_cfg: Mapping[str, Any] | None) -> SpeedSettings:
        """The settings of an ``env_cfg``, which holds keys of mmengine too.

        Raises:
            ValueError: an unknown key, or a value that it may not have; names the key.
        """
        env_cfg = env_cfg or {}
        return cls.from_config(
            {k: value for k, value in env_cfg.items() if k not in _KEYS_OF_MMENGINE}
        )


class StackingPreprocessor(DetDataPreprocessor):
    """``DetDataPreprocessor`` that treats images of one size as one tensor."""

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalise and pad, see mmdet's method."""
        images = data["inputs"]
        if isinstance(images, list) and len({image.shape for image in images}) == 1:
            moved = [image.to(self.device, non_blocking=True) for image in images]
            data = {**data, "inputs": torch.stack(moved)}
        return super().forward(data, training)


def prepare_model(model: nn.Module, settings: SpeedSettings) -> None:
    """Let a model compute fast; its parameters keep their names and values.

    Args:
        model: a detector, before it is wrapped for distributed training, which fixes
            the order of gradients in memory.
        settings: what is wanted.
    """
    for module in model.modules():
        if type(module) is DetDataPreprocessor:
            module.__class__ = StackingPreprocessor
    if settings.batched_heads and not isinstance(model, SemiBaseDetector):
        batch_heads(model)
    if settings.channels_last:
        keep_detection_ops_in_float32(model)  # RoIAlign would misread the order
        model.to(memory_format=torch.channels_last)


class FastRunner(TerseRunner):
    """mmengine's runner with defaults that make a step fast.

    What a config says is kept. Where it is silent, and on CUDA, batches are pinned and
    copied while the GPU works, and losses reach the host one step late.
    Optimisers update all parameters in one fused call.
    """

    def setup_env(self, env_cfg: dict) -> None:
        """Set up the environment, see mmengine; checks ``env_cfg``."""
        self.speed = SpeedSettings.of_env(env_cfg)
        if self.speed.tf32:
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
        super().setup_env(env_cfg)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model, see mmengine; its images are copied without a wait."""
        if isinstance(model, Mapping) and model.get("data_preprocessor"):
            model = copy.deepcopy(model)
            outer = model["data_preprocessor"]
            outer.get("data_preprocessor", outer).setdefault("non_blocking", True)
        return super().build_model(model)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Prepare the model, then wrap it, see mmengine."""
        prepare_model(model, self.speed)
        wrapped = super().wrap_model(model_wrapper_cfg, model)
        if self.speed.fold_norm:
            fold_frozen_norms(model)
        return wrapped

    def _init_model_weights(self) -> None:
        """Draw the first weights in the usual order, whatever their order in memory."""
        model = self.model.module if is_model_wrapper(self.model) else self.model
        if self.speed.channels_last:
            model.to(memory_format=torch.contiguous_format)
        super()._init_model_weights()
        if self.speed.channels_last:
            model.to(memory_format=torch.channels_last)

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict,
        seed: int | None = None,
        diff_rank_seed: bool = False,
    ) -> DataLoader:
        """Build a data loader, see mmengine; on CUDA it pins its batches."""
        if isinstance(dataloader, Mapping):
            dataloader = {"pin_memory": torch.cuda.is_available(), **dataloader}
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def build_optim_wrapper(self, optim_wrapper: Any) -> OptimWrapper:
        """Build the optimiser, see mmengine; fused where PyTorch can."""
        if isinstance(optim_wrapper, Mapping) and "optimizer" in optim_wrapper:
            optim_wrapper = copy.deepcopy(optim_wrapper)
            fuse_optimizer(optim_wrapper["optimizer"])
        return super().build_optim_wrapper(optim_wrapper)

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register the default hooks, see mmengine; with ``LossInfoHook``."""
        hooks = {"runtime_info": LossInfoHook(), **(hooks or {})}
        super().register_default_hooks(hooks)


def fuse_optimizer(optimizer: Any) -> None:
    """Ask for a fused optimiser, unless its config says something else.

    Args:
        optimizer: its config, changed in place; anything else is left alone.
    """
    fusible = ("SGD", "Adam", "AdamW")
    plain = isinstance(optimizer, dict) and optimizer.get("type") in fusible
    if plain and not {"fused", "foreach", "differentiable"} & set(optimizer):
        optimizer["fused"] = True
