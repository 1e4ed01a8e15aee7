#!/usr/bin/env bash
# Shows what rtp-sender.sh sends, until Ctrl-C. Makes the keys: the sender needs camera.pub, and no more.
#
#   --source ADDRESS                where to listen (127.0.0.1; 0.0.0.0 for every network of this machine)
#   --port   N                      (5004)
#   --sink   auto|fake|FILE|DEVICE  (auto: a window)
#   --keys   DIR                    holds camera.key and camera.pub, made if absent (target/pipelines/keys)

. "$(dirname "$0")/common.sh"
option=([source]=127.0.0.1 [port]=5004 [sink]=auto [keys]=$workspace/keys)
parse_options "$@"
prepare
make_keys
set_sink

say "Listening on ${option[source]}:${option[port]}; senders need $recipient"
# A frame arrives as one burst of datagrams: the buffer must hold it (the kernel may grant less: net.core.rmem_max).
gst-launch-1.0 -q -e udpsrc address="${option[source]}" port="${option[port]}" buffer-size=4194304 \
    caps="application/x-rtp,media=application,clock-rate=90000,encoding-name=X-GST" ! \
    rtpjitterbuffer ! rtpgstdepay ! chaosdec identity-file="$identity" ! decodebin ! queue ! "${sink[@]}"
