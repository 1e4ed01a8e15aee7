#!/usr/bin/env bash
# Runs every test, from a bare machine if need be, and prints what each step took. Exit code 0: all passed.
#
# Everything is compiled in one profile, release, so that the libraries we use are compiled once: for the tests, with
# debug assertions in our own crate, whose result the script tests run too.

. "$(dirname "$0")/../pipelines/common.sh"
cd "$repository"

debug_assertions='profile.release.package.chaosveil.debug-assertions=true'
venv=$repository/.venv
# On a machine that has just been given Python and dieharder, a test that skips for want of one is a failure.
export REQUIRE_PYTHON=1 REQUIRE_DIEHARDER=1
names=() seconds=() failed=()

main() {
    mkdir -p "$workspace"
    step "install" 30m install
    step "format" 1m cargo fmt --check
    step "shellcheck" 1m shellcheck --external-sources --source-path=SCRIPTDIR .ci/run tests/*.sh pipelines/*.sh \
        benches/*.sh kernels/*.sh
    step "python environment" 10m python_environment
    step "second reader" 5m "$venv/bin/python" -m unittest discover -s tests/second_reader -t tests
    step "vectors" 10m "$venv/bin/python" tests/vectors/generate.py --check
    step "kernels" 10m kernels/build_ptx.sh --check
    step "clippy" 20m cargo clippy --release --locked --all-targets -- -D warnings
    step "documentation" 10m env RUSTDOCFLAGS="-D warnings" \
        cargo doc --release --locked --no-deps --document-private-items
    step "compile tests" 40m cargo test --release --locked --config "$debug_assertions" --no-run
    step "tests" 30m cargo test --release --locked --config "$debug_assertions" --no-fail-fast
    report
}

install() {
    install_packages "${build_packages[@]}" "${run_packages[@]}" git shellcheck python3-venv dieharder jq openssl
    require_rust
}

# The step itself may not be a function: `timeout` starts programs. Functions run in this shell, which also keeps the
# PATH that they set.
step() {
    local name=$1 deadline=$2 start=$SECONDS status=0
    shift 2
    printf '\n==> %s\n' "$name"
    if [[ $(type -t "$1") == function ]]; then
        "$@" || status=$?
    else
        timeout --kill-after=10s "$deadline" "$@" || status=$?
    fi
    names+=("$name")
    seconds+=($((SECONDS - start)))
    ((status != 124 && status != 137)) || say "$name did not end within $deadline"
    ((status == 0)) || failed+=("$name")
}

python_environment() {
    [[ -x $venv/bin/python ]] || python3 -m venv "$venv" || return
    timeout 10m "$venv/bin/python" -m pip install -q --disable-pip-version-check -r tests/requirements.txt
}

report() {
    local i
    printf '\n%-20s %s\n' step seconds
    for i in "${!names[@]}"; do
        printf '%-20s %7d\n' "${names[i]}" "${seconds[i]}"
    done
    printf '%-20s %7d\n' total "$SECONDS"
    if ((${#failed[@]})); then
        printf '\nFAILED: %s\n' "$(IFS=, && echo "${failed[*]}")"
        exit 1
    fi
    printf '\nPASSED: all %d steps\n' "${#names[@]}"
}

main
