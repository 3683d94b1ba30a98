"""Which tells a box's IoU: python tools/analyse_quality.py CONFIG CHECKPOINT --out DIR.

Figure 3 of the LER/PRC paper: the IoU of each detection with the truth against its
class probability p, its localisation quality v and p * v, with Pearson's and Spearman's
correlation. For every box head that knows a quality (GaussianBBoxHead,
IntervalBBoxHead, LocQualityGFLHead). The truth is that of the unlabelled training
images, withheld from training, or with --on test that of the test set. DIR gets
quality.png, quality.md and quality.json.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from ssod_mm.cli.arguments import (
    add_config_arguments,
    add_trust_argument,
    config_overrides,
    make_parser,
)
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.errors import UserError

if TYPE_CHECKING:
    from ssod_mm.evaluation.box_quality import BoxQuality


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    add_config_arguments(parser)
    parser.add_argument("checkpoint", help="file of weights")
    parser.add_argument("--out", required=True, help="output folder")
    parser.add_argument(
        "--which",
        choices=["teacher", "student"],
        default="teacher",
        help="whose boxes",
    )
    parser.add_argument(
        "--on",
        choices=["unlabelled", "test"],
        default="unlabelled",
        help="the images and their truth",
    )
    parser.add_argument(
        "--score-thr",
        type=float,
        nargs="+",
        default=[0.05, 0.5, 0.8],
        help="least class probabilities; one table each, the first one is drawn",
    )
    parser.add_argument(
        "--device", help="such as cpu or cuda:1 (default: CUDA if there is any)"
    )
    add_trust_argument(parser)
    return parser.parse_args()


def report(boxes: BoxQuality, score_thrs: list[float], out: Path) -> str:
    """Write plot, table and numbers; give the table as text."""
    from ssod_mm.reporting.scatter import Cloud, correlation_rows, plot_clouds
    from ssod_mm.reporting.tables import markdown_table, terminal_table

    parts = {thr: boxes.above(thr) for thr in score_thrs}
    measured = {thr: (len(part), part.correlations()) for thr, part in parts.items()}
    names = {
        "p": "class probability p",
        "v": "localisation quality v",
        "p*v": "p * v",
    }
    drawn = parts[score_thrs[0]]
    clouds = [
        Cloud(
            f"Spearman {measured[score_thrs[0]][1][key][1]:.3f}",
            names[key],
            "IoU with the truth",
            values.tolist(),
            drawn.ious.tolist(),
        )
        for key, values in drawn.measures.items()
    ]
    out.mkdir(parents=True, exist_ok=True)
    plot_clouds(clouds, out / "quality.png")
    rows = correlation_rows(measured)
    (out / "quality.md").write_text(markdown_table(rows) + "\n")
    numbers = {
        f"{thr:g}": dict(
            num_boxes=num_boxes,
            mean_iou=float(parts[thr].ious.mean()) if num_boxes else None,
            **{
                name: dict(zip(("pearson", "spearman"), map(_known, pair), strict=True))
                for name, pair in correlations.items()
            },
        )
        for thr, (num_boxes, correlations) in measured.items()
    }
    (out / "quality.json").write_text(json.dumps(numbers, indent=2) + "\n")
    return terminal_table(rows, "Correlation with the IoU")


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def main() -> None:
    """Analyse."""
    arguments = parse_arguments()
    with one_line_errors():
        for score_thr in arguments.score_thr:
            if not 0 <= score_thr <= 1:
                raise UserError(f"--score-thr {score_thr} must lie in [0, 1]")
        cfg = resolve_config(
            load_config(arguments.config),
            check_files=(),
            **config_overrides(arguments),
        )
        # Only now, so that a mistake in the command is reported at once.
        from mmengine.device import get_device

        from ssod_mm.apis.quality_analysis import analyse_quality
        from ssod_mm.checkpoint_files import trust_checkpoints

        trust_checkpoints(arguments.trust_checkpoint)
        boxes = analyse_quality(
            cfg,
            arguments.checkpoint,
            arguments.which,
            arguments.on,
            arguments.device or get_device(),
        )
        out = Path(arguments.out)
        print("\n" + report(boxes, arguments.score_thr, out))
        print(f"\nplot, table and numbers: {out}")


if __name__ == "__main__":
    main()
