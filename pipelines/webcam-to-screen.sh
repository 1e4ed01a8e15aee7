#!/usr/bin/env bash
# A webcam, encrypted and decrypted again, on the screen.
#
#   --source DEVICE|FILE|URI|test   (/dev/video0)
#   --sink   auto|fake|FILE|DEVICE  (auto: a window)
#   --show   decrypted|cipher       what the sink gets (decrypted)
#   --frames N  --size WxH  --fps N
#   --keys   DIR                    holds camera.key and camera.pub, made if absent (target/pipelines/keys)

. "$(dirname "$0")/common.sh"
option=([source]=/dev/video0 [sink]=auto [show]=decrypted [frames]='' [size]=640x480 [fps]=30 [keys]=$workspace/keys)
parse_options "$@"
check_choice show decrypted cipher
prepare
make_keys
set_source
set_sink

case ${option[show]} in
    decrypted) through=(chaosenc recipient-file="$recipient" ! chaosdec identity-file="$identity") ;;
    cipher) through=(chaosenc recipient-file="$recipient" output=picture) ;;
esac
gst-launch-1.0 -q -e "${source[@]}" ! "${through[@]}" ! "${sink[@]}"
