"""From a container's inputs to what the daemon is asked for."""

from __future__ import annotations

import base64
import io
import posixpath
import re
import tarfile
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from plugins.bridge import CheckFailure, UserError
from plugins.docker.daemon import labels_to_map
from plugins.docker.durations import parse_ns

MIB = 1024 * 1024
_CONTENTS = ("content", "contentBase64", "source")


def check(inputs: Mapping[str, Any]) -> Iterator[CheckFailure]:
    """Yield what is wrong with inputs whose types are right."""
    for field in ("interval", "timeout", "startPeriod", "startInterval"):
        text = (inputs.get("healthcheck") or {}).get(field)
        if isinstance(text, str):
            try:
                parse_ns(text)
            except ValueError as error:
                yield CheckFailure(f"healthcheck.{field}", str(error))
    cpus = inputs.get("cpus")
    if isinstance(cpus, str):
        try:
            _nano_cpus(cpus)
        except ValueError as error:
            yield CheckFailure("cpus", str(error))
    cpu_set = inputs.get("cpuSet")
    if isinstance(cpu_set, str) and cpu_set and not re.fullmatch(r"\d+([,-]\d+)*", cpu_set):
        yield CheckFailure("cpuSet", f"{cpu_set!r} is not a list of CPUs such as 0-1 or 0,2")
    for index, port in enumerate(inputs.get("ports") or ()):
        for field in ("internal", "external"):
            number = port.get(field, 0)
            if isinstance(number, int) and not 0 <= number <= 65535:
                yield CheckFailure(f"ports[{index}].{field}", f"{number} is not a port number")
    for index, volume in enumerate(inputs.get("volumes") or ()):
        if not volume.get("containerPath") and not volume.get("fromContainer"):
            yield CheckFailure(f"volumes[{index}]", "needs a containerPath or a fromContainer")
    for index, upload in enumerate(inputs.get("uploads") or ()):
        yield from _check_upload(upload, f"uploads[{index}]")


def _check_upload(upload: Mapping[str, Any], path: str) -> Iterator[CheckFailure]:
    given = [name for name in _CONTENTS if upload.get(name) is not None]
    if len(given) != 1:
        yield CheckFailure(path, f"needs exactly one of {', '.join(_CONTENTS)}")
    mode = upload.get("permissions")
    if isinstance(mode, str) and mode and not re.fullmatch(r"0[0-7]{3}", mode):
        yield CheckFailure(f"{path}.permissions", f"{mode!r} is not a mode such as 0644")
    encoded = upload.get("contentBase64")
    if isinstance(encoded, str):
        try:
            base64.b64decode(encoded, validate=True)
        except ValueError:
            yield CheckFailure(f"{path}.contentBase64", "is not base64")


