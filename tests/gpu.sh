#!/usr/bin/env bash
# Checks and measures the CUDA backend on a machine that has a GPU and an NVIDIA driver (525 or newer), and needs nothing
# else: no Rust, no GStreamer, no network, no CUDA toolkit. Where the toolkit is there, in CUDA_PATH or /usr/local/cuda, the
# classifier's network runs on the GPU, too.
#
#   tests/gpu.sh pack OUT.tgz [BIN_DIR]   here: builds, and packs programs, plugin and libraries; BIN_DIR names a folder
#                                         with chaosveil, libgstchaosveil.so and the test program kernels: nothing is built
#   chaosveil-gpu/gpu.sh run [OPTIONS]    there, after tar -xzf OUT.tgz
#
# Options of run:
#   --results DIR    where JSON and logs go (default: gpu-results)
#   --frames N       random frames that are compared with the processor's backends (default: 1000)
#   --sizes WxH,...  sizes that are measured (default: 640x480,1280x720,1920x1080,3840x2160,7680x4320)
#   --in-flight N,.. frames in flight: one after another, and overlapped (default: 1,4)
#   --seconds S      time for each row (default: 1)
#
# Exit codes: 0 all is well, 1 something is wrong, 2 usage, 77 there is no GPU and nothing was checked.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Newest glibc whose symbols the packed files may ask for: Debian 12's. The programs themselves make do with 2.34.
newest_glibc=2.36
# What the element run needs of GStreamer beside its libraries.
gstreamer_plugins=(libgstcoreelements.so libgstvideotestsrc.so)

main() {
    case ${1-} in
        pack) pack "${@:2}" ;;
        run) run "${@:2}" ;;
        -h | --help) show_help ;;
        *) misuse "say pack or run" ;;
    esac
}

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "gpu.sh: $*"
    exit 1
}

misuse() {
    say "gpu.sh: $*"
    say "Try: $0 --help"
    exit 2
}

show_help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }

# -- here --------------------------------------------------------------------------------------------------------------

