"""The ISP's stages by name, in their usual order. To add one, write its file and add its line."""

from __future__ import annotations

from pipelines.isp.black_white_level import BlackWhiteLevel
from pipelines.isp.color_matrix import ColorMatrix
from pipelines.isp.defect_pixels import DefectPixels
from pipelines.isp.dehaze import Dehaze
from pipelines.isp.demosaic import Demosaic
from pipelines.isp.exposure import Exposure
from pipelines.isp.lens_shading import LensShading
from pipelines.isp.local_tone import LocalTone
from pipelines.isp.raw_denoise import RawDenoise
from pipelines.isp.saturation import Saturation
from pipelines.isp.sharpen import Sharpen
from pipelines.isp.stage import Stage
from pipelines.isp.tone_curve import ToneCurve
from pipelines.isp.white_balance import WhiteBalance
from pipelines.isp.yuv_denoise import YuvDenoise

STAGES: dict[str, type[Stage]] = {
    stage.name: stage
    for stage in (
        BlackWhiteLevel,
        DefectPixels,
        LensShading,
        RawDenoise,
        WhiteBalance,
        Demosaic,
        ColorMatrix,
        Exposure,
        ToneCurve,
        YuvDenoise,
        LocalTone,
        Dehaze,
        Saturation,
        Sharpen,
    )
}
