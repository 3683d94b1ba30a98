"""All methods beside mmdet's SoftTeacher and the floor on one GPU, in some minutes.

    python tools/profile_gpu.py [--out work_dirs/gpu_profile] [--only dtg.*bf16]

Neither data nor weights are needed. Each row is a call of tools/profile_step.py, whose
phases, waits by line and kernels lie as text in the folder; the table repeats what
counts. Rows that do not begin within --minutes are named and left out.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terminaltables import AsciiTable

from ssod_mm.cli.errors import one_line_errors

METHODS = ("mean_teacher", "certainty", "lerprc", "dtg")
TOOL = Path(__file__).with_name("profile_step.py")


@dataclass(frozen=True)
class Row:
    """A call of the profile.

    Attributes:
        method: its name, and that of its configs' folder.
        detector: part of the configs' names.
        precision: "float32" or "bf16".
        images: labelled and unlabelled images of a batch.
        size: height and width of every view.
    """

    method: str
    detector: str
    precision: str
    images: tuple[int, int]
    size: tuple[int, int]

    @property
    def name(self) -> str:
        """What ``--only`` is compared with, and the name of the row's files."""
        images = "+".join(map(str, self.images))
        return f"{self.method}-{self.detector}-{self.precision}-{images}"

    @property
    def config(self) -> str:
        """The config's path below ``configs/``."""
        return f"{self.method}/{self.method}_faster-rcnn_{self.detector}.py"

    def command(self, out: Path) -> list[str]:
        """The command line, which writes its figures to a json file."""
        amp = [] if self.precision == "float32" else ["--amp", self.precision]
        variants = ["mean_teacher" if "mean" in self.method else "method"]
        # mmdet's SoftTeacher cannot train the interval head.
        variants.append("mean_teacher" if "cert" in self.method else "soft_teacher")
        return [
            *(sys.executable, str(TOOL), self.config, *amp, "--rounds", "8"),
            *("--batches", "2", "--synthetic", *map(str, self.size)),
            *("--images", *map(str, self.images), "--no-memory"),
            *("--variants", *variants, "--out", str(out)),
        ]


def all_rows() -> list[Row]:
    """The rows, those that matter most first."""
    large = dict(detector="r50_coco", size=(800, 1333))
    return [
        *(Row(m, precision="bf16", images=(1, 4), **large) for m in METHODS),
        *(Row(m, precision="float32", images=(1, 4), **large) for m in METHODS),
        *(Row(m, precision="bf16", images=(2, 8), **large) for m in METHODS),
        Row("mean_teacher", precision="float32", images=(2, 8), **large),
        *(Row(m, "r18_shapes", "float32", (4, 4), (128, 128)) for m in METHODS),
    ]


def table(results: dict[str, dict[str, Any]]) -> str:
    """The figures of all rows.

    Args:
        results: what the profile wrote, by the rows' names.
    """
    keys = ("wall_ms", "host_ms", "busy", "launches", "operations", "waits", "peak_mib")
    head = ["row", "variant", *keys, "floor_ms", "/ SoftTeacher"]
    body = []
    for name, found in results.items():
        yardstick = found["variants"].get("soft_teacher", {}).get("wall_ms")
        for variant, figures in found["variants"].items():
            cells = [f"{figures[k]:.4g}" if k in figures else "" for k in keys]
            ratio = f"{figures['wall_ms'] / yardstick:.2f}" if yardstick else ""
            body.append([name, variant, *cells, f"{found['floor_ms']:.4g}", ratio])
    return AsciiTable([head, *body]).table


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default="work_dirs/gpu_profile", help="folder")
    parser.add_argument("--only", default="", help="regular expression of rows")
    parser.add_argument("--minutes", type=float, default=7.5, help="none begins later")
    return parser.parse_args()


def main() -> None:
    """Run the rows, then print the table."""
    arguments = parse_arguments()
    folder, end = Path(arguments.out), time.monotonic() + 60 * arguments.minutes
    with one_line_errors():
        folder.mkdir(parents=True, exist_ok=True)
        results, left_out = {}, []
        for row in all_rows():
            if not re.search(arguments.only, row.name):
                continue
            if time.monotonic() > end:
                left_out.append(row.name)
                continue
            figures = folder / f"{row.name}.json"
            log = folder / f"{row.name}.txt"
            with log.open("w", encoding="utf-8") as text:
                done = subprocess.run(
                    row.command(figures),
                    stdout=text,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            if done.returncode:
                left_out.append(f"{row.name} (failed, see {log})")
                continue
            results[row.name] = json.loads(figures.read_text())
            print(table({row.name: results[row.name]}), flush=True)
        print(table(results))
        (folder / "table.txt").write_text(table(results) + "\n")
    if left_out:
        sys.exit(f"left out: {', '.join(left_out)}")


if __name__ == "__main__":
    main()
