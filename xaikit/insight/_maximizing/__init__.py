"""The parts of feature maximisation: what is drawn on, parameters, transformations, objectives, the ascent, quality."""
