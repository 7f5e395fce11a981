"""Can I trust this: which methods a model can serve, and how good their explanations are."""

from xaikit.quality.doctor import Verdict, examine

__all__ = ["Verdict", "examine"]
