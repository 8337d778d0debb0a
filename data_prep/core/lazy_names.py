"""Public names of a package that are imported at their first use (PEP 562); runs on Python 3.7."""

from importlib import import_module
from typing import Any, Callable, Dict, List, Tuple


def lazy_names(
    namespace: Dict[str, Any], modules: Dict[str, str]
) -> Tuple[Callable[[str], Any], Callable[[], List[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__``.

    :param namespace: ``globals()`` of the package, which keeps what was imported.
    :param modules: the module that defines each name.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        namespace[name] = getattr(import_module(modules[name]), name)
        return namespace[name]

    def list_names() -> List[str]:
        return sorted({*namespace, *modules})

    return get, list_names
