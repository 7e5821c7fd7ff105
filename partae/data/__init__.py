"""Images: where they come from and how they are served."""

from partae.data.batches import Batches, Order
from partae.data.datamodule import DataModule
from partae.data.fashion_mnist import FashionMNIST
from partae.data.source import Source
from partae.data.synthetic import Bars, Swimmer

__all__ = ["Bars", "Batches", "DataModule", "FashionMNIST", "Order", "Source", "Swimmer"]
