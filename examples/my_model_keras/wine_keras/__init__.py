"""A small network for a table of wines, trained with Keras; xaikit knows it by the name `wine_keras`."""
