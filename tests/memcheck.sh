#!/usr/bin/env bash
# Runs chaosenc and chaosdec in gst-launch under valgrind: packets and cipher pictures of every profile, and damage between
# them. Exit codes: 0 nothing found, 1 an error in a stack that has our plugin in it, 2 usage.
#
#   --frames N          of 64 x 48 pixels (5)
#   --results FOLDER    where memcheck-NAME.json goes (benches/results)
#   --name NAME         of the machine (ARCH)

. "$(dirname "$0")/../pipelines/common.sh"
option=([frames]=5 [keys]="" [results]=$repository/benches/results [name]=$(uname -m))
parse_options "$@"

main() {
    prepare
    { command -v valgrind && command -v jq; } >/dev/null || install_packages valgrind jq
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    chaosveil keygen --preshared -o "$folder/psk.key" 2>/dev/null
    found=no
    # Rust's own: of a value and of whether it is there the compiler tests either first, and then both.
    cat >"$folder/rust.supp" <<'END'
{
   peeked-items-of-sorted-iterators
   Memcheck:Cond
   fun:*DedupSortedIter*
}
END
    local profile output
    for profile in hardened chaos aead; do
        for output in packets picture; do
            check "$profile, $output" output="$output" profile="$profile" allow-insecure=true
        done
    done
    check "hardened, damaged packets" output=packets profile=hardened ! chaosfault flip=0.3 truncate=0.2 duplicate=0.2 seed=1
    record
    [[ $found == no ]] || fail "valgrind found errors in the plugin"
    say "valgrind found nothing in the plugin"
}

# Of what valgrind finds, what has our library in its stack is ours to mend: GLib and GStreamer keep what they hold.
check() {
    local name=$1 log=$folder/log
    shift
    # valgrind knows no AVX-512, and tells programs so. Slices of GLib would hide what is freed.
    G_SLICE=always-malloc G_DEBUG=gc-friendly GST_REGISTRY_FORK=no valgrind --quiet --num-callers=40 \
        --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --xml=yes --xml-file="$log" \
        --suppressions=/usr/share/glib-2.0/valgrind/glib.supp --suppressions="$folder/rust.supp" \
        gst-launch-1.0 -q videotestsrc num-buffers="${option[frames]}" pattern=snow ! \
        video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! chaosenc key-file="$folder/psk.key" "$@" ! \
        chaosdec key-file="$folder/psk.key" accept-profiles=hardened+aead+chaos ! fakesink sync=false >"$folder/out" 2>&1 ||
        fail "$name: the pipeline failed: $(cat "$folder/out")"
    local ours
    ours=$(awk '/<error>/ { error = "" } { error = error $0 "\n" }
        /<\/error>/ && error ~ /libgstchaosveil/ { print error }' "$log")
    local errors=$(($(grep -c '<error>' "$log" || true))) in_plugin=$(($(grep -c '<error>' <<<"$ours" || true)))
    say "$name: $errors errors, $in_plugin with the plugin in the stack"
    jq -nc --arg pipeline "$name" --argjson errors $errors --argjson errors_with_the_plugin $in_plugin '$ARGS.named' \
        >>"$folder/figures"
    [[ -z $ours ]] || {
        grep -E '<(what|text|fn)>' <<<"$ours" >&2
        found=yes
    }
}

record() {
    local commit results=${option[results]}/memcheck-${option[name]}.json
    commit=$(git -C "$repository" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
    [[ -z $(git -C "$repository" status --porcelain --untracked-files=no 2>/dev/null) ]] || commit+=+
    mkdir -p "${option[results]}"
    jq -s --arg commit "$commit" --arg machine "$(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo)" \
        --arg valgrind "$(valgrind --version)" --argjson frames "${option[frames]}" \
        '{command: "tests/memcheck.sh", machine: $machine, commit: $commit, valgrind: $valgrind, frames: $frames,
          pipelines: .}' "$folder/figures" >"$results"
    say "Written: $results"
}

main
