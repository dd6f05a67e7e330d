"""vidrec: recommends videos by what is in their scenes."""

import os

# onnxruntime 1.32 reports to its maker unless this is set before it is imported, and keeps a file in the home folder.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
