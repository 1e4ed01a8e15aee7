#!/usr/bin/env bash
# A webcam, as cipher pictures, into a virtual webcam that any program can open. The virtual webcam is a kernel module:
#
#   sudo apt install v4l2loopback-dkms && sudo modprobe v4l2loopback video_nr=10
#
# Whoever holds the key sees the picture again: v4l2src device=/dev/video10 ! chaosdec identity-file=camera.key ! ...
#
#   --source DEVICE|FILE|URI|test   (/dev/video0)
#   --sink   DEVICE|fake|FILE|auto  (/dev/video10)
#   --show   cipher|decrypted       what the virtual webcam shows (cipher)
#   --frames N  --size WxH  --fps N
#   --keys   DIR                    holds camera.key and camera.pub, made if absent (target/pipelines/keys)

. "$(dirname "$0")/common.sh"
option=([source]=/dev/video0 [sink]=/dev/video10 [show]=cipher [frames]='' [size]=640x480 [fps]=30
    [keys]=$workspace/keys)
parse_options "$@"
check_choice show cipher decrypted
prepare
make_keys
set_source
set_sink

# What the virtual webcam needs, format and fixed rate, is made before encryption: a cipher picture must stay as it is.
form=(videoconvert ! videorate ! "video/x-raw,format=YUY2,framerate=${option[fps]}/1")
case ${option[show]} in
    cipher) through=(chaosenc recipient-file="$recipient" output=picture) ;;
    decrypted) through=(chaosenc recipient-file="$recipient" ! chaosdec identity-file="$identity") ;;
esac
gst-launch-1.0 -q -e "${source[@]}" ! "${form[@]}" ! "${through[@]}" ! "${sink[@]}"