pack() {
    (($# == 1 || $# == 2)) || misuse "pack takes OUT.tgz, and perhaps a folder with what is built"
    local out built=${2-} folder
    out=$(realpath -m "$1")
    # Removed at the end, wherever that is.
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    folder=$scratch/chaosveil-gpu
    mkdir -p "$folder"/{bin,lib,plugins}
    if [[ -z $built ]]; then
        built=$scratch/built
        build "$built"
    fi
    cp -L "$built"/{chaosveil,kernels} "$(command -v gst-launch-1.0)" "$folder/bin"
    cp -L "$built/libgstchaosveil.so" "$folder/plugins"
    collect_plugins "$folder/plugins"
    collect_libraries "$folder"
    strip --strip-debug "$folder"/bin/* "$folder"/lib/* "$folder"/plugins/*
    check_glibc "$folder"/{bin,lib,plugins}/*
    cp "${BASH_SOURCE[0]}" "$folder/gpu.sh"
    git -C "$here" describe --always --dirty --abbrev=12 >"$folder/commit" 2>/dev/null || echo unknown >"$folder/commit"
    tar -C "$scratch" -czf "$out.partial" chaosveil-gpu
    mv "$out.partial" "$out"
    say "Packed $out, $(du -h "$out" | cut -f1)"
}

build() {
    local folder=$1 target tests
    cd "$here/.."
    target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
    cargo build --release --locked --features nn-cuda
    tests=$(cargo test --release --locked --features nn-cuda --test kernels --no-run 2>&1 |
        sed -n 's/.*Executable .*(\(.*\))$/\1/p')
    [[ -x $tests ]] || fail "the tests were not built"
    mkdir -p "$folder"
    cp "$target/release/chaosveil" "$target/release/libgstchaosveil.so" "$folder"
    cp "$tests" "$folder/kernels"
}

collect_plugins() {
    local plugin found
    for plugin in "${gstreamer_plugins[@]}"; do
        found=$(find /usr/lib /usr/local/lib -path "*/gstreamer-1.0/$plugin" -print -quit 2>/dev/null)
        [[ -n $found ]] || fail "GStreamer's $plugin is not installed here"
        cp -L "$found" "$1"
    done
}

# All that programs and plugins link, but for glibc, which is the other machine's own.
collect_libraries() {
    local glibc='/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv|util|nsl|anl|BrokenLocale))\.so'
    ldd "$1"/bin/* "$1"/plugins/* | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u | grep -Ev "$glibc" |
        xargs -d '\n' cp -L -t "$1/lib"
}

# Objects that ask for newer symbols than the other machine has do not start there.
check_glibc() {
    local file newest
    for file in "$@"; do
        newest=$(objdump -T "$file" | grep -o 'GLIBC_[0-9][0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -n 1) || continue
        [[ $(printf '%s\n' "$newest" "$newest_glibc" | sort -V | tail -n 1) == "$newest_glibc" ]] ||
            fail "${file##*/} needs glibc $newest, newer than $newest_glibc"
    done
}

# -- there -------------------------------------------------------------------------------------------------------------

declare -A option=([results]=gpu-results [frames]=1000 [seconds]=1 [in-flight]='1,4'
    [sizes]='640x480,1280x720,1920x1080,3840x2160,7680x4320')
checks=() results=() details=()

run() {
    while (($#)); do
        [[ $1 == --* && -v option[${1#--}] ]] || misuse "unknown option: $1"
        (($# > 1)) || misuse "$1 needs a value"
        option[${1#--}]=$2
        shift 2
    done
    [[ -x $here/bin/chaosveil ]] || misuse "this is no package: make one with $0 pack"
    mkdir -p "${option[results]}"
    folder=$(cd "${option[results]}" && pwd)
    use_package
    require_gpu
    check exactness "${option[frames]} random frames equal those of the processor" exactness
    sanitize
    check elements "frames through chaosenc and chaosdec come back" elements
    classify
    measure
    report
}

use_package() {
    export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export PATH=$here/bin:$PATH
    # No plugins but those packed, and no scanner: they are loaded by the program itself.
    export GST_PLUGIN_SYSTEM_PATH='' GST_PLUGIN_PATH=$here/plugins GST_REGISTRY=$folder/registry.bin
    export GST_REGISTRY_FORK=no XDG_CACHE_HOME=$folder/cache
    unset CHAOSVEIL_BACKEND
}

require_gpu() {
    local said
    said=$(chaosveil analyze --keystream-stdout --bytes 1 --backend cuda 2>&1 >/dev/null) || {
        say "$said"
        say "gpu.sh: there is no GPU here that can be used; nothing was checked"
        exit 77
    }
    [[ -z $said ]] || fail "the GPU failed at its first frame: $said"
}

# Runs a step whose output goes into a log, and notes how it ended.
check() {
    local name=$1 detail=$2
    shift 2
    if "$@" >"$folder/$name.log" 2>&1; then
        note "$name" passed "$detail"
    else
        note "$name" FAILED "see $folder/$name.log"
    fi
}

note() {
    checks+=("$1")
    results+=("$2")
    details+=("$3")
    say "$1: $2: $3"
}

exactness() { compare_frames "${option[frames]}"; }

# A program before the tests themselves, if any, is given.
compare_frames() {
    local frames=$1
    shift
    CHAOSVEIL_FRAMES=$frames REQUIRE_CUDA=1 "$@" "$here/bin/kernels" --exact exactness::device_equals_the_processor \
        --nocapture
}

# Where the toolkit is there and is allowed to watch the device. It slows the device down: few frames have to do.
sanitize() {
    local program tool log
    program=$(command -v compute-sanitizer || command -v /usr/local/cuda/bin/compute-sanitizer) || {
        note sanitizer "not run" "there is no compute-sanitizer"
        return
    }
    for tool in memcheck racecheck synccheck; do
        log=$folder/sanitizer-$tool.log
        compare_frames 20 "$program" --tool "$tool" --error-exitcode 9 >"$log" 2>&1 || true
        if grep -Eq '(ERROR|RACECHECK) SUMMARY: 0 (errors|hazards)' "$log" && grep -q '20 frames: equal' "$log"; then
            note "sanitizer $tool" passed "no errors"
        elif grep -Eq '(ERROR|RACECHECK) SUMMARY: ' "$log"; then
            note "sanitizer $tool" FAILED "see $log"
        else
            note "sanitizer $tool" "not run" "it does not work here, see $log"
        fi
    done
}

# Both ways between GPU and processor, so that neither can agree with itself alone.
elements() {
    local source=(videotestsrc num-buffers=30 pattern=ball ! "video/x-raw,format=I420,width=640,height=480")
    local key=$folder/psk.key pair plain=$folder/plain.yuv
    rm -f "$key"
    chaosveil keygen --preshared -o "$key" || return
    gst-launch-1.0 -q "${source[@]}" ! filesink location="$plain" || return
    for pair in cuda,portable portable,cuda cuda,cuda; do
        gst-launch-1.0 -m "${source[@]}" ! chaosenc key-file="$key" backend="${pair%,*}" workers=4 ! \
            chaosdec key-file="$key" backend="${pair#*,}" workers=4 ! filesink location="$folder/back.yuv" || return
        cmp "$plain" "$folder/back.yuv" || return
        echo "$pair: the same"
    done
    rm -f "$plain" "$folder/back.yuv" "$key"
    # A processor that has taken over gives the same frames.
    ! grep -q 'backend-failed' "$folder/elements.log"
}

# The kernels of networks are compiled on the spot.
classify() {
    local toolkit=${CUDA_PATH:-/usr/local/cuda} log=$folder/classifier.log
    if ! "$here/bin/kernels" --list 2>/dev/null | grep -q '^classifier::'; then
        note classifier "not run" "the package was built without the feature nn-cuda"
    elif [[ ! -e $toolkit/include/cuda_runtime.h ]]; then
        note classifier "not run" "it needs the CUDA toolkit, and $toolkit is none"
    elif LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$toolkit/lib64 CUDA_PATH=$toolkit REQUIRE_CUDA=1 "$here/bin/kernels" \
        --exact classifier::device_classifies_as_the_processor --nocapture >"$log" 2>&1; then
        note classifier passed "$(sed -n 's/^classifier: //p' "$log" | paste -sd ';')"
    else
        note classifier FAILED "see $log"
    fi
}

# The table of the bench is the one that is printed: kernels alone, with transfers, through the library, through the
# element; beside the device's own copies and those to the device and back, in the same rounds.
measure() {
    if chaosveil bench --backend cuda --sizes "${option[sizes]}" --threads "${option[in-flight]}" \
        --seconds "${option[seconds]}" --save "$folder/bench.json" --force 2>"$folder/bench.log" &&
        ! grep -q 'warning' "$folder/bench.log"; then
        note bench passed "$folder/bench.json"
    else
        note bench FAILED "see $folder/bench.log"
    fi
    # Its exit code also tells of elements that nobody needs here.
    chaosveil doctor --json >"$folder/doctor.json" 2>"$folder/doctor.log" || true
    note calibration "$([[ -s $folder/doctor.json ]] && echo passed || echo FAILED)" "$folder/doctor.json"
}

# Words for people, and the same as JSON: details hold nothing that JSON would have to escape but file names.
report() {
    local at comma='' failed=0
    {
        printf '{\n  "commit": "%s",\n  "checks": [' "$(<"$here/commit")"
        for at in "${!checks[@]}"; do
            printf '%s\n    { "name": "%s", "result": "%s", "detail": "%s" }' "$comma" "${checks[at]}" \
                "${results[at]}" "${details[at]//[\"\\]/?}"
            comma=,
        done
        printf '\n  ]\n}\n'
    } >"$folder/checks.json"
    printf '\n%-20s %-8s %s\n' check result detail
    for at in "${!checks[@]}"; do
        printf '%-20s %-8s %s\n' "${checks[at]}" "${results[at]}" "${details[at]}"
        [[ ${results[at]} != FAILED ]] || failed=1
    done
    exit "$failed"
}

main "$@"
