"""Modules of TensorFlow 1 that are put together from functions defined elsewhere."""

import importlib
import types
from collections.abc import Mapping
from typing import Any


class LazyModule(types.ModuleType):
    """A module that loads its parts when they are used, and names what it does not have.

    :param name: dotted name, ``tensorflow...``
    :param parts: function name -> dotted name of the module that defines it
    :param why_absent: why TensorFlow has no such module, for the message
    """

    def __init__(self, name: str, parts: Mapping[str, str], why_absent: str) -> None:
        super().__init__(name)
        self.__path__ = []
        self._parts, self._why_absent = parts, why_absent

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._parts:
            raise AttributeError(
                f"{self.__name__}.{name}: {self._why_absent}, and niftynet_ext does not provide "
                f"this part of it"
            )
        value = getattr(importlib.import_module(self._parts[name]), name)
        setattr(self, name, value)  # from now on an ordinary attribute
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parts})
