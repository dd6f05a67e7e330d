"""Looks into video files and makes copies of them with ffmpeg, in limited child processes."""

from vidrec.adapters.ffmpeg.renderer import FfmpegRenderer
from vidrec.adapters.ffmpeg.source import FfmpegFrameSource

__all__ = ["FfmpegFrameSource", "FfmpegRenderer"]
