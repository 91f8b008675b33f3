"""The recipe and the run."""

from tutelage.recipe.load import from_mapping as from_mapping
from tutelage.recipe.load import load as load
from tutelage.recipe.load import resolved as resolved
from tutelage.recipe.schema import Recipe as Recipe
