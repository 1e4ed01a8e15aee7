"""Prints what a `.cveil` file holds: `python3 -m second_reader (--identity F | --psk F | --passphrase-file F) FILE`."""

import argparse
import json
import sys
from pathlib import Path

from blake3 import blake3

from .age_file import AgeError
from .key_files import read_identities, read_passphrase, read_pre_shared_key
from .layout import AEADS, PROFILES
from .reader import Credentials, Reading, Stream, read

INTACT, BAD_USAGE, WRONG_KEY, DAMAGED = 0, 2, 3, 4


def load_credentials(options: argparse.Namespace) -> Credentials:
    if options.identity:
        return Credentials(identities=read_identities(options.identity))
    if options.psk:
        return Credentials(psk=read_pre_shared_key(options.psk))
    return Credentials(passphrase=read_passphrase(options.passphrase_file))


def summary_of_stream(stream: Stream) -> dict:
    newest = stream.description
    counters = [frame.counter for frame in stream.frames]
    return {
        "stream_id": stream.keys.stream_id.hex(),
        "profile": PROFILES[stream.keys.profile],
        "aead": AEADS[stream.keys.aead],
        "recording_id": newest.recording_id.hex(),
        "track": newest.track,
        "tracks": newest.tracks,
        "caps": newest.caps,
        "descriptions": [
            {"counter": d.counter, "caps": d.caps, "segment": d.segment} for d in stream.descriptions.values()
        ],
        "frames": len(stream.frames),
        "first_counter": counters[0] if counters else None,
        "last_counter": counters[-1] if counters else None,
        "end_record": stream.end is not None,
        "index": stream.index and vars(stream.index),
        "complete": stream.complete,
        "replayed": stream.replayed,
        "reordered": stream.reordered,
        "undescribed": len(stream.undescribed),
        "frame_list": [
            {"counter": frame.counter}
            | vars(frame.record)
            | {"length": len(frame.payload), "blake3": blake3(frame.payload).hexdigest()}
            for frame in stream.frames
        ],
    }


def exit_code(reading: Reading) -> int:
    if reading.intact:
        return INTACT
    return WRONG_KEY if reading.locked and not reading.streams else DAMAGED


def summary_of(reading: Reading) -> dict:
    counts = ("rejected", "truncated", "locked", "skipped_bytes", "bad_index_bytes", "missing_tracks", "intact")
    summary = {name: getattr(reading, name) for name in counts}
    return summary | {"streams": [summary_of_stream(stream) for stream in reading.streams.values()]}


def extract(reading: Reading, folder: Path) -> None:
    """Each payload as `track-T-COUNTER.bin`."""
    folder.mkdir(parents=True, exist_ok=True)
    for stream in reading.streams.values():
        for frame in stream.frames:
            name = f"track-{stream.description.track}-{frame.counter:012}.bin"
            (folder / name).write_bytes(frame.payload)


def print_text(summary: dict) -> None:
    print(", ".join(f"{name}: {value}" for name, value in summary.items() if name != "streams"))
    for stream in summary["streams"]:
        print(", ".join(f"{name}: {value}" for name, value in stream.items() if not isinstance(value, list)))
        for frame in stream["frame_list"]:
            print("  ", ", ".join(f"{name}: {value}" for name, value in frame.items()))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="second_reader", description="Independent reader of .cveil files")
    key = parser.add_mutually_exclusive_group(required=True)
    key.add_argument("--identity", type=Path, help="age identity file (X25519)")
    key.add_argument("--psk", type=Path, help="pre-shared key file")
    key.add_argument("--passphrase-file", type=Path, help="file with the passphrase in its first line")
    parser.add_argument("--extract", type=Path, metavar="DIR", help="write the payloads into this folder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines of text")
    parser.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    try:
        credentials, data = load_credentials(options), options.file.read_bytes()
    except (OSError, ValueError, AgeError) as error:
        print(f"second_reader: {error}", file=sys.stderr)
        return BAD_USAGE
    reading = read(data, credentials)
    if options.extract:
        extract(reading, options.extract)
    summary = summary_of(reading)
    print(json.dumps(summary, indent=1)) if options.json else print_text(summary)
    return exit_code(reading)


if __name__ == "__main__":
    sys.exit(main())
