"""Handwriting: MNIST, KMNIST and EMNIST, by torchvision's download or from files that are there."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor
from torchvision import datasets

from partae.checks import one_of
from partae.data.idx import IDX


class MNIST(IDX):
    """70,000 grey images of digits, 28 × 28, in ten classes: 60,000 to train and 10,000 to test.

    Args:
        root: the data folder; the files lie in ``<root>/MNIST/raw``, as torchvision has them.
        download: whether the network may be asked.

    Source: LeCun, Cortes and Burges, *The MNIST database of handwritten digits* (1998).
    """

    kind = datasets.MNIST
    url = datasets.MNIST.mirrors[0]
    classes = tuple("0123456789")
    checksums = {  # noqa: RUF012
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }


class KMNIST(IDX):
    """70,000 grey images of ten cursive hiragana, 28 × 28: 60,000 to train and 10,000 to test.

    Args:
        root: the data folder; the files lie in ``<root>/KMNIST/raw``, as torchvision has them.
        download: whether the network may be asked.

    Source: Clanuwat et al., *Deep learning for classical Japanese literature* (2018).
    """

    kind = datasets.KMNIST
    url = datasets.KMNIST.mirrors[0]
    classes = tuple(datasets.KMNIST.classes)
    counts = {"train": 60_000, "test": 10_000}  # noqa: RUF012


class EMNIST(IDX):
    """Grey images of handwritten digits and letters, 28 × 28, upright (the files have rows for columns).

    Args:
        root: the data folder; the files lie in ``<root>/EMNIST/raw``, as torchvision has them.
        download: whether the network may be asked; torchvision downloads all six selections at once, half a gigabyte.
        selection: byclass (62 classes), bymerge (47), balanced (47, equally frequent), letters (26), digits or mnist.

    Raises:
        InputError: if the selection is unknown.

    Source: Cohen, Afshar, Tapson and van Schaik, *EMNIST: an extension of MNIST to handwritten letters* (2017).
    """

    kind = datasets.EMNIST
    url = datasets.EMNIST.url

    def __init__(self, root: str | Path = "data", download: bool = True, selection: str = "balanced") -> None:
        super().__init__(root, download)
        self.selection = one_of("data.source.selection", selection, tuple(SIZES))
        self.classes = tuple(name for name in datasets.EMNIST.classes_split_dict[selection] if name != "N/A")
        self.first_label = 1 if selection == "letters" else 0
        self.counts = dict(zip(("train", "test"), SIZES[selection], strict=True))
        self.names = {
            split: (f"emnist-{selection}-{split}-images-idx3-ubyte", f"emnist-{selection}-{split}-labels-idx1-ubyte")
            for split in ("train", "test")
        }

    def _upright(self, images: Tensor) -> Tensor:
        return images.mT.contiguous()

    def _download(self, root: str) -> Path:
        return Path(datasets.EMNIST(root, self.selection, download=True).raw_folder)


# number of images to train and to test
SIZES = {
    "byclass": (697_932, 116_323),
    "bymerge": (697_932, 116_323),
    "balanced": (112_800, 18_800),
    "letters": (124_800, 20_800),
    "digits": (240_000, 40_000),
    "mnist": (60_000, 10_000),
}
