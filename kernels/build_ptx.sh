#!/usr/bin/env bash
# Compiles kernels/*.cu to the checked-in kernels/*.ptx, with the pinned NVRTC in a Python environment of its own. Needs
# neither a GPU nor a CUDA toolkit. With --check nothing is written: the PTX must come out byte for byte the same.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${CARGO_TARGET_DIR:-target}/kernels-venv
[[ -x $venv/bin/python ]] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r kernels/requirements.txt
exec "$venv/bin/python" kernels/build_ptx.py "$@"
