"""Every text of table and report, in one place."""

from __future__ import annotations

from typing import Final

MODELS: Final = {
    "docker": "Docker",
    "kubernetes": "Kubernetes",
    "vm": "Virtual machine",
    "swarm": "Swarm",
}
STATES: Final = {"cold": "cold", "warm": "warm", "up": "already up"}
STATE_MEANING: Final = {
    "cold": "images and disks are not on the host yet: fetching them is in the clock",
    "warm": "images and disks are on the host already",
    "up": "the stack was up before the probe came",
}
EMULATED: Final = "emulated (TCG)"
EMULATED_HEAD: Final = "The machine was emulated (TCG)."
EMULATED_SHORT: Final = "TCG"
NOTHING: Final = "-"
NOT_TESTED: Final = "not tested: no hardware virtualisation"
NO_SHAPE_IN_COMMON: Final = "ran no shape in common: the architecture's part can't be told apart"
EMULATED_NOTE: Final = (
    "The virtual machine ran without hardware virtualisation: QEMU emulated its processor (TCG)."
    " Its times and CPU figures are those of an emulator, and say nothing about the speed of"
    " virtual machines. Claims about it are " + NOT_TESTED + ". Its memory on the host includes the"
    " emulator's store of translated code, which a machine on hardware does not have; the guest's"
    " own view is free of it."
)

#: What a difference between two columns can be put down to.
MIXED: Final = (
    "Model and shape differ together here: a difference between two such columns is the platform's"
    " and the architecture's at once, and nothing in this run tells them apart."
    " `make compare SHAPES=microservices,monolith` runs both shapes in each model."
)
UNMIXED: Final = (
    "What differs between columns of the same shape is the model's doing, between columns of the"
    " same model the shape's."
)

#: The phases of a deployment in their order: metric, what happens until then, whose time it is.
PHASES: Final = (
    ("platform_created_s", "platform created", "platform"),
    ("platform_ready_s", "platform ready", "platform"),
    ("workload_started_s", "workload started", "application"),
    ("ready_endpoint_s", "ready endpoint green", "application"),
    ("first_transaction_s", "first transaction", "application"),
)
PHASE_NOTES: Final = {
    "docker": "created: the network is there. Ready: networks and volumes are, before the first"
    " container starts. Workload started: the last of the shop's own containers has started.",
    "kubernetes": "created: the cluster's node runs. Ready: the node takes pods. Workload started:"
    " the last of the shop's own pods runs. The images are pulled into the node within that, as it"
    " is new. In a cluster that was there before, the platform is the shop's namespace.",
    "vm": "created: the domain runs. Ready: the guest has its network and basic services (its own"
    " mark on the serial console, stamped by the host). Workload started: the same, once the last"
    " of the shop's own units has started.",
}

