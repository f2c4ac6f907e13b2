"""What a training run is made of, as TOML files: one a paper and one a data set in ``parts``, joined by name here."""

from models.training.recipes.reading import RecipeError, list_recipes, load_recipe
from models.training.recipes.schema import Recipe

__all__ = ["Recipe", "RecipeError", "list_recipes", "load_recipe"]
