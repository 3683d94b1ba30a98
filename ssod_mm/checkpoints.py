"""What a checkpoint's weights are for: teacher or student, and whether they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.model.weight_init import PretrainedInit
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn

from ssod_mm.checkpoint_files import checked_content, read_checkpoint
from ssod_mm.errors import UserError
from ssod_mm.weights import located

TEACHER, STUDENT = "teacher.", "student."
NUM_NAMED = 5


def load_weights(
    model: nn.Module, checkpoint: str | Path, which: str
) -> tuple[str, ...] | None:
    """Fill all of a model's weights from a checkpoint.

    Args:
        model: A semi-supervised detector or a plain one, possibly wrapped.
        checkpoint: File of either kind.
        which: "teacher" or "student": what a plain model takes from a checkpoint
            that holds both.

    Returns:
        The class names that the checkpoint stores; None where it stores none.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged or not safe to read, or its weights are those of
            another model; names some.
    """
    content = read_checkpoint(checkpoint)
    model = model.module if is_model_wrapper(model) else model
    state = weights_for(model, content, which)
    wanted = _network_state(model)
    classes = stored_classes(content)
    check_fit(wanted, state, checkpoint, classes=classes)
    kept = {key: state[key] for key in wanted if key in state}
    model.load_state_dict(kept, strict=False)
    return classes


def stored_classes(checkpoint: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The class names that a checkpoint was trained with; None if it does not say."""
    meta = checkpoint.get("meta") or {}
    classes = (meta.get("dataset_meta") or {}).get("classes")
    if not classes:
        classes = meta.get("CLASSES")  # written by mmdet before version 3
    return tuple(classes) if classes else None


def check_fit(
    wanted: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    checkpoint: str | Path,
    way_out: str = "",
    classes: Sequence[str] | None = None,
) -> None:
    """Refuse weights that do not fill a model.

    Args:
        wanted: the model's weights by name.
        given: the checkpoint's.
        checkpoint: its name, for the message.
        way_out: what the user can do, at the end of the message.
        classes: those that the checkpoint was trained on, if known: named where a
            weight has another shape, since other classes are the usual cause.

    Raises:
        ValueError: some are missing or have another shape; says which share fits and
            names five that do not.
    """
    wrong = [
        key
        for key, tensor in wanted.items()
        if not key.endswith("num_batches_tracked")
        and (key not in given or given[key].shape != tensor.shape)
    ]
    if wrong:
        more = ", ..." if len(wrong) > NUM_NAMED else ""
        if classes and any(key in given for key in wrong):
            names = ", ".join(classes[:NUM_NAMED])
            names += ", ..." if len(classes) > NUM_NAMED else ""
            more += f"; it was trained on {len(classes)} classes ({names})"
        raise UserError(
            f"{checkpoint} does not fit the config's model: {len(wrong)} of "
            f"{len(wanted)} weights are missing or have another shape "
            f"({1 - len(wrong) / len(wanted):.0%} fit), such as "
            f"{', '.join(wrong[:NUM_NAMED])}{more}{way_out}"
        )


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


def check_start_weights(
    model: nn.Module, content: dict, checkpoint: str | Path
) -> None:
    """Refuse a ``load_from`` whose weights are those of another network.

    Args:
        model: the model that is trained, not its wrapper.
        content: what the checkpoint holds.
        checkpoint: its name, for the message.

    Raises:
        ValueError: not all of the model's networks are filled; says which share is.
    """
    content = checked_content(content, checkpoint)
    wanted = _network_state(model)
    if hasattr(getattr(model, "teacher", None), "checkpoints"):
        # An ensemble of teachers has files of its own.
        wanted = {k: v for k, v in wanted.items() if k.startswith(STUDENT)}
    check_fit(
        wanted,
        weights_for(model, content, "teacher"),
        checkpoint,
        "; allow_partial_load=True in the config takes what fits",
        stored_classes(content),
    )


@WEIGHT_INITIALIZERS.register_module(name="Pretrained", force=True)
class CheckedPretrainedInit(PretrainedInit):
    """mmengine's ``Pretrained`` that refuses the weights of another network.

    Args:
        checkpoint: as in mmengine, or a name of :mod:`ssod_mm.weights`.
        prefix: as in mmengine.
        map_location: as in mmengine.
        allow_partial: take what fits.

    Raises:
        ValueError: weights are missing or have another shape, see :func:`check_fit`.
    """

    def __init__(
        self,
        checkpoint: str,
        prefix: str | None = None,
        map_location: Any = "cpu",
        allow_partial: bool = False,
    ) -> None:
        super().__init__(located(checkpoint), prefix, map_location)
        self.allow_partial = allow_partial

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into a module."""
        if not self.allow_partial:
            state = read_checkpoint(self.checkpoint, self.map_location)["state_dict"]
            start = f"{self.prefix.rstrip('.')}." if self.prefix else ""
            state = {
                key.removeprefix("module.").removeprefix(start): value
                for key, value in state.items()
                if key.removeprefix("module.").startswith(start)
            }
            check_fit(
                module.state_dict(),
                state,
                f"{self.checkpoint} (init_cfg of {type(module).__name__})",
                "; allow_partial=True in init_cfg takes what fits",
            )
        super().__call__(module)
