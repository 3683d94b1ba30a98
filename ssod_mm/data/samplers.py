"""Batches of a fixed composition, drawn from any number of sources.

Every choice is a function of the seed and a position: which image a source gives at
its position ``q``, with which augmentation seed, and which orientation iteration
``t`` has. Nothing is carried along, so resuming is a matter of starting at another
position, and ranks agree without talking to each other.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator, Sequence, Sized

import numpy as np
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.logging import print_log
from torch.utils.data import Sampler

from ssod_mm.data.draw_index import DrawIndex
from ssod_mm.data.streams import LANDSCAPE, PORTRAIT, IndexStream, OrientationDraws
from ssod_mm.errors import UserError
from ssod_mm.maths.seeds import mix_seed

__all__ = ["DrawIndex", "RatioSampler", "batch_composition"]

_ORIENTATIONS = ("landscape", "portrait")
# What a seed is for, mixed into it so that equal numbers stay unrelated.
_FOR_ORDER, _FOR_DRAW, _FOR_ORIENTATION, _FOR_BATCH = 1, 2, 3, 4


def batch_composition(batch_size: int, source_ratio: Sequence[int]) -> list[int]:
    """Number of images that each source gives to a batch.

    Args:
        batch_size: Images per batch and process.
        source_ratio: One whole number of at least 1 per source; common factors do
            not matter.

    Raises:
        ValueError: a ratio or batch size that is no positive whole number, or a
            batch size that is no multiple of the ratio's sum; names the config keys
            and the nearest batch sizes that are.
    """
    ratio = list(source_ratio)
    if not ratio or not all(isinstance(part, int) and part >= 1 for part in ratio):
        raise UserError(
            "train_dataloader.sampler.source_ratio needs one whole number of at "
            f"least 1 per source, but is {ratio}"
        )
    if not isinstance(batch_size, int):
        raise UserError(
            f"train_dataloader.batch_size must be a whole number, not {batch_size!r}"
        )
    divisor = math.gcd(*ratio)
    ratio = [part // divisor for part in ratio]
    total = sum(ratio)
    if batch_size < 1 or batch_size % total:
        below = batch_size // total * total
        near = [size for size in (below, below + total) if size > 0]
        raise UserError(
            f"train_dataloader.batch_size = {batch_size} cannot be split "
            f"{':'.join(map(str, ratio))} as train_dataloader.sampler.source_ratio "
            f"asks; nearest batch sizes that can: {' or '.join(map(str, near))}"
        )
    return [part * (batch_size // total) for part in ratio]


@DATA_SAMPLERS.register_module()
class RatioSampler(Sampler):
    """Endless batches that hold every source in a fixed ratio.

    A source is one dataset of a concatenated dataset; each is read in its own
    seeded order, pass after pass, so within a pass every image comes exactly once
    whatever the other sources do. A source's order and augmentation seeds depend on
    the seed and on its place alone: a supervised run sees the labelled images that a
    semi-supervised run with the same seed sees.

    Several processes split the joint batch of an iteration. For each source, the
    process of rank ``r`` takes the ``r``-th block; the joint batch of one process
    with ``world_size`` times the batch size holds, source by source, these blocks
    rank by rank. Together the processes thus see the same images with the same
    augmentation seeds as that one process.

    It never ends: train by iterations, not by epochs.

    Args:
        dataset: A concatenated dataset (with ``datasets``), or a single dataset.
        batch_size: Images per batch and process, equal to
            ``train_dataloader.batch_size``.
        source_ratio: One whole number per source. A single number draws from the
            union of all datasets.
        shuffle: Whether the order is random.
        seed: Seed shared by all processes; drawn and shared when None.
        group_by_aspect: Whether all images of an iteration have one orientation
            (wide or square, or tall), on all processes; drawn in proportion to the
            number of images. A source with images of one orientation only gives
            those, with a warning.

    Raises:
        ValueError: the batch size does not fit the ratio, the ratio does not fit
            the datasets, or a source is empty.
    """

    def __init__(
        self,
        dataset: Sized,
        batch_size: int,
        source_ratio: Sequence[int],
        shuffle: bool = True,
        seed: int | None = None,
        group_by_aspect: bool = False,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.num_per_source = batch_composition(batch_size, source_ratio)
        self.batch_size = batch_size
        self.source_ratio = list(source_ratio)
        self.shuffle = shuffle
        self.seed = int(sync_random_seed() if seed is None else seed)
        self.group_by_aspect = group_by_aspect
        self.first_sample = 0

        parts = _parts(dataset, len(self.source_ratio))
        portrait = [
            _portrait_flags(part, number)
            if group_by_aspect
            else np.zeros(len(part), bool)
            for number, part in enumerate(parts)
        ]
        indices = np.split(np.arange(len(dataset)), np.cumsum([*map(len, parts)])[:-1])
        if len(self.source_ratio) == 1:
            indices, portrait = [np.concatenate(indices)], [np.concatenate(portrait)]
        self.streams = [
            self._streams_of_source(number, *source)
            for number, source in enumerate(zip(indices, portrait, strict=True))
        ]
        share = float(np.concatenate(portrait).mean())
        self.orientations = OrientationDraws(
            mix_seed(self.seed, _FOR_ORIENTATION), share
        )
        if 0 < share < 1:
            self._warn_of_one_sided_sources(parts)

    def _streams_of_source(
        self, number: int, indices: np.ndarray, portrait: np.ndarray
    ) -> dict[int, IndexStream]:
        """One stream for each orientation that the source has images of."""
        return {
            orientation: IndexStream(
                indices[portrait == (orientation == PORTRAIT)],
                mix_seed(self.seed, _FOR_ORDER, number, orientation),
                self.shuffle,
            )
            for orientation in (LANDSCAPE, PORTRAIT)
            if np.any(portrait == (orientation == PORTRAIT))
        }

    def _warn_of_one_sided_sources(self, parts: list[Sized]) -> None:
        for number, streams in enumerate(self.streams):
            if len(streams) == 1:
                only = _ORIENTATIONS[next(iter(streams))]
                source = _describe(parts[number], number)
                print_log(
                    f"{source} has {only} images only; batches of the other "
                    "orientation get those from it",
                    logger="current",
                    level=logging.WARNING,
                )

    def batch(self, iteration: int) -> list[DrawIndex]:
        """What this process loads at ``iteration`` >= 0, source by source."""
        orientation = self.orientations.orientation(iteration)
        batch_seed = mix_seed(self.seed, _FOR_BATCH, iteration)
        draws = []
        for number, count in enumerate(self.num_per_source):
            streams = self.streams[number]
            if len(streams) == 1:
                group, iterations_before = next(iter(streams)), iteration
            else:
                group = orientation
                iterations_before = self.orientations.count_before(iteration, group)
            start = (iterations_before * self.world_size + self.rank) * count
            for position in range(start, start + count):
                draw_seed = mix_seed(self.seed, _FOR_DRAW, number, group, position)
                image = streams[group][position]
                draws.append(DrawIndex(image, draw_seed, batch_seed))
        return draws

    def __iter__(self) -> Iterator[DrawIndex]:
        iteration, skipped = divmod(self.first_sample, self.batch_size)
        yield from self.batch(iteration)[skipped:]
        for following in itertools.count(iteration + 1):
            yield from self.batch(following)

    def __len__(self) -> int:
        """Number of images in all sources."""
        return len(self.dataset)

    def skip(self, num_samples: int) -> None:
        """Let the next iterator start after this process's first ``num_samples``.

        The number is absolute, counted from the start of training. Nothing is run
        through: only ``group_by_aspect`` counts the orientations before, in some
        hundredths of a second for 720,000 iterations.

        Raises:
            ValueError: ``num_samples`` is negative.
        """
        if num_samples < 0:
            raise UserError(f"num_samples must be at least 0, but is {num_samples}")
        self.first_sample = int(num_samples)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: there are no epochs, the order differs from pass to pass."""


