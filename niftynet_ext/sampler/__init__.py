"""``window_sampling = uniform_fast``: windows deformed where they are cut, not whole volumes."""
