"""The doctor: each finding both ways from made facts, and the asking of a real Ray, which leaves nothing behind."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.nodes import nodes
from tests.s3 import SECRET, Bucket
from tune_mlp import cli
from tune_mlp.doctor import gather as gathering
from tune_mlp.doctor import probe
from tune_mlp.doctor.diagnose import CHECKS, diagnose
from tune_mlp.doctor.doctor_view import show
from tune_mlp.doctor.facts import Clock, ClusterFacts, Data, Machine, Node, RunsFolder, Shared
from tune_mlp.doctor.finding import Finding
from tune_mlp.doctor.gather import gather
from tune_mlp.errors import RunError
from tune_mlp.study.settings import Resources
from tune_mlp.study.study import Study
from tune_mlp.tuning.ray_compat.cluster_start import check_answers

GB = 10**9
VERSIONS = {"python": "3.12.3", "ray": "2.60.0", "torch": "2.8.0", "numpy": "2.3.0", "numba": "0.62.0"}
BOX = Machine(
    host="box",
    boot="1",
    versions=VERSIONS,
    package="0.1.0",
    sources="abc",
    unimported="",
    compiled=True,
    cores=4,
    memory=16 * GB,
    available=12 * GB,
    omp="",
    token_mode="token",
    token_file="/home/me/.ray/auth_token",
    token_bits=0o600,
    token_open=False,
    gpus=0,
    cuda_build=None,
    cuda_devices=0,
    disk=(100 * GB, 200 * GB),
)
HEAD = Node("10.0.0.1", {"CPU": 4.0, "object_store_memory": 4e9}, BOX, "", Clock(0.0002, 0.001), Shared())
WORKER = replace(HEAD, name="10.0.0.2", machine=replace(BOX, host="other", boot="2"))
WELL = ClusterFacts(
    "10.0.0.1:6379",
    BOX,
    (HEAD, WORKER),
    RunsFolder("/shared/runs", disk=(100 * GB, 200 * GB)),
    Data("mnist", "mnist", 70_000, 55_000_000),
    Resources(),
)


def worker(**changes: Any) -> ClusterFacts:
    """Well, but for the worker's machine."""
    assert WORKER.machine
    return replace(WELL, nodes=(HEAD, replace(WORKER, machine=replace(WORKER.machine, **changes))))


def node(**changes: Any) -> ClusterFacts:
    """Well, but for what the worker is as a node."""
    return replace(WELL, nodes=(HEAD, replace(WORKER, **changes)))


def unwell(facts: ClusterFacts) -> list[Finding]:
    return [finding for finding in diagnose(facts) if finding.level != "ok"]


def test_where_all_is_well_each_subject_is_one_line() -> None:
    found = diagnose(WELL)
    assert [finding.subject for finding in found] == list(CHECKS)
    assert {(finding.level, finding.node, finding.remedy) for finding in found} == {("ok", "", "")}
    said = {finding.subject: finding.what for finding in found}
    assert said["versions"].endswith("tune_mlp 0.1.0, on all 2 nodes")
    assert said["slots"] == "--cpus 1 --gpus 0: 8 trials at once (10.0.0.1 4, 10.0.0.2 4)"
    assert said["storage"] == "/shared/runs: written and read by all 2 nodes"


OTHER_TORCH = {**VERSIONS, "torch": "2.5.1"}
CUDA_TORCH = {**VERSIONS, "torch": "2.8.0+cu126"}
GPU = {"CPU": 4.0, "GPU": 1.0}
SILENT = {"machine": None, "clock": None, "shared": None}


