//! What proves who we are, inline or in a file that is read again whenever it is needed.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hyper::header::HeaderValue;

use super::oauth2::OAuth2Config;

/// Bytes of a certificate, key or password file: the system's whole bundle of authorities has some 200 KiB.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A certificate or a key in PEM. `Debug` shows the file's name, or `<pem>`.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// The text itself.
    Inline(String),
    /// A file; a new version of it counts from the next request on.
    File(PathBuf),
}

/// A password, token or name. `Debug` shows `<secret>`, or the file's name.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The text itself.
    Inline(String),
    /// A file that is read at each request; blanks around its text do not count.
    File(PathBuf),
}

/// How a client proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Basic …`.
    Basic {
        /// The user's name.
        username: Secret,
        /// The password.
        password: Secret,
    },
    /// `Authorization: SCHEME CREDENTIALS`.
    Authorization {
        /// Mostly `Bearer`.
        scheme: String,
        /// The token.
        credentials: Secret,
    },
    /// `Authorization: Bearer …` with a token that a server gives.
    OAuth2(Box<OAuth2Config>),
}

impl Pem {
    pub(super) fn read(&self) -> Result<Bytes, String> {
        match self {
            Self::Inline(text) => Ok(text.clone().into()),
            Self::File(path) => read(path).map(Bytes::from),
        }
    }

    /// What messages call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Inline(_) => "inline".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

impl Secret {
    /// The text as it is now.
    ///
    /// # Errors
    /// When its file cannot be read, is no text, or has more than 4 MiB.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Self::Inline(text) => Ok(text.clone()),
            Self::File(path) => {
                let text = String::from_utf8(read(path)?).map_err(|_| format!("{} is no text", path.display()))?;
                Ok(text.trim().to_owned())
            }
        }
    }
}

impl Auth {
    /// The value of the Authorization header.
    pub(super) fn header(&self) -> Result<HeaderValue, String> {
        let text = match self {
            Self::Basic { username, password } => {
                format!("Basic {}", base64(format!("{}:{}", username.read()?, password.read()?).as_bytes()))
            }
            Self::Authorization { scheme, credentials } => format!("{scheme} {}", credentials.read()?),
            // Its header takes a question to the server: the client asks.
            Self::OAuth2(_) => return Err("there is no token yet".to_owned()),
        };
        header(&text)
    }
}

/// A header's value that logs do not show.
pub(super) fn header(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "the secret has characters that no header may have, a line end for example".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    // It is read on the thread that scrapes: a pipe must not make everybody wait.
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(told)?;
    if !file.metadata().map_err(told)?.is_file() {
        return Err(format!("cannot read {}: expected a regular file", path.display()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{} is larger than {MAX_FILE_BYTES} bytes", path.display()));
    }
    Ok(bytes)
}

/// Base 64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    out
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("<pem>"),
            Self::File(path) => path.fmt(f),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("<secret>"),
            Self::File(path) => path.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Auth, Secret, base64};

    #[test]
    fn base_64() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn headers() {
        let inline = |text: &str| Secret::Inline(text.to_owned());
        let basic = Auth::Basic { username: inline("Aladdin"), password: inline("open sesame") };
        assert_eq!(basic.header().expect("plain"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let split = Auth::Authorization { scheme: "Bearer".to_owned(), credentials: inline("a\nb") };
        assert!(split.header().is_err_and(|problem| !problem.contains('a') || problem.contains("line end")));
        assert!(!format!("{basic:?} {split:?}").contains("sesame"));
        let missing = Secret::File("/nowhere/token".into());
        assert!(missing.read().is_err_and(|problem| problem.starts_with("cannot read /nowhere/token")));
    }

    #[test]
    fn a_pipe_is_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        let name = std::ffi::CString::new(path.to_string_lossy().as_bytes()).expect("no NUL");
        // SAFETY: the path is a string that ends with NUL, and outlives the call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(Secret::File(path).read().is_err_and(|problem| problem.ends_with("expected a regular file")));
        assert!(Secret::File("/dev/zero".into()).read().is_err());
    }
}