#: Rows of the table: (experiment, metric, labels, text). Labels pick one of a metric's parts.
ROWS: Final[tuple[tuple[str, tuple[tuple[str, str, dict[str, str], str], ...]], ...]] = (
    (
        "Readiness: seconds from `pulumi up`",
        tuple(("readiness", metric, {}, text) for metric, text, _ in PHASES),
    ),
    (
        "Memory while idle",
        (
            (
                "resources",
                "memory_available_delta_bytes",
                {},
                "change of the host's MemAvailable",
            ),
            ("resources", "memory_pss_bytes", {"role": "own"}, "PSS of its own processes"),
            ("resources", "memory_pss_bytes", {"role": "daemons"}, "PSS of shared daemons"),
            ("resources", "memory_cgroup_bytes", {}, "control group, cache apart"),
            (
                "resources",
                "memory_cgroup_reclaimable_bytes",
                {},
                "control group, reclaimable cache",
            ),
            ("resources", "memory_guest_used_bytes", {}, "guest's own view, used"),
        ),
    ),
    (
        "CPU while idle",
        (
            ("resources", "cpu_idle_s_per_min", {"role": "own"}, "of its own: both together"),
            ("resources", "cpu_idle_s_per_min", {"role": "workload"}, "workload"),
            ("resources", "cpu_idle_s_per_min", {"role": "helpers"}, "helpers"),
            ("resources", "cpu_idle_s_per_min", {"role": "daemons"}, "shared daemons"),
        ),
    ),
    (
        "Disk",
        (
            ("disk", "disk_shipped_bytes", {"scope": "total"}, "shipped"),
            ("disk", "disk_unpacked_bytes", {"scope": "total"}, "unpacked"),
        ),
    ),
    (
        "Provisioning and use",
        (
            ("provisioning", "create_s", {}, "create (`pulumi up`)"),
            ("provisioning", "destroy_s", {}, "destroy (`pulumi destroy`)"),
            ("latency", "transaction_s", {}, "one business transaction"),
        ),
    ),
    (
        "Under load",
        (
            ("load", "knee_rate", {}, "highest rate that it keeps up with"),
            ("load", "overload_recovery_s", {}, "after more than that: until it answers steadily"),
            ("elasticity", "added_replicas", {}, "replicas added by itself"),
            ("elasticity", "added_s", {}, "until one more takes requests"),
            ("elasticity", "given_back_s", {}, "until it is given back without load"),
            (
                "balancing",
                "largest_share_ratio",
                {},
                "largest share of requests against a fair one",
            ),
            ("balancing", "lost_with_replica", {}, "requests lost with one of three replicas"),
        ),
    ),
    (
        "Updates",
        tuple(
            ("rollout", metric, {"direction": direction}, f"{direction}: {text}")
            for direction in ("update", "rollback")
            for metric, text in (
                ("update_failed_requests", "failed requests"),
                ("update_longest_gap_s", "longest time without a good answer"),
                ("update_overlap_s", "old and new answer side by side for"),
            )
        ),
    ),
    (
        "Faults",
        (
            *(
                ("availability", metric, {"fault": fault}, f"{fault} killed: {text}")
                for fault in ("process", "container", "pod", "node", "machine")
                for metric, text in (
                    ("recovery_s", "until it works again by itself"),
                    ("failed_requests", "failed requests"),
                )
            ),
            *(
                (
                    "persistence",
                    "lost_orders",
                    {"fault": fault, "volume": "yes"},
                    f"{fault} of the stores killed: acknowledged orders lost",
                )
                for fault in ("process", "container", "pod", "machine")
            ),
            *(
                (
                    "persistence",
                    "lost_files",
                    {"fault": fault, "volume": "no"},
                    f"file beside every volume, {text}: lost",
                )
                for fault, text in (
                    ("process", "started again"),
                    ("container", "replaced"),
                    ("machine", "power cut"),
                )
            ),
        ),
    ),
    (
        "Isolation",
        (
            ("isolation", "kernel_shared", {}, "kernels shared with the host"),
            (
                "isolation",
                "attempts_open",
                {"hardening": "on"},
                "attempts from within that get through",
            ),
            (
                "isolation",
                "attempts_open",
                {"hardening": "off"},
                "the same without hardening",
            ),
            (
                "isolation",
                "host_kernel_attempts_open",
                {"hardening": "on"},
                "of these, what the host's kernel gave",
            ),
            (
                "isolation",
                "host_kernel_attempts_open",
                {"hardening": "off"},
                "the same without hardening: of these, what the host's kernel gave",
            ),
        ),
    ),
    (
        "Portability",
        (
            (
                "portability",
                "environments_failed",
                {},
                "other environments that do not run it",
            ),
            *(
                (
                    "portability",
                    "environment_works",
                    {"environment": environment},
                    f"runs (1) or not (0): {text}",
                )
                # Those of probe/models/engines.py and machines.py; a test sees to it.
                for environment, text in (
                    ("containerd", "containerd"),
                    ("podman", "podman"),
                    ("q35", "machine type q35"),
                    ("sata", "SATA disks"),
                    ("ide", "IDE disks"),
                    ("virtio_scsi", "VirtIO SCSI disks"),
                    ("pvscsi_vmxnet3", "PVSCSI and VMXNET3, as VMware has"),
                    ("sata_e1000", "SATA and e1000, as VirtualBox has"),
                )
            ),
        ),
    ),
    (
        "Ease of set-up",
        (
            ("ease", "configuration_lines", {}, "lines of configuration of its own"),
            ("ease", "declared_resources", {}, "declared resources"),
            ("ease", "commands", {}, "commands to type"),
        ),
    ),
    (
        "The instrument itself",
        (
            ("readiness", "poll_gap_median_s", {}, "polling period reached, median"),
            ("readiness", "poll_gap_p99_s", {}, "polling period reached, 99th percentile"),
            ("readiness", "ready_uncertainty_s", {}, "readiness lies within"),
            ("readiness", "poll_cpu_cores", {}, "CPU of the poller"),
            ("resources", "probe_cpu_cores", {}, "CPU of the probe in the idle window"),
            ("resources", "other_cpu_cores", {}, "CPU of everything else in that window"),
            (
                "resources",
                "other_memory_delta_bytes",
                {},
                "memory of everything else, change meanwhile",
            ),
            ("provisioning", "fetched_bytes", {}, "unpacked by a cold deployment's own pull"),
        ),
    ),
)