@pytest.mark.parametrize(
    ("facts", "subject", "level", "what", "remedy"),
    [
        (node(**SILENT, silence="gave no answer in 30 s"), "nodes", "problem", "no answer in 30 s", "hangs"),
        (replace(WELL, gone=2), "nodes", "note", "2 nodes left this Ray", "start Ray there again"),
        (worker(versions=OTHER_TORCH), "versions", "problem", r"has torch 2\.5\.1 \(here 2\.8\.0\)", "constraints"),
        (worker(versions={**VERSIONS, "ray": "missing"}), "versions", "problem", "has ray missing", "install"),
        (worker(package="0.2.0"), "versions", "problem", r"tune_mlp 0\.2\.0 \(here 0\.1\.0\)", "same"),
        (worker(sources="abd"), "versions", "problem", "the same version from other sources", "same"),
        (
            worker(package="", unimported="ModuleNotFoundError: No module named 'tune_mlp'"),
            "versions",
            "problem",
            "tune_mlp can't be imported: ModuleNotFoundError",
            "install it into the Python that starts Ray",
        ),
        (worker(token_mode=""), "token", "problem", "asks for no token", "RAY_AUTH_MODE=token"),
        (worker(token_mode="disabled"), "token", "problem", "asks for no token", "RAY_AUTH_MODE=token"),
        (worker(token_bits=0o644), "token", "note", "has mode 0644: only its folder", "chmod 600 /home/me/.ray"),
        (worker(token_bits=0o644, token_open=True), "token", "problem", "everybody there", "chmod 600 /home/me"),
        (node(clock=Clock(5.0, 0.001)), "clock", "note", r"5\.0 s ahead of this machine's \(± 1\.0 ms\)", "ntp"),
        (node(clock=Clock(-40.0, 0.5)), "clock", "problem", r"40\.0 s behind this machine's \(± 0\.5 s\)", "ntp"),
        (
            node(shared=Shared(unread="No such file or directory")),
            "storage",
            "problem",
            r"/shared/runs: can't read there what this machine wrote \(No such file",
            "mount one folder at /shared/runs",
        ),
        (node(shared=Shared(unwritten="Permission denied")), "storage", "problem", "can't write there", "mount"),
        (node(shared=Shared(unreturned="gone")), "storage", "problem", "wrote there what this machine can't", "mount"),
        (worker(disk=(GB, 200 * GB)), "disk", "note", r"1\.0 GB free on the disk of Ray's own files", "make room"),
        (worker(disk=(GB // 10, 200 * GB)), "disk", "problem", "100 MB free on the disk of Ray's", "make room"),
        (worker(disk=(9 * GB, 200 * GB)), "disk", "note", "over 95% full", "--temp-dir"),
        (worker(cores=2.0), "threads", "note", "offers 4 CPUs where there are 2 cores", "--num-cpus 2"),
        (worker(omp="8"), "threads", "note", "OMP_NUM_THREADS=8: a trial keeps to 1 thread", "unset it"),
        (worker(gpus=1), "gpus", "note", "has 1 GPU, of which Ray offers 0", "--num-gpus 1"),
        (node(resources=GPU), "gpus", "problem", "PyTorch doesn't answer", "import torch"),
        (worker(available=GB), "memory", "problem", r"200 MB free .* room for 0 of 4 trials at once", "--concurrent 1"),
        (worker(available=2 * GB), "memory", "note", "room for 3 of 4 trials at once, 400 MB each", "--concurrent 3"),
        (node(resources={"CPU": 4.0, "object_store_memory": 5e7}), "memory", "note", "holds 50 MB", "memory 200000000"),
        (worker(compiled=False), "kernels", "note", "not compiled yet", "nothing to do"),
    ],
)
def test_what_is_wrong_with_one_node_is_one_line_with_its_remedy(
    facts: ClusterFacts, subject: str, level: str, what: str, remedy: str
) -> None:
    (finding,) = unwell(facts)
    assert (finding.subject, finding.level) == (subject, level)
    assert finding.node == ("" if facts.gone else "10.0.0.2")
    assert re.search(what, finding.what), finding.what
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("facts", "subject", "level", "what", "remedy"),
    [
        (
            replace(WELL, folder=RunsFolder("/x", "Permission denied")),
            "storage",
            "problem",
            "can't write to /x",
            "--out",
        ),
        (replace(WELL, data=Data("mnist", stand_in="digits")), "data", "note", "learns digits in its", "MNIST/raw"),
        (replace(WELL, data=Data("kmnist")), "data", "note", "downloads it, or ends with an error", "KMNIST/raw"),
        (replace(WELL, data=Data("csv:x", fault="x: no such file")), "data", "problem", "no such file", "--dataset"),
        (replace(WELL, resources=Resources(gpu=0.5)), "slots", "problem", "no node can run a trial", "ask for less"),
        (replace(WELL, resources=Resources(cpu=0.5)), "threads", "note", "8 threads of trials .* 4 cores", "--cpus 1"),
    ],
)
def test_what_is_wrong_with_the_request_is_one_line_with_its_remedy(
    facts: ClusterFacts, subject: str, level: str, what: str, remedy: str
) -> None:
    (finding,) = unwell(facts)
    assert (finding.subject, finding.level, finding.node) == (subject, level, "")
    assert re.search(what, finding.what), finding.what
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("address", "fault", "driver", "remedy"),
    [
        (None, "can't start Ray on this machine: x", BOX, "ray start --head --block"),
        ("a:1", "can't connect to Ray at 'a:1': ConnectionRefusedError: x", BOX, "address and port"),
        ("a:1", "can't connect to Ray at 'a:1': RuntimeError: Version mismatch: x", BOX, "the cluster's versions"),
        ("a:1", "Ray at 'a:1' gave no answer in 30 s", BOX, "its head hangs"),
        ("a:1", "Ray at 'a:1' refuses this machine's token", BOX, "copy the cluster's token to /home/me"),
        ("a:1", "Ray at 'a:1' refuses this machine's token", replace(BOX, token_mode=""), "export RAY_AUTH_MODE=token"),
        ("a:1", "there is no token to show to Ray at 'a:1'", replace(BOX, token_bits=None), "RAY_AUTH_TOKEN_PATH"),
    ],
)
def test_a_ray_that_cannot_be_joined_is_a_line_that_says_the_way_in(
    address: str | None, fault: str, driver: Machine, remedy: str
) -> None:
    (finding,) = unwell(replace(WELL, address=address, fault=fault, nodes=(), driver=driver))
    assert (finding.subject, finding.level, finding.what) == ("nodes", "problem", fault)
    assert remedy in finding.remedy


def test_gpus_are_well_where_pytorch_can_use_what_ray_offers() -> None:
    def box(**machine: Any) -> ClusterFacts:
        return replace(
            node(resources=GPU, machine=replace(BOX, boot="2", gpus=1, **machine)), resources=Resources(gpu=0.25)
        )

    cuda = {"cuda_build": "12.6", "versions": {**VERSIONS, "torch": "2.8.0+cu126"}}
    well = box(**cuda, cuda_devices=1)
    assert unwell(well) == []
    said = {finding.subject: finding.what for finding in diagnose(well)}
    assert said["gpus"] == "1 GPU, and PyTorch can use them"
    assert said["slots"] == "--cpus 1 --gpus 0.25: 4 trials at once (10.0.0.1 0, 10.0.0.2 4)"
    (driver_missing,) = unwell(box(**cuda))
    assert driver_missing.what == "Ray offers 1 GPUs, and PyTorch can use 0"
    assert "nvidia-smi" in driver_missing.remedy
    (for_cpus,) = unwell(box(cuda_build=""))
    assert for_cpus.what.endswith("it was built for CPUs")


def test_nodes_on_one_machine_share_its_cores_and_memory() -> None:
    machine = replace(BOX, available=3 * GB)
    found = unwell(
        replace(WELL, driver=machine, nodes=(replace(HEAD, machine=machine), replace(HEAD, name="b", machine=machine)))
    )
    assert [(finding.subject, finding.node) for finding in found] == [("threads", ""), ("memory", "")]
    assert "Ray offers 8 CPUs where there are 4 cores" in found[0].what
    assert "room for 5 of 8 trials" in found[1].what


def test_what_is_so_on_several_nodes_is_said_once() -> None:
    nodes = [replace(WORKER, name=name, machine=replace(BOX, boot=name, compiled=False)) for name in "abcdefghij"]
    (some,) = unwell(replace(WELL, nodes=(HEAD, *nodes)))
    assert some.node == "a, b, c, d, e, f and 4 more"
    (every,) = unwell(replace(WELL, nodes=tuple(nodes)))
    assert every.node == ""


def digits(**settings: Any) -> Study:
    return Study.model_validate({"name": "s", "data": {"name": "digits"}, "space": {"lr": 0.1}, **settings})


def test_a_real_ray_is_asked_and_nothing_is_left_behind(local_ray: None, tmp_path: Path) -> None:
    facts = gather(digits(), None, tmp_path / "not" / "there", None)
    assert list(tmp_path.iterdir()) == []
    ((one, machine),) = facts.answered
    assert (machine.versions, machine.sources) == (facts.driver.versions, facts.driver.sources)
    assert machine.system == facts.driver.system
    assert one.shared == Shared()
    assert one.clock
    assert abs(one.clock.ahead) <= one.clock.give
    assert machine.disk
    assert facts.data == Data("digits", "digits", 1797, facts.data.size)
    subjects = {finding.subject for finding in diagnose(facts) if finding.level == "problem"}
    assert subjects <= {"token", "disk", "memory"}, "the rest doesn't depend on the machine"


def test_every_node_writes_and_reads_a_store(
    local_ray: None, s3: Bucket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["doctor", "--dataset", "digits", "--out"]
    cli.main([*arguments, s3.uri("doctored")])
    said = capsys.readouterr()
    assert re.search(r"^ok +storage +s3://runs/doctored\S*: written and read by \S", said.out, re.MULTILINE), said.out
    assert SECRET not in said.out + said.err
    assert s3.files("doctored") == {}, "nothing is left behind"

    monkeypatch.setattr(probe, "LATE_SECONDS", 0.0)
    send = gathering._sent_whole

    @contextlib.contextmanager
    def elsewhere() -> Iterator[Any]:
        """Nodes whose store is another."""
        with send() as sent:
            yield lambda node, function, *given: sent(
                node,
                function,
                *(one.replace("/doctored", "/elsewhere") if isinstance(one, str) else one for one in given),
            )

    monkeypatch.setattr(gathering, "_sent_whole", elsewhere)
    assert cli.main([*arguments, s3.uri("doctored")]) == 1
    said = capsys.readouterr()
    assert re.search(
        r"^problem +storage +(\S+: )?s3://\S+: can't read there .* → let every node reach", said.out, re.MULTILINE
    )
    assert SECRET not in said.out + said.err

    assert cli.main([*arguments, s3.uri("doctored", bucket="nothing")]) == 1
    assert "bucket does not exist" in capsys.readouterr().out


def test_a_node_that_does_not_answer_is_a_finding(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = probe.look

    def frozen(session: str | None, gpu: bool) -> dict[str, Any]:
        if session:
            time.sleep(5)
        return look(session, gpu)

    monkeypatch.setattr(probe, "look", frozen)
    facts = gather(digits(), None, tmp_path, None, patience=0.2)
    assert [one.silence for one in facts.nodes] == ["gave no answer in 0.2 s"]
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing_behind(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> Data:
        raise KeyboardInterrupt

    monkeypatch.setattr(gathering, "_data", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gather(digits(), None, tmp_path / "runs", None)
    assert list(tmp_path.iterdir()) == []


def test_the_word_prints_a_line_a_finding_and_counts_the_problems(
    local_ray: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["doctor", "--dataset", "digits", "--gpus", "64", "--out", str(tmp_path)]
    assert cli.main(arguments) == 1
    out, err = capsys.readouterr()
    assert all(re.match(r"(ok|note|problem) +[a-z]+ +\S", line) for line in out.splitlines()), out
    assert re.search(r"^problem +slots +no node can run a trial: .* → ask for less", out, re.MULTILINE)
    assert re.fullmatch(r"tune-mlp: \d+ problems?, \d+ notes?\n", err)
    assert cli.main(["doctor", "--cpus", "-1"]) == 2
    assert "must be greater than 0" in capsys.readouterr().err
    assert cli.main(["doctor", "--out", __file__]) == 2
    assert "is a file" in capsys.readouterr().err


def test_a_refused_token_and_a_frozen_head_are_told_apart(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    check_answers(address, 60)
    (tmp_path / "token").write_text("another")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(RunError, match="refuses this machine's token"):
        check_answers(address, 60)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RunError, match=r"gave no answer in 0\.5 s"):
            check_answers(place, 0.5)
    with pytest.raises(RunError, match="refused"):
        check_answers(place, 60)


def test_a_folder_that_cannot_be_made_is_a_finding(local_ray: None) -> None:
    facts = gather(digits(), None, Path("/proc/nowhere/runs"), None)
    assert [(finding.subject, finding.level) for finding in diagnose(facts) if finding.subject == "storage"] == [
        ("storage", "problem")
    ]
    assert facts.nodes[0].shared is None


WITHOUT = """\
import pickle, sys
sys.modules["tune_mlp"] = None
import ray
found = pickle.load(sys.stdin.buffer)(None, False)
print(found["unimported"])
"""


def test_a_node_without_the_package_says_so(tmp_path: Path) -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(probe)
    sent = cloudpickle.dumps(probe.look)
    cloudpickle.unregister_pickle_by_value(probe)
    ran = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT], input=sent, capture_output=True, check=True, cwd=tmp_path
    )
    assert ran.stdout.decode().startswith("ModuleNotFoundError: import of tune_mlp halted")


@pytest.mark.parametrize(
    "files",
    [
        {"cpu.max": "150000 100000", "memory.max": "1000000000", "memory.current": "400000000"},
        {
            "cpu.cfs_quota_us": "150000",
            "cpu.cfs_period_us": "100000",
            "memory.limit_in_bytes": "1000000000",
            "memory.usage_in_bytes": "500000000",
            "memory.stat": "cache 1\ntotal_inactive_file 100000000",
        },
    ],
    ids=["v2", "v1"],
)
def test_a_containers_limits_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    import ray  # noqa: F401  # psutil comes with it

    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    monkeypatch.setattr(probe.os, "sched_getaffinity", lambda pid: range(64))
    monkeypatch.setattr(probe, "_control_groups", lambda controller: [str(tmp_path)])
    assert probe._cores() == 1.5
    assert probe._memory() == (1_000_000_000, 600_000_000)


def test_a_token_file_is_looked_at_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    where = {"RAY_AUTH_TOKEN_PATH": str(path)}
    assert probe._token_file(where)["token_bits"] is None
    path.write_text("secret")
    path.chmod(0o644)
    tmp_path.chmod(0o700)
    assert probe._token_file(where) == {"token_file": str(path), "token_bits": 0o644, "token_open": False}
    assert "secret" not in repr(probe._token_file(where))


def test_a_file_that_a_node_cannot_see_or_sees_otherwise_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "LATE_SECONDS", 0.0)
    assert probe.share(str(tmp_path), "driver", "x", "node")["unread"] == "No such file or directory"
    (tmp_path / "driver").write_text("y")
    assert probe.share(str(tmp_path), "driver", "x", "node")["unread"] == "another content than was written"
    (tmp_path / "driver").write_text("x")
    assert probe.share(str(tmp_path), "driver", "x", "node") == {"unread": "", "unwritten": ""}
    assert probe.share(str(tmp_path / "no"), "driver", "x", "node")["unwritten"] == "No such file or directory"


def test_a_terminal_folds_long_findings_in_their_column() -> None:
    console = Console(width=60, force_terminal=True, record=True, color_system=None)
    show(console, unwell(worker(versions=OTHER_TORCH)))
    lines = console.export_text().splitlines()
    assert lines[0].startswith("✗ versions 10.0.0.2: has torch 2.5.1")
    assert len(lines) > 1
    assert lines[1].startswith(" " * 11)


@pytest.mark.slow
def test_two_real_nodes_are_asked_well_frozen_and_without_the_token(tmp_path: Path) -> None:
    with nodes(1, 1) as ray:

        def doctor(**environment: str) -> tuple[int, str]:
            command = [sys.executable, "-m", "tune_mlp", "doctor", "--address", ray.address, "--dataset", "digits"]
            env = {**ray.environment, **environment}
            done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=240)
            assert list(tmp_path.iterdir()) == []
            return done.returncode, done.stdout + done.stderr

        status, said = doctor()
        assert status == 0, said
        assert re.search("^ok +nodes .*: 2 of 2 nodes answered$", said, re.MULTILINE)
        assert re.search("^ok +versions .*, on all 2 nodes$", said, re.MULTILINE)
        assert re.search("^ok +token +asked for, and kept to its owner$", said, re.MULTILINE)
        status, said = doctor(RAY_AUTH_MODE="disabled")
        assert status == 1
        assert re.search("^problem +nodes +Ray at .* refuses this .* → export RAY_AUTH_MODE=token", said, re.MULTILINE)
        ray.nodes[1].signal(signal.SIGSTOP)
        status, said = doctor()
        assert status == 1
        assert re.search("^problem +nodes .*(gave no answer|can't be asked)", said, re.MULTILINE), said
