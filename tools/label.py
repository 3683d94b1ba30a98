"""Let a model label a folder of images, and take the corrected labels back.

    FOLDER --model RUN                    write the labels as COCO json with scores
    FOLDER --corrected FILE --into DATA   check the corrected file, add it to DATA

The json of the first can be imported by Label Studio, CVAT and FiftyOne. The COCO json
that these export goes into the second: classes are matched by name, images by file
name. Its images become labelled images of DATA, whose old annotations/
instances_train.json is kept beside the new one.
"""

from __future__ import annotations

import argparse

from ssod_mm.cli.arguments import add_trust_argument, add_which_argument, make_parser
from ssod_mm.cli.errors import one_line_errors


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="of the images")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument(
        "--model",
        metavar="RUN",
        help="output folder of a training, or a checkpoint in it",
    )
    way.add_argument("--corrected", metavar="FILE", help="labels to take back")
    parser.add_argument(
        "--out", help="json file (default: work_dirs/labels/FOLDER.json)"
    )
    parser.add_argument(
        "--score-thr",
        type=float,
        default=0.5,
        help="least class probability of a label, from 0 to 1",
    )
    parser.add_argument(
        "--device", help="such as cpu or cuda:1 (default: CUDA if there is any)"
    )
    parser.add_argument(
        "--into", metavar="DATA", help="data folder for --corrected (default: none)"
    )
    add_which_argument(parser)
    add_trust_argument(parser)
    arguments = parser.parse_args()
    if (arguments.corrected is None) != (arguments.into is None):
        parser.error("--corrected FILE and --into DATA go together")
    return arguments


def main() -> None:
    """Label, or take labels back."""
    arguments = parse_arguments()
    from ssod_mm.apis.labelling import label_folder, merge_labels

    with one_line_errors():
        if arguments.corrected is not None:
            print(merge_labels(arguments.corrected, arguments.folder, arguments.into))
            return
        labels = label_folder(
            arguments.folder,
            arguments.model,
            out=arguments.out,
            which=arguments.which,
            score_thr=arguments.score_thr,
            device=arguments.device,
            trust_checkpoint=arguments.trust_checkpoint,
        )
        print(f"\n{labels}\nlabels: {labels.path}")


if __name__ == "__main__":
    main()
