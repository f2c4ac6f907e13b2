"""From a recipe to a checkpoint."""

from models.training.building import describe_run
from models.training.embed import embed_samples
from models.training.errors import TrainingError, TrainingStopped
from models.training.finishing import TrainingResult
from models.training.recipes import Recipe, RecipeError, list_recipes, load_recipe
from models.training.run import train

__all__ = [
    "Recipe",
    "RecipeError",
    "TrainingError",
    "TrainingResult",
    "TrainingStopped",
    "describe_run",
    "embed_samples",
    "list_recipes",
    "load_recipe",
    "train",
]
