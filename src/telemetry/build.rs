//! What this build is.

/// Version facts, as `watchfire version`, `/api/v1/status/buildinfo` and `watchfire_build_info` give them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// Version of the package.
    pub version: &'static str,
    /// Commit, when the build knew it (`WATCHFIRE_REVISION`), else empty.
    pub revision: &'static str,
    /// When it was built, when the build was told (`WATCHFIRE_BUILD_DATE`), else empty.
    pub date: &'static str,
    /// Lowest Rust version that builds it.
    pub rust: &'static str,
    /// Target system, for example `linux`.
    pub os: &'static str,
    /// Target processor, for example `x86_64`.
    pub arch: &'static str,
}

/// This build.
pub const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    revision: match option_env!("WATCHFIRE_REVISION") {
        Some(revision) => revision,
        None => "",
    },
    date: match option_env!("WATCHFIRE_BUILD_DATE") {
        Some(date) => date,
        None => "",
    },
    rust: env!("CARGO_PKG_RUST_VERSION"),
    os: std::env::consts::OS,
    arch: std::env::consts::ARCH,
};
