"""Places that may have the files of a data set: each gives a folder for as long as one looks."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

Place = AbstractContextManager[Path]

TIMEOUT = 5  # seconds without an answer after which a place on the network is given up


@contextmanager
def here(folder: Path) -> Iterator[Path]:
    """A folder that is there already."""
    yield folder


@contextmanager
def not_asked() -> Iterator[Path]:
    """The network, where it must not be asked."""
    raise RuntimeError("not asked, since data.source.download=false")
    yield


@contextmanager
def downloaded(url: str, download: Callable[[str], Path]) -> Iterator[Path]:
    """A temporary folder into which ``download`` fetches files from ``url``, given up where that does not answer.

    Raises:
        RuntimeError: if the host cannot be reached.
    """
    if "http" not in getproxies():
        _connect(urlsplit(url).netloc)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield download(folder)
    finally:
        socket.setdefaulttimeout(patience)


@contextmanager
def debian_package(package: str, inside: Path) -> Iterator[Path]:
    """The folder ``inside`` a Debian package, unpacked by apt in temporary folders of its own: no root needed.

    Raises:
        RuntimeError: if there is no apt, or it fails.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise RuntimeError("needs apt-get and dpkg-deb, which this system does not have")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
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
        yield folder / inside.relative_to("/")


def _connect(host: str) -> None:
    """Fail within `TIMEOUT` seconds where ``host`` does not answer; name look-ups have no time limit of their own."""
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        pool.submit(socket.create_connection, (host, 80), TIMEOUT).result(TIMEOUT).close()
    except TimeoutError:
        raise RuntimeError(f"{host} did not answer within {TIMEOUT} s") from None
    except OSError as error:
        raise RuntimeError(f"{host} cannot be reached ({error.strerror})") from error
    finally:
        pool.shutdown(wait=False)
