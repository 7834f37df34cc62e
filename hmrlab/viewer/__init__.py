"""Bodies in the browser: the notebook widget, and pages that need no kernel."""

from hmrlab.viewer.compose import compare, timeline
from hmrlab.viewer.packing import Mesh
from hmrlab.viewer.pages import write_page
from hmrlab.viewer.widget import BodyViewer

__all__ = ["BodyViewer", "Mesh", "compare", "timeline", "write_page"]
