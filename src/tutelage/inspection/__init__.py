"""Look at a recipe before it is run: rows token by token, and checks of what goes wrong silently."""
