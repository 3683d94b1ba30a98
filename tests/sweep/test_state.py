"""A damaged note costs its own training, never the sweep."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from ssod_mm.sweep.execute import status_lines
from ssod_mm.sweep.state import (
    StageFolder,
    other_settings,
    outdated_folders,
    stage_states,
)
from tests.sweep.fake_sweep import make_plan, make_runner, make_stage

DAMAGES = {
    "empty": "",
    "cut": '{"id": "a',
    "null": "null",
    "list": "[1, 2]",
    "number": "3",
    "empty object": "{}",
    "wrong kinds": '{"schema": "x", "name": 3, "starts": "a", "marker": [], "id": 0}',
    "old schema": '{"schema": 1, "name": "a", "metrics": [1], "training": null}',
    "series": '{"schema": 1, "name": "a", "metrics": {"m": [1, 2]}, "training": {}}',
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A plan of two trainings and the folder in which they are finished."""
    plan, out = (
        make_plan([make_stage("a"), make_stage("b")]),
        tmp_path_factory.mktemp("s"),
    )
    make_runner(plan, out).run()
    return plan, out


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["stage.json", "attempts.json", "record.json"])
def test_a_damaged_note_costs_its_own_row(trained, tmp_path, name, damage):
    plan, finished = trained
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    first, second = (StageFolder(stage, tmp_path) for stage in plan.stages.values())
    (first.path / name).write_text(DAMAGES[damage])
    states = stage_states(plan, tmp_path, retries=1)
    assert states[second.stage.id] == "finished"
    assert status_lines(plan, tmp_path, 1)
    outdated_folders(plan, tmp_path)
    if name == "record.json":
        assert first.damaged_files() == [first.path / name]
        assert states[first.stage.id] == "interrupted"


def test_notes_that_are_no_text(tmp_path):
    plan = make_plan([make_stage("a")])
    (folder,) = (StageFolder(stage, tmp_path) for stage in plan.stages.values())
    folder.prepare()
    for name in ("stage.json", "attempts.json", "record.json"):
        (folder.path / name).write_bytes(b"\xff\xfe\x00\x80")
    assert len(folder.damaged_files()) == 3
    assert stage_states(plan, tmp_path, 1)[folder.stage.id] == "waiting"
    folder.prepare()  # writes the note anew
    assert json.loads((folder.path / "stage.json").read_text())["id"] == folder.stage.id


def test_what_a_run_was_trained_with_is_remembered(tmp_path):
    old = replace(make_stage("a"), environment={"PRETRAINED": "w.pth"})
    folder = StageFolder(old, tmp_path)
    folder.prepare()
    plan = make_plan([replace(make_stage("a"), id="f" * 64)])
    assert outdated_folders(plan, tmp_path) == [folder.path]
    assert other_settings(folder.path, plan) == "PRETRAINED=w.pth then, none now"


def test_a_damaged_pointer_does_not_restart_a_training(tmp_path):
    runner = make_runner(make_plan([make_stage("a")]), tmp_path, retries=0)
    (folder,) = runner.folders.values()
    folder.prepare()
    (folder.path / "iter_5.pth").write_bytes(b"weights")
    (folder.path / "last_checkpoint").write_bytes(b"\0\0")
    resumed, command = [], runner.commander

    def note(stage, resume, num_processes):
        resumed.append(resume)
        return command(stage, resume, num_processes)

    runner.commander = note
    runner.run()
    assert resumed == [True]
