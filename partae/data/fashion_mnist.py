"""Fashion-MNIST, from the first place that has it, verified at each use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from torchvision import datasets

from partae.data.idx import IDX
from partae.data.places import Place, debian_package, here

# SHA-256 of the uncompressed contents
CHECKSUMS = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
DEBIAN_PACKAGE = "dataset-fashion-mnist"
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")


class FashionMNIST(IDX):
    """70,000 grey images of garments, 28 × 28, in ten classes: 60,000 to train and 10,000 to test.

    Files come from the first of: the data folder, the system's copy (Debian's package dataset-fashion-mnist),
    torchvision's download, the Debian package unpacked without root.

    Args:
        root: the data folder; the files lie in ``<root>/FashionMNIST/raw``, as torchvision has them.
        download: whether the network may be asked.

    Source: Xiao, Rasul and Vollgraf, *Fashion-MNIST* (2017).
    """

    kind = datasets.FashionMNIST
    url = datasets.FashionMNIST.mirrors[0]
    classes = tuple(datasets.FashionMNIST.classes)

    @property
    def checksums(self) -> Mapping[str, str]:  # type: ignore[override]
        return CHECKSUMS

    def _elsewhere(self) -> Iterator[tuple[str, Callable[[], Place]]]:
        yield f"the system's copy {SYSTEM_FOLDER}", lambda: here(SYSTEM_FOLDER)
        yield from super()._elsewhere()
        if self.download:
            yield f"Debian's package {DEBIAN_PACKAGE}", lambda: debian_package(DEBIAN_PACKAGE, SYSTEM_FOLDER)

    def _advice(self) -> str:
        return f"Install the Debian package {DEBIAN_PACKAGE}, or "

    def _mend(self, path: Path) -> str:
        return f"reinstall the package {DEBIAN_PACKAGE}" if path.parent == SYSTEM_FOLDER else super()._mend(path)
