//! Gives the HTTP library's own refusals a body.
//!
//! A URL or a head beyond its limits never reaches our router: the library answers an empty 414 or 431 and closes the
//! connection. Those two heads are replaced by ones with an error that names the limit.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::{MAX_HEAD_BYTES, MAX_URL_BYTES};

/// The library's empty answers are shorter.
const MAX_BARE: usize = 256;

/// A connection whose empty refusals are explained.
#[derive(Debug)]
pub(super) struct Explained<S> {
    inner: S,
    /// What is written instead, and how much of it has been.
    instead: Option<(Vec<u8>, usize)>,
}

impl<S> Explained<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, instead: None }
    }
}

/// The answer with words, if `head` is one of the library's without.
fn explain(head: &[u8]) -> Option<Vec<u8>> {
    let status = head.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
    let bare = head.len() < MAX_BARE
        && head.ends_with(b"\r\n\r\n")
        && head.windows(19).any(|part| part.eq_ignore_ascii_case(b"content-length: 0\r\n"));
    let (line, reason) = match status {
        b"414" if bare => (
            "414 URI Too Long",
            format!(
                "the URL is longer than the limit of {MAX_URL_BYTES} bytes (MAX_URL_BYTES): send the parameters in the body of a POST"
            ),
        ),
        b"431" if bare => (
            "431 Request Header Fields Too Large",
            format!(
                "the request's head is over the limit of {MAX_HEAD_BYTES} bytes (MAX_HEAD_BYTES) or of 100 headers: send the parameters in the body of a POST"
            ),
        ),
        _ => return None,
    };
    let body = format!("{{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"{reason}\"}}");
    let length = body.len();
    let head = "content-type: application/json\r\nx-content-type-options: nosniff\r\nconnection: close";
    Some(format!("HTTP/1.1 {line}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes())
}

impl<S: AsyncWrite + Unpin> Explained<S> {
    /// Writes what stands for the `length` bytes that the library gave.
    fn write_instead(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some((bytes, done)) = &mut self.instead {
            let rest = bytes.get(*done..).unwrap_or_default();
            if rest.is_empty() {
                self.instead = None;
                break;
            }
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => *done += written,
            }
        }
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            self.instead = explain(buf).map(|bytes| (bytes, 0));
        }
        if self.instead.is_some() {
            return self.write_instead(cx, buf.len());
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut full = bufs.iter().filter(|buf| !buf.is_empty());
        match (full.next(), full.next()) {
            (Some(only), None) => self.poll_write(cx, only),
            _ => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn only_empty_refusals_are_replaced() {
        let empty = "connection: close\r\ncontent-length: 0\r\n\r\n";
        for (head, expected) in [
            (format!("HTTP/1.1 414 URI Too Long\r\n{empty}"), Some("65534 bytes (MAX_URL_BYTES)")),
            (format!("HTTP/1.1 431 Request Header Fields Too Large\r\n{empty}"), Some("(MAX_HEAD_BYTES)")),
            (format!("HTTP/1.1 400 Bad Request\r\n{empty}"), None),
            (format!("HTTP/1.1 414 URI Too Long\r\n{empty}body"), None),
            ("HTTP/1.1 414 URI Too Long\r\ncontent-length: 4\r\n\r\n".to_owned(), None),
            ("HTTP/1.1 41".to_owned(), None),
        ] {
            let found = explain(head.as_bytes()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            assert_eq!(found.is_some(), expected.is_some(), "{head}");
            assert!(found.unwrap_or_default().contains(expected.unwrap_or("")), "{head}");
        }
    }
}
