"""Compiles kernels/*.cu to PTX with the pinned NVRTC, and assembles that for every architecture. Needs no GPU.

    build_ptx.py            writes kernels/*.ptx
    build_ptx.py --check    compares them byte for byte, assembles them, prints registers and spills
"""

import ctypes
import hashlib
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

FOLDER = Path(__file__).parent
OPTIONS = (FOLDER / "nvrtc_options.txt").read_text().split()
NVRTC = "nvidia-cuda-nvrtc-cu12"
PTXAS = "nvidia-cuda-nvcc-cu12"
ARCHITECTURES = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]


def file_of(package: str, name: str) -> Path:
    found = [file for file in metadata.files(package) or [] if file.name == name]
    if not found:
        sys.exit(f"{package} is not installed: pip install -r kernels/requirements.txt")
    return Path(found[0].locate())


def digest(source: Path, headers: list[Path]) -> str:
    """SHA-256 over options, then name and content of the source and of every header."""
    state = hashlib.sha256("\0".join(OPTIONS).encode())
    for file in [source, *headers]:
        state.update(b"\0" + file.name.encode() + b"\0" + file.read_bytes())
    return state.hexdigest()


class Compiler:
    def __init__(self) -> None:
        self.library = ctypes.CDLL(str(file_of(NVRTC, "libnvrtc.so.12")))

    def call(self, name: str, *arguments) -> None:
        status = getattr(self.library, name)(*arguments)
        if status:
            self.library.nvrtcGetErrorString.restype = ctypes.c_char_p
            raise RuntimeError(f"{name}: {self.library.nvrtcGetErrorString(status).decode()}")

    def text(self, program, what: str) -> str:
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, buffer)
        return buffer.value.decode()

    def ptx(self, source: Path, headers: list[Path]) -> str:
        program = ctypes.c_void_p()
        strings = lambda items: (ctypes.c_char_p * len(items))(*items)  # noqa: E731
        self.call(
            "nvrtcCreateProgram",
            ctypes.byref(program),
            source.read_bytes(),
            source.name.encode(),
            len(headers),
            strings([header.read_bytes() for header in headers]),
            strings([header.name.encode() for header in headers]),
        )
        options = [option.encode() for option in OPTIONS]
        if self.library.nvrtcCompileProgram(program, len(options), strings(options)):
            sys.exit(f"{source.name}:\n{self.text(program, 'ProgramLog')}")
        head = f"// SHA-256 of options and sources: {digest(source, headers)}\n// NVRTC {metadata.version(NVRTC)}\n"
        return head + self.text(program, "PTX")


def assemble(ptx: Path) -> None:
    """What `ptxas` says of every architecture; a spill is a failure."""
    ptxas = file_of(PTXAS, "ptxas")
    with tempfile.TemporaryDirectory() as folder:
        for architecture in ARCHITECTURES:
            arguments = [ptxas, "-v", f"--gpu-name={architecture}", ptx, "-o", f"{folder}/out.cubin"]
            said = subprocess.run(arguments, capture_output=True, text=True, check=True).stderr
            for kernel, spills, registers in re.findall(
                r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers", said, re.S
            ):
                print(f"{ptx.name:18} {kernel:10} {architecture:7} {registers:>4} registers, {spills} bytes spilled")
                if spills != "0":
                    sys.exit("registers are spilled")


def main() -> None:
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    compiler, headers = Compiler(), sorted(FOLDER.glob("*.cuh"))
    for source in sorted(FOLDER.glob("*.cu")):
        target, ptx = source.with_suffix(".ptx"), compiler.ptx(source, headers)
        if not check:
            target.write_text(ptx)
        elif not target.exists() or target.read_text() != ptx:
            sys.exit(f"{target.name} is not what {source.name} compiles to: run kernels/build_ptx.sh")
        assemble(target)


main()
