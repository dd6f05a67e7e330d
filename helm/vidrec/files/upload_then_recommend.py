"""`helm test`: uploads a video of three seconds, waits until it can be recommended, asks for recommendations, and takes
everything away again. Runs in the API's image; ADDRESS, AUTH and TIMEOUT_S come from the chart."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import imageio_ffmpeg

ADDRESS = os.environ["ADDRESS"]
TIMEOUT_S = float(os.environ["TIMEOUT_S"])


def vidrec(*arguments):
    done = subprocess.run(["vidrec", *arguments], stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT_S)
    return json.loads(done.stdout) if "--json" in arguments else None


def ask(method, path):
    key = os.environ.get("VIDREC_API_KEY")
    request = urllib.request.Request(ADDRESS + path, method=method)
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or "null")


def make_video(file):
    source = f"mandelbrot=size=320x240:rate=10:start_scale={1 + os.getpid() % 7}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source, "-t", "3"]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(file)], check=True, timeout=60)


def upload_then_recommend():
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder, "helm-test.mp4")
        make_video(video)
        uploaded = vidrec("upload", "--url", ADDRESS, "--wait", "--json", str(video))
    sys.stdout.write(f"{json.dumps(uploaded)}\n")
    [video_id] = [one["video_id"] for one in uploaded["files"]]
    try:
        items = ask("GET", "/recommend?userid=helm-test")["items"]
        sys.stdout.write(f"{len(items)} recommended\n")
        assert items, "a video was uploaded and nothing is recommended"
    finally:
        ask("DELETE", f"/videos/{video_id}")


key = (
    vidrec("keys", "create", "--role", "admin", "--name", "helm test", "--json")
    if os.environ["AUTH"] == "keys"
    else None
)
try:
    if key:
        os.environ["VIDREC_API_KEY"] = key["key"]
    upload_then_recommend()
finally:
    if key:
        vidrec("keys", "revoke", key["id"])
