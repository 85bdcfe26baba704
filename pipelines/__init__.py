"""What gets tuned: image algorithms with named, bounded, documented parameters, found by name.

>>> from pipelines import load
>>> pipeline = load("denoise.bilateral")            # a built-in, or "package.module:Class"
>>> pipeline.parameters["sigma_space"].bounds
'[0.5, 6] px'
"""

from __future__ import annotations

from pipelines.contract import Output, Pipeline, PipelineError, check_output
from pipelines.inputs import InputKind
from pipelines.parameters import Choice, Parameter
from pipelines.registry import OptionsError, available, find, load

__all__ = [
    "Choice",
    "InputKind",
    "OptionsError",
    "Output",
    "Parameter",
    "Pipeline",
    "PipelineError",
    "available",
    "check_output",
    "find",
    "load",
]
