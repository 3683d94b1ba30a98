"""Images that show several views of a batch: mosaics and mixup.

MixPL (*Mixed Pseudo Labels for Semi-Supervised Object Detection*, 2023). The student
learns from mixed images; the teacher sees each weak view by itself. Pseudo labels, and
the boxes of labelled images, follow their views by homography.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from mmdet.structures import SampleList
from torch import Tensor

from ssod_mm.errors import UserError
from ssod_mm.maths.mixing import TILES, mosaic_matrices, mosaics, overlaid
from ssod_mm.models.mixed_views import MixedViews, mixed_samples
from ssod_mm.settings import Settings, number, numbers


@dataclass(frozen=True)
class Mixing(Settings):
    """Keys of ``model.mixing``.

    What is drawn comes from PyTorch's generator, which is seeded by the iteration: a
    resumed run mixes as the uninterrupted one.

    Deviations: a mosaic is one more image of the batch, not a loss term of its own; the
    views are those of the batch, without a cache of earlier ones, which a checkpoint
    would have to hold; a mosaic takes views without pseudo labels as well.

    Attributes:
        pseudo_mixup: probability that a strong view is overlaid with another one of the
            batch. Its pseudo labels are those of both.
        pseudo_mosaic: for every four strong views, the probability that a mosaic of
            them is learnt from beside the views themselves.
        labelled_mosaic: the same for labelled images.
        mixup_share: weight of a view's own pixels under mixup.
        mosaic_cross: the cross of a mosaic lies between these shares of its width and
            of its height.
    """

    key: ClassVar[str] = "model.mixing"

    pseudo_mixup: float = number(0.0, at_least=0, at_most=1)
    pseudo_mosaic: float = number(0.0, at_least=0, at_most=1)
    labelled_mosaic: float = number(0.0, at_least=0, at_most=1)
    mixup_share: float = number(0.5, at_least=0, at_most=1)
    mosaic_cross: tuple[float, float] = numbers((0.4, 0.6))

    def check(self, key: str) -> None:
        """Check every value, see :meth:`Settings.check`."""
        super().check(key)
        low, high = self.mosaic_cross
        if not 0 < low <= high < 1:
            raise UserError(
                f"{key}.mosaic_cross must be (least, largest), 0 < least <= largest "
                f"< 1, not {tuple(self.mosaic_cross)}."
            )

    def refuse(self, keys: Sequence[str], reason: str) -> None:
        """Raise if one of the keys is on.

        Args:
            keys: keys of ``model.mixing`` that a method cannot use.
            reason: why, a clause.

        Raises:
            ValueError: names key and reason.
        """
        for key in keys:
            if getattr(self, key):
                raise UserError(f"model.mixing.{key} must be 0 here: {reason}.")

    def __call__(
        self, branch: str, inputs: Tensor, samples: SampleList, varies: bool = False
    ) -> MixedViews | None:
        """Mix the images of a branch that the student learns from.

        Args:
            branch: ``"sup"`` or ``"unsup_student"``.
            inputs: its preprocessed images (B, 3, H, W).
            samples: their data samples; not changed.
            varies: whether the number of images varies from batch to batch; one with
                too few is then left as it is.

        Returns:
            The mixed images, mosaics last, or None where nothing is mixed.

        Raises:
            ValueError: the batch has too few images for it.
        """
        is_labelled = branch == "sup"
        mosaic = self.labelled_mosaic if is_labelled else self.pseudo_mosaic
        mixup = 0.0 if is_labelled else self.pseudo_mixup
        if not mosaic and not mixup:
            return None
        if not self._is_enough(branch, len(inputs), mosaic, varies):
            return None
        sizes = torch.tensor([sample.img_shape[:2] for sample in samples])
        partners, mixed = _partners(len(inputs), mixup)
        tiles, matrices = self._tiles(sizes, inputs.shape[-2:], mosaic)
        indices = torch.arange(len(inputs))
        eye = torch.eye(3, dtype=torch.float64)
        targets = torch.cat(
            [indices, indices[mixed], len(indices) + indices[: len(tiles)] // TILES]
        )
        order = targets.argsort(stable=True)
        placed = MixedViews(
            inputs=self._drawn(inputs, partners, mixed, tiles, matrices, sizes),
            samples=[],
            views=samples,
            sources=torch.cat([indices, partners[mixed], tiles])[order],
            targets=targets[order],
            matrices=torch.cat(
                [eye.expand(len(indices) + int(mixed.sum()), 3, 3), matrices]
            )[order],
        )
        placed.samples.extend(mixed_samples(placed))
        return placed

    def _is_enough(self, branch: str, count: int, mosaic: float, varies: bool) -> bool:
        """Whether the batch can be mixed; an error if it never can."""
        least = TILES if mosaic else 2
        if count < least and not varies:
            is_labelled = branch == "sup"
            key = "labelled_mosaic" if is_labelled else "pseudo_mosaic"
            kind = "labelled" if is_labelled else "unlabelled"
            raise UserError(
                f"model.mixing.{key if mosaic else 'pseudo_mixup'} needs {least} "
                f"{kind} images in the batch of a process, and this one has {count}: "
                "raise train_dataloader.batch_size, or set the key to 0."
            )
        return count >= least

    def _tiles(
        self, sizes: Tensor, canvas: tuple[int, int], mosaic: float
    ) -> tuple[Tensor, Tensor]:
        """Views of the mosaics (4 K,) and their placements (4 K, 3, 3)."""
        order = torch.randperm(len(sizes))[: len(sizes) // TILES * TILES]
        groups = order.view(-1, TILES)
        groups = groups[torch.rand(len(groups)) < mosaic]
        low, high = self.mosaic_cross
        crosses = low + (high - low) * torch.rand(len(groups), 2)
        crosses = (crosses * torch.tensor([canvas[1], canvas[0]])).round()
        matrices = mosaic_matrices(sizes[groups], crosses, tuple(canvas))
        return groups.flatten(), matrices.flatten(0, 1)

    def _drawn(
        self,
        inputs: Tensor,
        partners: Tensor,
        mixed: Tensor,
        tiles: Tensor,
        matrices: Tensor,
        sizes: Tensor,
    ) -> Tensor:
        """Pixels of the mixed images."""
        device = inputs.device
        images = inputs
        if mixed.any():
            shares = torch.where(mixed, self.mixup_share, 1.0).to(device)
            images = overlaid(inputs, partners.to(device), shares)
        if not len(tiles):
            return images
        of_tiles = inputs[tiles.to(device)]
        tiled = mosaics(of_tiles, matrices.to(device), sizes[tiles].to(device))
        return torch.cat([images, tiled])


def _partners(count: int, mixup: float) -> tuple[Tensor, Tensor]:
    """Another view for each one, and whether it is overlaid, each (B,)."""
    order = torch.randperm(count)
    partners = torch.empty_like(order)
    partners[order] = order.roll(1)
    return partners, torch.rand(count) < mixup
