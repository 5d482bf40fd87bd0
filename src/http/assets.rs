//! The page's files, put into the binary by `build.rs` from `dashboards/web/dist`.

/// One file of the page.
pub(super) struct Asset {
    /// Path under the page's root, for example `assets/index-1a2b.js`.
    pub(super) path: &'static str,
    pub(super) bytes: &'static [u8],
    /// A compressed copy, where that is smaller.
    pub(super) gzip: Option<&'static [u8]>,
    /// Quoted, from SHA-256.
    pub(super) etag: &'static str,
    pub(super) content_type: &'static str,
    /// Whether the name changes with the content.
    pub(super) hashed: bool,
}

/// All files, sorted by path.
pub(super) static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));
