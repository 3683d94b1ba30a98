"""Commands in the documentation: the tools take them, the configs have their keys."""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from functools import cache
from pathlib import Path

import pytest

from ssod_mm.cli.main import COMMANDS
from ssod_mm.sweep.targets import load_target
from tests.docs_text import (
    GAP,
    READERS_OWN,
    ROOT,
    SOURCES,
    TEXTS,
    Command,
    blocks,
    commands,
    has_key,
    spans,
)

SCRIPTS = {  # launcher -> the tool that gets the rest, and where in it NPROC stands
    "tools/dist_train.sh": ("train", 1),
    "tools/dist_test.sh": ("test", 2),
    "tools/slurm_train.sh": ("train", None),
}
OTHERS = ("eval", "scontrol", "squeue", "tensorboard")  # arguments not checked
each_page = pytest.mark.parametrize("page", TEXTS)


class ParserFoundError(Exception):
    """Carries the argument parser of a tool."""


@cache
def parser_of(tool: str) -> argparse.ArgumentParser:
    """The argument parser of ``tools/<tool>.py``."""
    path = ROOT / "tools" / f"{tool}.py"
    spec = importlib.util.spec_from_file_location(f"documented_{tool}", path)
    module = importlib.util.module_from_spec(spec)

    def stop(parser: argparse.ArgumentParser) -> None:
        raise ParserFoundError(parser)

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(path.parent)
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        read = getattr(module, "parse_arguments", None) or module.parse_args
        with pytest.raises(ParserFoundError) as found:
            read()
    return found.value.args[0]


def options_of(tool: str) -> set[str]:
    return set(parser_of(tool)._option_string_actions)


@cache
def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.M))


@cache
def variables_read() -> str:
    """Everything that may read a variable of the environment."""
    files = [ROOT / "Makefile", *ROOT.glob("tools/*.sh"), *SOURCES]
    files += ROOT.glob("configs/_base_/**/*.py")
    return "\n".join(path.read_text() for path in files)


def tool_and_arguments(command: Command) -> tuple[str, list[str]]:
    """A documented command as a Python tool and what it gets."""
    program, *rest = command.words
    if program == "python":
        path, *rest = rest
        assert (ROOT / path).is_file(), f"{command}: no {path}"
        return Path(path).stem, rest
    if program == "ssod":
        assert rest[0] in COMMANDS, f"{command}: no such subcommand"
        return COMMANDS[rest[0]], rest[1:]
    assert program in SCRIPTS, f"{command}: unknown program"
    assert (ROOT / program).is_file()
    tool, position = SCRIPTS[program]
    if position is None:
        return tool, rest[2:]
    assert int(rest.pop(position)) > 0
    return tool, rest


def check_command(command: Command) -> None:
    program = command.words[0]
    if program == "make":
        targets = [word for word in command.words[1:] if "=" not in word]
        assert set(targets) <= make_targets(), command
        return
    for script in re.findall(r"tests/[\w/]+\.sh", str(command)):
        assert (ROOT / script).is_file(), f"{command}: no {script}"
    if program in OTHERS or program.startswith("tests/"):
        return
    tool, arguments = tool_and_arguments(command)
    try:
        parsed = parser_of(tool).parse_args(arguments)
    except SystemExit:
        pytest.fail(f"{command}: tools/{tool}.py refuses these arguments")
    config = getattr(parsed, "config", None)
    no_config = ("CONFIG", "path/to/data")
    if config and config not in no_config and not config.startswith(READERS_OWN):
        cfg = load_target(config)
        for key in parsed.cfg_options or {}:
            assert has_key(cfg, key), f"{command}: the config has no {key}"


@each_page
def test_commands_are_understood(page):
    for command in commands(TEXTS[page]):
        names = [*command.variables]
        if command.words[0] == "make":
            names += [word.split("=")[0] for word in command.words if "=" in word]
        unread = [
            name
            for name in names
            if not re.search(rf"\b{name}\b", variables_read())
            and name not in ("PYTHONPATH", "CUDA_VISIBLE_DEVICES")
        ]
        assert not unread, command
        check_command(command)


def test_every_tool_is_documented():
    text = "\n".join(TEXTS.values())
    tools = [*ROOT.glob("tools/*.py"), *ROOT.glob("tools/*.sh")]
    tools = [tool for tool in tools if tool.name not in ("launch.sh", "setup_env.sh")]
    named = {"demo.py": "make demo", "benchmark_pipeline.py": "tools/benchmark_"}
    subcommands = {f"{tool}.py": f"ssod {name} " for name, tool in COMMANDS.items()}
    missing = [
        tool.name
        for tool in tools
        if named.get(tool.name, f"tools/{tool.name}") not in text
        and subcommands.get(tool.name, f"tools/{tool.name}") not in text
    ]
    assert not missing


@each_page
def test_options_exist(page):
    known = {
        option for tool in ROOT.glob("tools/*.py") for option in options_of(tool.stem)
    }
    for span in spans(TEXTS[page]):
        if span.startswith(("pip", "git", GAP)):
            continue
        named = set(re.findall(r"(?<!\S)--[a-z][\w-]*", span))
        tool = re.search(r"tools/(\w+)\.py", span)
        assert named <= (options_of(tool[1]) if tool else known), f"{page}: {span}"
        for target in re.findall(r"^make ([a-z]+)", span):
            assert target in make_targets(), f"{page}: {span}"


@pytest.mark.parametrize("page", TEXTS)
def test_files_of_weights_say_where_they_come_from(page):
    """A comment or sentence names each file; names of weights lead to their page."""
    text = TEXTS[page]
    words = [word for command in commands(text) for word in command.words]
    files = {word.split("=")[-1] for word in words if word.endswith(".pth")}
    plain = text
    for _, block in blocks(text, "bash"):
        comments = [line for line in block.splitlines() if line.startswith("#")]
        plain = plain.replace(block, "\n".join(comments))
    for file in files:
        explained = "iter_" in file or re.search(rf"{re.escape(file)}\b", plain)
        assert explained, file
    if any(word.startswith("pretrained=") for word in words):
        assert page == "docs/own_data.md" or "own_data.md" in text
