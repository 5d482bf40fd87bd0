//! Puts the built page into the binary: a table of files with their ETags and compressed copies.
//!
//! The page's build (`dashboards/web/dist`) is committed; this script never runs npm.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let dist = root.join("dashboards/web/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    if !dist.join("index.html").is_file() {
        println!(
            "cargo::error=dashboards/web/dist/index.html is missing: check out the committed build, or run `npm ci && npm run build` in dashboards/web"
        );
        return;
    }
    let mut files = Vec::new();
    collect(&dist, &dist, &mut files).expect("the page's files can be read");
    files.sort();
    fs::write(out.join("assets.rs"), table(&out, &files).expect("OUT_DIR is writable")).expect("OUT_DIR is writable");
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.push((name.to_string_lossy().replace('\\', "/"), path.clone()));
        }
    }
    Ok(())
}

fn table(out: &Path, files: &[(String, PathBuf)]) -> io::Result<String> {
    let mut rust = String::from("&[\n");
    for (index, (name, path)) in files.iter().enumerate() {
        let bytes = fs::read(path)?;
        let etag: String = Sha256::digest(&bytes).iter().take(16).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let gzip = out.join(format!("asset-{index}.gz"));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes)?;
        let packed = encoder.finish()?;
        let smaller = packed.len() < bytes.len();
        fs::write(&gzip, packed)?;
        let packed = if smaller { format!("Some(include_bytes!({gzip:?}))") } else { "None".to_owned() };
        let _ = writeln!(
            rust,
            "Asset {{ path: {name:?}, bytes: include_bytes!({path:?}), gzip: {packed}, etag: \"\\\"{etag}\\\"\", content_type: {:?}, hashed: {} }},",
            content_type(name),
            name.starts_with("assets/"),
        );
    }
    rust.push_str("]\n");
    Ok(rust)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
