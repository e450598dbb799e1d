"""Images to build, as far as no daemon is asked."""

from __future__ import annotations

from pathlib import Path

from tests.support.docker_builds import IMAGE, build_inputs
from tests.support.provider_process import ProviderProcess


def test_the_context_digest_follows_content_mode_and_name_but_not_ignored_files(
    plugin: ProviderProcess, tmp_path: Path
) -> None:
    context = tmp_path / "ctx"
    inputs = build_inputs(context, "scratch")
    (context / ".dockerignore").write_text("*.log\n")

    def digest() -> str:
        checked, failures = plugin.check(IMAGE, inputs)
        assert not failures
        return str(checked["build"]["contextDigest"])

    seen = [digest()]
    (context / "x.log").write_text("ignored")
    assert digest() == seen[0]
    file = context / "file"
    for change in (
        lambda: file.write_text("1"),
        lambda: file.write_text("2"),
        lambda: file.chmod(0o755),
        lambda: file.rename(context / "other"),
        lambda: (context / "link").symlink_to("other"),
    ):
        change()
        seen.append(digest())
    assert len(set(seen)) == len(seen)


def test_a_missing_dockerfile_is_named(plugin: ProviderProcess, tmp_path: Path) -> None:
    inputs = build_inputs(tmp_path / "ctx", "scratch", dockerfile="Absent")
    assert plugin.check(IMAGE, inputs)[1] == {"build.dockerfile": "there is no Dockerfile Absent"}


def test_an_image_to_push_names_its_registry(plugin: ProviderProcess, tmp_path: Path) -> None:
    inputs = {**build_inputs(tmp_path / "ctx", "scratch"), "skipPush": False}
    assert "names no registry" in plugin.check(IMAGE, inputs)[1]["imageName"]
