"""The ffmpeg command lines, built with ffmpeg-python. In each, the file is the descriptor 0 and nothing else can be
opened: no name is ever parsed, and a playlist inside cannot point anywhere."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ffmpeg
import imageio_ffmpeg

from vidrec.adapters.ffmpeg.packets import Packets, runs
from vidrec.domain.errors import Unavailable
from vidrec.domain.models import MediaInfo, TimeRange
from vidrec.domain.playback import Rendering, rendition_size
from vidrec.domain.sampling import Plan, slots

FRAME_SIDE = 224
_MAX_PICTURE_WIDTH = 320
_MAX_PICTURE_HEIGHT = 640
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,ogg,flv,asf,mpegts,mpeg,gif"
_THREADS = min(4, os.cpu_count() or 1)
_VIDEO = "V:0"  # the first stream that is not a cover picture

_HEARTBEAT_S = "0.5"
_H264 = {
    "c:v": "libx264",
    "preset:v": "veryfast",
    "crf:v": 23,
    "maxrate:v": "4M",
    "bufsize:v": "8M",
    "profile:v": "high",
    "force_key_frames:v": "expr:gte(t,4*n_forced)",
    "fps_mode:v": "vfr",
}
_AAC = {"c:a": "aac", "b:a": "128k", "ac:a": 2}

Reading = Mapping[str, Any]
"""Options of the input: where to begin, and how to complete what the container leaves out."""


@functools.cache
def executable() -> str:
    """Path of the ffmpeg binary; Unavailable where there is none."""
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise Unavailable("no ffmpeg was found: install imageio-ffmpeg, which brings one") from error


def reading_from(start_s: float, info: MediaInfo) -> Reading:
    """Begins at the last keyframe at or before this time."""
    seek = {"ss": start_s} if start_s > 0 else {}
    # AVI has decoding times only. Presentation times follow from those, but ffmpeg does not know these codecs' order.
    if info.container == "avi" and info.video_codec in ("h264", "hevc"):
        return seek
    return {**seek, "fflags": "+genpts"}


def reading_end(seconds: float) -> Reading:
    """Begins this long before the end, or at the start where the length is not known or less."""
    return {"sseof": -seconds}


def list_packets(reading: Reading, *, max_pixels: int) -> list[str]:
    """Lists the packets of the video stream on stdout, without decoding; stderr describes the container."""
    output = _input(reading, max_pixels)[_VIDEO].output(
        "pipe:1", format="framecrc", codec="copy", copyinkf=None, copypriorss=1
    )
    return _command(output, "info")


@dataclass(frozen=True, slots=True)
class Canvas:
    """One RGB image that holds a sampled frame twice: the square for the encoder, below it the picture for people."""

    display_width: int
    display_height: int

    @classmethod
    def of(cls, info: MediaInfo) -> Canvas:
        """The canvas for a video of this size."""
        return cls(info.width, info.height)

    @property
    def picture_width(self) -> int:
        return max(1, round(self.display_width * self._scale))

    @property
    def picture_height(self) -> int:
        return max(1, round(self.display_height * self._scale))

    @property
    def width(self) -> int:
        return max(FRAME_SIDE, self.picture_width)

    @property
    def height(self) -> int:
        return FRAME_SIDE + self.picture_height

    @property
    def size_bytes(self) -> int:
        return self.width * self.height * 3

    @property
    def _scale(self) -> float:
        return min(1.0, _MAX_PICTURE_WIDTH / self.display_width, _MAX_PICTURE_HEIGHT / self.display_height)

    def drawn_on(self, video: Any) -> Any:
        """The filters that draw it. The middle square is cut out before scaling, so that no shape of frame becomes
        huge on the way."""
        branches = video.filter_multi_output("split")
        side = min(self.display_width, self.display_height)
        square = (
            branches[0]
            .filter(
                "crop",
                w=f"max(1,iw*{side / self.display_width:.9f})",
                h=f"max(1,ih*{side / self.display_height:.9f})",
                exact=1,
            )
            .filter("scale", FRAME_SIDE, FRAME_SIDE, flags="bilinear")
        )
        picture = branches[1].filter("scale", self.picture_width, self.picture_height, flags="bilinear")
        return ffmpeg.filter([self._padded(square), self._padded(picture)], "vstack")

    def _padded(self, video: Any) -> Any:
        return video.filter("format", "rgb24").filter("setsar", 1).filter("pad", self.width, "ih")


def decode_planned(
    canvas: Canvas,
    packets: Packets,
    plan: Plan,
    chunk: TimeRange,
    duration_s: float,
    reading: Reading,
    *,
    times_fd: int,
    max_pixels: int,
) -> list[str]:
    """Decodes what is planned of the packets that `list_packets` listed with the same `reading`: canvases on stdout,
    and for each a line `time numerator/denominator` on `times_fd`."""
    kept = _among("n", list(runs(plan.decode))).replace(",", "\\,")
    source = _input(reading, max_pixels, **{f"bsf:{_VIDEO}": f"noise=drop='not({kept})'"})
    if packets.exact:
        choice, count = _among("pts", [(pts, pts) for pts in packets.pts[plan.sample]]), len(plan.sample)
    else:
        choice, count = _first_of_each_slot(chunk, duration_s)
    return _command(_canvases(canvas.drawn_on(source[_VIDEO].filter("select", choice)), times_fd, count=count), "error")


def decode_all(
    canvas: Canvas, chunk: TimeRange, duration_s: float, reading: Reading, *, times_fd: int, max_pixels: int
) -> list[str]:
    """Decodes everything and keeps the first frame of each slot of the chunk; output as of `decode_planned`."""
    choice, count = _first_of_each_slot(chunk, duration_s)
    chosen = _input(reading, max_pixels)[_VIDEO].filter("trim", end=chunk.end_s).filter("select", choice)
    return _command(_canvases(canvas.drawn_on(chosen), times_fd, count=count), "error")


def render(info: MediaInfo, how: Rendering, *, output_fd: int, max_pixels: int) -> list[str]:
    """Writes the copy on `output_fd`, which must be a file: an MP4 that is not cut into fragments is finished where it
    was begun. stdout tells now and then how far it is. One thread for each step, so that it can be no burden."""
    source = _input({**reading_from(0.0, info), "threads": 1}, max_pixels)
    streams = [source[_VIDEO], *([source["a:0"]] if info.audio_codec else [])]
    output = ffmpeg.output(
        *streams,
        "fd:",
        fd=output_fd,
        format=how.container,
        threads=1,
        map_metadata=-1,
        map_chapters=-1,
        max_muxing_queue_size=4096,
        **({"c:v": "copy"} if how.copy_video else {**_H264, "filter:v": _shown_by_browsers(info)}),
        **({"c:a": "copy"} if how.copy_audio else _AAC),
    )
    options = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-filter_threads", "1")
    return [
        executable(),
        *output.global_args(*options, "-progress", "pipe:1", "-stats_period", _HEARTBEAT_S).get_args(),
    ]


def _shown_by_browsers(info: MediaInfo) -> str:
    """The filters of a transcoded copy."""
    width, height = rendition_size(info)
    filters = ["yadif=deint=interlaced", f"scale={width}:{height}:out_range=limited"]
    if info.hdr:
        filters += [
            f"zscale=tin={info.hdr}:pin=bt2020:min=bt2020nc:transfer=linear:npl=100",
            "format=gbrpf32le",
            "zscale=primaries=bt709",
            "tonemap=hable:desat=0",
            "zscale=transfer=bt709:matrix=bt709:range=limited",
        ]
    return ",".join([*filters, "setsar=1", "format=yuv420p"])


def _first_of_each_slot(chunk: TimeRange, duration_s: float) -> tuple[str, int]:
    """The choice as an expression, and how many frames that are at most."""
    edges = slots(chunk, duration_s)
    slot, before = (f"floor(({t}-{chunk.start_s})/{edges[1] - edges[0]})" for t in ("t", "prev_selected_t"))
    inside = f"gte(t,{chunk.start_s})*lt(t,{chunk.end_s})"
    return f"{inside}*(isnan(prev_selected_t)+gt({slot},{before}))", len(edges) - 1


def _input(reading: Reading, max_pixels: int, **options: Any) -> Any:
    return ffmpeg.input(
        "fd:",
        fd=0,
        protocol_whitelist="fd,pipe",
        format_whitelist=_CONTAINERS,
        max_pixels=max_pixels,
        noaccurate_seek=None,
        **{"threads": _THREADS, **reading},
        **options,
    )


def _canvases(video: Any, times_fd: int, *, count: int) -> Any:
    return video.output(
        "pipe:1",
        format="rawvideo",
        pix_fmt="rgb24",
        fps_mode="passthrough",
        enc_time_base="filter",
        **{"frames:v": count, "stats_enc_pre:v": f"pipe:{times_fd}", "stats_enc_pre_fmt": "{pts} {tb}"},
    )


def _command(output: Any, log_level: str) -> list[str]:
    # With -start_at_zero all times, also those of packets and after seeking, count from the start of the video.
    options = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", log_level, "-copyts", "-start_at_zero")
    return [executable(), *output.global_args(*options, "-filter_complex_threads", "1").get_args()]


def _among(variable: str, ranges: Sequence[tuple[int, int]]) -> str:
    """Whether the variable lies in one of these ascending ranges, as an expression. It halves the ranges at each step,
    because ffmpeg takes no sum of more than 100 terms."""
    if not ranges:
        return "0"
    if len(ranges) == 1:
        return f"between({variable},{ranges[0][0]},{ranges[0][1]})"
    middle = len(ranges) // 2
    left, right = _among(variable, ranges[:middle]), _among(variable, ranges[middle:])
    return f"if(lt({variable},{ranges[middle][0]}),{left},{right})"
