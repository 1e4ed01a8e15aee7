#!/usr/bin/env bash
# Everything at once: a camera whose frames are classified, guarded, encrypted by the fastest backend (a GPU where one has
# been measured to be faster) and recorded, a preview with their labels, and metrics for Prometheus.
#
#   --source DEVICE|FILE|URI|test   (/dev/video0)
#   --sink   auto|fake|FILE|DEVICE  where the preview goes (auto: a window)
#   --output FILE                   the encrypted recording (target/pipelines/camera.cveil)
#   --port   N                      of http://127.0.0.1:N/metrics (9464)
#   --frames N  --size WxH  --fps N
#   --keys   DIR                    holds camera.key and camera.pub, made if absent (target/pipelines/keys)

. "$(dirname "$0")/common.sh"
option=([source]=/dev/video0 [sink]=auto [output]=$workspace/camera.cveil [port]=9464 [frames]='' [size]=640x480
    [fps]=30 [keys]=$workspace/keys)
parse_options "$@"
prepare
make_keys
set_source
set_sink
recording=${option[output]}

# A window that is slow loses frames; the recording does not wait for it.
preview=(queue)
[[ ${option[sink]} != auto ]] || preview=(queue leaky=downstream max-size-buffers=2)
say "Metrics: http://127.0.0.1:${option[port]}/metrics"
CHAOSVEIL_METRICS=127.0.0.1:${option[port]} gst-launch-1.0 -q -e "${source[@]}" ! frameclassifier ! tee name=frames \
    frames. ! queue ! chaosenc recipient-file="$recipient" guard=true ! filesink location="$recording.partial" \
    frames. ! "${preview[@]}" ! videoconvert ! textoverlay name=preview font-desc="Sans 24" ! "${sink[@]}" \
    frames. ! "${preview[@]}" ! classificationtext ! preview.text_sink
mv "$recording.partial" "$recording"
say "Recorded: $recording   what is in it: chaosveil inspect -i $identity $recording"
say "Decrypted: chaosveil decrypt -i $identity $recording -o decrypted.mkv"
