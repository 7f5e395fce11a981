"""Results as documents that stand alone: no network, browser or script is needed to make or to read them."""

from xaikit.report._model_page import write_model_page
from xaikit.report._page import write_page

__all__ = ["write_model_page", "write_page"]
