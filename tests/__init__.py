"""A package, so that no other `tests` that a library installs hides it."""
