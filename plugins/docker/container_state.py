"""From what the daemon says about a container to the state Pulumi keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.docker.container_request import MIB
from plugins.docker.container_schema import same_capabilities
from plugins.docker.daemon import labels_from_map
from plugins.docker.durations import format_ns, same_duration

# What upstream's provider writes; it makes this state readable for it (see docs/plugins.md).
META = (
    '{"e2bfb730-ecaa-11e6-8f88-34363bc7c4c0":{"create":1200000000000,"delete":1200000000000,'
    '"update":1200000000000},"schema_version":"2"}'
)

# Inputs that the daemon does not know, or gives back in another form: kept as they were given.
_KEPT: Mapping[str, Any] = {
    "attach": False,
    "cgroupParent": None,
    "cgroupnsMode": None,
    "containerReadRefreshTimeoutMilliseconds": 15000,
    "cpuPeriod": None,
    "cpuQuota": None,
    "destroyGraceSeconds": None,
    "deviceReadBps": [],
    "deviceReadIops": [],
    "deviceWriteBps": [],
    "deviceWriteIops": [],
    "envs": [],
    "logs": False,
    "mustRun": True,
    "removeVolumes": True,
    "start": True,
    "wait": False,
    "waitTimeout": 60,
}


def state_of(found: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of an inspected container; `old` is the last one, or the inputs."""
    config, host, run = found["Config"], found["HostConfig"], found["State"]
    kept = {name: old.get(name, default) for name, default in _KEPT.items()}
    return {
        "__meta": META,
        **kept,
        "id": found["Id"],
        "name": found["Name"].removeprefix("/"),
        "image": old.get("image") or config["Image"],
        "platform": found.get("Platform", "linux") if not old.get("platform") else old["platform"],
        "bridge": found["NetworkSettings"]["Bridge"],
        "capabilities": _capabilities(host, old.get("capabilities")),
        "command": config["Cmd"] or [],
        "entrypoints": _list(config["Entrypoint"]),
        "containerLogs": old.get("containerLogs"),
        "cpuSet": host["CpusetCpus"],
        "cpuShares": host["CpuShares"],
        "cpus": _cpus(host.get("NanoCpus") or 0, old.get("cpus")),
        "deviceRequests": [],
        "devices": [_device(device) for device in host["Devices"] or ()],
        "dns": host["Dns"] or None,
        "dnsOpts": host["DnsOptions"] or None,
        "dnsSearches": host["DnsSearch"] or None,
        "domainname": config["Domainname"],
        "exitCode": None if run["Running"] or _never_ran(run) else run["ExitCode"],
        "gpus": None,
        "groupAdds": host["GroupAdd"] or None,
        "healthcheck": _healthcheck(config.get("Healthcheck"), old.get("healthcheck")),
        "hostname": config["Hostname"],
        "hosts": [_host(entry) for entry in host["ExtraHosts"] or ()],
        "init": bool(host.get("Init")),
        "ipcMode": host["IpcMode"],
        "labels": _labels(old.get("labels")),
        "logDriver": host["LogConfig"]["Type"],
        "logOpts": host["LogConfig"]["Config"] or {},
        "maxRetryCount": host["RestartPolicy"]["MaximumRetryCount"],
        "memory": host["Memory"] // MIB,
        "memoryReservation": host["MemoryReservation"] // MIB,
        "memorySwap": _swap(host["MemorySwap"]),
        "mounts": [_mount(mount) for mount in host.get("Mounts") or ()],
        "networkDatas": [
            _network_data(name, data)
            for name, data in sorted((found["NetworkSettings"]["Networks"] or {}).items())
        ],
        "networkMode": host["NetworkMode"] if host["NetworkMode"] != "default" else "bridge",
        "networksAdvanced": [_network(network) for network in old.get("networksAdvanced") or ()],
        "pidMode": host["PidMode"] or None,
        "ports": _ports(found, run["Running"], old.get("ports") or []),
        "privileged": host["Privileged"],
        "publishAllPorts": host["PublishAllPorts"],
        "readOnly": host["ReadonlyRootfs"],
        "restart": host["RestartPolicy"]["Name"] or "no",
        "rm": host["AutoRemove"],
        "runtime": host["Runtime"],
        "securityOpts": host["SecurityOpt"] or [],
        "shmSize": host["ShmSize"] // MIB,
        "stdinOpen": config["OpenStdin"],
        "stopSignal": config.get("StopSignal", ""),
        "stopTimeout": config.get("StopTimeout"),
        "storageOpts": host.get("StorageOpt") or None,
        "sysctls": host.get("Sysctls") or None,
        "tmpfs": host.get("Tmpfs") or None,
        "tty": config["Tty"],
        "ulimits": [
            {"name": limit["Name"], "soft": limit["Soft"], "hard": limit["Hard"]}
            for limit in host["Ulimits"] or ()
        ],
        "uploads": [_upload(upload) for upload in old.get("uploads") or ()],
        "user": config["User"],
        "usernsMode": host["UsernsMode"],
        "volumes": [_volume(volume) for volume in old.get("volumes") or ()],
        "workingDir": config["WorkingDir"],
    }


def _never_ran(run: Mapping[str, Any]) -> bool:
    return bool(run["Status"] == "created")


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _labels(labels: list[dict[str, str]] | None) -> list[dict[str, str]]:
    # As upstream: an image's own labels are on the container too, so the daemon's list says less.
    return labels_from_map({entry["label"]: entry["value"] for entry in labels or ()})


