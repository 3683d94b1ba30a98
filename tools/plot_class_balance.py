"""Draw thresholds and loss weights per class: python tools/plot_class_balance.py RUN.

RUN is the work folder of a training with a class balance and ClassBalanceLogHook.
Prints a table of all classes and writes it beside the picture, as Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ssod_mm.cli.arguments import make_parser
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.errors import UserError
from ssod_mm.reporting.class_balance import (
    balance_panels,
    balance_rows,
    class_trajectories,
    extremes,
)
from ssod_mm.reporting.curves import plot_panels
from ssod_mm.reporting.scalars import read_scalars
from ssod_mm.reporting.tables import markdown_table, terminal_table


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("work_dir", type=Path, help="work folder of a run")
    parser.add_argument(
        "--out", type=Path, help="PNG to write (default: WORK_DIR/class_balance.png)"
    )
    parser.add_argument(
        "--classes", nargs="+", help="draw these classes (default: those of --top)"
    )
    parser.add_argument(
        "--top",
        type=int,
        default=6,
        help="else draw the N most and the N least often found ones",
    )
    return parser.parse_args()


def main() -> None:
    """Draw."""
    arguments = parse_arguments()
    with one_line_errors():
        classes = class_trajectories(read_scalars(arguments.work_dir))
        drawn = extremes(classes, arguments.top)
        if arguments.classes:
            known = {trajectory.name: trajectory for trajectory in classes}
            unknown = [name for name in arguments.classes if name not in known]
            if unknown:
                raise UserError(
                    f"--classes {unknown[0]}: no such class in this run; it has "
                    f"{', '.join(known)}"
                )
            drawn = [known[name] for name in arguments.classes]
        out = arguments.out or arguments.work_dir / "class_balance.png"
        plot_panels(balance_panels(drawn), out)
        cells = balance_rows(classes)
        out.with_suffix(".md").write_text(markdown_table(cells) + "\n")
        print(terminal_table(cells, "class balance"))
        print(f"{out}\n{out.with_suffix('.md')}")


if __name__ == "__main__":
    main()
