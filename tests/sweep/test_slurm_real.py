"""``tools/sweep.py run --slurm`` on a Slurm of one node, with trainings of seconds."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest

from ssod_mm.sweep import slurm
from ssod_mm.sweep.display import PlainListener
from ssod_mm.sweep.local import LocalRunner, Slot
from ssod_mm.sweep.plan import plan_sweep
from ssod_mm.sweep.spec import load_sweep
from ssod_mm.sweep.state import StageFolder, stage_states
from tests.helpers import make_tiny_coco, tiny_supervised_cfg, write_config
from tests.sweep.fake_sweep import commander

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "tests" / "slurm" / "one_node.sh"
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
DAEMONS = ("munged", "slurmctld", "slurmd")
MISSING = [daemon for daemon in DAEMONS if not shutil.which(daemon, path=PATH)]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*MMLogger.*has been created"),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"no {', '.join(MISSING)} (slurm-wlm, munge)",
    ),
]


def ask(*words: object) -> str:
    """What a command of Slurm answers."""
    result = subprocess.run(
        [*map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def queue() -> dict[str, str]:
    """State and reason of each job that Slurm has, by number."""
    lines = ask("squeue", "--noheader", "--array", "--format=%i %T %r").splitlines()
    return dict(line.split(maxsplit=1) for line in lines)


def wait_for(condition, what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not in {seconds:.0f} s; the queue is {queue()}")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def one_node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slurm")
    with mock.patch.dict(os.environ, SLURM_CONF=str(folder / "slurm.conf")):
        started = subprocess.run(
            [NODE, "start", folder], capture_output=True, text=True, check=False
        )
        assert started.returncode == 0, started.stderr
        yield
        subprocess.run([NODE, "stop", folder], check=True)


class SweepTool:
    """``tools/sweep.py`` with fake trainings.

    Args:
        file: of the sweep.
        out: its folder.
        capsys: of pytest.
    """

    def __init__(self, file: Path, out: Path, capsys: pytest.CaptureFixture) -> None:
        self.file = file
        self.out = out.resolve()
        self.capsys = capsys
        self.plan = plan_sweep(load_sweep(file))
        spec = importlib.util.spec_from_file_location(
            "sweep_tool", ROOT / "tools" / "sweep.py"
        )
        self.tool = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.tool)

    def submit(self, *options: str) -> int:
        """Run the command; the number of jobs that it submitted."""
        words = ["sweep.py", self.file, "run", "--slurm", "--slots", 2, "--cpus", 1]
        words += ["--out", self.out, *options]
        fake = commander(self.plan, self.out)

        def submit(plan, out, real, *rest):
            return slurm.submit(plan, out, fake, *rest)

        with (
            mock.patch.object(sys, "argv", [str(word) for word in words]),
            mock.patch.object(self.tool, "submit", submit),
            pytest.raises(SystemExit) as ended,
        ):
            self.tool.main()
        assert ended.value.code == 0
        last = self.capsys.readouterr().out.splitlines()[-1]
        number, text = last.split(" ", 1)
        assert text.startswith("jobs submitted")
        return int(number)

    def folders(self) -> list[StageFolder]:
        return [StageFolder(stage, self.out) for stage in self.plan.stages.values()]

    def states(self) -> set[str]:
        return set(stage_states(self.plan, self.out, 2).values())

    def run_locally(self, out: Path) -> None:
        fake = commander(self.plan, out)
        listener = PlainListener(lambda line: None)
        slots = [Slot("one"), Slot("two")]
        LocalRunner(self.plan, out, slots, fake, listener, poll_s=0.05).run()

    def records(self, out: Path) -> dict[str, tuple]:
        """What was measured, without times and paths."""
        found = {}
        for stage in self.plan.stages.values():
            record = StageFolder(stage, out).record()
            found[stage.name] = (record.state, record.metrics, record.training)
        return found


def job_of(folder: StageFolder) -> str:
    return (folder.path / "slurm_job").read_text().strip()


def is_pending(folder: StageFolder) -> bool:
    return queue().get(job_of(folder), "").startswith("PENDING")


def starts(folder: StageFolder) -> list[str]:
    path = folder.path / "starts"
    return path.read_text().splitlines() if path.is_file() else []


def make_tool(tmp_path, capsys, methods: str) -> SweepTool:
    cfg = tiny_supervised_cfg(make_tiny_coco(tmp_path / "data", 4))
    cfg["load_from"] = None
    config = str(write_config(cfg, tmp_path / "tiny.py"))
    file = tmp_path / "small.py"
    file.write_text(f"_config = {config!r}\n_length = 'train_cfg.max_iters'\n{methods}")
    return SweepTool(file, tmp_path / "out", capsys)


def test_a_sweep_with_a_requeued_job(one_node, tmp_path, capsys):
    tool = make_tool(
        tmp_path,
        capsys,
        """methods = dict(
    short=dict(config=_config, teacher=_config, options={_length: 12}),
    long=dict(config=_config, teacher=_config, options={_length: 120}),
)
teacher_budget = {_length: 120}""",
    )
    first, short, long = tool.folders()
    assert tool.submit() == 3
    assert sorted(queue()) == sorted(map(job_of, (first, short, long)))
    assert tool.submit() == 0

    wait_for(lambda: first.is_begun, "the first phase begins")
    assert tool.submit() == 0
    assert queue()[job_of(short)] == queue()[job_of(long)] == "PENDING Dependency"
    assert starts(short) == starts(long) == []

    wait_for(lambda: long.is_begun, "the second phase begins")
    assert first.is_finished()
    ask("scontrol", "requeue", job_of(long))
    wait_for(lambda: not long.is_locked(), "the requeued training ends")
    assert not long.is_finished()
    assert tool.submit() == 0
    wait_for(lambda: is_pending(long), "the job waits")
    assert tool.submit() == 0

    wait_for(lambda: not queue(), "all jobs end", 90)
    assert tool.states() == {"finished"}
    assert tool.submit() == 0
    assert starts(long) == ["resume=False", "resume=True"]
    assert starts(first) == starts(short) == ["resume=False"]
    assert not list(tool.out.glob("*/TWICE"))
    tool.run_locally(tmp_path / "calm")
    assert tool.records(tool.out) == tool.records(tmp_path / "calm")


def test_a_preempted_job_with_notice_is_requeued(one_node, tmp_path, capsys):
    tool = make_tool(
        tmp_path,
        capsys,
        "methods = dict(m=dict(config=_config, options={_length: 120}))",
    )
    (folder,) = tool.folders()
    assert tool.submit("--partition", "grace") == 1
    wait_for(lambda: folder.is_begun, "the training begins")
    urgent = ["sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null"]
    ask(*urgent, "--wrap=sleep 1")
    wait_for(lambda: not folder.is_locked(), "the training makes room")
    wait_for(lambda: is_pending(folder), "the job waits")
    assert tool.submit("--partition", "grace") == 0
    wait_for(lambda: not queue(), "all jobs end", 90)
    assert tool.states() == {"finished"}
    assert starts(folder) == ["resume=False", "resume=True"]
    steps = [step for step, _ in folder.record().training["loss"]]
    assert steps == list(range(1, 121))
