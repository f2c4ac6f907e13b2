"""Data sets of people in two kinds of light: where their pictures are, and how batches are made of them."""

from models.data.check import DatasetReport, check_dataset
from models.data.datasets import join_datasets, list_datasets, open_dataset
from models.data.samples import DataError, ReidDataset, Sample

__all__ = [
    "DataError",
    "DatasetReport",
    "ReidDataset",
    "Sample",
    "check_dataset",
    "join_datasets",
    "list_datasets",
    "open_dataset",
]
