"""Dense guidance, and how it goes from the weak views to strong ones and to mosaics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ssod_mm.maths.boxes import are_large, warp_boxes
from ssod_mm.models.dense.clusters import Clusters
from ssod_mm.models.geometry import Findings, ViewMap
from ssod_mm.models.mixed_views import MixedViews

_Parts = dict[tuple[str, str], Tensor]


@dataclass(frozen=True)
class DenseGuidance(Findings):
    """What the teacher's NMS says, beside the kept boxes of the last stage.

    Attributes:
        stages: clusters of each dense stage.
        proposals: (P, 4) RoIs of the R-CNN stage, all images; None in one-stage ones.
        proposal_images: (P,) their images.
        proposals_seen: (P,) whether they are visible in the frame.
    """

    stages: dict[str, Clusters]
    proposals: Tensor | None = None
    proposal_images: Tensor | None = None
    proposals_seen: Tensor | None = None

    @property
    def last(self) -> Clusters:
        """Clusters of the last stage, whose kept boxes are the pseudo labels."""
        return self.stages["rcnn" if "rcnn" in self.stages else "head"]

    @property
    def seen_boxes(self) -> tuple[Tensor, Tensor]:
        """The last stage's kept boxes (K, 4), and which are visible in the frame."""
        return self.last.kept_boxes, self.last.alive

    def to_student_view(self, views: ViewMap) -> DenseGuidance:
        """The same clusters; ``alive`` says of which the kept box is visible."""
        boxes, images = {}, {}
        for name, stage in self.stages.items():
            for field, part in _boxes_of(stage).items():
                boxes[name, field], images[name, field] = part
        if self.proposals is not None:
            boxes["", "proposals"] = self.proposals
            images["", "proposals"] = self.proposal_images
        (mapped,) = _at_once(views.unclipped, boxes, images)
        seen, alive = _at_once(views.seen, mapped, images, ("kept_boxes", "proposals"))
        inside, large = _at_once(views.within, mapped, images, ("boxes",))
        stages = {}
        for name, stage in self.stages.items():
            kept, candidates = seen[name, "kept_boxes"], inside[name, "boxes"]
            is_large = large[name, "boxes"][:, None]
            all_priors = stage.all_priors
            if all_priors is not None:
                all_priors = mapped[name, "all_priors"].view_as(all_priors)
            stages[name] = replace(
                stage,
                priors=mapped[name, "priors"],
                boxes=torch.where(is_large, candidates, kept[stage.clusters]),
                kept_boxes=kept,
                alive=alive[name, "kept_boxes"],
                unsure_priors=mapped[name, "unsure_priors"],
                all_priors=all_priors,
            )
        return replace(
            self,
            stages=stages,
            proposals=seen.get(("", "proposals")),
            proposals_seen=alive.get(("", "proposals")),
        )

    def to_mixed_views(
        self, mixed: MixedViews, min_box_wh: tuple[float, float]
    ) -> DenseGuidance:
        """The same in mosaics, see :func:`mixed_guidance`."""
        return mixed_guidance(self, mixed, min_box_wh)


def _boxes_of(stage: Clusters) -> dict[str, tuple[Tensor, Tensor]]:
    """By field the boxes (N, 4) of a stage and their images (N,)."""
    boxes = {
        "kept_boxes": (stage.kept_boxes, stage.images[stage.kept]),
        "boxes": (stage.boxes, stage.images),
        "priors": (stage.priors, stage.images),
        "unsure_priors": (stage.unsure_priors, stage.unsure_images),
    }
    if stage.all_priors is not None:
        num_images, num_priors = stage.all_priors.shape[:2]
        images = torch.arange(num_images, device=stage.all_priors.device)
        images = images[:, None].expand(-1, num_priors).flatten()
        boxes["all_priors"] = stage.all_priors.flatten(0, 1), images
    return boxes


def _at_once(
    function: Callable[[Tensor, Tensor], Tensor | tuple[Tensor, ...]],
    boxes: _Parts,
    images: _Parts,
    fields: Sequence[str] | None = None,
) -> tuple[_Parts, ...]:
    """What a function says of several sets of boxes, from one call.

    Args:
        function: of boxes (N, 4) and images (N,); gives tensors of N rows.
        boxes: by stage and field.
        images: by stage and field.
        fields: of which fields; None for all.
    """
    keys = [key for key in boxes if fields is None or key[1] in fields]
    counts = [len(boxes[key]) for key in keys]
    results = function(
        torch.cat([boxes[key] for key in keys]),
        torch.cat([images[key] for key in keys]),
    )
    results = results if isinstance(results, tuple) else (results,)
    return tuple(dict(zip(keys, part.split(counts), strict=True)) for part in results)


