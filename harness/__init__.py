"""Declarative search and benchmarking of image-classifier compression with KSAN."""

__version__ = "0.1.0"