#: The steps that Kubernetes has between the phases, in the order in which they usually come.
STEPS_HEADING: Final = "Kubernetes, step by step: seconds from `pulumi up`"
STEPS: Final = (
    ("cluster_created", "cluster created: kind is done"),
    ("node_ready", "node ready"),
    ("images_pulled", "the shop's images pulled, the last"),
    ("pods_scheduled", "pods scheduled, the last"),
    ("containers_started", "containers started, the last"),
    ("pods_ready", "pods ready, the last"),
    ("endpoints_ready", "endpoints ready, the last service's"),
    ("addons_ready", "add-ons available, the last"),
    ("ingress_programmed", "ingress programmed"),
)

#: Tables with a row per service, below the row groups of these headings: metric, heading.
SHARES: Final = {
    "Memory while idle": (("share_memory_bytes", "Each service's share of memory"),),
    "CPU while idle": (("share_cpu_s_per_min", "Each service's share of CPU"),),
}
#: The scopes of shares in their order, as their totals are called.
SCOPES: Final = {
    "application": "application, together",
    "platform": "platform, together",
    "shared": "shared daemons, together",
}

#: The headlines: experiment, metric, labels, text.
ANSWERS: Final[tuple[tuple[str, str, dict[str, str], str], ...]] = (
    ("readiness", "first_transaction_s", {}, "From pulumi up to the first paid order"),
    ("resources", "memory_available_delta_bytes", {}, "Memory that the host lacks while idle"),
    ("disk", "disk_unpacked_bytes", {"scope": "total"}, "Disk, unpacked"),
)

#: The short table: heading, then rows as above. Times, resources, ease.
POC_TITLE: Final = "Proof of concept: the same FastAPI shop in each model"
SHORT_TITLE: Final = "In short: times, resources, ease of set-up"
POC: Final[tuple[tuple[str, str, dict[str, str], str, str], ...]] = (
    ("readiness", "first_transaction_s", {}, "Time", "from nothing to the first paid order"),
    ("provisioning", "destroy_s", {}, "Time", "to remove it again"),
    ("latency", "transaction_s", {}, "Time", "one business transaction"),
    ("resources", "memory_available_delta_bytes", {}, "Resources", "host memory taken while idle"),
    (
        "resources",
        "cpu_idle_s_per_min",
        {"role": "own"},
        "Resources",
        "CPU while idle",
    ),
    ("disk", "disk_unpacked_bytes", {"scope": "total"}, "Resources", "disk, unpacked"),
    ("ease", "configuration_lines", {}, "Ease", "lines of configuration of its own"),
    ("ease", "declared_resources", {}, "Ease", "resources declared"),
    ("ease", "commands", {}, "Ease", "commands to type"),
)

CLAIMS_TITLE: Final = "What is said of the models, and what holds on this machine"
CLAIMS_NOTE: Final = (
    "A claim holds if all that it was tested by does. What is sampled gets a verdict only where a"
    " rank test, corrected for the number of claims (Holm, 5 %), and the bootstrap interval of the"
    " difference both rule out chance; with three rounds neither can. What is counted (bytes,"
    " lines) is compared as it is. Models are compared in the same shape of the shop alone."
)

TOO_FEW: Final = "With three rounds in each run no rank test can rule out chance."

LEGEND: Final = (
    "Each cell: median, 95 % bootstrap interval of it (from 3 values on; with 2 the range),"
    " values that are there / attempts."
)

