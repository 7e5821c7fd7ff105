"""Images: where they come from and how they are served."""

from partae.data.arrays import Arrays
from partae.data.batches import Batches, Order
from partae.data.datamodule import DataModule
from partae.data.digits import Digits
from partae.data.faces import Faces
from partae.data.folder import Folder
from partae.data.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from partae.data.source import Source, Stored
from partae.data.streaming import StreamedBatches
from partae.data.synthetic import Bars, Swimmer
from partae.data.torchvision import Torchvision

__all__ = [
    "EMNIST",
    "KMNIST",
    "MNIST",
    "Arrays",
    "Bars",
    "Batches",
    "DataModule",
    "Digits",
    "Faces",
    "FashionMNIST",
    "Folder",
    "Order",
    "Source",
    "Stored",
    "StreamedBatches",
    "Swimmer",
    "Torchvision",
]
