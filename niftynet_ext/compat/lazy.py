"""Modules of TensorFlow 1 that are put together from functions defined elsewhere."""

import importlib
import types


class LazyModule(types.ModuleType):
    """A module that loads what it has when asked, and says by name what it lacks.

    :param name: dotted name, ``tensorflow...``
    :param parts: dict of function name to the dotted name of the module that defines it
    :param lacks: why the rest is not there, for the message
    """

    def __init__(self, name, parts, lacks):
        super().__init__(name)
        self.__path__ = []
        self._parts, self._lacks = parts, lacks

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._parts:
            raise AttributeError(
                f"{self.__name__}.{name}: {self._lacks}, and niftynet_ext does "
                f"not provide this part of it"
            )
        value = getattr(importlib.import_module(self._parts[name]), name)
        setattr(self, name, value)  # the next look-up is a plain one
        return value

    def __dir__(self):
        return sorted({*super().__dir__(), *self._parts})
