#!/usr/bin/env bash
# What frames look like to the network, drawn on the preview: those of a webcam, or the cipher pictures made of them.
#
#   --source DEVICE|FILE|URI|test   (/dev/video0)
#   --sink   auto|fake|FILE|DEVICE  (auto: a window)
#   --show   plain|cipher           what is classified and shown (plain)
#   --frames N  --size WxH  --fps N of at least 128x128
#   --keys   DIR                    holds camera.key and camera.pub, made if absent (target/pipelines/keys)

. "$(dirname "$0")/common.sh"
option=([source]=/dev/video0 [sink]=auto [show]=plain [frames]='' [size]=640x480 [fps]=30 [keys]=$workspace/keys)
parse_options "$@"
check_choice show plain cipher
prepare
make_keys
set_source
set_sink

through=()
[[ ${option[show]} == plain ]] || through=(chaosenc recipient-file="$recipient" output=picture !)
gst-launch-1.0 -q -e "${source[@]}" ! "${through[@]}" frameclassifier ! tee name=frames \
    frames. ! queue ! videoconvert ! textoverlay name=preview font-desc="Sans 24" ! "${sink[@]}" \
    frames. ! queue ! classificationtext ! preview.text_sink
