"""The commands around a training, one module each; see :mod:`data_prep.commands` for the form."""
