#!/usr/bin/env bash
# A video file into an encrypted one and back: every track, audio too, without re-encoding.
#
#   --source test|FILE|DEVICE|URI   (test: a clip of H.264 and Opus is made)
#   --sink   FILE                   the decrypted file (decrypted.mkv in --output)
#   --output DIR                    where the other files stand (target/pipelines/file)
#   --frames N  --size WxH  --fps N of the test clip, and of a device
#   --keys   DIR                    holds camera.key and camera.pub, made if absent (target/pipelines/keys)

. "$(dirname "$0")/common.sh"
option=([source]=test [sink]='' [output]=$workspace/file [frames]=90 [size]=640x480 [fps]=30 [keys]=$workspace/keys)
parse_options "$@"
prepare
make_keys
folder=${option[output]}
decrypted=${option[sink]:-$folder/decrypted.mkv}
mkdir -p "$folder"

make_clip() {
    set_source
    gst-launch-1.0 -q matroskamux name=mux ! filesink location="$1" \
        "${source[@]}" ! x264enc speed-preset=veryfast ! h264parse ! queue ! mux. \
        audiotestsrc num-buffers="${option[frames]}" samplesperbuffer=$((48000 / option[fps])) ! \
        audio/x-raw,rate=48000 ! opusenc ! queue ! mux.
}

input=()
case ${option[source]} in
    test) input=("$folder/clip.mkv") && make_clip "${input[0]}" ;;
    /dev/*) input=("v4l2://${option[source]}" --size "${option[size]}" --fps "${option[fps]}"
        --duration $((option[frames] / option[fps] + 1))) ;;
    *://*) input=("${option[source]}") ;;
    *)
        require_file "${option[source]}" "--source is test, a video file, a device, or a URI"
        input=("${option[source]}")
        ;;
esac
chaosveil encrypt --force -R "$recipient" "${input[@]}" -o "$folder/encrypted.cveil"
chaosveil decrypt --force -i "$identity" "$folder/encrypted.cveil" -o "$decrypted"
say "Encrypted: $folder/encrypted.cveil   decrypted: $decrypted"
