#!/usr/bin/env bash
# Fuzzes every parser that bytes from outside reach, and keeps the inputs that reach new code. Needs nightly Rust and
# cargo-fuzz (cargo install cargo-fuzz). What has been done is not done again: call it anew to go on.
#
#   --seconds N (3600)    of processor time for each target, on one core
#   --targets LIST        some of: cipher_picture,containers,frame_header,index,key_files,record,resynchronisation,
#                         sealed_texts,stream_header,track_counts (all)
#   --work FOLDER         inputs, logs, and what broke a promise (target/fuzz/COMMIT)
#   --results FOLDER      where fuzz-NAME.json goes (benches/results)
#   --name NAME           of the machine (ARCH)
#
# An input that breaks a promise, takes more than 64 MiB at once, 2 GiB in all or 20 seconds, stays in WORK/TARGET/broken.
# Exit codes: 0 none did, 1 some did, 2 usage.

. "$(dirname "$0")/../pipelines/common.sh"
all_targets=cipher_picture,containers,frame_header,index,key_files,record,resynchronisation,sealed_texts,stream_header,track_counts
option=([seconds]=3600 [targets]=$all_targets [work]="" [results]=$repository/benches/results [name]=$(uname -m))
parse_options "$@"
cd "$repository"
# One turn of a target: they take turns, so that a broken night has fuzzed all of them alike.
turn_seconds=$((option[seconds] < 120 ? option[seconds] : 120))

main() {
    local target
    mkdir -p "$workspace"
    command -v jq >/dev/null || install_packages jq
    IFS=, read -ra targets <<<"${option[targets]}"
    for target in "${targets[@]}"; do
        [[ ,$all_targets, == *,"$target",* ]] || misuse "--targets takes of: $all_targets"
    done
    cargo +nightly fuzz --version >/dev/null 2>&1 ||
        fail "nightly Rust and cargo-fuzz are needed: rustup toolchain install nightly && cargo install cargo-fuzz"
    commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
    [[ -z $(git status --porcelain --untracked-files=no 2>/dev/null) ]] || commit+=+
    work=$(realpath -m "${option[work]:-target/fuzz/$commit}")
    build
    take_turns
    for target in "${targets[@]}"; do
        keep "$target"
        on_other_backends "$target"
    done
    record
    report
}

# The programs are copied: a later build must not change what this run fuzzes.
build() {
    local target
    mkdir -p "$work/bin"
    for target in "${targets[@]}"; do
        mkdir -p "$work/$target"/{inputs,broken}
        touch "$work/$target/turns.jsonl"
        [[ ! -x $work/bin/$target ]] || continue
        [[ -n ${built-} ]] || cargo +nightly fuzz build || fail "the targets do not compile"
        built=yes
        cp "fuzz/target/$(rustc +nightly -vV | sed -n 's/^host: //p')/release/$target" "$work/bin/$target"
    done
    [[ -e $work/commit ]] || echo "$commit" >"$work/commit"
    python3 fuzz/seeds.py "$work/seeds"
}

take_turns() {
    local target left
    while left=""; do
        for target in "${targets[@]}"; do
            (($(spent "$target") >= option[seconds] * 1000)) || { turn "$target" && left=yes; }
        done
        [[ -n $left ]] || break
    done
}

# Milliseconds of processor time that a target has had.
spent() { jq -s "map(.ms) | add // 0" "$work/$1/turns.jsonl"; }

