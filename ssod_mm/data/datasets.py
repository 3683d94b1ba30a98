"""Labelled and unlabelled data sets in COCO form, and their concatenation."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

from ssod_mm.coco_boxes import BoxCounts, clean_annotations
from ssod_mm.coco_json import (
    check_classes,
    check_file_names,
    check_images,
    coco_index,
    in_class_order,
    json_classes,
    match_classes,
    read_coco_json,
)
from ssod_mm.data.draw_index import DrawIndex, batch_seed
from ssod_mm.errors import UserError

NUM_PROBED_IMAGES = 10


class SkipGuardMixin:
    """Name the image when a pipeline gives nothing in test mode.

    While training another image takes its place; in a test that would change the
    result unseen.
    """

    def prepare_data(self, idx: int) -> Any:
        """The item after the pipeline.

        Raises:
            UserError: there is none, in test mode.
        """
        item = super().prepare_data(idx)
        if item is None and self.test_mode:
            path = self.get_data_info(idx)["img_path"]
            raise UserError(
                f"the test pipeline gave nothing for {path}; evaluation must not skip "
                'images: repair the file, and use LoadImage(on_error="raise") here'
            )
        return item


@DATASETS.register_module()
class CocoSemiDataset(SkipGuardMixin, CocoDataset):
    """COCO-format data set whose mistakes show when it is built.

    It serves labelled sets, unlabelled ones (a json with images and without
    annotations) and validation. Without ``metainfo.classes`` the classes are the
    file's categories, so one's own data needs no class list. With
    ``filter_cfg=dict(filter_empty_gt=True)`` only images with a usable box stay.

    Args:
        on_bad_box: "raise" for an error at a box of negative size or that is no box,
            "drop" to leave it out. Boxes of zero size are always left out. What was
            left out is logged, and counted in ``box_counts``.
        difficult: "ignore" marks VOC's difficult objects (``"difficult": 1``) as
            ignored, neither object nor background, as VOC's evaluation has it;
            "use" takes them as ordinary objects.
        **kwargs: as in mmdet's ``CocoDataset``.

    Raises:
        FileNotFoundError: the annotation file or the image folder is missing.
        ValueError: the file's content does not fit, or no image is left.
    """

    METAINFO: ClassVar[dict] = {}

    def __init__(
        self,
        *args: Any,
        on_bad_box: str = "raise",
        difficult: str = "ignore",
        **kwargs: Any,
    ) -> None:
        for key, value, allowed in (
            ("on_bad_box", on_bad_box, ("raise", "drop")),
            ("difficult", difficult, ("ignore", "use")),
        ):
            if value not in allowed:
                raise UserError(
                    f"CocoSemiDataset: {key} = {value!r}, must be one of {allowed}"
                )
        self.on_bad_box = on_bad_box
        self.difficult = difficult
        self.box_counts = BoxCounts()
        super().__init__(*args, **kwargs)

    @property
    def metainfo(self) -> dict:
        """Meta information, always with ``classes`` (a tuple)."""
        if "classes" not in self._metainfo:
            self.full_init()
        return super().metainfo

    def use_classes(self, classes: Sequence[str], wanted_by: str) -> None:
        """Number the labels as ``classes`` does, whatever order the file has.

        Args:
            classes: class names in the order of the labels.
            wanted_by: who has that order, for the message.

        Raises:
            ValueError: the file lacks one of them; names both lists.
        """
        if tuple(classes) == tuple(self.metainfo["classes"]):
            return
        given = self.metainfo["classes"]
        self._metainfo["classes"] = match_classes(
            classes, given, wanted_by, self.ann_file
        )
        self._fully_initialized = False
        self.full_init()

    def load_data_list(self) -> list[dict]:
        """Read, check and parse the annotation file."""
        self._check_image_folder()
        document = read_coco_json(self.ann_file, self.backend_args)
        check_images(document, self.ann_file)
        check_file_names(document, self.ann_file)
        names = json_classes(document, self.ann_file)
        classes = check_classes(
            self._metainfo.get("classes", names), names, self.ann_file
        )
        self._metainfo["classes"] = classes
        document, self.box_counts = clean_annotations(
            document,
            self.ann_file,
            classes,
            on_bad_box=self.on_bad_box,
            ignore_difficult=self.difficult == "ignore",
        )
        if str(self.box_counts):
            print_log(
                f"{self.ann_file}: left out annotations: {self.box_counts}",
                logger="current",
                level=logging.WARNING,
            )
        document = in_class_order(document, classes)
        self.COCOAPI = lambda _: coco_index(document)  # the file is read already
        try:
            data_list = super().load_data_list()
        finally:
            del self.COCOAPI
        self._check_first_images(data_list)
        return data_list

    def filter_data(self) -> list[dict]:
        """Images that stay under ``filter_cfg``; at least one."""
        kept = super().filter_data()
        if not self.test_mode and (self.filter_cfg or {}).get("filter_empty_gt"):
            kept = [info for info in kept if has_object(info)]
        if not kept:
            with_boxes = sum(map(has_object, self.data_list))
            raise UserError(
                f"no image of {self.ann_file} is left after filtering: it has "
                f"{len(self.data_list)} images, {with_boxes} of them with a usable box "
                f"of {len(self._metainfo['classes'])} classes; filter_cfg = "
                f"{self.filter_cfg}. A labelled set needs labelled images; as an "
                "unlabelled set use the file with filter_cfg=None"
            )
        return kept

    def _check_image_folder(self) -> None:
        if "img" not in self.data_prefix:
            raise UserError(
                f"the data set of {self.ann_file} needs data_prefix=dict(img=...), the "
                f"image folder, but data_prefix is {self.data_prefix}"
            )
        folder = self.data_prefix["img"]
        if folder and self._is_local(folder) and not Path(folder).is_dir():
            raise FileNotFoundError(
                f"image folder {folder} not found (data_root and data_prefix.img of "
                f"the data set of {self.ann_file})"
            )

    def _check_first_images(self, data_list: list[dict]) -> None:
        paths = [info["img_path"] for info in data_list[:NUM_PROBED_IMAGES]]
        if not paths or not self._is_local(paths[0]):
            return
        if not any(Path(path).is_file() for path in paths):
            raise FileNotFoundError(
                f"none of the first {len(paths)} images of {self.ann_file} exists, "
                f"such as {paths[0]}; correct data_prefix.img of the data set"
            )

    def _is_local(self, path: str) -> bool:
        return self.backend_args is None and "://" not in path


def has_object(data_info: dict) -> bool:
    """Whether an image has at least one box that is not to be ignored."""
    return any(not instance["ignore_flag"] for instance in data_info["instances"])


@DATASETS.register_module()
class SeededConcatDataset(ConcatDataset):
    """Several sources as one data set, each item a function of its draw alone.

    For an index that is a ``DrawIndex``, ``random``, NumPy and PyTorch start from its
    seed before the item is loaded. Then neither the number of workers nor a resume
    changes what an item looks like.

    All sources must have the same classes, in any order: labels are numbered as in the
    first. One that knows none, such as a folder of images, or that has no annotation,
    takes over those of the others. ``metainfo`` is that of the first.

    Args:
        datasets: data sets or their configs.
        lazy_init: as in mmengine.

    Raises:
        ValueError: the sources disagree on the classes, or none knows any.
    """

    def __init__(
        self, datasets: Sequence[BaseDataset | dict], lazy_init: bool = False
    ) -> None:
        if not isinstance(datasets, (list, tuple)) or not datasets:
            raise UserError(
                "SeededConcatDataset: datasets must be a list of at least one data set"
            )
        # Not mmengine's constructor: it wants every entry of the sources' metainfo to
        # be equal, which a folder of images cannot meet, and refuses wrapped sources.
        self.datasets = [
            DATASETS.build(d) if isinstance(d, Mapping) else d for d in datasets
        ]
        share_classes(self.datasets)
        self.ignore_keys: list[str] = []
        self._metainfo = self.datasets[0].metainfo
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    def use_classes(self, classes: Sequence[str], wanted_by: str) -> None:
        """Number the labels of all sources as ``classes`` does.

        Args:
            classes: class names in the order of the labels.
            wanted_by: who has that order, for the message.

        Raises:
            ValueError: a source has other classes; names both lists.
        """
        number_labels_alike(self.datasets, classes, wanted_by)
        self._metainfo = self.datasets[0].metainfo

    def __getitem__(self, index: int) -> Any:
        """The item at a position, or of a draw."""
        if not isinstance(index, DrawIndex):
            return super().__getitem__(index)
        with seeded_draw(index.seed, index.batch_seed):
            return super().__getitem__(int(index))


def share_classes(datasets: Sequence[BaseDataset]) -> None:
    """Give the classes to those sources that know none, and compare the others.

    Raises:
        ValueError: they differ, or no source knows any.
    """
    known = [d for d in datasets if "classes" in d.metainfo]
    if not known:
        raise UserError(
            "none of train_dataloader.dataset.datasets knows its classes; give one of "
            "them an annotation file or metainfo=dict(classes=...)"
        )
    number_labels_alike(datasets, known[0].metainfo["classes"], source_name(known[0]))


def number_labels_alike(
    datasets: Sequence[BaseDataset], classes: Sequence[str], wanted_by: str
) -> None:
    """Let all data sets number their labels as ``classes`` does.

    Args:
        datasets: data sets of any kind.
        classes: class names in the order of the labels.
        wanted_by: who has that order, for messages.

    Raises:
        ValueError: a data set has other classes; names both lists.
    """
    classes = tuple(classes)
    for dataset in datasets:
        given = tuple(dataset.metainfo.get("classes", classes))
        if given == classes or not has_annotations(dataset):
            dataset._metainfo["classes"] = classes
        elif set(given) == set(classes) and hasattr(dataset, "use_classes"):
            dataset.use_classes(classes, wanted_by)
        else:
            raise UserError(
                f"{wanted_by} and {source_name(dataset)} have different classes: "
                f"{', '.join(classes)} and {', '.join(given)}"
            )


def has_annotations(dataset: BaseDataset) -> bool:
    """Whether any image of a data set has a box."""
    dataset.full_init()
    return any(
        dataset.get_data_info(number)["instances"] for number in range(len(dataset))
    )


def source_name(dataset: BaseDataset) -> str:
    """What a message calls a data set: its annotation file or its folder."""
    if hasattr(dataset, "datasets"):
        return source_name(dataset.datasets[0])
    folders = list(getattr(dataset, "data_prefix", {}).values())
    return getattr(dataset, "ann_file", "") or " ".join(folders)


@contextmanager
def seeded_draw(seed: int, seed_of_batch: int | None = None) -> Iterator[None]:
    """Run a block with all CPU random generators started from ``seed``.

    ``seed_of_batch`` is what :data:`~ssod_mm.data.draw_index.batch_seed` gives there.

    In the main process (no data workers) the generators go on afterwards as if
    nothing had happened, so that loading does not steer the model's randomness.
    """
    states = None
    if get_worker_info() is None:
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    token = batch_seed.set(seed_of_batch)
    try:
        yield
    finally:
        batch_seed.reset(token)
        if states is not None:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])
