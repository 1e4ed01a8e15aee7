#!/usr/bin/env bash
# Encrypted video over TCP to tcp-receiver.sh, which listens: start that first. Only the recipient (public) is needed
# here: copy camera.pub from the receiver's --keys folder.
#
#   --source test|DEVICE|FILE|URI   (test)
#   --sink   HOST                   the receiver (127.0.0.1)
#   --port   N                      (5000)
#   --codec  h264|raw               (h264)
#   --frames N  --size WxH  --fps N
#   --keys   DIR                    holds camera.pub (target/pipelines/keys)

. "$(dirname "$0")/common.sh"
option=([source]=test [sink]=127.0.0.1 [port]=5000 [codec]=h264 [frames]='' [size]=640x480 [fps]=30
    [keys]=$workspace/keys)
parse_options "$@"
prepare
require_recipient
set_source
set_encoder

gst-launch-1.0 -q -e "${source[@]}" ! "${encoder[@]}" chaosenc recipient-file="$recipient" ! \
    tcpclientsink host="${option[sink]}" port="${option[port]}"
