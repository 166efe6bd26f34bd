"""The product as it is shipped: a wheel, built and installed into an environment of its own.

Needs no network: the build backend and the dependencies are those of the environment under test.
"""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Product:
    """The installed program, run in a folder with nothing of the source beside it."""

    def __init__(self, folder: Path, program: Path) -> None:
        self.folder, self.program = folder, program
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MIDDLEPLATFORM_", "PYTHON"))
        }
        self.environment = {**kept, "LC_ALL": "C.UTF-8"}

    def __call__(self, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments], cwd=self.folder, env=self.environment, encoding="utf-8",
            capture_output=True, timeout=120, check=False, **settings,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.program, *arguments], cwd=self.folder, env=self.environment, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build and install; return the program."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run([*pip, *build], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    home = folder / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    subprocess.run(
        [*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)],
        check=True,
        timeout=120,
    )
    # The dependencies, and not the source: a path file inside a path file is not followed.
    site = home / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin" / "middleplatform"


@pytest.fixture(scope="session")
def product(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Product:
    """One installation with the demonstration's departments, shared by the tests."""
    made = Product(tmp_path_factory.mktemp("product"), installed)
    prepared = made("demo", "--prepare")
    assert prepared.returncode == 0, prepared.stderr
    return made
