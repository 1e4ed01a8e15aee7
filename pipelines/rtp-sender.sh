#!/usr/bin/env bash
# Encrypted video over RTP and UDP to rtp-receiver.sh. Datagrams that get lost cost the frames that they belong to and
# no other. Only the recipient (public) is needed here: copy camera.pub from the receiver's --keys folder.
#
#   --source test|DEVICE|FILE|URI   (test)
#   --sink   HOST                   the receiver (127.0.0.1)
#   --port   N                      (5004)
#   --codec  h264|raw               (h264)
#   --frames N  --size WxH  --fps N
#   --keys   DIR                    holds camera.pub (target/pipelines/keys)

. "$(dirname "$0")/common.sh"
option=([source]=test [sink]=127.0.0.1 [port]=5004 [codec]=h264 [frames]='' [size]=640x480 [fps]=30
    [keys]=$workspace/keys)
parse_options "$@"
prepare
require_recipient
set_source
set_encoder

# A frame leaves as one burst of datagrams: the buffer must hold it.
gst-launch-1.0 -q -e "${source[@]}" ! "${encoder[@]}" chaosenc recipient-file="$recipient" ! \
    rtpgstpay config-interval=1 ! udpsink host="${option[sink]}" port="${option[port]}" buffer-size=4194304
