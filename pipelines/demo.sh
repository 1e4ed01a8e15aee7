#!/usr/bin/env bash
# Encrypts and decrypts a clip through real GStreamer pipelines, compares every frame, and draws one picture:
# plain | cipher | decrypted, each over its histogram. Installs and builds what is missing first.
#
#   --source test|FILE|DEVICE|URI   what to encrypt (test)
#   --sink   fake|auto|FILE|DEVICE  where the decrypted clip goes (fake: nowhere but into the comparison)
#   --frames N  --size WxH  --fps N
#   --output DIR                    where the results stand (target/pipelines/demo)

. "$(dirname "$0")/common.sh"
option=([source]=test [sink]=fake [frames]=90 [size]=640x480 [fps]=30 [output]=$workspace/demo)
parse_options "$@"
prepare

out=${option[output]}
mkdir -p "$out"
out=$(realpath --relative-base="$PWD" "$out")
option[keys]=$out
make_keys
set_source
set_sink
# FFV1 is lossless and looks at visible samples alone, so equal checksums of its frames are equal pictures.
checksums=(queue ! avenc_ffv1 ! checksumsink hash=sha256)

say "1. Encrypting ${option[source]} into $out/clip.cveil"
gst-launch-1.0 -q "${source[@]}" ! videoconvert ! tee name=plain \
    plain. ! "${checksums[@]}" \
    plain. ! queue ! chaosenc recipient-file="$recipient" ! filesink location="$out/clip.cveil" >"$out/plain.sha256"

say "2. Decrypting it again"
gst-launch-1.0 -q filesrc location="$out/clip.cveil" ! chaosdec identity-file="$identity" ! tee name=decrypted \
    decrypted. ! "${checksums[@]}" \
    decrypted. ! queue ! "${sink[@]}" >"$out/decrypted.sha256"
[[ -s $out/plain.sha256 ]] || fail "the source gave no frames"
diff -q "$out/plain.sha256" "$out/decrypted.sha256" >/dev/null ||
    fail "THE ROUND TRIP IS NOT EXACT; compare $out/plain.sha256 with $out/decrypted.sha256"
say "   $(wc -l <"$out/plain.sha256") frames, each with the time and the SHA-256 that it had before"

say "3. Decrypting it with another key"
rm -f "$out/other.key"
chaosveil keygen -o "$out/other.key" >/dev/null
# gst-launch-1.0 itself may miss an error that is told before it listens, and then waits for ever: hence the interrupt.
if timeout --signal=INT --kill-after=10 10 gst-launch-1.0 -q filesrc location="$out/clip.cveil" ! \
    chaosdec identity-file="$out/other.key" ! filesink location="$out/other.raw" >"$out/other.log" 2>&1 ||
    [[ -s $out/other.raw ]]; then
    fail "ANOTHER KEY GOT THROUGH; see $out/other.log"
fi
say "   refused: $(grep -m 1 -o 'none of the given keys.*' "$out/other.log" || tail -n 1 "$out/other.log")"

say "4. Drawing $out/demo.png"
option[frames]=10
set_source
# Each frame overwrites the one before it: the last one stays.
gst-launch-1.0 -q "${source[@]}" ! videoconvert ! video/x-raw,format=RGB ! tee name=plain \
    plain. ! queue ! pngenc ! multifilesink location="$out/plain.png" \
    plain. ! queue ! chaosenc recipient-file="$recipient" output=picture ! \
    pngenc ! multifilesink location="$out/cipher.png"
gst-launch-1.0 -q filesrc location="$out/cipher.png" ! pngdec ! chaosdec identity-file="$identity" ! \
    pngenc ! filesink location="$out/decrypted.png"
chaosveil compare --force "$out/plain.png" "$out/cipher.png" "$out/decrypted.png" -o "$out/demo.png"

say "5. Measuring one picture of ${option[size]}, I420, again and again"
set_still_source
encrypt=(chaosenc recipient-file="$recipient")
fps=$(frames_per_second "${source[@]}" ! "${encrypt[@]}" !)
say "   encrypt            $fps frames per second"
fps=$(frames_per_second "${source[@]}" ! "${encrypt[@]}" ! chaosdec identity-file="$identity" !)
say "   encrypt, decrypt   $fps frames per second"

say "Done: the round trip is bit-exact. Look at $out/demo.png"
