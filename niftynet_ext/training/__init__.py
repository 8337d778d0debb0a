"""Training that lasts: what stands around NiftyNet's loop of iterations.

Checkpoints that are whole, one writer per model folder, seeds, checks before the graph is built,
the best checkpoint by validation Dice, and what is shown on the way.
"""
