"""Names for classes: what the modules of one package and of others register, read at the first look-up."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from xaikit.errors import UnknownName

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """A read-only mapping from kebab-case names to the classes that the modules of `package` register under them.

    A module registers with `@registry("name")`; modules whose name starts with "_" are not read. With a `group`, the
    modules that other installed packages name in this group of entry points are read after them. One of these that
    cannot be imported is left out with a warning, since what it breaks is not the user's question.
    """

    def __init__(self, kind: str, package: str, group: str | None = None) -> None:
        self.kind, self.package, self.group = kind, package, group
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
            for name in self.guests():
                try:
                    import_module(name)
                except Exception as error:  # whatever a package of somebody else's raises
                    said = " ".join(str(error).split()) or type(error).__name__
                    warnings.warn(f"the {self.kind}s of {name} are left out: {said}", stacklevel=4)

    def guests(self) -> list[str]:
        """List the modules of other packages that register here, without importing any."""
        if self.group is None:
            return []
        from importlib.metadata import entry_points  # takes thirty milliseconds

        return sorted({point.module for point in entry_points(group=self.group)})
