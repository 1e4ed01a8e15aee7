#!/usr/bin/env bash
# Judges the chaotic stage's keystream by dieharder, by SP 800-22 and by k-th differences: all of it, and each map's share,
# in both layouts; beside them AES-256-CTR as a control. Takes a night. What has been done is not done again: call it anew
# to go on. Good statistics are necessary, never proof.
#
#   --bytes N (1073741824)  of each stream, for our tests: 1200000 takes seconds
#   --dieharder-bytes N (16 times as many)
#                           Dieharder's tests take what their samples need, up to 13 GB, and are left out where that is more
#   --streams LIST          some of: combined-interleaved,combined-lane,lss-interleaved,lss-lane,lorenz-interleaved,
#                           lorenz-lane,aes-256-ctr (all)
#   --work FOLDER           one file for each stream and test (target/quality/COMMIT-BYTES)
#   --results FOLDER        where quality-NAME.json goes (benches/results)
#   --name NAME             of the machine (ARCH)

. "$(dirname "$0")/../pipelines/common.sh"
all_streams=combined-interleaved,combined-lane,lss-interleaved,lss-lane,lorenz-interleaved,lorenz-lane,aes-256-ctr
option=([bytes]=$((1 << 30)) [dieharder-bytes]="" [streams]=$all_streams [work]="" [results]=$repository/benches/results [name]=$(uname -m))
parse_options "$@"
check_number bytes
: "${option[dieharder-bytes]:=$((16 * option[bytes]))}"
check_number dieharder-bytes
# Of a million bits each.
sequences=$((option[bytes] < 125000 ? 1 : option[bytes] / 125000))

# Number, ntuple, and thousands of bytes that a sample takes, measured; those marked `dab` are made for one sample, the
# others for 100: with a few, dieharder's Kolmogorov-Smirnov test finds AES-256-CTR weak or worse. Dieharder itself calls 5, 6 and 7 suspect and 14 one not to use.
tests=(
    "0 0 164" "1 0 4000" "2 0 5120" "3 0 2400" "4 0 1049" "8 0 256" "9 0 5120" "10 0 96" "11 0 64" "12 0 48" "13 0 9300"
    "15 0 400" "16 0 5500" "17 0 80000" "100 0 400" "101 0 400" "102 0 400"
    "201 2 80" "201 3 120" "201 4 160" "201 5 200" "202 2 800" "202 3 1200" "202 4 1600" "202 5 2000" "204 0 40"
    "205 0 615000 dab" "206 0 51300 dab" "207 0 460000 dab" "208 0 120000 dab" "209 0 270000 dab"
)
for n in {1..12}; do tests+=("200 $n $((800 * n))"); done
for n in {0..32}; do tests+=("203 $n $((4000 * (n + 1)))"); done

main() {
    mkdir -p "$workspace"
    install_packages dieharder jq openssl
    prepare
    commit=$(git -C "$repository" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
    [[ -z $(git -C "$repository" status --porcelain --untracked-files=no 2>/dev/null) ]] || commit+=+
    work=${option[work]:-$target/quality/$commit-${option[bytes]}}
    local stream
    IFS=, read -ra streams <<<"${option[streams]}"
    for stream in "${streams[@]}"; do
        [[ ,$all_streams, == *,"$stream",* ]] || misuse "--streams takes of: $all_streams"
    done
    for stream in "${streams[@]}"; do
        mkdir -p "$work/$stream"
    done
    judge
    report
}

# A test of every stream before the next test, and the result written after each: what a broken night has done is recorded.
judge() {
    local line number ntuple thousands dab samples
    of_all_streams sp800-22 sp800_22
    of_all_streams kth-difference kth_difference
    for line in "${tests[@]}"; do
        read -r number ntuple thousands dab <<<"$line"
        [[ -n $dab ]] && samples=1 || samples=100
        ((samples * thousands * 1000 <= option[dieharder-bytes])) || continue
        of_all_streams "dieharder-$number-$ntuple" dieharder_test "$number" "$ntuple" "$samples"
    done
}

of_all_streams() {
    local stream
    for stream in "${streams[@]}"; do
        # k-th differences are of words of a lane, whose layout is their own.
        [[ $1 != kth-difference || $stream == *-lane && $stream != aes-256-ctr ]] || continue
        run "$stream" "$@"
    done
    record
}

# Runs a test whose file is not there yet. It gets its name when it is whole.
run() {
    local stream=$1 name=$2 file=$work/$1/$2.json start=$SECONDS
    shift 2
    [[ ! -e $file ]] || return 0
    say "$stream: $name"
    "$@" >"$file.partial" || fail "$name of $stream failed; its output: $file.partial"
    jq -c --arg stream "$stream" --arg test "$name" --argjson seconds $((SECONDS - start)) \
        '{stream: $stream, test: $test, seconds: $seconds} + .' "$file.partial" >"$file.whole" ||
        fail "$name of $stream gave no result; its output: $file.partial"
    mv "$file.whole" "$file"
    rm "$file.partial"
}

# Writes bytes for ever, or until nobody reads any more.
bytes_of() {
    case $1 in
        aes-256-ctr) openssl enc -aes-256-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null ;;
        *) chaosveil analyze --keystream-stdout --stream "${1%-*}" --layout "${1#*-}" ;;
    esac
}

# What is told of ours: how many verdicts, and those that are failures.
summary='{alpha, verdicts: (.metrics | length), expected_failures, failures: [.metrics[] | select(.pass == false)]}'

sp800_22() {
    chaosveil randomness - --json --sequences "$sequences" < <(bytes_of "$stream") | jq "$summary"
}

kth_difference() {
    chaosveil randomness --kth-difference --json --stream "${stream%-*}" --sequences "$sequences" |
        jq "$summary + {scores: [.metrics[].value]}"
}

# Always from a pipe: of a file, dieharder would read the beginning again, and find that out.
dieharder_test() {
    dieharder -g 200 -d "$1" -n "$2" -p "$3" -c , -D test_name -D ntuple -D tsamples -D psamples -D pvalues \
        -D assessment < <(bytes_of "$stream") |
        jq -Rn '{rows: [inputs | split(",") | map(gsub(" "; "")) | {name: .[0], ntuple: .[1] | tonumber,
            tsamples: .[2] | tonumber, psamples: .[3] | tonumber, p_value: .[4] | tonumber, assessment: .[5]}]}
            | if .rows == [] then error("no row") else . end'
}

record() {
    local machine files=() stream
    results=${option[results]}/quality-${option[name]}.json
    machine="$(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) processors, Linux $(uname -r)"
    for stream in "${streams[@]}"; do files+=("$work/$stream"/*.json); done
    jq -s --arg machine "$machine" --arg commit "$commit" --argjson bytes "${option[bytes]}" \
        --argjson dieharder_bytes "${option[dieharder-bytes]}" \
        '{machine: $machine, commit: $commit, bytes: $bytes, dieharder_bytes: $dieharder_bytes, runs: .}' \
        "${files[@]}" >"$results.partial"
    mv "$results.partial" "$results"
}

report() {
    jq -r '.runs | group_by(.stream)[] | [.[0].stream,
        ([.[].rows[]?] | "dieharder: \(length) P-values, \(map(select(.assessment == "WEAK")) | length) weak, \(map(select(.assessment == "FAILED")) | length) failed"),
        (.[] | select(.verdicts) | "\(.test): \(.failures | length) of \(.verdicts) verdicts are failures" +
            if .expected_failures then ", \(.expected_failures * 10 | round / 10) would be by chance" else "" end)]
        | join("\n  ")' "$results"
    say "Written: $results"
}

main
