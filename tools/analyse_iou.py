"""Compare runs at each IoU threshold: AP, precision of sure boxes, rare classes.

python tools/analyse_iou.py --run NAME CONFIG CHECKPOINT [--run ...] --out DIR

On the test set this is AP at the thresholds 0.50 to 0.95 (figure 2 of the
certainty-aware paper); with --on unlabelled the truth is that of the unlabelled
training images, withheld from training, and the precision is that of the pseudo boxes
(figure 3). --rare 10 adds AP of the ten classes with the fewest labels (table 3). DIR
gets iou.png, iou.md and iou.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ssod_mm.cli.arguments import (
    add_override_arguments,
    add_trust_argument,
    config_overrides,
    make_parser,
)
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

    from ssod_mm.apis.iou_analysis import IouAnalysis


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--run",
        nargs=3,
        action="append",
        required=True,
        metavar=("NAME", "CONFIG", "CHECKPOINT"),
        help="a run to compare; give the option once for each",
    )
    parser.add_argument("--out", required=True, help="output folder")
    parser.add_argument(
        "--which",
        choices=["teacher", "student"],
        help="whose boxes (default: the one that the config's semi_test_cfg.predict_on "
        "names, and with --on unlabelled the teacher, whose labels they are)",
    )
    parser.add_argument(
        "--on",
        choices=["test", "unlabelled"],
        default="test",
        help="the images and their truth",
    )
    parser.add_argument(
        "--score-thr",
        type=float,
        default=0.7,
        help="least class probability of the boxes whose precision is measured",
    )
    parser.add_argument(
        "--rare",
        type=int,
        default=0,
        metavar="N",
        help="AP of the N classes rarest among the first run's labelled images",
    )
    parser.add_argument(
        "--device", help="such as cpu or cuda:1 (default: CUDA if there is any)"
    )
    add_override_arguments(parser)
    add_trust_argument(parser)
    return parser.parse_args()


def labelled_ann_file(cfg: Config) -> Path:
    """Annotations of the labelled training images."""
    dataset = cfg.train_dataloader.dataset.datasets[0]
    return Path(dataset.get("data_root") or "", dataset.ann_file)


def report(
    runs: dict[str, IouAnalysis], rare: list[int], out: Path, on: str, score_thr: float
) -> str:
    """Write the plot, the tables and the numbers; give the tables as text."""
    from ssod_mm.evaluation.iou_curves import THRESHOLDS, mean_over_classes
    from ssod_mm.reporting.curves import plot_panels
    from ssod_mm.reporting.iou_tables import IouCurve, iou_panel, iou_rows, rare_rows
    from ssod_mm.reporting.tables import markdown_table, terminal_table

    ap = [
        IouCurve(name, mean_over_classes(analysis.ap_per_class))
        for name, analysis in runs.items()
    ]
    precision = [IouCurve(name, analysis.precisions) for name, analysis in runs.items()]
    recall = [IouCurve(name, analysis.recalls) for name, analysis in runs.items()]
    sure = f"boxes with p >= {score_thr:g}"
    tables = {
        f"AP, {on} images": iou_rows(THRESHOLDS, ap, mean=True),
        f"Precision of {sure}": iou_rows(THRESHOLDS, precision),
        f"Recall of {sure}": iou_rows(THRESHOLDS, recall),
    }
    note = ""
    if rare:
        overall, chosen = (
            [
                sum(values) / len(values)
                for values in (
                    mean_over_classes(analysis.ap_per_class, which)
                    for analysis in runs.values()
                )
            ]
            for which in (None, rare)
        )
        classes = next(iter(runs.values())).classes
        names = ", ".join(classes[i] for i in rare)
        tables["Rare classes"] = rare_rows(list(runs), overall, chosen)
        note = f"The {len(rare)} rarest classes: {names}."
    out.mkdir(parents=True, exist_ok=True)
    plot_panels(
        [
            iou_panel(f"AP, {on} images", "AP", THRESHOLDS, ap),
            iou_panel(sure, "precision", THRESHOLDS, precision),
        ],
        out / "iou.png",
    )
    text = [f"## {title}\n\n{markdown_table(rows)}\n" for title, rows in tables.items()]
    (out / "iou.md").write_text("\n".join([*text, note]).strip() + "\n")
    numbers = {
        name: dict(
            truth=str(analysis.truth_file),
            num_images=analysis.num_images,
            num_boxes=analysis.num_boxes,
            thresholds=THRESHOLDS,
            ap=mean_over_classes(analysis.ap_per_class),
            ap_per_class={
                label: None if ap != ap else ap
                for label, ap in zip(
                    analysis.classes,
                    analysis.ap_per_class.mean(0).tolist(),
                    strict=True,
                )
            },
            precision=analysis.precisions,
            recall=analysis.recalls,
        )
        for name, analysis in runs.items()
    }
    (out / "iou.json").write_text(json.dumps(numbers, indent=2) + "\n")
    shown = [terminal_table(rows, title) for title, rows in tables.items()]
    return "\n\n".join([*shown, note]).strip()


def main() -> None:
    """Analyse."""
    arguments = parse_arguments()
    with one_line_errors():
        names = [name for name, _, _ in arguments.run]
        if len(set(names)) < len(names):
            raise UserError(f"--run needs different names, not {', '.join(names)}")
        configs = [
            resolve_config(
                load_config(config),
                check_files=(),
                **config_overrides(arguments),
            )
            for _, config, _ in arguments.run
        ]
        # Only now, so that a mistake in the command is reported at once.
        from mmengine.device import get_device

        from ssod_mm.apis.iou_analysis import analyse_iou
        from ssod_mm.checkpoint_files import trust_checkpoints
        from ssod_mm.evaluation.iou_curves import rarest_classes

        trust_checkpoints(arguments.trust_checkpoint)
        runs = {
            name: analyse_iou(
                cfg,
                checkpoint,
                arguments.which,
                arguments.on,
                arguments.score_thr,
                arguments.device or get_device(),
            )
            for (name, _, checkpoint), cfg in zip(arguments.run, configs, strict=True)
        }
        if len({analysis.truth_file.resolve() for analysis in runs.values()}) > 1:
            files = ", ".join(str(analysis.truth_file) for analysis in runs.values())
            raise UserError(f"the runs have different truth: {files}")
        rare: list[int] = []
        if arguments.rare:
            classes = runs[names[0]].classes
            rare = rarest_classes(
                labelled_ann_file(configs[0]), classes, arguments.rare
            )
        out = Path(arguments.out)
        print("\n" + report(runs, rare, out, arguments.on, arguments.score_thr))
        print(f"\nplot, tables and numbers: {out}")


if __name__ == "__main__":
    main()