def _parts(dataset: Sized, num_sources: int) -> list[Sized]:
    """The data sets in a concatenated one, none of them empty, one per source.

    A single source may have several.
    """
    parts = list(getattr(dataset, "datasets", [dataset]))
    if num_sources not in (1, len(parts)):
        raise UserError(
            f"train_dataloader.sampler.source_ratio has {num_sources} numbers, but "
            f"train_dataloader.dataset has {len(parts)} source(s)"
        )
    for number, part in enumerate(parts):
        if len(part) == 0:
            raise UserError(f"{_describe(part, number)} is empty")
    return parts


def _describe(source: Sized, number: int) -> str:
    """A source's place in the config and, where known, its file or folder."""
    text = f"source {number} of train_dataloader.dataset ({type(source).__name__}"
    prefix = getattr(source, "data_prefix", None) or {}
    folder = prefix.get("img") or prefix.get("img_path")
    where = getattr(source, "ann_file", None) or folder
    return f"{text}, {where})" if where else f"{text})"


def _portrait_flags(source: Sized, number: int) -> np.ndarray:
    """For each image of a source whether it is taller than wide, (N,) bool."""
    flags = np.zeros(len(source), dtype=bool)
    for index in range(len(source)):
        info = source.get_data_info(index)
        if info.get("width") is None or info.get("height") is None:
            raise UserError(
                "train_dataloader.sampler.group_by_aspect needs every image's width "
                f"and height, but {_describe(source, number)} does not give those of "
                f"{info.get('img_path')}; set group_by_aspect=False, or "
                "read_sizes=True in an ImageFolderDataset"
            )
        flags[index] = info["height"] > info["width"]
    return flags
