"""Where a training step spends its time, beside mmdet's SoftTeacher and the limit.

CONFIG is a config of MeanTeacher or of a method on it. On the same batches, in turn, it
times whole iterations, hooks of the log, the guard and the EMA included, of

- `method`: the config's own model, where that is not MeanTeacher;
- `mean_teacher`: MeanTeacher with the config's detector;
- `semi_base`, `soft_teacher`: mmdet's detectors and EMA under mmengine's own runner;
- `against`: the model of another config (--against).

`floor` is what no step can do without: the backbone and neck of the teacher forward, of
the student forward and backward. For each variant:

- `wall` ms of an iteration, `host` ms until it has been started, and the median of the
  rounds' ratios to the first variant, with quartiles: clocks of shared machines drift;
- by phase ms, operations that are no views (about one kernel each) and waits of the
  host for the device; these by place too. On a CPU the waits are predicted;
- on CUDA also `busy`, the share of the wall time in which the device works, `launches`,
  and the kernels that take longest. Operations are counted on a CPU alone;
- peak MiB: of the allocator on CUDA, of a fresh process on a CPU.

An untrained teacher's pseudo labels are not typical: give a trained checkpoint. With
--synthetic HEIGHT WIDTH no data are read; an untrained detector is made to give --boxes
pseudo labels an image.
"""

from __future__ import annotations

import argparse

from ssod_mm.cli.arguments import add_config_arguments, make_parser
from ssod_mm.cli.errors import one_line_errors

VARIANTS = ("method", "mean_teacher", "semi_base", "soft_teacher", "against")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        "--checkpoint", help="weights of teacher and student (default: none, untrained)"
    )
    parser.add_argument(
        "--against", metavar="CONFIG", help="a config to compare with (default: none)"
    )
    parser.add_argument(
        "--against-checkpoint", metavar="FILE", help="its weights (default: none)"
    )
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds")
    parser.add_argument("--batches", type=int, default=4, help="batches to cycle over")
    parser.add_argument(
        "--score-thr",
        type=float,
        help="of pseudo labels, in all variants (default: the config's)",
    )
    parser.add_argument(
        "--amp", choices=["bf16", "fp16"], help="mixed precision (default: float32)"
    )
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, help="(default: all)"
    )
    parser.add_argument(
        "--synthetic",
        nargs=2,
        type=int,
        metavar=("HEIGHT", "WIDTH"),
        help="no data, but images of this size (default: the config's data)",
    )
    parser.add_argument(
        "--images",
        nargs=2,
        type=int,
        default=(1, 4),
        metavar=("LABELLED", "UNLABELLED"),
        help="of a synthetic batch",
    )
    parser.add_argument(
        "--boxes", type=float, default=8, help="synthetic pseudo labels"
    )
    parser.add_argument("--no-memory", action="store_true", help="no peak on a CPU")
    parser.add_argument("--no-phases", action="store_true", help="times alone")
    parser.add_argument("--out", help="json file for the results (default: none)")
    parser.add_argument("--memory-of", choices=VARIANTS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the profile."""
    arguments = parse_arguments()
    from ssod_mm.apis.profile_report import run_profile

    with one_line_errors():
        run_profile(arguments, print)


if __name__ == "__main__":
    main()
