"""Fashion-MNIST, from the first place that has it, verified before each first use."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import socket
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from torchvision import datasets

from partae.checks import InputError, flag
from partae.data.source import Labelled
from partae.files import write_bytes

# SHA-256 of the uncompressed contents
CHECKSUMS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
DEBIAN_PACKAGE = "dataset-fashion-mnist"
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
Place = AbstractContextManager[Path]  # gives a folder that holds the files

TIMEOUT = 5  # seconds without an answer after which a place on the network is given up


class FashionMNIST:
    """70,000 grey images of garments, 28 × 28, in ten classes: 60,000 to train and 10,000 to test.

    Files come from the first of: the data folder, the system's copy (Debian's package dataset-fashion-mnist),
    torchvision's download, the Debian package unpacked without root.

    Args:
        root: the data folder; the files lie in ``<root>/FashionMNIST/raw``, as torchvision has them.
        download: whether the network may be asked.

    Source: Xiao, Rasul and Vollgraf, *Fashion-MNIST* (2017).
    """

    classes = tuple(datasets.FashionMNIST.classes)

    def __init__(self, root: str | Path = "data", download: bool = True) -> None:
        self.root = Path(root)
        self.download = flag("data.source.download", download)

    @property
    def folder(self) -> Path:
        """Where the four files lie."""
        return self.root / "FashionMNIST" / "raw"

    def prepare(self) -> None:
        """Put the files that are missing into the data folder.

        Raises:
            InputError: if no place has them, or the folder cannot be written; the message says what was tried.
        """
        refusals = []
        for name, place in self._places():
            if not self._missing():
                return
            try:
                with place() as folder:
                    self._take(folder)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                refusals.append(f"  {name}: {error}")
        if self._missing():
            tried = "\n".join(refusals)
            raise InputError(
                f"Fashion-MNIST is not in data.source.root={self.root}, and no other place gave it:\n{tried}\n"
                f"Install the Debian package {DEBIAN_PACKAGE}, or put the four files {', '.join(CHECKSUMS)} "
                f"(or their .gz) into {self.folder}"
            )

    def load(self, split: str) -> Labelled:
        """Images (N, 1, 28, 28) of uint8 and labels (N,) of the "train" or "test" set.

        Raises:
            InputError: if a file is absent or altered.
        """
        prefix = {"train": "train", "test": "t10k"}[split]
        for name in CHECKSUMS:
            if name.startswith(prefix):
                _verified(self.folder / name)
        files = _Files(self.root, train=split == "train")
        return files.data[:, None], files.targets

    def _places(self) -> Iterator[tuple[str, Callable[[], Place]]]:
        yield f"the data folder {self.folder}", lambda: _here(self.folder)
        yield f"the system's copy {SYSTEM_FOLDER}", lambda: _here(SYSTEM_FOLDER)
        if self.download:
            yield "torchvision's download", _torchvision_download
            yield f"Debian's package {DEBIAN_PACKAGE}", _debian_package
        else:
            yield "the network", _not_asked

    def _missing(self) -> list[str]:
        return [name for name in CHECKSUMS if not (self.folder / name).exists()]

    def _take(self, folder: Path) -> None:
        """Copy the missing files from ``folder``, packed or not, each verified before it is written."""
        for name in self._missing():
            source = next((path for path in (folder / name, folder / f"{name}.gz") if path.exists()), None)
            if source is None:
                raise FileNotFoundError(f"{folder} has no {name}")
            content = _verified(source)
            try:
                write_bytes(self.folder / name, content)
            except OSError as error:
                raise InputError(
                    f"data.source.root={self.root} cannot be written ({error.strerror}): "
                    "name another folder or free some space"
                ) from error


class _Files(datasets.FashionMNIST):
    """torchvision's reader of the four files, without the `processed` pickles that nothing verifies."""

    @property
    def raw_folder(self) -> str:
        return str(Path(self.root) / "FashionMNIST" / "raw")

    def _check_legacy_exist(self) -> bool:
        return False


def _verified(path: Path) -> bytes:
    """The uncompressed contents of ``path``, which are Fashion-MNIST's own."""
    name = path.name.removesuffix(".gz")
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        content = b""
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): delete it and run again to fetch it anew"
        ) from error
    if hashlib.sha256(content).hexdigest() != CHECKSUMS[name]:
        mend = (
            f"reinstall the package {DEBIAN_PACKAGE}"
            if path.parent == SYSTEM_FOLDER
            else "delete it and run again to fetch it anew"
        )
        raise InputError(f"{path} is truncated or altered: its contents are not Fashion-MNIST's (SHA-256); {mend}")
    return content


@contextmanager
def _here(folder: Path) -> Iterator[Path]:
    yield folder


@contextmanager
def _not_asked() -> Iterator[Path]:
    raise RuntimeError("not asked, since data.source.download=false")
    yield


@contextmanager
def _torchvision_download() -> Iterator[Path]:
    """A temporary folder into which torchvision downloads the files."""
    host = urlsplit(datasets.FashionMNIST.mirrors[0]).netloc
    if "http" not in getproxies():
        _connect(host)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(_Files(folder, download=True).raw_folder)
    finally:
        socket.setdefaulttimeout(patience)


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


@contextmanager
def _debian_package() -> Iterator[Path]:
    """A temporary folder with the Debian package unpacked, by apt in folders of its own: no root needed."""
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
            [*apt, "download", DEBIAN_PACKAGE],
            ["sh", "-c", f"dpkg-deb -x {DEBIAN_PACKAGE}_*.deb ."],
        ):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise RuntimeError(f"{' '.join(command[:1] + command[-1:])} failed: {last}")
        yield folder / SYSTEM_FOLDER.relative_to("/")
