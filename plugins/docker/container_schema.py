"""Properties of `docker:index/container:Container` and how upstream treats their changes."""

from __future__ import annotations

from typing import Any

from plugins.bridge import (
    Prop,
    Schema,
    boolean,
    integer,
    list_of,
    map_of,
    object_of,
    set_of,
    string,
)
from plugins.docker.daemon import LABEL
from plugins.docker.durations import same_duration


def same_capabilities(old: Any, new: Any) -> bool:
    """Compare lists of capabilities; the prefix CAP_ makes no difference."""

    def plain(names: Any) -> set[str]:
        return {str(name).upper().removeprefix("CAP_") for name in names or ()}

    return plain(old) == plain(new)


def _empty_is_default(old: Any, new: Any) -> bool:
    return not new


def _duration(**flags: Any) -> Prop:
    return string(same=same_duration, **flags)


RATE_LIMIT = object_of({"path": string(required=True), "rate": integer(required=True)})

INPUTS: Schema = {
    # What runs
    "name": string(required=True, force_new=True),
    "image": string(required=True, force_new=True),
    "platform": string(computed=True, force_new=True),
    "command": list_of(string(), computed=True, force_new=True),
    "entrypoints": list_of(string(), computed=True, force_new=True),
    "envs": set_of(string(), computed=True, force_new=True),
    "user": string(force_new=True, same=_empty_is_default),
    "groupAdds": set_of(string(), force_new=True),
    "workingDir": string(force_new=True, same=_empty_is_default),
    "hostname": string(computed=True, force_new=True),
    "domainname": string(force_new=True),
    "labels": set_of(LABEL, computed=True, force_new=True),
    "tty": boolean(force_new=True),
    "stdinOpen": boolean(force_new=True),
    "init": boolean(computed=True, force_new=True),
    "runtime": string(computed=True, force_new=True),
    "stopSignal": string(computed=True, force_new=True),
    "stopTimeout": integer(computed=True, force_new=True),
    "healthcheck": object_of(
        {
            "tests": list_of(string(), required=True),
            "interval": _duration(default="0s"),
            "timeout": _duration(default="0s"),
            "startPeriod": _duration(default="0s"),
            "startInterval": _duration(default="0s"),
            "retries": integer(),
        },
        computed=True,
        force_new=True,
    ),
    # Network
    "networkMode": string(default="bridge", force_new=True),
    "networksAdvanced": set_of(
        object_of(
            {
                "name": string(required=True),
                "aliases": set_of(string()),
                "ipv4Address": string(),
                "ipv6Address": string(),
                "linkLocalIps": set_of(string()),
                "macAddress": string(),
                "driverOpts": set_of(string()),
            }
        ),
        force_new=True,
    ),
    "ports": list_of(
        object_of(
            {
                "internal": integer(required=True),
                "external": integer(computed=True),
                "ip": string(default="0.0.0.0"),
                "protocol": string(default="tcp", choices=("tcp", "udp", "sctp")),
            }
        ),
        force_new=True,
    ),
    "publishAllPorts": boolean(force_new=True),
    "dns": set_of(string(), force_new=True),
    "dnsOpts": set_of(string(), force_new=True),
    "dnsSearches": set_of(string(), force_new=True),
    "hosts": set_of(
        object_of({"host": string(required=True), "ip": string(required=True)}), force_new=True
    ),
    # Files
    "readOnly": boolean(force_new=True),
    "tmpfs": map_of(string(), force_new=True),
    "volumes": set_of(
        object_of(
            {
                "containerPath": string(),
                "volumeName": string(),
                "hostPath": string(),
                "fromContainer": string(),
                "readOnly": boolean(),
            }
        ),
        force_new=True,
    ),
    "mounts": set_of(
        object_of(
            {
                "type": string(required=True, choices=("bind", "volume", "tmpfs")),
                "target": string(required=True),
                "source": string(),
                "readOnly": boolean(),
                "bindOptions": object_of({"propagation": string()}),
                "volumeOptions": object_of(
                    {
                        "noCopy": boolean(),
                        "labels": set_of(LABEL),
                        "driverName": string(),
                        "driverOptions": map_of(string()),
                    }
                ),
                "tmpfsOptions": object_of({"sizeBytes": integer(), "mode": integer()}),
            }
        ),
        force_new=True,
    ),
    "uploads": set_of(
        object_of(
            {
                "file": string(required=True),
                "content": string(),
                "contentBase64": string(),
                "source": string(),
                "sourceHash": string(),
                "executable": boolean(),
                "permissions": string(),
            }
        ),
        force_new=True,
    ),
    "devices": set_of(
        object_of(
            {
                "hostPath": string(required=True),
                "containerPath": string(computed=True),
                "permissions": string(computed=True),
            }
        ),
        force_new=True,
    ),
    # Hardening
    "capabilities": object_of(
        {
            "adds": set_of(string(), same=same_capabilities),
            "drops": set_of(string(), same=same_capabilities),
        },
        force_new=True,
    ),
    "securityOpts": set_of(string(), computed=True, force_new=True),
    "privileged": boolean(force_new=True),
    "ipcMode": string(computed=True, force_new=True),
    "pidMode": string(force_new=True),
    "usernsMode": string(force_new=True),
    "cgroupnsMode": string(force_new=True, choices=("private", "host")),
    "cgroupParent": string(force_new=True),
    "sysctls": map_of(string(), force_new=True),
    "ulimits": set_of(
        object_of(
            {
                "name": string(required=True),
                "soft": integer(required=True),
                "hard": integer(required=True),
            }
        ),
        force_new=True,
    ),
    "storageOpts": map_of(string(), force_new=True),
    # Resources; these change in place
    "memory": integer(),
    "memorySwap": integer(),
    "memoryReservation": integer(),
    "cpus": string(),
    "cpuShares": integer(),
    "cpuSet": string(),
    "cpuPeriod": integer(),
    "cpuQuota": integer(),
    "shmSize": integer(computed=True, force_new=True),
    "deviceReadBps": set_of(RATE_LIMIT, force_new=True),
    "deviceWriteBps": set_of(RATE_LIMIT, force_new=True),
    "deviceReadIops": set_of(RATE_LIMIT, force_new=True),
    "deviceWriteIops": set_of(RATE_LIMIT, force_new=True),
    "restart": string(default="no", choices=("no", "on-failure", "always", "unless-stopped")),
    "maxRetryCount": integer(),
    # Logs
    "logDriver": string(computed=True, force_new=True),
    "logOpts": map_of(string(), force_new=True),
    # How the provider deals with the container
    "start": boolean(default=True),
    "mustRun": boolean(default=True),
    "wait": boolean(),
    "waitTimeout": integer(default=60),
    "attach": boolean(),
    "logs": boolean(),
    "rm": boolean(force_new=True),
    "removeVolumes": boolean(default=True),
    "destroyGraceSeconds": integer(),
    "containerReadRefreshTimeoutMilliseconds": integer(default=15000),
}

OUTPUTS: Schema = {
    "bridge": string(),
    "containerLogs": string(),
    "exitCode": integer(),
    "networkDatas": list_of(object_of({})),
}
