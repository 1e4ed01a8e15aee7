# shellcheck shell=bash disable=SC2034  # What functions set, the sourcing script reads.
# What the scripts of this folder share: it installs what is missing, builds, makes keys, reads options, and turns
# --source and --sink into GStreamer elements. It is sourced, and does nothing by itself but set -euo pipefail.
#
# A script fills `option` with the options it takes and their defaults, then calls, in this order:
#   parse_options "$@"      prepare      [make_keys]      set_source      set_sink

set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=$(cd "$repository" && realpath -m "${CARGO_TARGET_DIR:-target}")
# Where plugin, registry and keys of these scripts live: nothing is written outside the build folder.
workspace=$target/pipelines

rust_needed=1.92
# The toolchain that is installed where cargo is absent or too old.
rust_installed=1.95.0
build_packages=(build-essential pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev)
run_packages=(gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-x)

declare -A option

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "${0##*/}: $*"
    exit 1
}

misuse() {
    say "${0##*/}: $*"
    say "Try: $0 --help"
    exit 2
}

# The comment at the head of the calling script is its help.
show_help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }

# Reads "--name value" for each name that the script put into `option`; anything else is refused.
parse_options() {
    while (($#)); do
        case $1 in
            -h | --help)
                show_help
                exit 0
                ;;
            --*) ;;
            *) misuse "unexpected argument: $1" ;;
        esac
        local name=${1#--}
        [[ -v option[$name] ]] || misuse "unknown option: $1"
        (($# > 1)) || misuse "$1 needs a value"
        option[$name]=$2
        shift 2
    done
    check_number frames
    check_number fps
    check_number port
    check_number seconds
    [[ -z ${option[size]-} || ${option[size]} =~ ^[1-9][0-9]*x[1-9][0-9]*$ ]] ||
        misuse "--size is WIDTHxHEIGHT, for example 640x480"
}

check_number() {
    [[ -z ${option[$1]-} || ${option[$1]} =~ ^[1-9][0-9]*$ ]] || misuse "--$1 is a whole number above zero"
}

# One of the words after the option's name.
check_choice() {
    local name=$1 word
    shift
    for word in "$@"; do
        [[ ${option[$name]} != "$word" ]] || return 0
    done
    misuse "--$name is one of: $*"
}

# Installs, builds, and makes the elements known to gst-launch-1.0 and `chaosveil` to the shell.
# CHAOSVEIL_BIN_DIR names a folder with a built libgstchaosveil.so and chaosveil: then nothing is built.
prepare() {
    mkdir -p "$workspace"
    if [[ -n ${CHAOSVEIL_BIN_DIR-} ]]; then
        install_packages "${run_packages[@]}"
    else
        install_packages "${build_packages[@]}" "${run_packages[@]}"
        require_rust
        [[ -d $target/release ]] ||
            say "Building: a quarter of an hour on two cores, and only now"
        (cd "$repository" && cargo build --release --locked) || fail "the build failed; its messages stand above"
    fi
    use_built "${CHAOSVEIL_BIN_DIR:-$target/release}"
}

install_packages() {
    local package missing=() as_root=()
    command -v dpkg-query >/dev/null || {
        command -v gst-launch-1.0 >/dev/null || fail "this is no Debian: install the equivalents of: $*"
        return 0
    }
    for package in "$@"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail "not root and no sudo: ask someone who is to install: ${missing[*]}"
        as_root=(sudo)
    fi
    say "Installing ${missing[*]}"
    local log=$workspace/apt.log
    {
        "${as_root[@]}" apt-get update -q
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
    } >"$log" 2>&1 || {
        tail -n 15 "$log" >&2
        fail "apt-get could not install ${missing[*]}; all of its messages: $log"
    }
}

# Debian 12 offers cargo 0.66 and no rustup, so Rust comes from its own installer, beside any Rust that is there.
require_rust() {
    local cargo_bin=${CARGO_HOME:-$HOME/.cargo}/bin
    [[ ! -x $cargo_bin/cargo ]] || PATH=$cargo_bin:$PATH
    ! cargo_is_recent || return 0
    if ! command -v rustup >/dev/null; then
        install_packages curl ca-certificates
        say "Installing Rust $rust_installed with rustup into ${cargo_bin%/bin}"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
            sh -s -- -q -y --no-modify-path --default-toolchain none >"$workspace/rustup.log" 2>&1 ||
            fail "rustup could not be installed (is the network there?); its messages: $workspace/rustup.log"
        PATH=$cargo_bin:$PATH
    fi
    export RUSTUP_TOOLCHAIN=$rust_installed
    cargo_is_recent ||
        rustup -q toolchain install "$rust_installed" --profile minimal --component clippy,rustfmt ||
        fail "rustup could not install Rust $rust_installed"
    cargo_is_recent || fail "cargo $rust_needed or newer is needed, and $(command -v cargo) is older"
}

cargo_is_recent() {
    local version
    version=$(cargo --version 2>/dev/null | cut -d' ' -f2) || return 1
    [[ -n $version && $(printf '%s\n' "$rust_needed" "$version" | sort -V | head -n 1) == "$rust_needed" ]]
}

# GStreamer loads every library of a plugin folder, so the plugin gets a folder of its own, and these scripts a
# registry of their own: the user's stays as it is.
use_built() {
    local folder
    folder=$(cd "$1" 2>/dev/null && pwd) || fail "$1 is no folder"
    [[ -f $folder/libgstchaosveil.so && -x $folder/chaosveil ]] ||
        fail "$folder holds no libgstchaosveil.so and chaosveil; build them with: cargo build --release"
    local link=$workspace/plugins/libgstchaosveil.so
    if [[ $(readlink "$link") != "$folder/libgstchaosveil.so" ]]; then
        mkdir -p "$workspace/plugins"
        # By renaming, because another script may be looking right now.
        ln -sfn "$folder/libgstchaosveil.so" "$link.$$" && mv -fT "$link.$$" "$link"
    fi
    export PATH=$folder:$PATH
    export GST_PLUGIN_PATH=$workspace/plugins${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
    export GST_REGISTRY=$workspace/registry.bin
    gst-inspect-1.0 chaosenc >/dev/null 2>&1 || fail "GStreamer does not load the plugin; see: gst-inspect-1.0 -b"
}

# Sets `identity` (the secret: whoever decrypts needs it) and `recipient` (public: whoever encrypts needs it), files
# in the folder --keys, made if neither is there.
make_keys() {
    local folder=${option[keys]}
    identity=$folder/camera.key
    recipient=$folder/camera.pub
    [[ ! -e $identity && ! -e $recipient ]] || return 0
    mkdir -p "$folder"
    chaosveil keygen -o "$identity" >"$recipient" || {
        rm -f "$recipient"
        fail "no key could be made in $folder"
    }
    say "Made $identity (secret) and $recipient (public)"
}

# For a sender, which needs no secret: sets `recipient` to what the receiver made.
require_recipient() {
    recipient=${option[keys]}/camera.pub
    require_file "$recipient" "start the receiver first, which makes it, and copy it here (--keys names its folder)"
}

require_file() { [[ -r $1 ]] || fail "$1 is not there or not readable: $2"; }

# Sets `source`: elements that give raw video from --source test|FILE|DEVICE|URI, of --size and --fps where the source
# can choose, and stop after --frames if that is given.
set_source() {
    local from=${option[source]} frames=${option[frames]-} fps=${option[fps]:-30} size=${option[size]:-640x480}
    local caps="width=${size%x*},height=${size#*x},framerate=$fps/1"
    # identity refuses its eos-after-th frame, which ends the source. A frame that waits before the full queue meanwhile
    # still gets through: the second identity refuses that one.
    local limit=${frames:+identity eos-after=$((frames + 1))}
    local decode=(! queue ! videoconvert ${limit:+! $limit ! $limit})
    case $from in
        test)
            source=(videotestsrc pattern=smpte ${frames:+num-buffers=$frames} ! "video/x-raw,format=I420,$caps")
            ;;
        /dev/*)
            [[ -c $from ]] || fail "there is no camera at $from; see: ls /dev/video*"
            source=(v4l2src device="$from" ${frames:+num-buffers=$frames} !
                "video/x-raw,$caps;image/jpeg,$caps" ! decodebin)
            ;;
        *://*)
            source=(uridecodebin uri="$from" "${decode[@]}")
            ;;
        *)
            require_file "$from" "--source is test, a file, a device such as /dev/video0, or a URI"
            source=(filesrc location="$from" ! decodebin "${decode[@]}")
            ;;
    esac
}

# Sets `sink`: elements that take raw video: a window (auto), nothing at all (fake), a virtual webcam (a device), a
# Matroska file with lossless FFV1 (*.mkv), or a file of bare frames.
set_sink() {
    local to=${option[sink]}
    case $to in
        auto) sink=(videoconvert ! autovideosink) ;;
        fake) sink=(fakesink sync=false) ;;
        # Programs that read a virtual webcam ask for a fixed rate, and for YUY2 most of all.
        /dev/*)
            [[ -c $to ]] || fail "there is no device $to; a virtual webcam is made by: sudo modprobe v4l2loopback"
            sink=(videoconvert ! videorate ! "video/x-raw,format=YUY2,framerate=${option[fps]:-30}/1" !
                v4l2sink device="$to")
            ;;
        *.mkv) sink=(avenc_ffv1 ! matroskamux ! filesink location="$to") ;;
        *) sink=(filesink location="$to" buffer-mode=unbuffered) ;;
    esac
}

# Sets `encoder`: elements between raw video and encryption, from --codec h264|raw. Compressing comes first: what is
# encrypted cannot be compressed.
set_encoder() {
    check_choice codec h264 raw
    encoder=()
    [[ ${option[codec]} == h264 ]] || return 0
    encoder=(videoconvert ! "video/x-raw,format=I420" !
        x264enc tune=zerolatency speed-preset=veryfast bitrate=4000 key-int-max="${option[fps]:-30}" !
        h264parse config-interval=-1 ! "video/x-h264,stream-format=byte-stream,alignment=au" !)
}

# Sets `source` to one picture of noise, made once and handed on again and again without copying, so that what follows
# it is measured and nothing else.
set_still_source() {
    local size=${option[size]}
    source=(videotestsrc pattern=snow num-buffers=1 !
        "video/x-raw,format=I420,width=${size%x*},height=${size#*x},framerate=30/1" ! imagefreeze)
}

# Prints the frames per second of a source and elements (each followed by !) over --seconds (2), or up to the end of the
# source; on a terminal it shows them live.
frames_per_second() {
    local live=/dev/null
    [[ ! -t 2 ]] || live=/dev/stderr
    play_for_seconds "$@" fpsdisplaysink text-overlay=false sync=false video-sink="${display:-fakesink}" |
        awk -v live="$live" '
            /last-message = / && match($0, /average: [0-9.]+/) {
                average = substr($0, RSTART + 9, RLENGTH - 9)
                printf "\r%10.1f fps ", average > live
            }
            /^ERROR/ { print > "/dev/stderr" }
            END { printf "\r" > live; if (average == "") exit 1; printf "%.1f\n", average }'
}

# 124 is how timeout says that it was needed. In the foreground it sends one signal, else a second one to the group,
# which kills gst-launch-1.0 where it should stop and tell its statistics.
play_for_seconds() {
    timeout --foreground --signal=INT --kill-after=10 "${option[seconds]:-2}" gst-launch-1.0 -v "$@" 2>&1 || (($? == 124))
}
