"""The Docker half of the program that was recorded with Pulumi's own plugins, word for word."""

import os

import pulumi
import pulumi_docker as d

v2 = os.environ.get("V2") == "1"
img = d.Image(
    "img",
    image_name="real-img:latest",
    build=d.DockerBuildArgs(
        context="ctx",
        dockerfile="ctx/Dockerfile",
        args={"V": "2" if v2 else "1"},
        platform="linux/amd64",
    ),
    skip_push=True,
)
n = d.Network(
    "n",
    name="real-n",
    driver="bridge",
    labels=[d.NetworkLabelArgs(label="triptych", value="1")],
    ipam_configs=[d.NetworkIpamConfigArgs(subnet="10.90.0.0/24", gateway="10.90.0.1")],
)
v = d.Volume("v", name="real-v", labels=[d.VolumeLabelArgs(label="triptych", value="1")])
c = d.Container(
    "c",
    image=img.image_name,
    name="real-c",
    command=["sleep", "600"],
    hostname="c",
    user="1000:1000",
    working_dir="/tmp",
    envs=["A=1", "B=2"] if v2 else ["A=1"],
    networks_advanced=[
        d.ContainerNetworksAdvancedArgs(name=n.name, aliases=["x"], ipv4_address="10.90.0.10")
    ],
    ports=[d.ContainerPortArgs(internal=80, external=18080, ip="127.0.0.1")],
    volumes=[d.ContainerVolumeArgs(volume_name=v.name, container_path="/data")],
    mounts=[
        d.ContainerMountArgs(target="/cfg", type="bind", source="/etc/hostname", read_only=True)
    ],
    tmpfs={"/run": "size=16m"},
    healthcheck=d.ContainerHealthcheckArgs(
        tests=["CMD", "true"], interval="5s", timeout="2s", retries=3, start_period="1s"
    ),
    restart="unless-stopped",
    capabilities=d.ContainerCapabilitiesArgs(drops=["ALL"], adds=["NET_BIND_SERVICE"]),
    security_opts=["no-new-privileges:true"],
    read_only=True,
    memory=256,
    memory_swap=256,
    cpu_shares=512,
    cpus="0.5",
    labels=[d.ContainerLabelArgs(label="triptych", value="1")],
    ulimits=[d.ContainerUlimitArgs(name="nofile", soft=1024, hard=2048)],
    log_driver="json-file",
    log_opts={"max-size": "10m"},
    stop_signal="SIGTERM",
    stop_timeout=5,
    destroy_grace_seconds=5,
    init=True,
    network_mode="bridge",
    must_run=True,
    wait=True,
    wait_timeout=30,
)
pulumi.export("id", c.id)
