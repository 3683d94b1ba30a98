"""Frozen batch norm as a part of the convolution before it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

Pair = tuple[nn.Conv2d, _BatchNorm]


def folded_weights(pairs: Sequence[Pair]) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases of convolutions that do the work of the norms behind them.

    ``norm(conv(x)) = (scale * weight) x + (beta - mean * scale)`` with
    ``scale = gamma / sqrt(variance + eps)``. All pairs are computed at once: some ten
    operations, however many pairs there are.

    Reference:
        You et al., Tune-mode ConvBN blocks for efficient transfer learning (2023).

    Args:
        pairs: convolutions without bias, and norms with learnt factors, all with the
            same ``eps``.

    Returns:
        Weight (C, c, k, k) and bias (C,) of each pair; gradients flow to the factors.
    """
    convs, norms = zip(*pairs, strict=True)

    def joined(name: str) -> Tensor:
        return torch.cat([getattr(norm, name) for norm in norms])

    scale = joined("weight") * torch.rsqrt(joined("running_var") + norms[0].eps)
    bias = joined("bias") - joined("running_mean") * scale
    weights = _Scaled.apply(scale, *(conv.weight for conv in convs))
    biases = bias.split([norm.num_features for norm in norms])
    return list(zip(weights, biases, strict=True))


class _Scaled(torch.autograd.Function):
    """Each weight (C_i, c, k, k) times its part of ``scale`` (sum of C_i,).

    Autograd would take the products apart again, one operation for each; here they
    stay together.
    """

    @staticmethod
    def _parts(scale: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
        parts = scale.split([len(weight) for weight in weights])
        return [part.view(-1, 1, 1, 1) for part in parts]

    @staticmethod
    def forward(ctx: Any, scale: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(scale, *weights)
        return tuple(torch._foreach_mul(weights, _Scaled._parts(scale, weights)))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scale, *weights = ctx.saved_tensors
        of_weights = torch._foreach_mul(gradients, _Scaled._parts(scale, weights))
        of_scale = None
        if ctx.needs_input_grad[0]:
            products = torch._foreach_mul(gradients, weights)
            of_scale = torch.cat([product.sum((1, 2, 3)) for product in products])
        return of_scale, *of_weights


def conv_norm_pairs(module: nn.Module) -> list[Pair]:
    """Convolutions whose result goes into a batch norm and nowhere else.

    Args:
        module: traced by ``torch.fx``; not changed.

    Returns:
        Those that :func:`folded_weights` takes.
    """
    graph = fx.symbolic_trace(module).graph
    pairs = []
    for node in graph.nodes:
        norm = _called(module, node)
        conv = _called(module, node.args[0]) if isinstance(norm, _BatchNorm) else None
        if (
            type(conv) is nn.Conv2d
            and conv.bias is None
            and len(node.args[0].users) == 1
            and norm.affine
            and norm.track_running_stats
        ):
            pairs.append((conv, norm))
    return [pair for pair in pairs if pair[1].eps == pairs[0][1].eps]


def _called(module: nn.Module, node: Any) -> nn.Module | None:
    """The submodule that a node of the graph calls, if it calls one."""
    if getattr(node, "op", None) != "call_module":
        return None
    return module.get_submodule(node.target)


class FoldedNorms:
    """Lets convolutions of a module do the work of the norms behind them.

    As long as the norms are frozen, that is in eval mode, each forward pass of the
    module multiplies them into the weights. Norms that learn statistics work as ever.

    Args:
        module: the module, such as a backbone; some of its submodules get another
            ``forward``.
        pairs: its convolutions and norms, see :func:`conv_norm_pairs`.
    """

    def __init__(self, module: nn.Module, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)
        self.folded: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        module.register_forward_pre_hook(self._fold)
        module.register_forward_hook(self._forget, always_call=True)
        for conv, norm in self.pairs:
            conv.forward = partial(self._convolve, conv, conv.forward)
            norm.forward = partial(self._pass_on, norm.forward)

    def _fold(self, _module: nn.Module, _inputs: tuple) -> None:
        if any(norm.training for _, norm in self.pairs):
            return
        # Stages without gradients stay so: they must not meet those that have some.
        groups: dict[bool, list[Pair]] = {}
        for conv, norm in self.pairs:
            learns = conv.weight.requires_grad or norm.weight.requires_grad
            groups.setdefault(learns, []).append((conv, norm))
        for group in groups.values():
            convs = [conv for conv, _ in group]
            self.folded.update(zip(convs, folded_weights(group), strict=True))

    def _forget(self, _module: nn.Module, _inputs: tuple, _output: Any) -> None:
        self.folded.clear()

    def _convolve(self, conv: nn.Conv2d, plain: Any, inputs: Tensor) -> Tensor:
        if not self.folded:
            return plain(inputs)
        return conv._conv_forward(inputs, *self.folded[conv])

    def _pass_on(self, plain: Any, inputs: Tensor) -> Tensor:
        return inputs if self.folded else plain(inputs)


def fold_frozen_norms(model: nn.Module) -> list[str]:
    """Fold the frozen norms of all backbones of a model, see :class:`FoldedNorms`.

    Args:
        model: holds backbones under names that end in ``backbone``.

    Returns:
        Names of the backbones that have batch norm and can be traced.
    """
    folded = []
    for name, module in model.named_modules():
        norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
        if name.split(".")[-1] != "backbone" or not norms:
            continue
        try:
            pairs = conv_norm_pairs(module)
        except Exception as error:  # whatever torch.fx meets in foreign code
            print_log(
                f"{name} ({type(module).__name__}) cannot be traced ({error}): its "
                "batch norm is not folded into convolutions (env_cfg.fold_norm)",
                logger="current",
                level=logging.INFO,
            )
            continue
        if pairs:
            FoldedNorms(module, pairs)
            folded.append(name)
    return folded
