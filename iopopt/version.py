"""The version of the package, for the package itself and for its lowest rooms."""

__version__ = "0.1.0"
