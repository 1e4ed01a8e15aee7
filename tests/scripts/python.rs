//! The Python with `tests/requirements.txt`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// CHAOSVEIL_PYTHON, else `.venv/bin/python` in the crate's root, if it has the modules. Without it this says so, unless
/// REQUIRE_PYTHON=1 makes that a failure.
pub fn python(modules: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = std::env::var_os("CHAOSVEIL_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    let import = format!("import {modules}");
    if Command::new(&path).args(["-c", &import]).output().is_ok_and(|output| output.status.success()) {
        return Some(path);
    }
    let reason = format!("{} is no Python with tests/requirements.txt installed", path.display());
    assert!(std::env::var_os("REQUIRE_PYTHON").is_none_or(|value| value != "1"), "{reason}");
    println!("skipped: {reason}");
    None
}
