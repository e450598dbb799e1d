"""Cleaning, the accelerator's probe, doctor's table, linters' files, the goals."""

from __future__ import annotations

import gzip
import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from toolchain import accelerator, checks, clean, doctor, graph
from toolchain.accelerator import Accelerator, boot, detect, guest_kernel, override
from toolchain.errors import ToolchainError
from toolchain.paths import Paths
from toolchain.probe_guest import MARKER, init_program, initrd
from toolchain.sources import source_files
from toolchain.steps import check_graph

ROOT = Path(__file__).resolve().parents[2]
#: Ours: a fixture below puts another in its place.
PYTHON = sys.executable


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path / "clone", cache=tmp_path / "cache", run=tmp_path / "run")


def test_paths_follow_the_environment(tmp_path: Path) -> None:
    environ = {"HOME": "/home/u"}
    assert Paths.find(tmp_path, environ).cache == Path("/home/u/.cache/triptych")
    environ["XDG_CACHE_HOME"] = "/x"
    assert Paths.find(tmp_path, environ).cache == Path("/x/triptych")
    environ["TRIPTYCH_CACHE"] = "/mine"
    assert Paths.find(tmp_path, environ).cache == Path("/mine")
    assert Paths.find().root == ROOT


def test_clean_takes_only_our_names() -> None:
    names = ["default", "triptych-vm-domain", "triptych-cache", "my-triptych-x", "triptych"]
    assert clean.our_names(names) == ["triptych-cache", "triptych-vm-domain"]


def test_clean_takes_only_our_images() -> None:
    lines = [
        "triptych/base:1",
        "127.0.0.1:5085/triptych/gateway:2",
        "127.0.0.1:5085/triptych/gateway:2",
        "127.0.0.1:5085/other/gateway:2",
        "someone/triptych/base:1",
        "triptych-base:1",
        "triptych/base:<none>",
        "debian:trixie",
    ]
    assert clean.our_images(lines) == ["127.0.0.1:5085/triptych/gateway:2", "triptych/base:1"]


def test_clean_reads_virshs_volumes() -> None:
    table = " Name   Path\n-----------\n root   /var/x/root\n data.qcow2   /var/x/data.qcow2\n\n"
    assert clean._volumes(table) == ["root", "data.qcow2"]


def test_clean_removes_the_clones_directory_and_console_logs(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, machines = tmp_path / "logs", tmp_path / "vm"
    for place in (logs, machines / "stack", paths.state / "bin"):
        place.mkdir(parents=True)
    (logs / "triptych-vm-console.log").touch()
    (logs / "other.log").touch()
    (paths.root / "Pulumi.yaml").touch()
    monkeypatch.setattr(clean, "CONSOLE_LOGS", logs)
    monkeypatch.setattr(clean, "VM_ROOT", machines)
    removed = [Path(one.name) for one in clean.clean_files(paths)]
    assert removed == [machines, logs / "triptych-vm-console.log", paths.state]
    assert [path.name for path in logs.iterdir()] == ["other.log"]
    assert (paths.root / "Pulumi.yaml").exists()
    assert clean.clean_files(paths) == []


def test_clean_cache_refuses_what_is_not_ours(paths: Paths) -> None:
    assert clean.clean_cache(paths) == []
    (paths.cache / "photos").mkdir(parents=True)
    with pytest.raises(ToolchainError, match="does not look like our cache"):
        clean.clean_cache(paths)
    (paths.cache / "tools").mkdir()
    (paths.buildah / "store" / "overlay").mkdir(parents=True)
    assert [one.name for one in clean.clean_cache(paths)] == [str(paths.cache)]
    assert not paths.cache.exists()


def test_what_killed_builds_left_mounted_is_found_innermost_first() -> None:
    mounts = "\n".join(
        f"overlay {point} overlay rw 0 0"
        for point in (
            *("/", "/c/buildah/store/overlay", "/c/buildah/store/overlay/a\\040b/merged"),
            *("/c/buildah-other", "/c", "/c/buildah/store/overlay/c/merged"),
        )
    )
    assert clean.mounts_below(Path("/c/buildah"), mounts) == [
        "/c/buildah/store/overlay/c/merged",
        "/c/buildah/store/overlay/a b/merged",
        "/c/buildah/store/overlay",
    ]


@pytest.mark.parametrize("kind", ["kvm", "tcg"])
def test_the_accelerator_may_be_set(kind: str, paths: Paths) -> None:
    found = detect(paths, {accelerator.OVERRIDE: kind})
    assert found == Accelerator(kind, "set by TRIPTYCH_ACCELERATOR")  # type: ignore[arg-type]


def test_a_bad_override_is_refused() -> None:
    assert override({}) is None
    assert override({accelerator.OVERRIDE: "auto"}) is None
    with pytest.raises(ToolchainError, match="TRIPTYCH_ACCELERATOR=xen: use kvm, tcg or auto"):
        override({accelerator.OVERRIDE: "xen"})


def fake_qemu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> Path:
    """Put a script in qemu's place and a file in the kernel's; return the count of its runs."""
    qemu, runs = tmp_path / "qemu", tmp_path / "runs"
    qemu.write_text(f"#!/bin/sh\necho run >> '{runs}'\n{script}\n")
    qemu.chmod(0o755)
    monkeypatch.setattr(accelerator, "find", lambda name: qemu)
    return runs


@pytest.fixture
def kernel(paths: Paths) -> Path:
    place = paths.cache / "probe-guest" / "vmlinuz-6.1"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"kernel")
    return place


