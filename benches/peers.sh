#!/usr/bin/env bash
# Measures chaosenc beside the other encrypting elements: aesenc and srtpenc from Debian, sodiumencrypter from its
# published crate, which is built here. Prints a table; writes JSON and a plot into benches/results.
#
#   --rounds N (9)  --frames N (360)  --sizes WxH,... (1920x1080,3840x2160)
#   --cores LIST (0)  the others use one core anyway, and two that share one make each other's time longer
#   --name NAME       of the result files (peers-ARCH)

. "$(dirname "$0")/../pipelines/common.sh"
option=([rounds]=9 [frames]=360 [sizes]="1920x1080,3840x2160" [cores]=0 [name]=peers-$(uname -m))
parse_options "$@"
sodium_version=0.15.0
peers=$target/peers

main() {
    mkdir -p "$workspace"
    install_packages "${build_packages[@]}" "${run_packages[@]}" libsodium-dev git
    require_rust
    build_sodium
    export GST_PLUGIN_PATH=$peers/plugins GST_REGISTRY=$peers/registry.bin
    cd "$repository"
    cargo bench --locked --bench peers --no-run
    taskset -c "${option[cores]}" cargo bench --locked --bench peers -- --rounds "${option[rounds]}" --frames "${option[frames]}" \
        --sizes "${option[sizes]}" --json "benches/results/${option[name]}.json" \
        --plot "benches/results/${option[name]}.svg"
}

# The crate's library is a plugin only if it is built as one: a crate that does nothing but hand its symbol on.
build_sodium() {
    local crate=$peers/sodium
    mkdir -p "$crate/src" "$peers/plugins"
    cat >"$crate/Cargo.toml" <<TOML
[package]
name = "sodium-plugin"
version = "$sodium_version"
edition = "2024"
[lib]
name = "gstsodium"
crate-type = ["cdylib"]
[dependencies]
sodium = { package = "gst-plugin-sodium", version = "=$sodium_version" }
[workspace]
TOML
    cat >"$crate/src/lib.rs" <<'RUST'
//! What GStreamer looks for in a file of this name.
pub use sodium::plugin_desc;
RUST
    cargo build --release --manifest-path "$crate/Cargo.toml" --target-dir "$peers/target" ||
        fail "sodiumencrypter could not be built; see above"
    cp -f "$peers/target/release/libgstsodium.so" "$peers/plugins/"
}

main
