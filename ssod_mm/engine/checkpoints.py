"""Load a checkpoint of either kind, teacher and student or plain, into a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner.checkpoint import _load_checkpoint
from torch import Tensor, nn

TEACHER, STUDENT = "teacher.", "student."


def load_weights(model: nn.Module, checkpoint: str | Path, which: str) -> None:
    """Fill all of a model's weights from a checkpoint.

    Args:
        model: A semi-supervised detector or a plain one, possibly wrapped.
        checkpoint: File of either kind.
        which: "teacher" or "student": what a plain model takes from a checkpoint
            that holds both.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the weights are those of another model; names some.
    """
    if "://" not in str(checkpoint) and not Path(checkpoint).is_file():
        raise FileNotFoundError(f"there is no checkpoint {checkpoint}")
    content = _load_checkpoint(str(checkpoint), map_location="cpu")
    model = model.module if is_model_wrapper(model) else model
    state = weights_for(model, content, which)
    own = _network_state(model)
    wrong = sorted(
        key
        for key, tensor in own.items()
        if key not in state or state[key].shape != tensor.shape
    )
    if wrong:
        raise ValueError(
            f"{checkpoint} does not fit the config's model: {len(wrong)} of {len(own)} "
            f"weights are missing or have another shape, such as {wrong[0]}"
        )
    model.load_state_dict({key: state[key] for key in own}, strict=False)


def _network_state(model: nn.Module) -> dict[str, Tensor]:
    """The weights of the networks, without the statistics of a training method."""
    state = model.state_dict()
    if not (hasattr(model, "teacher") and hasattr(model, "student")):
        return state
    return {k: v for k, v in state.items() if k.startswith((TEACHER, STUDENT))}


def weights_for(
    model: nn.Module, content: Mapping[str, Any], which: str
) -> dict[str, Tensor]:
    """The weights of a checkpoint under the names that ``model`` gives them.

    A plain checkpoint fills teacher and student alike; of one that holds both, a
    plain model takes ``which``.
    """
    state = dict(content.get("state_dict", content))
    state = {key.removeprefix("module."): value for key, value in state.items()}
    has_both = any(key.startswith(TEACHER) for key in state)
    wants_both = hasattr(model, "teacher") and hasattr(model, "student")
    if has_both and not wants_both:
        start = f"{which}."
        return {
            key.removeprefix(start): value
            for key, value in state.items()
            if key.startswith(start)
        }
    if wants_both and not has_both:
        doubled = {TEACHER + key: value for key, value in state.items()}
        doubled.update({STUDENT + key: value for key, value in state.items()})
        return doubled
    return state
