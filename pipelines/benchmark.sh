#!/usr/bin/env bash
# Frames per second, live, through nothing (identity), through the standard cipher alone, and through encryption and
# decryption; and what the elements counted themselves: latency, and the time of one frame in each stage.
#
#   --source test|FILE|DEVICE|URI   (test: one picture of noise, made once, so that the elements alone are measured;
#                                    anything else counts with what its decoding takes, a camera at its own rate)
#   --sink   fake|auto              (fake)
#   --seconds N                     of each row (5)
#   --size WxH  --fps N             (1920x1080, 30)
#   --keys   DIR                    holds camera.key and camera.pub, made if absent (target/pipelines/keys)

. "$(dirname "$0")/common.sh"
option=([source]=test [sink]=fake [seconds]=5 [size]=1920x1080 [fps]=30 [keys]=$workspace/keys)
parse_options "$@"
check_choice sink fake auto
prepare
make_keys

if [[ ${option[source]} == test ]]; then
    set_still_source
else
    set_source
fi
[[ ${option[sink]} == fake ]] || display=autovideosink
# Its own: another run may be going on.
log=$(mktemp --tmpdir="$workspace" benchmark.XXXXXX)
trap 'rm -f "$log"' EXIT
export GST_DEBUG=chaosenc:INFO,chaosdec:INFO GST_DEBUG_FILE=$log GST_DEBUG_NO_COLOR=1

row() {
    local name=$1 fps
    shift
    fps=$(frames_per_second "${source[@]}" ! "$@" !) || fail "no frames came through: $name"
    printf '%-30s %10s' "$name" "$fps"
    statistics
}

# The elements log their statistics when they stop: as milliseconds, latency at p50 and p99, and work on one frame.
statistics() {
    awk '
        function number(name) { return match($0, name "=\\(guint64\\)[0-9]+") ? \
            substr($0, RSTART + length(name) + 10, RLENGTH - length(name) - 10) : 0 }
        /chaosveil-stats/ {
            frames = number("frames-out")
            stats[/<chaosdec/ ? "dec" : "enc"] = sprintf("   %8.3f %8.3f %8.3f", number("latency-p50-ns") / 1e6,
                number("latency-p99-ns") / 1e6, frames ? number("work-ns") / frames / 1e6 : 0)
        }
        END { print stats["enc"] stats["dec"] }' "$log"
}

encrypt=(chaosenc recipient-file="$recipient")
decrypt=(chaosdec identity-file="$identity")
printf '%s, %s cores, %s\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
    "${option[source]} ${option[size]}"
printf '%-30s %10s   %8s %8s %8s   %8s %8s %8s\n' '' '' 'encrypt:' 'ms' '' 'decrypt:' 'ms' '' \
    '' fps p50 p99 work p50 p99 work
row 'identity' identity
row 'chaosenc profile=aead' "${encrypt[@]}" profile=aead
row 'chaosenc' "${encrypt[@]}"
row 'chaosenc ! chaosdec' "${encrypt[@]}" ! "${decrypt[@]}"
