"""Mixed precision on CUDA and on the CPU, with detection ops kept in float32."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.roi_extractors.base_roi_extractor import BaseRoIExtractor
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper
from torch import Tensor, nn

from ssod_mm.errors import UserError

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def to_float32(value: Any) -> Any:
    """``value`` with every reduced-precision tensor in it cast to float32.

    Args:
        value: a tensor, or nested tuples, lists and dicts of tensors.

    Returns:
        The same structure; other values pass through.
    """
    if isinstance(value, Tensor):
        reduced = value.dtype in (torch.bfloat16, torch.float16)
        return value.float() if reduced else value
    if isinstance(value, (list, tuple)):
        return type(value)(to_float32(item) for item in value)
    if isinstance(value, dict):
        return {key: to_float32(item) for key, item in value.items()}
    return value


def has_fast_bfloat16() -> bool:
    """Whether oneDNN, which PyTorch computes with on a CPU, supports bfloat16 here."""
    known = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return known is None or known()


def _plain_features(module: nn.Module, args: tuple) -> tuple:
    """Arguments of a RoI extractor with contiguous float32 feature maps."""
    features, *rest = to_float32(args)
    if not getattr(module, "any_memory_order", False):
        features = [level.contiguous() for level in features]
    return tuple(features), *rest


def keep_detection_ops_in_float32(model: nn.Module) -> None:
    """Feed mmcv's ops, box decoding and losses float32 under autocast.

    Heads still compute their convolutions and matrix products in reduced precision,
    but give float32 logits and deltas, so boxes are decoded, suppressed and compared
    in float32; RoI extractors get float32 features (and with them float32 RoIs).
    mmcv's NMS and RoIAlign take no bfloat16 at all, and its RoIAlign reads
    channels-last memory as if it were contiguous, without a word: features are made
    contiguous too, unless the extractor takes any order (``any_memory_order``). Calling
    it twice is harmless.

    Args:
        model: any mmdet detector, or a module that holds some.
    """
    for module in model.modules():
        if getattr(module, "_outputs_float32", False):
            continue
        if isinstance(module, (BaseDenseHead, BBoxHead)):
            module.register_forward_hook(lambda _m, _args, output: to_float32(output))
        elif isinstance(module, BaseRoIExtractor):
            module.register_forward_pre_hook(_plain_features)
        else:
            continue
        module._outputs_float32 = True


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(AmpOptimWrapper):
    """mmengine's AMP wrapper, on the CPU too, safe for detection ops.

    It warns where the CPU has no instructions for bfloat16: a step then takes many
    times as long as in float32.

    Args:
        dtype: ``"bfloat16"`` (CPU and CUDA) or ``"float16"`` (CUDA only, with a
            gradient scaler).
        loss_scale: ``"dynamic"`` or a fixed scale; used with float16 only.
        **kwargs: for ``OptimWrapper``, such as ``optimizer`` and ``clip_grad``.

    Raises:
        ValueError: for another dtype, or float16 without CUDA.
    """

    def __init__(
        self,
        dtype: str = "bfloat16",
        loss_scale: str | float = "dynamic",
        **kwargs: Any,
    ) -> None:
        if dtype not in _DTYPES:
            raise UserError(
                f"optim_wrapper.dtype must be one of {sorted(_DTYPES)}, not {dtype!r}."
            )
        device = get_device()
        if dtype == "float16" and device != "cuda":
            raise UserError(
                f"optim_wrapper.dtype='float16' needs CUDA, this run is on {device!r}: "
                "use 'bfloat16' (tools/train.py --amp bf16)."
            )
        if device == "cpu" and not has_fast_bfloat16():
            print_log(
                "This CPU has no instructions for bfloat16: a step may take ten times "
                "as long as in float32. Leave out --amp.",
                logger="current",
                level=logging.WARNING,
            )
        # AmpOptimWrapper's own constructor refuses the CPU.
        super(AmpOptimWrapper, self).__init__(**kwargs)
        fixed = None if loss_scale == "dynamic" else float(loss_scale)
        self._scale_update_param = fixed
        options = {} if fixed is None else {"init_scale": fixed}
        self.loss_scaler = torch.amp.GradScaler(
            device, enabled=dtype == "float16", **options
        )
        self.cast_dtype = _DTYPES[dtype]
        self._prepared: nn.Module | None = None

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast context of one step; prepares the model at its first use.

        Args:
            model: the model of the step.
        """
        if self._prepared is not model:
            keep_detection_ops_in_float32(model)
            self._prepared = model
        with super().optim_context(model):
            yield
