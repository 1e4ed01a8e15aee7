#!/usr/bin/env bash
# The long forms of tests/endurance, tests/nonces, tests/soak and src/fuzzing/mutants.rs, which CI runs for seconds, and
# tests/bounded, which is always the same: figures go to benches/results, one TEST-NAME.json for each. Each part prints how
# far it is, and fails if a count is off or a frame is wrong.
#
#   --only LIST             some of: traces,elements,late-join,new-caps,nonces,survival,excerpt,bounded,
#                           mutants,soak (all)
#   --trace-frames N (1000000)    of each trace        --element-frames N (100000)  of each through elements
#   --joins N (1000)              late joins           --changes N (1000)           of caps in one stream
#   --cycles N (100000)           kills and restarts   --survival-frames N (300)    of each line of the table
#   --excerpt-seconds N (3600)    of the recording of which parts are decrypted, 60 at least
#   --mutants N (10000000)        of streams, and a tenth of it of cipher pictures
#   --frames N (2600000)          of the soak: a day at 30 frames a second
#   --size WxH (640x480)          of the soak's frames, GRAY8
#   --results FOLDER (benches/results)     --name NAME  of the machine (ARCH)

. "$(dirname "$0")/../pipelines/common.sh"
all_parts=traces,elements,late-join,new-caps,nonces,survival,excerpt,bounded,mutants,soak
option=([only]=$all_parts [trace-frames]=1000000 [element-frames]=100000 [joins]=1000 [changes]=1000 [cycles]=100000
    [survival-frames]=300 [excerpt-seconds]=3600 [mutants]=10000000 [frames]=2600000 [size]=640x480
    [results]=$repository/benches/results [name]=$(uname -m))
command_line="tests/endurance.sh $*"
parse_options "$@"
for number in trace-frames element-frames joins changes cycles survival-frames excerpt-seconds mutants; do check_number "$number"; done

main() {
    mkdir -p "${option[results]}"
    install_packages "${build_packages[@]}" "${run_packages[@]}"
    require_rust
    cd "$repository"
    export ENDURANCE_RECORDS=${option[results]} ENDURANCE_NAME=${option[name]} ENDURANCE_COMMAND=${command_line% }
    export ENDURANCE_TRACE_FRAMES=${option[trace-frames]} ENDURANCE_ELEMENT_FRAMES=${option[element-frames]}
    export ENDURANCE_JOINS=${option[joins]} ENDURANCE_CAPS_CHANGES=${option[changes]}
    export ENDURANCE_CYCLES=${option[cycles]} ENDURANCE_SURVIVAL_FRAMES=${option[survival-frames]}
    export ENDURANCE_EXCERPT_SECONDS=${option[excerpt-seconds]}
    export ENDURANCE_MUTANTS=${option[mutants]} ENDURANCE_SOAK_FRAMES=${option[frames]}
    export ENDURANCE_SOAK_WIDTH=${option[size]%x*} ENDURANCE_SOAK_HEIGHT=${option[size]#*x}
    local part parts
    IFS=, read -ra parts <<<"${option[only]}"
    for part in "${parts[@]}"; do
        [[ ,$all_parts, == *,"$part",* ]] || misuse "--only takes of: $all_parts"
    done
    for part in "${parts[@]}"; do run "$part"; done
}

run() {
    case $1 in
        traces) tests --test endurance traces:: ;;
        elements) tests --test endurance traces_of_elements:: ;;
        late-join) tests --test endurance late_join:: ;;
        new-caps) tests --test endurance new_caps:: ;;
        survival) tests --test endurance survival:: ;;
        excerpt) tests --test endurance excerpt:: ;;
        bounded) tests --test bounded "" ;;
        soak) tests --test soak memory_stays_flat ;;
        nonces) tests --test nonces killed_and_restored ;;
        mutants) tests --lib fuzzing::mutants ;;
    esac
}

tests() {
    local what=("${@:1:$#-1}")
    cargo test --release --locked "${what[@]}" -- --nocapture "${!#}"
}

main