def container_config(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the daemon's create call."""
    binds, volumes, volumes_from = _volumes(inputs)
    exposed: dict[str, Any] = {_port_key(port): {} for port in inputs.get("ports") or ()}
    return {
        "Image": inputs["image"],
        "Hostname": inputs.get("hostname", ""),
        "Domainname": inputs.get("domainname", ""),
        "User": inputs.get("user", ""),
        "Env": inputs.get("envs"),
        "Cmd": inputs.get("command"),
        "Entrypoint": inputs.get("entrypoints"),
        "WorkingDir": inputs.get("workingDir", ""),
        "Labels": labels_to_map(inputs.get("labels")),
        "Tty": inputs.get("tty", False),
        "OpenStdin": inputs.get("stdinOpen", False),
        "StopSignal": inputs.get("stopSignal", ""),
        "StopTimeout": inputs.get("stopTimeout"),
        "ExposedPorts": exposed or None,
        "Volumes": volumes or None,
        "Healthcheck": _healthcheck(inputs.get("healthcheck")),
        "HostConfig": _host_config(inputs, binds, volumes_from),
    }


def _host_config(
    inputs: Mapping[str, Any], binds: list[str], volumes_from: list[str]
) -> dict[str, Any]:
    capabilities = inputs.get("capabilities") or {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in inputs.get("ports") or ():
        external = port.get("external")
        bindings.setdefault(_port_key(port), []).append(
            {"HostIp": port.get("ip", ""), "HostPort": str(external or "")}
        )
    return {
        "Binds": binds or None,
        "VolumesFrom": volumes_from or None,
        "Mounts": [_mount(mount) for mount in inputs.get("mounts") or ()] or None,
        "Tmpfs": inputs.get("tmpfs"),
        "PortBindings": bindings or None,
        "PublishAllPorts": inputs.get("publishAllPorts", False),
        "NetworkMode": inputs.get("networkMode", ""),
        "Dns": inputs.get("dns"),
        "DnsOptions": inputs.get("dnsOpts"),
        "DnsSearch": inputs.get("dnsSearches"),
        "ExtraHosts": [f"{host['host']}:{host['ip']}" for host in inputs.get("hosts") or ()]
        or None,
        "CapAdd": _capabilities(capabilities.get("adds")),
        "CapDrop": _capabilities(capabilities.get("drops")),
        "SecurityOpt": inputs.get("securityOpts"),
        "Privileged": inputs.get("privileged", False),
        "ReadonlyRootfs": inputs.get("readOnly", False),
        "GroupAdd": inputs.get("groupAdds"),
        "IpcMode": inputs.get("ipcMode", ""),
        "PidMode": inputs.get("pidMode", ""),
        "UsernsMode": inputs.get("usernsMode", ""),
        "CgroupnsMode": inputs.get("cgroupnsMode", ""),
        "CgroupParent": inputs.get("cgroupParent", ""),
        "Sysctls": inputs.get("sysctls"),
        "StorageOpt": inputs.get("storageOpts"),
        "Runtime": inputs.get("runtime", ""),
        "Init": inputs.get("init", False),
        "AutoRemove": inputs.get("rm", False),
        "ShmSize": inputs.get("shmSize", 0) * MIB,
        "Ulimits": [
            {"Name": limit["name"], "Soft": limit["soft"], "Hard": limit["hard"]}
            for limit in inputs.get("ulimits") or ()
        ]
        or None,
        "Devices": [_device(device) for device in inputs.get("devices") or ()] or None,
        "BlkioDeviceReadBps": _rates(inputs.get("deviceReadBps")),
        "BlkioDeviceWriteBps": _rates(inputs.get("deviceWriteBps")),
        "BlkioDeviceReadIOps": _rates(inputs.get("deviceReadIops")),
        "BlkioDeviceWriteIOps": _rates(inputs.get("deviceWriteIops")),
        "LogConfig": {
            "Type": inputs.get("logDriver", ""),
            "Config": inputs.get("logOpts") or {},
        },
        **updatable(inputs),
    }


def updatable(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the daemon changes on a living container."""
    swap = inputs.get("memorySwap", 0)
    return {
        "Memory": inputs.get("memory", 0) * MIB,
        "MemorySwap": swap * MIB if swap > 0 else swap,
        "MemoryReservation": inputs.get("memoryReservation", 0) * MIB,
        "NanoCpus": _nano_cpus(inputs.get("cpus") or "0"),
        "CpuShares": inputs.get("cpuShares", 0),
        "CpusetCpus": inputs.get("cpuSet", ""),
        "CpuPeriod": inputs.get("cpuPeriod", 0),
        "CpuQuota": inputs.get("cpuQuota", 0),
        "RestartPolicy": {
            "Name": inputs.get("restart", "no"),
            "MaximumRetryCount": inputs.get("maxRetryCount", 0),
        },
    }


def endpoint_config(network: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a container's end of a network."""
    return {
        "Aliases": network.get("aliases"),
        "MacAddress": network.get("macAddress", ""),
        "DriverOpts": dict(option.split("=", 1) for option in network.get("driverOpts") or ()),
        "IPAMConfig": {
            "IPv4Address": network.get("ipv4Address", ""),
            "IPv6Address": network.get("ipv6Address", ""),
            "LinkLocalIPs": network.get("linkLocalIps"),
        },
    }


def upload_archive(upload: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return the directory an upload goes to and a tar archive with the file.

    The directory is the file's own, not "/": the daemon refuses to copy to a read-only root file
    system, but takes a path inside one of its writable volumes.
    """
    if upload.get("source") is not None:
        try:
            data = Path(upload["source"]).read_bytes()
        except OSError as error:
            raise UserError(
                f"can't read the upload {upload['source']}: {error.strerror}"
            ) from error
    elif upload.get("contentBase64") is not None:
        data = base64.b64decode(upload["contentBase64"])
    else:
        data = upload.get("content", "").encode()
    directory, name = posixpath.split(posixpath.join("/", upload["file"]))
    member = tarfile.TarInfo(name)
    default = "0744" if upload.get("executable") else "0644"
    member.mode = int(upload.get("permissions") or default, 8)
    member.size = len(data)
    member.mtime = int(time.time())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(member, io.BytesIO(data))
    return directory, buffer.getvalue()


def _capabilities(names: list[str] | None) -> list[str] | None:
    """Return capabilities as upstream hands them to the daemon, with their prefix."""
    return [
        name if name.upper() == "ALL" else f"CAP_{name.upper().removeprefix('CAP_')}"
        for name in names or ()
    ] or None


def _port_key(port: Mapping[str, Any]) -> str:
    return f"{port['internal']}/{port.get('protocol', 'tcp')}"


def _volumes(inputs: Mapping[str, Any]) -> tuple[list[str], dict[str, Any], list[str]]:
    binds: list[str] = []
    volumes: dict[str, Any] = {}
    volumes_from: list[str] = []
    for volume in inputs.get("volumes") or ():
        source = volume.get("volumeName") or volume.get("hostPath")
        if volume.get("fromContainer"):
            volumes_from.append(volume["fromContainer"])
            continue
        volumes[volume["containerPath"]] = {}
        if source:
            mode = "ro" if volume.get("readOnly") else "rw"
            binds.append(f"{source}:{volume['containerPath']}:{mode}")
    return binds, volumes, volumes_from


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {
        "Type": mount["type"],
        "Target": mount["target"],
        "Source": mount.get("source", ""),
        "ReadOnly": mount.get("readOnly", False),
    }
    bind, volume, tmpfs = (mount.get(f"{kind}Options") for kind in ("bind", "volume", "tmpfs"))
    if bind and mount["type"] == "bind":
        request["BindOptions"] = {"Propagation": bind.get("propagation", "")}
    if volume and mount["type"] == "volume":
        request["VolumeOptions"] = {
            "NoCopy": volume.get("noCopy", False),
            "Labels": labels_to_map(volume.get("labels")),
            "DriverConfig": {
                "Name": volume.get("driverName", ""),
                "Options": volume.get("driverOptions"),
            },
        }
    if tmpfs and mount["type"] == "tmpfs":
        request["TmpfsOptions"] = {
            "SizeBytes": tmpfs.get("sizeBytes", 0),
            "Mode": tmpfs.get("mode", 0),
        }
    return request


def _device(device: Mapping[str, Any]) -> dict[str, str]:
    return {
        "PathOnHost": device["hostPath"],
        "PathInContainer": device.get("containerPath") or device["hostPath"],
        "CgroupPermissions": device.get("permissions") or "rwm",
    }


def _rates(limits: list[Mapping[str, Any]] | None) -> list[dict[str, Any]] | None:
    return [{"Path": limit["path"], "Rate": limit["rate"]} for limit in limits or ()] or None


def _healthcheck(check: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if check is None:
        return None
    request = {
        "Test": check["tests"],
        "Interval": parse_ns(check.get("interval", "0s")),
        "Timeout": parse_ns(check.get("timeout", "0s")),
        "StartPeriod": parse_ns(check.get("startPeriod", "0s")),
        "Retries": check.get("retries", 0),
    }
    start_interval = parse_ns(check.get("startInterval", "0s"))
    return {**request, "StartInterval": start_interval} if start_interval else request


def _nano_cpus(cpus: str) -> int:
    try:
        number = Decimal(cpus)
    except InvalidOperation:
        number = Decimal(-1)
    if not (number.is_finite() and number >= 0):
        raise ValueError(f"{cpus!r} is not a number of CPUs such as 0.5")
    return int(number * 1_000_000_000)
