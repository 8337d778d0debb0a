"""``window_sampling = uniform_fast``: deform the windows that are cut, not whole volumes."""
