"""Windows deformed where they are cut, and not on whole volumes: ``window_sampling = uniform_fast``."""
