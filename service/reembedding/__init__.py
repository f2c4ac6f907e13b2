"""From one model to another: every sighting embedded anew from its stored pictures, while the old vectors answer."""

from service.reembedding.job import Job, Jobs, JobState, ReembeddingError
from service.reembedding.runner import ClipEmbedder, Runner

__all__ = ["ClipEmbedder", "Job", "JobState", "Jobs", "ReembeddingError", "Runner"]
