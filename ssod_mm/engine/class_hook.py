"""Model, checkpoint and data sets must agree on the classes: on names and number."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.engine.hooks import NumClassCheckHook
from mmdet.registry import HOOKS
from mmengine.dataset import BaseDataset
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ssod_mm.checkpoints import check_start_weights, stored_classes
from ssod_mm.coco_json import match_classes
from ssod_mm.data.datasets import source_name
from ssod_mm.errors import UserError

STAGES = ("train", "val", "test")


@HOOKS.register_module()
class ClassCountHook(NumClassCheckHook):
    """Lets all data sets number their labels alike, and checks ``num_classes``.

    The classes of the training set, or of the checkpoint that a test or a resumed
    training starts from, say what the model's outputs mean. Other data sets are matched
    with them by name, so the order of the categories in a file does not matter.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the weights; give the data sets the classes of the checkpoint.

        Nothing is checked with ``allow_partial_load=True`` in the config, for weights
        of a detector of other classes, for example.

        Raises:
            ValueError: the weights do not fill the model, or the classes differ; names
                five weights, or both lists.
        """
        if runner.cfg.get("allow_partial_load"):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_start_weights(model, checkpoint, runner._load_from)
        classes = stored_classes(checkpoint)
        if classes is not None:
            number_labels(runner, classes, "the checkpoint")

    def before_train(self, runner: Runner) -> None:
        """Give the validation set the classes of the training set."""
        dataset = runner.train_dataloader.dataset
        if dataset.metainfo.get("classes"):
            number_labels(runner, dataset.metainfo["classes"], source_name(dataset))

    def _check_head(self, runner: Runner, mode: str) -> None:
        try:
            super()._check_head(runner, mode)
        except AssertionError as error:
            raise UserError(
                f"the model and the {mode} data disagree about the classes: {error}; "
                "set num_classes to the number of categories in the json "
                "(--cfg-options num_classes=N, or num_classes of the heads)"
            ) from error


def number_labels(runner: Runner, classes: Sequence[str], wanted_by: str) -> None:
    """Let every data set that a runner has built number its labels as ``classes``.

    Args:
        runner: a runner whose loops are built.
        classes: class names in the order of the model's outputs.
        wanted_by: who has that order, for messages.

    Raises:
        ValueError: a data set has no class of such a name; names both lists.
    """
    for stage in STAGES:
        loader = getattr(runner, f"_{stage}_dataloader", None)
        loop = getattr(runner, f"_{stage}_loop", None)
        loader = getattr(loop, "dataloader", loader)
        if not isinstance(loader, DataLoader):
            continue
        number_labels_of(loader.dataset, tuple(classes), wanted_by)
        if stage != "train" and hasattr(loop, "evaluator"):
            loop.evaluator.dataset_meta = loader.dataset.metainfo
            runner.visualizer.dataset_meta = loader.dataset.metainfo


def number_labels_of(
    dataset: BaseDataset, classes: tuple[str, ...], wanted_by: str
) -> None:
    """Let a data set number its labels as ``classes`` does.

    Args:
        dataset: the data set.
        classes: class names in the order of the labels.
        wanted_by: who has that order, for messages.

    Raises:
        ValueError: it has no class of such a name, or cannot change the order.
    """
    given = tuple(dataset.metainfo.get("classes") or classes)
    if given == classes:
        return
    match_classes(classes, given, wanted_by, source_name(dataset))
    if not hasattr(dataset, "use_classes"):
        raise UserError(
            f"{source_name(dataset)} has the classes of {wanted_by} in another order, "
            f"which {type(dataset).__name__} cannot change: use CocoSemiDataset"
        )
    dataset.use_classes(classes, wanted_by)
