#!/usr/bin/env bash
# Makes the base image localhost/vidrec-base for podman where no registry can be reached: Debian's Python by mmdebstrap (two
# minutes, root). The test that builds and runs the image takes it.
set -euo pipefail
archive=$(mktemp --suffix=.tar)
trap 'rm -f "$archive"' EXIT
mmdebstrap --quiet --variant=minbase --include=python3,python3-pip,python3-venv,python-is-python3,ca-certificates \
  --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED; cp /etc/ssl/certs/ca-certificates.crt "$1"/etc/ssl/certs/' \
  bookworm "$archive"
podman import --quiet "$archive" localhost/vidrec-base
