"""Looks into video files with ffmpeg, in limited child processes."""

from vidrec.adapters.ffmpeg.source import FfmpegFrameSource

__all__ = ["FfmpegFrameSource"]
