"""The loop: objective, optimizer, schedule, checkpoints."""
