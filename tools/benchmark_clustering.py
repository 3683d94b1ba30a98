"""Time of NMS clustering: python tools/benchmark_clustering.py [--device cuda].

Clusters drawn candidates as dense guidance does, for one image and for a batch:

- `R-CNN`: 2000 proposals x 80 classes; proposals lie about 20 objects, and each of the
  160,000 scores that reaches tau = 0.45 is a candidate (about 800 of an image);
- `R-CNN, all`: every one of the 160,000 is a candidate: the worst case;
- `RPN`: the 268,569 anchors of an 800 x 1333 image (padded to 1344), by level; those
  that overlap an object by half reach tau = 0.9 (about 400 of an image);
- `matching`: these to their partners on another view;
- `matching, all`: all 268,569 anchors of each image to theirs.

Timed of clusters is one call of `nms_clusters` for the batch, from the candidates'
boxes, scores and groups on the device to the kept boxes and each candidate's cluster:
sorting, greedy NMS and the search for what suppressed each. Timed of matching is the
choice of each anchor's level and of its partner there. What comes before (the network,
comparing scores with tau, decoding boxes, mapping anchors to the other view) is not
timed: detection without clusters needs all but the last as well. The share of a
training step is measured by `tools/profile_step.py`.

Beside it the time of `mmcv.ops.batched_nms` on the same candidates, which gives the
kept boxes alone. Medians over the rounds, after a warm-up, waiting for the device.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from mmcv.ops import batched_nms
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmengine.device import get_device
from terminaltables import AsciiTable
from torch import Tensor

from ssod_mm.cli.arguments import make_parser
from ssod_mm.maths.anchors import anchor_levels, level_table, match_anchors
from ssod_mm.maths.clustering import nms_clusters

NUM_CLASSES, NUM_PROPOSALS, NUM_OBJECTS = 80, 2000, 20
SIZE = (800, 1333)
STRIDES = (4, 8, 16, 32, 64)
RCNN_TAU, RPN_TAU = 0.45, 0.9
TIMED = (
    "Timed: nms_clusters, from candidates on the device to kept boxes and clusters;\n"
    "anchor_levels and match_anchors, from mapped anchors to partners.\n"
    "Not timed: network, thresholds on scores, decoding, mapping between views."
)
Drawn = tuple[Tensor, Tensor, Tensor]  # boxes, scores, groups


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=8, help="images of the batch")
    parser.add_argument("--rounds", type=int, default=10, help="timed rounds")
    parser.add_argument(
        "--device", help="such as cpu or cuda:1 (default: CUDA if there is any)"
    )
    parser.add_argument("--no-worst-case", action="store_true", help="leave it out")
    return parser.parse_args()


def objects(generator: torch.Generator) -> Tensor:
    """Boxes of 32 to 400 px in an image, (NUM_OBJECTS, 4)."""
    sides = 32 + 368 * torch.rand(NUM_OBJECTS, 2, generator=generator)
    room = torch.tensor([SIZE[1], SIZE[0]]) - sides
    corner = room * torch.rand(NUM_OBJECTS, 2, generator=generator)
    return torch.cat([corner, corner + sides], 1)


def rcnn_candidates(images: int, everything: bool) -> Drawn:
    """Regressed proposals about the objects, whose own class they score high."""
    generator = torch.Generator().manual_seed(0)
    least = 0.0 if everything else RCNN_TAU
    parts = []
    for image in range(images):
        true = objects(generator)
        owner = torch.randint(NUM_OBJECTS, (NUM_PROPOSALS,), generator=generator)
        shift = torch.randn(NUM_PROPOSALS, 4, generator=generator)
        sides = (true[:, 2:] - true[:, :2])[owner].repeat(1, 2)
        boxes = true[owner] + 0.05 * shift * sides
        scores = 0.05 * torch.rand(NUM_PROPOSALS, NUM_CLASSES, generator=generator)
        probabilities = torch.rand(NUM_PROPOSALS, generator=generator).clamp(max=0.99)
        scores[torch.arange(NUM_PROPOSALS), owner % NUM_CLASSES] = probabilities * 0.75
        rows, labels = (scores >= least).nonzero(as_tuple=True)
        parts.append((boxes[rows], scores[rows, labels], image * NUM_CLASSES + labels))
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def anchor_generator() -> AnchorGenerator:
    """The anchors of Faster R-CNN with FPN."""
    return AnchorGenerator(scales=[8], ratios=[0.5, 1.0, 2.0], strides=list(STRIDES))


def grids() -> list[tuple[int, int]]:
    """Sizes of the feature maps of an image, padded to a multiple of 32."""
    height, width = (-(-side // 32) * 32 for side in SIZE)
    return [(-(-height // s), -(-width // s)) for s in STRIDES]


def rpn_candidates(images: int) -> tuple[Drawn, Tensor, Tensor]:
    """Anchors that overlap an object by half, regressed; these anchors; and all."""
    from ssod_mm.models.dense.losses import best_overlaps

    generator = torch.Generator().manual_seed(0)
    levels = anchor_generator().grid_priors(grids(), device="cpu")
    anchors = torch.cat(levels)
    level = torch.repeat_interleave(
        torch.tensor([len(anchors_of_level) for anchors_of_level in levels])
    )
    zeros = torch.zeros(len(anchors)).long()
    parts = []
    for image in range(images):
        overlaps = best_overlaps(
            anchors, zeros, objects(generator), torch.zeros(NUM_OBJECTS).long()
        )
        near = overlaps >= 0.5
        noise = torch.randn(int(near.sum()), 4, generator=generator)
        parts.append(
            (
                anchors[near] + 4 * noise,
                RPN_TAU + (1 - RPN_TAU) * overlaps[near],
                image * len(STRIDES) + level[near],
                anchors[near],
            )
        )
    boxes, scores, groups, priors = (
        torch.cat(part) for part in zip(*parts, strict=True)
    )
    return (boxes, scores, groups), priors, anchors


def median_ms(run: Callable[[], object], rounds: int, device: str) -> float:
    """Median wall time in milliseconds, waiting for the device."""
    times = []
    for number in range(rounds + 1):
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        if number:
            times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def main() -> None:
    """Measure and print."""
    arguments = parse_arguments()
    device = arguments.device or get_device()
    rounds, rows = arguments.rounds, []
    for images in sorted({1, arguments.images}):
        rpn, priors, anchors = rpn_candidates(images)
        cases = {"R-CNN": (rcnn_candidates(images, False), 0.5), "RPN": (rpn, 0.7)}
        if not arguments.no_worst_case:
            cases["R-CNN, all"] = (rcnn_candidates(images, True), 0.5)
        for name, (drawn, iou_thr) in cases.items():
            boxes, scores, groups = (part.to(device) for part in drawn)
            nms = dict(type="nms", iou_threshold=iou_thr)
            kept, _ = nms_clusters(boxes, scores, groups, iou_thr)
            mine = median_ms(
                lambda b=boxes, s=scores, g=groups, t=iou_thr: nms_clusters(b, s, g, t),
                rounds,
                device,
            )
            theirs = median_ms(
                lambda b=boxes, s=scores, g=groups, n=nms: batched_nms(b, s, g, n),
                rounds,
                device,
            )
            rows.append(
                [images, name, len(boxes), len(kept), f"{mine:.1f}", f"{theirs:.1f}"]
            )
        parts = {"matching": [priors], "matching, all": [anchors.repeat(images, 1)]}
        for name, part in parts.items():
            part = [boxes.to(device) for boxes in part]
            took = median_ms(
                lambda p=part: [match(boxes) for boxes in p], rounds, device
            )
            rows.append([images, name, sum(map(len, part)), "", f"{took:.1f}", ""])
    head = ["images", "stage", "candidates", "kept", "ours, ms", "batched_nms, ms"]
    print(AsciiTable([head, *rows], f"NMS clusters on {device}").table)
    print(TIMED)


def match(priors: Tensor) -> tuple[Tensor, Tensor]:
    """Partners of anchors on a view of 0.8 times the size."""
    generator = anchor_generator()
    boxes = priors * 0.8
    return match_anchors(
        boxes,
        anchor_levels(boxes, 32.0, len(STRIDES)),
        level_table(
            torch.stack(generator.base_anchors).to(boxes),
            torch.tensor(generator.strides),
            torch.tensor(grids()),
        ),
    )


if __name__ == "__main__":
    main()
