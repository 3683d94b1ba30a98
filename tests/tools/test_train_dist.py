"""The shell launchers: what they start, and a training in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers import make_tiny_coco, tiny_supervised_cfg, write_config
from tests.tools.semi_checkpoints import TOOLS


def launch(script, *arguments, **variables):
    names = ("NNODES", "NODE_RANK", "MASTER_ADDR", "PORT", "OMP_NUM_THREADS")
    environment = {k: v for k, v in os.environ.items() if k not in names}
    return subprocess.run(
        ["bash", TOOLS / script, *map(str, arguments)],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_processes_train_on_the_cpu(tmp_path):
    data = make_tiny_coco(tmp_path / "data", 8)
    config = write_config(tiny_supervised_cfg(data), tmp_path / "two.py")
    work_dir = tmp_path / "out"
    done = launch(
        "dist_train.sh",
        *(config, 2, "--work-dir", work_dir),
        PYTHON=sys.executable,
        CUDA_VISIBLE_DEVICES="-1",
        OMP_NUM_THREADS="1",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    checkpoint = torch.load(work_dir / "iter_2.pth", weights_only=False)
    assert checkpoint["meta"]["iter"] == 2
    (log,) = work_dir.glob("*/*.log")  # of rank 0 alone
    text = log.read_text()
    assert "lr 0.01 x 4/8 = 0.005 (batch 2 x 2;" in text
    assert "Iter(train) [2/2]" in text


def command_of(script, *arguments, **variables):
    """The words of the command that a launcher would run."""
    done = launch(script, *arguments, PYTHON="echo", **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_one_machine_finds_a_free_port_by_itself():
    words = command_of("dist_train.sh", "c.py", 3, "--amp", "bf16")
    assert words == [
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3"),
        *(str(TOOLS / "train.py"), "c.py", "--launcher", "pytorch", "--amp", "bf16"),
    ]


def test_several_machines_take_torchruns_variables():
    words = command_of(
        *("dist_train.sh", "c.py", 8),
        **dict(NNODES="4", NODE_RANK="2", MASTER_ADDR="node0", PORT="1234"),
    )
    assert words[2:10] == [
        *("--nnodes", "4", "--node-rank", "2"),
        *("--master-addr", "node0", "--master-port", "1234"),
    ]
    assert "--standalone" not in words


@pytest.mark.parametrize("weights", [["w.pth"], ["w.pth", "v.pth"]])
def test_dist_test_passes_config_checkpoints_and_options_on(weights):
    words = command_of("dist_test.sh", "c.py", *weights, 2, "--which", "both")
    assert words[words.index("--nproc-per-node") + 1] == "2"
    start = words.index(str(TOOLS / "test.py"))
    assert words[start + 1 :] == [
        *("c.py", "--launcher", "pytorch", *weights, "--which", "both"),
    ]


def test_mistake_in_the_command_is_one_line(tmp_path):
    done = launch("dist_train.sh", tmp_path / "absent.py", 2, PYTHON=sys.executable)
    assert done.returncode == 2
    assert done.stderr == f"error: no config {tmp_path / 'absent.py'}\n"


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("dist_train.sh", []),
        ("dist_train.sh", ["c.py"]),
        ("dist_train.sh", ["c.py", "two"]),
        ("dist_train.sh", ["c.py", "0"]),
        ("dist_test.sh", ["c.py", "2"]),
        ("dist_test.sh", ["c.py", "w.pth", "v.pth"]),
        ("dist_test.sh", ["c.py", "w.pth", "--which"]),
        ("slurm_train.sh", ["gpu", "job"]),
    ],
)
def test_wrong_arguments_show_the_usage(script, arguments):
    done = launch(script, *arguments, PYTHON="false")
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: tools/{script} ")
    assert len(done.stderr.splitlines()) == 1


def test_slurm_asks_for_whole_nodes(tmp_path):
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/bash\necho "$@"\n')
    srun.chmod(0o755)
    done = launch(
        *("slurm_train.sh", "gpu", "job", "c.py", "--fold", "2"),
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        GPUS="16",
        SRUN_ARGS="--time=1:00 --mem=8G",
    )
    words = done.stdout.split()
    for word in ("--ntasks=16", "--ntasks-per-node=8", "--gres=gpu:8", "--mem=8G"):
        assert word in words
    start = words.index(str(Path(TOOLS, "train.py")))
    assert words[start + 1 :] == ["c.py", "--launcher", "slurm", "--fold", "2"]
