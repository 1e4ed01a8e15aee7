#!/usr/bin/env bash
# Waits for tcp-sender.sh and shows what it sends. Makes the keys: the sender needs camera.pub, and no more.
#
#   --source ADDRESS                where to listen (127.0.0.1; 0.0.0.0 for every network of this machine)
#   --port   N                      (5000)
#   --sink   auto|fake|FILE|DEVICE  (auto: a window)
#   --keys   DIR                    holds camera.key and camera.pub, made if absent (target/pipelines/keys)

. "$(dirname "$0")/common.sh"
option=([source]=127.0.0.1 [port]=5000 [sink]=auto [keys]=$workspace/keys)
parse_options "$@"
prepare
make_keys
set_sink

say "Listening on ${option[source]}:${option[port]}; senders need $recipient"
gst-launch-1.0 -q -e tcpserversrc host="${option[source]}" port="${option[port]}" ! \
    chaosdec identity-file="$identity" ! decodebin ! queue ! "${sink[@]}"
