"""Uploads a video and waits until it can be recommended: python upload.py FILE [ADDRESS] (key: VIDREC_API_KEY)"""

import os
import sys
import time
from pathlib import Path

import requests

file, address = Path(sys.argv[1]), (sys.argv[2:] or ["http://127.0.0.1:3000"])[0]
api = requests.Session()
if key := os.environ.get("VIDREC_API_KEY"):  # where the API asks for one
    api.headers["Authorization"] = f"Bearer {key}"
ask = api.get(f"{address}/presigned_for_upload/upload/videos", params={"filename": file.name}, timeout=30)
ask.raise_for_status()
signed = ask.json()
with file.open("rb") as body:
    requests.put(signed["PresignedURL"], data=body, headers=signed["headers"], timeout=3600).raise_for_status()
while (video := api.get(signed["status_url"], timeout=30).json())["stage"] not in ("indexed", "failed"):
    time.sleep(0.5)
print(video["title"], video["stage"], (video["failure"] or {}).get("message", ""), video["links"]["similar"])
