"""Codecs: real encoders with true file sizes, and a differentiable JPEG whose tables can be learned."""
