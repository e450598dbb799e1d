"""The suites: what is run as one process, and what it needs of the machine.

`cores`, `memory_mib` and `usually_s` are of two cores, with other suites beside; for seconds a run
takes its own last ones where it has any. A suite is hungry if it takes more than half of all cores.
An emulated machine could take more, but most of its life the limits of its services hold it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Need = Literal["docker", "libvirt"]


@dataclass(frozen=True)
class Suite:
    """One process of tests.

    `arguments` are pytest's, or with `is_command` a whole command line. One that `measures_first`
    begins with tests that measure the host: it starts before all others, which wait until it has
    done that, unless they are of short tests alone: such a suite `gives_way` at the gate within
    seconds. One that is `alone` measures the host most of its time: it runs at the end, with
    nothing beside it. One whose main part is also `seen_in` another suite is left out where
    machines are emulated and that other one runs.
    """

    name: str
    arguments: tuple[str, ...]
    cores: float
    memory_mib: int
    usually_s: float
    needs: tuple[Need, ...] = ()
    is_command: bool = False
    measures_first: bool = False
    gives_way: bool = False
    alone: bool = False
    seen_in: str = ""


_LIFE = "tests/e2e/test_life.py"
_PROBE = "tests/e2e/test_probe.py"

SUITES = (
    Suite(
        "kubernetes",
        (
            *("tests/e2e/test_cluster.py", _LIFE),
            "--kinds=kubernetes-microservices,kubernetes-monolith",
        ),
        cores=1.4,
        memory_mib=4000,
        usually_s=1300,
        needs=("docker",),
        measures_first=True,
    ),
    Suite(
        "machine with monolith",
        (_LIFE, "--kinds=vm-monolith"),
        cores=1.0,
        memory_mib=2500,
        usually_s=1100,
        needs=("libvirt",),
    ),
    Suite(
        "machine with microservices",
        (_LIFE, "--kinds=vm-microservices"),
        cores=1.0,
        memory_mib=2500,
        usually_s=850,
        needs=("libvirt",),
        seen_in="side by side",
    ),
    Suite(
        "docker",
        (_LIFE, "--kinds=docker-microservices,docker-monolith"),
        cores=1.0,
        memory_mib=2500,
        usually_s=900,
        needs=("docker",),
    ),
    Suite(
        "private shops",
        ("tests/contract", "tests/browser", "-m", "local"),
        cores=1.0,
        memory_mib=2000,
        usually_s=600,
        needs=("docker",),
    ),
    Suite(
        "probe in docker",
        (
            f"{_PROBE}::test_a_short_comparison[docker-microservices]",
            f"{_PROBE}::test_what_is_done_to_a_living_stack[docker-microservices]",
            f"{_PROBE}::test_ctrl_c_leaves_nothing_and_the_run_goes_on",
            f"{_PROBE}::test_what_a_killed_run_left_is_cleaned_by_the_next",
        ),
        cores=1.0,
        memory_mib=1500,
        usually_s=500,
        needs=("docker", "libvirt"),
    ),
    Suite(
        "probe in kubernetes",
        (
            f"{_PROBE}::test_a_short_comparison[kubernetes-monolith]",
            f"{_PROBE}::test_what_is_done_to_a_living_stack[kubernetes-monolith]",
        ),
        cores=1.0,
        memory_mib=3000,
        usually_s=330,
        needs=("docker", "libvirt"),
    ),
    Suite(
        "probe in a machine",
        (f"{_PROBE}::test_a_short_comparison[vm-monolith]",),
        cores=1.0,
        memory_mib=2500,
        usually_s=400,
        needs=("docker", "libvirt"),
    ),
    Suite(
        "measured alone",
        (
            f"{_PROBE}::test_costs_of_a_known_size_are_found",
            "tests/tools/test_faults_under_load.py",
        ),
        cores=1.0,
        memory_mib=2000,
        usually_s=240,
        needs=("docker", "libvirt"),
        alone=True,
    ),
    Suite(
        "side by side",
        ("tests/e2e/test_side_by_side.py",),
        cores=1.4,
        memory_mib=5000,
        usually_s=600,
        needs=("docker", "libvirt"),
    ),
    Suite(
        "bad input",
        ("tests/e2e/test_bad_input.py",),
        cores=0.7,
        memory_mib=500,
        usually_s=120,
        needs=("docker", "libvirt"),
    ),
    Suite(
        "plugins",
        ("tests/plugins",),
        cores=0.7,
        memory_mib=800,
        usually_s=200,
        needs=("docker", "libvirt"),
    ),
    Suite(
        "gateway",
        ("tests/gateway", "tests/tools", "--ignore=tests/tools/test_faults_under_load.py"),
        cores=0.6,
        memory_mib=500,
        usually_s=60,
        needs=("docker",),
        gives_way=True,
    ),
    Suite("units", ("tests/unit",), cores=1.0, memory_mib=800, usually_s=90, gives_way=True),
    Suite(
        "checks",
        ("-m", "toolchain", "checks"),
        cores=1.0,
        memory_mib=2000,
        usually_s=120,
        is_command=True,
    ),
)


def chosen(words: str) -> tuple[Suite, ...]:
    """Return the suites of these names, separated by commas; all if none is given.

    Raises KeyError with the name that is none.
    """
    names = [word.strip() for word in words.split(",") if word.strip()]
    by_name = {suite.name: suite for suite in SUITES}
    return tuple(by_name[name] for name in names) if names else SUITES
