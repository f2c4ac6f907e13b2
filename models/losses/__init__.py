"""What training minimises. Plain functions of features and classes, one idea a file.

Every one takes float16 to float64, computes in float32 at least (also under autocast), and returns a
scalar that is finite and has finite gradients where features coincide too: a distance of 0 pulls at
nothing, and an anchor that lacks what its term compares does not count.
"""

from models.losses.batch_hard import batch_hard_triplet, cross_loss
from models.losses.contrastive import supervised_contrastive
from models.losses.dense import dense_triplet
from models.losses.discriminative import mdl_loss
from models.losses.identity import identity_loss
from models.losses.shared_refinement import msrl_fused_loss, msrl_loss
from models.losses.weighted import (
    adaptive_weight_triplet,
    squared_weighted_triplet,
    weighted_gaps,
    weighted_regularised_triplet,
)

__all__ = [
    "adaptive_weight_triplet",
    "batch_hard_triplet",
    "cross_loss",
    "dense_triplet",
    "identity_loss",
    "mdl_loss",
    "msrl_fused_loss",
    "msrl_loss",
    "squared_weighted_triplet",
    "supervised_contrastive",
    "weighted_gaps",
    "weighted_regularised_triplet",
]
