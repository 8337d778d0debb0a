"""What a researcher runs: training in rounds, selection, ensembles, evaluation, report, study."""
