//! A crash must not write keys to the disk.

/// Forbids core dumps of this process, and other users' programs to look into its memory.
///
/// What is left undone where the system refuses is no reason to refuse work.
pub fn forbid() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` lives until the call is over, which reads it.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    // A limit of zero does not keep a dump from a program that the kernel pipes it to; this does.
    // SAFETY: it takes no pointers.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)
    };
}