#: Sections of the report: heading and what to know before looking.
SECTIONS: Final = {
    "phases": (
        "Time to the first transaction, by phase",
        "Bars are the medians of each phase's duration; points are the stamps of every deployment,"
        " seen from outside, on one clock of the host.",
    ),
    "memory": (
        "Memory while idle, three ways",
        "The change of the host's MemAvailable is the headline: it counts whatever the host lacks"
        " once the shop runs. PSS counts the pages of the deployment's own processes. The control"
        " group's figure leaves out the cache that the kernel would give back at once. A guest's"
        " own view leaves out what its QEMU process needs beside it.",
    ),
    "cpu": (
        "CPU while idle",
        "Workload: what runs the shop (containers; pods; QEMU with the guest in it). Helpers: what"
        " exists for this deployment alone (shims and port proxies; the rest of the cluster's node;"
        " dnsmasq). Daemons serve others too.",
    ),
    "shares": (
        "Each service's share of memory",
        "A service's control group, without cache that its kernel gives back at once: on the host"
        " in Docker and in a kind cluster's node, in a machine as the guest says when it is asked."
        " What is no service is the platform's: control plane and add-ons, the guest's operating"
        " system, QEMU beside it, or shims and port proxies.",
    ),
    "cpu_shares": (
        "Each service's share of CPU",
        "A service's control group over the idle window, health checks included; the platform's as"
        " for memory.",
    ),
    "disk": (
        "Disk",
        "Shipped: what travels, compressed. Unpacked: what lies on the host once the shop runs."
        " Platform: base image or guest OS. Data: volumes with the shop's seeded catalogue.",
    ),
    "provisioning": (
        "Provisioning",
        "Wall clock of pulumi up and pulumi destroy. Up does not wait for the shop to be ready.",
    ),
    "latency": (
        "One transaction at a time",
        "Open the storefront, log in, list products, look at one, put it in the cart, pay, look at"
        " one's orders: one customer, one after the other, on an idle stack. This is how long a"
        " transaction takes, not what a model carries under load.",
    ),
    "load": (
        "Latency against load",
        "Requests of the business mix leave at their times whether answers have come or not. The"
        " rate doubles until the stack no longer keeps up: less than 99 % good answers, or a 99th"
        " percentile above a second.",
    ),
    "timelines": (
        "Every request around an update and a kill",
        "20 requests a second from outside, each drawn at the time at which it was sent. Tall"
        " marks failed. Zero is the start of the update, or the moment of the kill.",
    ),
}

IN_THIS_RUN: Final = (
    "In this run: {settle} s to settle, a window of {window} s, a poll every {poll} ms, a time-out"
    " after {timeout} s. What polling really reached, what it cost and what else the host did stand"
    " among the instrument's own figures."
)

#: Method and limits, for the end of the report.
METHOD: Final = (
    "The clock starts when pulumi up is started and stops at a business transaction through the"
    " gateway, over TLS: storefront and its script, register and log in, list products, look at"
    " one, add it to the cart, pay, find the order among one's own. Every service has its part.",
    "All stamps are taken on the host's monotonic clock, outside of the deployment: Docker's event"
    " stream, the Kubernetes API server's watches, libvirt's lifecycle events, marks on the guest's"
    " serial console, answers of the gateway. Guest clocks are never used.",
    "While it waits the probe checks no certificate, as the stack's authority is not known yet;"
    " afterwards the certificate that was met is checked against the stack's own authority, and"
    " the deployment fails if it is another.",
    "All models hold the same Debian userland, the same gateway, the same data and the same"
    " budget of CPU and memory, and so do both shapes: what is around the shop's own services has"
    " the same limits in each.",
    "Sides and states take turns in random order, from a recorded seed. The first deployment is"
    " kept and drawn hollow.",
    "A deployment that timed out or broke is a failed sample and stays: n_ok/n_total stands beside"
    " every figure.",
    "Intervals are 95 % percentile bootstrap intervals of the median (10,000 resamples). With three"
    " deployments they are about the range that was seen: more rounds make them tell more.",
    "Memory and CPU are read in warm deployments only: where the images came from makes no"
    " difference to what runs afterwards.",
    "The change of MemAvailable is the whole host's: what other processes did meanwhile stands in"
    " the instrument's rows, and a run on a busy host says so there.",
    "Page cache of the host is free memory in MemAvailable. A guest keeps its cache inside of QEMU,"
    " where the host cannot see that it could be given back: PSS and MemAvailable count it.",
    "Cold means that images and disks are fetched within the clock, from a registry or a file on"
    " the same host: no network is part of it.",
)
