"""The web app of xaikit."""
