"""From a recipe to rows in tokens: tasks, rows in words, styles, leaks between tasks, the mixture, and the data card."""