# One run of a target. It ends after so many seconds by the clock, or with an input that breaks something.
turn() {
    local target=$1 folder=$work/$1 log=$work/$1/log times status=0 ms
    cp -n fuzz/corpus/"$target"/* "$folder/inputs" 2>/dev/null || true
    cp -n "$work/seeds/$target"/* "$folder/inputs" || true
    TIMEFORMAT='%U %S'
    times=$({ time ASAN_OPTIONS=detect_leaks=$(leaks "$target") "$work/bin/$target" "$folder/inputs" -max_total_time="$turn_seconds" -artifact_prefix="$folder/broken/" \
        -malloc_limit_mb=64 -rss_limit_mb=2048 -timeout=20 -max_len="$(longest "$target")" -print_final_stats=1 \
        -detect_leaks="$(leaks "$target")" >"$log" 2>&1; } 2>&1) || status=$?
    ms=$(awk '{ printf "%d", ($1 + $2) * 1000 }' <<<"$times")
    jq -nc --argjson ms "$ms" --argjson status "$status" \
        --argjson executions "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1 | grep . || echo 0)" \
        --argjson edges "$(last_of cov "$log")" --argjson features "$(last_of ft "$log")" \
        '$ARGS.named' >>"$folder/turns.jsonl"
    say "$target: $((ms / 1000)) s, $(tail -n 1 "$folder/turns.jsonl")"
    # What breaks in its first moments would break for ever.
    ((status == 0 || $(find "$folder/broken" -type f | wc -l) < 20))
}

# GLib keeps what it has made once, where the sanitizer does not look.
leaks() { [[ $1 != sealed_texts ]] && echo 1 || echo 0; }

longest() {
    case $1 in
        stream_header | sealed_texts) echo 8192 ;;
        *) echo 4096 ;;
    esac
}

last_of() { sed -n "s/.* $1: \([0-9]*\).*/\1/p" "$2" | tail -n 1 | grep . || echo 0; }

# The fewest inputs that reach all code that was reached.
keep() {
    local target=$1 kept=$work/$1/kept
    rm -rf "$kept" && mkdir -p "$kept"
    ASAN_OPTIONS=detect_leaks=0 "$work/bin/$target" -set_cover_merge=1 "$kept" "$work/$target/inputs" -rss_limit_mb=2048 -timeout=20 \
        -max_len="$(longest "$target")" >"$work/$target/merge.log" 2>&1 || fail "the inputs of $target do not merge"
    rm -rf "fuzz/corpus/$target" && mkdir -p fuzz/corpus && cp -r "$kept" "fuzz/corpus/$target"
}

# The fuzzers run the fastest code of the processor; the sanitizer looks at what the others make of the kept inputs.
on_other_backends() {
    local target=$1 backend
    for backend in avx2 portable; do
        [[ $backend == portable ]] || grep -qw "$backend" /proc/cpuinfo || continue
        CHAOSVEIL_BACKEND=$backend ASAN_OPTIONS=detect_leaks=0 "$work/bin/$target" "fuzz/corpus/$target" -runs=0 \
            -artifact_prefix="$work/$target/broken/" -malloc_limit_mb=64 -rss_limit_mb=2048 -timeout=20 \
            -max_len="$(longest "$target")" >"$work/$target/$backend.log" 2>&1 ||
            say "$target: an input breaks a promise on the backend $backend: $work/$target/$backend.log"
    done
}

record() {
    local machine target
    results=${option[results]}/fuzz-${option[name]}.json
    machine="$(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), one of $(nproc) processors"
    for target in "${targets[@]}"; do
        jq -s --arg target "$target" --argjson kept "$(find "fuzz/corpus/$target" -type f | wc -l)" \
            --argjson broken "$(find "$work/$target/broken" -type f | wc -l)" \
            '{target: $target, processor_seconds: (map(.ms) | add / 1000 | round), executions: (map(.executions) | add),
              coverage_edges: (map(.edges) | max), coverage_features: (map(.features) | max),
              crashes: $broken, kept_inputs: $kept}' "$work/$target/turns.jsonl"
    done | jq -s --arg machine "$machine" --arg seconds "${option[seconds]}" --arg commit "$(cat "$work/commit")" --arg date "$(date -u +%F)" \
        '{command: "tests/fuzz.sh --seconds \($seconds)", machine: $machine, commit: $commit, date: $date,
          build: "nightly Rust, AddressSanitizer, debug assertions", targets: .}' >"$results.partial"
    mv "$results.partial" "$results"
}

report() {
    jq -r '.targets[] | "\(.target): \(.processor_seconds) s, \(.executions) executions, \(.coverage_edges) edges, \(.crashes) crashes"' \
        "$results"
    say "Written: $results"
    [[ -z $(find "$work" -path '*/broken/*' -type f) ]] || fail "some inputs broke a promise: $work/*/broken"
}

main
