"""Where the views of a batch are in the images that show several of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmdet.structures import DetDataSample, SampleList
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.maths.boxes import are_large, clip_boxes, warp_boxes
from ssod_mm.models.geometry import view_homographies
from ssod_mm.structures import PseudoBoxes

# Of a mixed image these say enough to compute losses; there is no one homography.
_SHAPE_KEYS = ("ori_shape", "img_shape", "pad_shape", "batch_input_shape")


@dataclass(frozen=True)
class MixedViews:
    """The images that the student learns from, and where each view is in them.

    Attributes:
        inputs: mixed images (T, 3, H, W).
        samples: their data samples. The meta key ``mixed_from`` has a list with an
            entry for each view in the image: its ``img_id`` and the homography (3, 3)
            from its original image to the mixed one.
        views: data samples of the views.
        sources: view of each placement (V,), by mixed image, on the CPU.
        targets: mixed image of each placement (V,), ascending, on the CPU.
        matrices: homographies from view to mixed image (V, 3, 3) float64 on the CPU.
    """

    inputs: Tensor
    samples: SampleList
    views: SampleList
    sources: Tensor
    targets: Tensor
    matrices: Tensor

    def carry(
        self, boxes: PseudoBoxes, min_box_wh: tuple[float, float] = (1.0, 1.0)
    ) -> PseudoBoxes:
        """Boxes of the views in the mixed images.

        Args:
            boxes: in pixels of the views, clipped to them; all their fields are kept.
            min_box_wh: smallest width and height in the mixed image, in pixels.

        Returns:
            Boxes in pixels of the mixed images, in the order of the placements.
        """
        instances = self._carried(boxes.instances, min_box_wh)
        if boxes.ignored is None:
            return PseudoBoxes(instances)
        return PseudoBoxes(instances, self._carried(boxes.ignored, min_box_wh))

    def _carried(
        self, instances: Sequence[InstanceData], min_box_wh: tuple[float, float]
    ) -> list[InstanceData]:
        """What :meth:`carry` does, for one list of instances."""
        placed = [instances[source] for source in self.sources.tolist()]
        counts = torch.tensor([len(boxes) for boxes in placed])
        if not counts.any():
            first = [0, *(self.targets.diff() > 0).nonzero().flatten().add(1).tolist()]
            return [placed[row][:] for row in first]
        together = InstanceData.cat([boxes for boxes in placed if len(boxes)])
        device = together.bboxes.device
        rows = torch.repeat_interleave(counts)
        moved = warp_boxes(together.bboxes, self.matrices.float()[rows].to(device))
        together.bboxes = moved
        kept = are_large(moved, min_box_wh).nonzero().flatten()
        together = together[kept]
        counts = self.targets[rows][kept.cpu()].bincount(minlength=len(self.samples))
        ends = counts.cumsum(0).tolist()
        starts = [0, *ends[:-1]]
        return [together[a:b] for a, b in zip(starts, ends, strict=True)]

    def views_of(self, rois: Tensor) -> Tensor:
        """RoIs of the mixed images in the views, each in the one that holds its centre.

        Args:
            rois: (P, 5), mixed image and xyxy.

        Returns:
            (P, 5), view and xyxy in its pixels, clipped to it. A centre in no view
            belongs to the nearest one.
        """
        device, boxes = rois.device, rois[:, 1:].float()
        sizes = torch.tensor([s.img_shape[:2] for s in self.views])[self.sources]
        corners = torch.zeros(len(sizes), 4)
        corners[:, 2:] = sizes.flip(1)
        tiles = warp_boxes(corners, self.matrices.float()).to(device)
        centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        outside = torch.maximum(tiles[:, :2] - centres, centres - tiles[:, 2:])
        away = outside.clamp(min=0).square().sum(-1)
        other = rois[:, :1].long() != self.targets.to(device)
        places = away.masked_fill(other, torch.inf).argmin(1)
        back = torch.linalg.inv(self.matrices).float().to(device)[places]
        moved = clip_boxes(warp_boxes(boxes, back), sizes.to(device)[places])
        views = self.sources.to(device)[places]
        return torch.cat([views[:, None].to(moved), moved], dim=1)


def mixed_labelled(views: MixedViews, min_box_wh: tuple[float, float]) -> SampleList:
    """Data samples of mixed labelled images, with the boxes of their views.

    Args:
        views: of labelled images, whose data samples have ``gt_instances``.
        min_box_wh: smaller boxes are dropped, in pixels of the mixed image.

    Returns:
        New data samples with ``gt_instances`` and, where the views have them,
        ``ignored_instances``.
    """
    ignored = [sample.get("ignored_instances") for sample in views.views]
    boxes = PseudoBoxes(
        [_plain(sample.gt_instances) for sample in views.views],
        None if None in ignored else [_plain(boxes) for boxes in ignored],
    )
    carried = views.carry(boxes, min_box_wh)
    samples = []
    for index, sample in enumerate(views.samples):
        labelled = DetDataSample(metainfo=sample.metainfo)
        labelled.gt_instances = carried.instances[index]
        if carried.ignored is not None:
            labelled.ignored_instances = carried.ignored[index]
        samples.append(labelled)
    return samples


def _plain(instances: InstanceData) -> InstanceData:
    """Boxes as a tensor, whatever type they have, and labels."""
    boxes = instances.bboxes
    boxes = boxes if isinstance(boxes, Tensor) else boxes.tensor
    return InstanceData(bboxes=boxes, labels=instances.labels)


def mixed_samples(placed: MixedViews) -> SampleList:
    """Data samples of mixed images: their shapes, and where their views come from.

    Args:
        placed: the mixed images; its own ``samples`` are not looked at.
    """
    maps = (placed.matrices @ view_homographies(placed.views)[placed.sources]).float()
    canvas = tuple(placed.inputs.shape[-2:])
    samples = []
    for target in range(len(placed.inputs)):
        rows = (placed.targets == target).nonzero().flatten().tolist()
        views = [placed.views[int(placed.sources[row])] for row in rows]
        meta = {k: views[0].get(k) for k in _SHAPE_KEYS if k in views[0]}
        # Anchors outside of these do not count.
        for key in ("img_shape", "pad_shape"):
            shapes = [view.get(key, canvas)[:2] for view in views]
            largest = tuple(max(sides) for sides in zip(*shapes, strict=True))
            meta[key] = canvas if target >= len(placed.views) else largest
        meta["mixed_from"] = [
            {"img_id": view.get("img_id"), "homography_matrix": maps[row]}
            for row, view in zip(rows, views, strict=True)
        ]
        samples.append(DetDataSample(metainfo=meta))
    return samples
