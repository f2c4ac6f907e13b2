"""Changing training pictures so that a network does not learn what will not be there at night."""

from models.data.augment.augmenter import Augmented, Augmenter
from models.data.augment.options import AugmentOptions

__all__ = ["AugmentOptions", "Augmented", "Augmenter"]
