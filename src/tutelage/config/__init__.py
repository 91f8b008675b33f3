"""A recipe: its fields, their limits and defaults, and how its file is read and checked."""

from tutelage.config.identity import resolved as resolved
from tutelage.config.load import from_mapping as from_mapping
from tutelage.config.load import load as load
from tutelage.config.schema import Recipe as Recipe
