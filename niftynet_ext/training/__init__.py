"""Training that lasts: what surrounds NiftyNet's loop of iterations.

Complete checkpoints, one writer per model folder, seeds, checks before the graph is built, the best
checkpoint by validation Dice, and what a user sees during training.
"""
