"""The command ``ssod``: every tool is one of its subcommands."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import os
import sys

from ssod_mm.cli.errors import EXIT_CODE
from ssod_mm.cli.tool_files import tools_folder
from ssod_mm.version import __version__

COMMANDS = {
    "train": "train",
    "train-phases": "train_phases",
    "test": "test",
    "predict": "predict",
    "label": "label",
    "export": "export_detector",
    "split": "make_splits",
    "browse": "browse_views",
    "sweep": "sweep",
    "demo": "demo",
    "print-config": "print_config",
    "profile": "profile_step",
    "prepare-coco": "prepare_coco",
    "prepare-voc": "prepare_voc",
}
"""Subcommand -> the tool of that file name."""
USAGE = (
    "usage: ssod COMMAND [options]; ssod COMMAND --help says more",
    "  ssod demo                                       all methods on drawn images",
    "  ssod train FOLDER --method dtg --percent 10     your own data",
    "  ssod predict CONFIG CHECKPOINT IMAGES --out OUT what it has learnt",
)


def main() -> None:
    """Run a subcommand, or list them."""
    name, *words = sys.argv[1:] or ["--help"]
    # dist_train.sh starts this Python, also where its environment is not activated.
    os.environ.setdefault("PYTHON", sys.executable)
    tools = tools_folder()
    files = {key: tools / f"{tool}.py" for key, tool in COMMANDS.items()}
    files = {key: file for key, file in files.items() if file.is_file()}
    if name in ("-h", "--help", "help"):
        width = max(map(len, files))
        lines = [*USAGE, ""]
        for key, file in files.items():
            doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            lines.append(f"  {key:<{width}}  {doc.splitlines()[0].rstrip('.:')}")
        sys.stdout.write("\n".join(lines) + "\n")
    elif name == "--version":
        sys.stdout.write(f"ssod_mm {__version__}\n")
    elif name in files:
        sys.argv = [f"ssod {name}", *words]
        sys.path.insert(0, str(tools))  # as Python does for a file that it runs
        spec = importlib.util.spec_from_file_location(COMMANDS[name], files[name])
        tool = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tool)
        tool.main()
    else:
        near = difflib.get_close_matches(name, files, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(files)}"
        sys.stderr.write(f"error: ssod has no command {name}; {hint}\n")
        sys.exit(EXIT_CODE)


if __name__ == "__main__":
    main()
