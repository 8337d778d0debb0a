"""Arrays on grids, files, progress and parallel jobs: what all other rooms build on."""