@pytest.fixture
def kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make /dev/kvm be there, whatever this machine has."""
    device = tmp_path / "kvm"
    device.touch()
    real = Path

    def path(*parts: str) -> Path:
        return device if parts == ("/dev/kvm",) else real(*parts)

    monkeypatch.setattr(accelerator, "Path", path)
    return device


@pytest.mark.usefixtures("kvm", "kernel")
def test_a_guest_that_boots_means_kvm_and_is_remembered(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = fake_qemu(monkeypatch, tmp_path, f"echo noise; echo {MARKER}")
    found = detect(paths, {})
    assert found.kind == "kvm"
    assert found.reason.startswith("a Linux guest booted with KVM in")
    assert detect(paths, {}) == found
    assert runs.read_text() == "run\n"


@pytest.mark.usefixtures("kvm")
def test_another_guest_kernel_is_probed_anew(
    paths: Paths, tmp_path: Path, kernel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = fake_qemu(monkeypatch, tmp_path, f"echo {MARKER}")
    detect(paths, {})
    kernel.write_bytes(b"another")
    detect(paths, {})
    assert runs.read_text() == "run\nrun\n"
    # The first one's answer is kept beside it.
    kernel.write_bytes(b"kernel")
    detect(paths, {})
    assert runs.read_text() == "run\nrun\n"


@pytest.mark.usefixtures("kvm", "kernel")
def test_a_device_without_a_booting_guest_means_tcg(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_qemu(monkeypatch, tmp_path, "echo Probing EDD; exec sleep 60")
    monkeypatch.setattr(accelerator, "KVM_TIMEOUT_S", 0.3)
    found = detect(paths, {})
    assert found.kind == "tcg"
    assert found.reason == "a Linux guest had not booted with KVM after 0 s (Probing EDD)"


@pytest.mark.usefixtures("kvm", "kernel")
def test_what_qemu_says_is_the_reason(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_qemu(monkeypatch, tmp_path, "echo 'qemu-system-x86_64: no MSR' >&2; exit 1")
    assert detect(paths, {}).reason == "a Linux guest did not boot with KVM (no MSR)"


def test_without_a_kernel_nothing_is_claimed(paths: Paths) -> None:
    assert detect(paths, {}) == Accelerator("tcg", "not probed yet: run make setup")


def test_the_built_guests_kernel_comes_first(paths: Paths, kernel: Path, tmp_path: Path) -> None:
    assert guest_kernel(paths) == kernel
    built = tmp_path / "vmlinuz-built"
    built.touch()
    paths.state.mkdir(parents=True)
    guests = {"microservices": {"kernel": "/nowhere"}, "monolith": {"kernel": str(built)}}
    paths.artefacts_json.write_text(json.dumps({"guests": guests}))
    assert guest_kernel(paths) == built
    built.unlink()
    assert guest_kernel(paths) == kernel


def test_the_probe_guest_is_a_static_program_in_a_cpio_archive() -> None:
    program = init_program()
    machine, entry = struct.unpack_from("<H4xQ", program, 18)
    assert program[:4] == b"\x7fELF"
    assert machine == 62
    assert entry == 0x400000 + 120
    archive = gzip.decompress(initrd())
    names = [name.decode() for name in re.findall(rb"070701[0-9A-F]{104}([^\0]+)\0", archive)]
    assert names == ["dev", "dev/console", "init", "TRAILER!!!"]
    assert len(archive) % 4 == 0
    assert program in archive


def test_the_probe_guest_really_boots_a_linux_kernel() -> None:
    """With TCG, which works on every machine, and the kernel that `make setup` got."""
    real = guest_kernel(Paths.find())
    assert real is not None, "run make setup first"
    result = boot(real, "tcg", 60)
    assert result.ok, result.words


def test_shell_scripts_are_found_by_name_or_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("echo\n")
    (tmp_path / "b").write_text("#!/bin/sh\n")
    (tmp_path / "c").write_text("#!/usr/bin/env bash\n")
    (tmp_path / "d").write_text("#!/usr/bin/env python3\n")
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    files = list(source_files(tmp_path).values())
    assert [path.name for path in checks.shell_scripts(files)] == ["a.sh", "b", "c"]
    assert [path.name for path in checks.dockerfiles(files)] == ["Dockerfile"]


def test_tests_run_in_order(tmp_path: Path) -> None:
    for name in ("e2e", "unit", "contract", "plugins", "other"):
        (tmp_path / "tests" / name).mkdir(parents=True)
    assert checks.test_arguments(tmp_path) == [
        "tests/unit",
        "tests/plugins",
        "tests/contract",
        "tests/e2e",
    ]


def test_linters_need_no_image_but_the_base(paths: Paths) -> None:
    names = [step.name for step in check_graph(graph.lint_steps(paths))]
    assert set(names) == {graph.PACKAGES, "venv", "registry", "buildah", "base-image"}


@pytest.mark.parametrize("goal", ["setup", "build", "bench-tools", "daemons", "accelerator"])
def test_every_goal_is_a_graph(paths: Paths, goal: str) -> None:
    names = [step.name for step in check_graph(graph.steps_for(paths, goal))]
    assert graph.PACKAGES in names


def test_doctors_plain_table_marks_what_is_missing() -> None:
    rows = [
        doctor.Row("go", "1.26.8", "Debian package golang-go"),
        doctor.Row("pulumi", "-", "-", "missing", "make setup"),
    ]
    assert doctor.plain([("Tools", rows)]).splitlines() == [
        "Tools",
        "  go      1.26.8  Debian package golang-go",
        "! pulumi  -       -  -> make setup",
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nonsense"], 2, "invalid choice: 'nonsense'"),
        (["setup", "extra"], 2, "unexpected: extra"),
        ([], 2, "GOAL"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line(words: list[str], code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "toolchain", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unwritable_place_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "toolchain", "stop"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TRIPTYCH_RUN": str(tmp_path / "no")},
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


class TestLanes:
    """`make test` runs what is of machines, and the services' own checks, beside the rest."""

    @pytest.fixture
    def paths(self, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Paths:
        """Return a clone whose Python says what it was asked and ends as it is told to."""
        python = paths.venv / "bin" / "python"
        python.parent.mkdir(parents=True)
        (paths.root / "tests" / "unit").mkdir(parents=True)
        python.write_text(
            "#!/bin/sh\n"
            'case "$*" in\n'
            '*" checks") exit "${CHECKS:-0}" ;;\n'
            '*"-m not machine") echo "the others"; exit "${OTHERS:-0}" ;;\n'
            '*"-m machine") echo "the machines"; exit "${MACHINES:-0}" ;;\n'
            '*) echo "all: $*"; exit "${ALL:-0}" ;;\n'
            "esac\n"
        )
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        return paths

    @pytest.mark.parametrize(
        ("ends", "code"),
        [
            ({}, 0),
            ({"CHECKS": "1"}, 1),
            ({"MACHINES": "2"}, 2),
            ({"OTHERS": "1", "MACHINES": "2"}, 1),
            ({"MACHINES": "5"}, 0),
            ({"OTHERS": "5", "MACHINES": "5"}, 5),
            ({"OTHERS": "5", "CHECKS": "1"}, 1),
        ],
    )
    def test_one_that_fails_is_enough(
        self,
        paths: Paths,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
        ends: dict[str, str],
        code: int,
    ) -> None:
        for name, value in ends.items():
            monkeypatch.setenv(name, value)
        assert checks.run_tests(paths) == code
        said = capfd.readouterr().out
        assert 0 <= said.index("the others") < said.index("the machines")

    def test_what_failed_is_listed_at_the_end(
        self, paths: Paths, capfd: pytest.CaptureFixture[str]
    ) -> None:
        test = paths.root / "test_it.py"
        test.write_text("def test_sum():\n    assert 1 + 1 == 3\n\ndef test_fine():\n    pass\n")
        python = paths.venv / "bin" / "python"
        python.write_text(
            f"""#!/bin/sh
            case "$*" in
            *" checks") exit 0 ;;
            *) for word; do case "$word" in --junit-xml=*) record=$word ;; esac; done
               exec {PYTHON} -m pytest -q -p no:cacheprovider "$record" {test} ;;
            esac"""
        )
        assert checks.run_tests(paths) == 1
        line = "- test_it.test_sum: assert (1 + 1) == 3"
        assert capfd.readouterr().out.splitlines()[-2:] == [line, line]

    def test_a_record_that_is_cut_off_lists_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "cut.xml").write_text("<testsuites><testsuite><testcase name='x'")
        assert checks.failures(tmp_path / "cut.xml") == []
        assert checks.failures(tmp_path / "missing.xml") == []

    def test_a_choice_of_markers_is_run_alone(
        self, paths: Paths, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert checks.run_tests(paths, ["-mdocker"]) == 0
        said = capfd.readouterr().out
        assert said.startswith("all:")
        assert "machines" not in said