def _capabilities(host: Mapping[str, Any], old: Any) -> dict[str, Any] | None:
    if not (host["CapAdd"] or host["CapDrop"]):
        return None
    result = {}
    for name, names in (("adds", host["CapAdd"]), ("drops", host["CapDrop"])):
        given = (old or {}).get(name)
        plain = [capability.removeprefix("CAP_") for capability in names or ()]
        result[name] = given if given and same_capabilities(given, plain) else plain
    return result


def _cpus(nano_cpus: int, old: str | None) -> str | None:
    if old is not None and round(float(old) * 1e9) == nano_cpus:
        return old
    return f"{nano_cpus / 1e9:.9f}".rstrip("0").rstrip(".") if nano_cpus else None


def _swap(swap_bytes: int) -> int:
    return swap_bytes // MIB if swap_bytes > 0 else swap_bytes


def _device(device: Mapping[str, Any]) -> dict[str, str]:
    return {
        "hostPath": device["PathOnHost"],
        "containerPath": device["PathInContainer"],
        "permissions": device["CgroupPermissions"],
    }


def _host(entry: str) -> dict[str, str]:
    name, _, address = entry.partition(":")
    return {"host": name, "ip": address}


def _healthcheck(check: Mapping[str, Any] | None, old: Any) -> dict[str, Any] | None:
    if not check or not check.get("Test"):
        return None
    state: dict[str, Any] = {"tests": check["Test"], "retries": check.get("Retries", 0)}
    for name in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        key = name[0].lower() + name[1:]
        text, given = format_ns(check.get(name, 0)), (old or {}).get(key)
        state[key] = given if given and same_duration(given, text) else text
    return state


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    bind, volume, tmpfs = (mount.get(f"{kind}Options") for kind in ("Bind", "Volume", "Tmpfs"))
    driver = (volume or {}).get("DriverConfig") or {}
    return {
        "type": mount["Type"],
        "target": mount["Target"],
        "source": mount.get("Source", ""),
        "readOnly": mount.get("ReadOnly", False),
        "bindOptions": {"propagation": bind.get("Propagation", "")} if bind else None,
        "volumeOptions": {
            "noCopy": volume.get("NoCopy", False),
            "labels": labels_from_map(volume.get("Labels")),
            "driverName": driver.get("Name", ""),
            "driverOptions": driver.get("Options"),
        }
        if volume
        else None,
        "tmpfsOptions": {"sizeBytes": tmpfs.get("SizeBytes", 0), "mode": tmpfs.get("Mode", 0)}
        if tmpfs
        else None,
    }


def _network_data(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "networkName": name,
        "ipAddress": data["IPAddress"],
        "ipPrefixLength": data["IPPrefixLen"],
        "gateway": data["Gateway"],
        "globalIpv6Address": data["GlobalIPv6Address"],
        "globalIpv6PrefixLength": data["GlobalIPv6PrefixLen"],
        "ipv6Gateway": data["IPv6Gateway"],
        "macAddress": data["MacAddress"],
    }


def _network(network: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": network["name"],
        "aliases": network.get("aliases") or [],
        "ipv4Address": network.get("ipv4Address") or "",
        "ipv6Address": network.get("ipv6Address") or "",
        "linkLocalIps": network.get("linkLocalIps") or [],
        "macAddress": network.get("macAddress") or "",
        "driverOpts": network.get("driverOpts") or [],
        "gwPriority": None,
    }


def _ports(
    found: Mapping[str, Any], running: bool, old: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    if not running:
        # A stopped container has no ports bound; that is no reason to make it anew.
        return old
    bound = []
    # The port that the daemon picked is in the network settings; a range of dual-stack bindings
    # there is one binding in the host's configuration.
    actual = found["NetworkSettings"]["Ports"] or {}
    for key, bindings in (found["HostConfig"]["PortBindings"] or {}).items():
        internal, _, protocol = key.partition("/")
        for index, binding in enumerate(bindings or ()):
            host_port = binding["HostPort"]
            live = actual.get(key) or []
            if not host_port and index < len(live):
                host_port = live[index]["HostPort"]
            bound.append(
                {
                    "internal": int(internal),
                    "external": int(host_port or 0),
                    "ip": binding["HostIp"] or "0.0.0.0",
                    "protocol": protocol,
                }
            )
    # In the program's order; what was added behind its back comes last.
    order = {_port_id(port): index for index, port in enumerate(old)}
    return sorted(bound, key=lambda port: (order.get(_port_id(port), len(order)), port["internal"]))


def _port_id(port: Mapping[str, Any]) -> tuple[Any, ...]:
    return port["internal"], port.get("protocol", "tcp"), port.get("ip") or "0.0.0.0"


def _upload(upload: Mapping[str, Any]) -> dict[str, Any]:
    names = ("content", "contentBase64", "source", "sourceHash", "permissions")
    return {
        "file": upload["file"],
        **{name: upload.get(name) or "" for name in names},
        "executable": upload.get("executable"),
    }


def _volume(volume: Mapping[str, Any]) -> dict[str, Any]:
    names = ("containerPath", "volumeName", "hostPath", "fromContainer", "selinuxRelabel")
    return {
        **{name: volume.get(name) or "" for name in names},
        "readOnly": volume.get("readOnly"),
    }