class _Placements:
    """Rows of tensors over a batch of views, once for each placement of their view.

    Args:
        mixed: where the views are.
        min_box_wh: smallest width and height in a mixed image, in pixels.
        device: where the boxes are.
    """

    def __init__(
        self, mixed: MixedViews, min_box_wh: tuple[float, float], device: torch.device
    ) -> None:
        self.sources = mixed.sources.to(device)
        self.targets = mixed.targets.to(device)
        self.matrices = mixed.matrices.float().to(device)
        self.min_box_wh = min_box_wh
        alone = mixed.targets.bincount()[mixed.targets] == 1
        self.shares_image = ~alone.to(device)

    def rows(self, views_R: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Repeated rows by placement.

        Args:
            views_R: view of each row.

        Returns:
            Placements (S,) and rows (S,); and a table (V, R) of where a row went for a
            placement, -1 where it is of another view.
        """
        is_there = views_R == self.sources[:, None]
        places, rows = is_there.nonzero(as_tuple=True)
        table = torch.full(is_there.shape, -1, device=views_R.device)
        table[places, rows] = torch.arange(len(rows), device=views_R.device)
        return places, rows, table

    def moved(self, boxes_S4: Tensor, places_S: Tensor) -> Tensor:
        """Boxes (S, 4) in pixels of the mixed images."""
        return warp_boxes(boxes_S4, self.matrices[places_S])

    def is_large(self, boxes_S4: Tensor) -> Tensor:
        """Whether boxes reach ``min_box_wh`` and have an area (S,)."""
        return are_large(boxes_S4, self.min_box_wh)


def mixed_guidance(
    guidance: DenseGuidance, mixed: MixedViews, min_box_wh: tuple[float, float]
) -> DenseGuidance:
    """Dense guidance in images that show several strong views beside each other.

    Every placement of a view has its clusters, proposals and anchors again. A cluster
    whose kept box became too small teaches nothing.

    Args:
        guidance: in strong-view pixels.
        mixed: where the strong views are; none on top of another.
        min_box_wh: smallest width and height in a mixed image, in pixels.

    Returns:
        In pixels of the mixed images.
    """
    device = next(iter(guidance.stages.values())).kept_boxes.device
    placements = _Placements(mixed, min_box_wh, device)
    table_VP = None
    proposals, images = guidance.proposals, guidance.proposal_images
    seen = guidance.proposals_seen
    if proposals is not None:
        places, rows, table_VP = placements.rows(images)
        proposals = placements.moved(proposals[rows], places)
        seen = seen[rows] & placements.is_large(proposals)
        images = placements.targets[places]
    views = mixed.views
    stages = {
        name: _mixed_clusters(
            candidates, placements, table_VP if name == "rcnn" else None, views
        )
        for name, candidates in guidance.stages.items()
    }
    return replace(
        guidance,
        stages=stages,
        proposals=proposals,
        proposal_images=images,
        proposals_seen=seen,
    )


def _mixed_clusters(
    candidates: Clusters, at: _Placements, table_VP: Tensor | None, views: list
) -> Clusters:
    """Clusters of a stage; ``table_VP`` says where the R-CNN stage's proposals went."""
    places, rows, table_VM = at.rows(candidates.images)
    of_kept, kept, table_VK = at.rows(candidates.images[candidates.kept])
    of_unsure, unsure, _ = at.rows(candidates.unsure_images)
    clusters = table_VK[places, candidates.clusters[rows]]
    kept_boxes = at.moved(candidates.kept_boxes[kept], of_kept)
    boxes = at.moved(candidates.boxes[rows], places)
    boxes = torch.where(at.is_large(boxes)[:, None], boxes, kept_boxes[clusters])
    priors, unsure_rows = candidates.rows[rows], candidates.unsure_rows[unsure]
    all_priors, clear = candidates.all_priors, candidates.clear
    if table_VP is not None:
        priors, unsure_rows = table_VP[places, priors], table_VP[of_unsure, unsure_rows]
    elif all_priors is not None:
        count = all_priors.shape[1]
        priors = priors + (places - candidates.images[rows]) * count
        moved = of_unsure - candidates.unsure_images[unsure]
        unsure_rows = unsure_rows + moved * count
        all_priors, clear = _mixed_anchors(all_priors, clear, at, views)
    return replace(
        candidates,
        images=at.targets[places],
        rows=priors,
        labels=candidates.labels[rows],
        scores=candidates.scores[rows],
        priors=at.moved(candidates.priors[rows], places),
        boxes=boxes,
        clusters=clusters,
        kept_boxes=kept_boxes,
        kept=table_VM[of_kept, candidates.kept[kept]],
        alive=candidates.alive[kept] & at.is_large(kept_boxes),
        unsure_rows=unsure_rows,
        unsure_images=at.targets[of_unsure],
        unsure_priors=at.moved(candidates.unsure_priors[unsure], of_unsure),
        all_priors=all_priors,
        clear=clear,
        prior_images=at.targets if all_priors is not None else None,
    )


def _mixed_anchors(
    all_priors: Tensor, clear: Tensor, at: _Placements, views: list
) -> tuple[Tensor, Tensor]:
    """Anchors (V, N, 4) of all placements, and whether nothing is there (V, N).

    Beside other views an anchor says so only inside its own: beyond lies a neighbour.
    """
    count = all_priors.shape[1]
    placed = all_priors[at.sources]
    limits = torch.tensor([s.img_shape[1::-1] for s in views], device=placed.device)
    centres = (placed[..., :2] + placed[..., 2:]) / 2
    inside = (centres >= 0) & (centres <= limits[at.sources, None])
    clear = clear[at.sources] & (inside.all(-1) | ~at.shares_image[:, None])
    places = torch.arange(len(placed), device=placed.device)
    moved = at.moved(placed.flatten(0, 1), places.repeat_interleave(count))
    return moved.view_as(placed), clear
