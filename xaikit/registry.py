"""Names for classes: what the modules of one package register, read at the first look-up."""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from xaikit.errors import UnknownName

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """A read-only mapping from kebab-case names to the classes that the modules of `package` register under them.

    A module registers with `@registry("name")`; modules whose name starts with "_" are not read.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._known: dict[str, T] = {}
        self._complete = False

    def __call__(self, name: str) -> Callable[[T], T]:
        def register(member: T) -> T:
            if name in self._known and self._known[name] is not member:
                raise ValueError(f"{self.kind} {name!r} is registered twice: {self._known[name]} and {member}")
            self._known[name] = member
            return member

        return register

    def __getitem__(self, name: str) -> T:
        self._read()
        if name not in self._known:
            raise UnknownName(self.kind, name, sorted(self._known))
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        self._read()
        return iter(sorted(self._known))

    def __len__(self) -> int:
        self._read()
        return len(self._known)

    def __contains__(self, name: object) -> bool:
        self._read()
        return name in self._known

    def __repr__(self) -> str:
        return f"<{len(self)} {self.kind}s: {', '.join(self)}>"

    def _read(self) -> None:
        if not self._complete:
            for module in iter_modules(import_module(self.package).__path__):
                if not module.name.startswith("_"):
                    import_module(f"{self.package}.{module.name}")
            self._complete = True
