//! Why a connection failed, in words.

use rustls::{AlertDescription, CertificateError, Error as TlsFailure};

/// The message of the error that everything began with; a failure of TLS says what to do.
pub(super) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    match tls(error) {
        Some(failure) => told(failure),
        None => root_cause(error),
    }
}

/// Whether TLS is what failed.
pub(super) fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    tls(error).is_some()
}

/// The failure of TLS among the causes. I/O errors carry theirs inside, where `source` does not show it.
fn tls<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e TlsFailure> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<TlsFailure>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => {
                let inner: &'e (dyn std::error::Error + 'static) = inner;
                Some(inner)
            }
            None => error.source(),
        };
    }
    None
}

fn told(failure: &TlsFailure) -> String {
    match failure {
        TlsFailure::InvalidCertificate(problem) => certificate(problem),
        TlsFailure::InvalidMessage(_) => {
            "the answer is not TLS: expected https there, or an http:// URL here".to_owned()
        }
        TlsFailure::PeerIncompatible(problem) => format!("TLS has no common ground with the server: {problem:?}"),
        TlsFailure::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                "the server asks for a client certificate (cert_file and key_file)".to_owned()
            }
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied => format!("the server refuses our certificate ({alert:?})"),
            AlertDescription::ProtocolVersion => {
                "the server speaks none of our versions of TLS (min_version, max_version)".to_owned()
            }
            AlertDescription::UnrecognisedName => "the server does not know that name (server_name)".to_owned(),
            AlertDescription::HandshakeFailure => {
                "the server refuses the handshake: no common cipher, or it asks for a client certificate".to_owned()
            }
            other => format!("the server broke TLS off ({other:?})"),
        },
        other => other.to_string(),
    }
}

fn certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::UnknownIssuer => {
            "the server's certificate is signed by an unknown authority: expected one of this system's, or a ca_file that has it".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the server's certificate has expired{}", since(problem))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: is the clock right?".to_owned()
        }
        CertificateError::NotValidForName => "the server's certificate is for another name (server_name)".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let asked = expected.to_str();
            let names: Vec<&str> = presented.iter().map(String::as_str).take(10).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("the server's certificate is for another name (server_name): it has {names}, asked was {asked}")
        }
        CertificateError::BadSignature => {
            "the server's certificate is not signed by the authority that it names".to_owned()
        }
        other => format!("the server's certificate cannot be used: {other}"),
    }
}

fn since(problem: &CertificateError) -> String {
    let CertificateError::ExpiredContext { time, not_after } = problem else { return String::new() };
    let seconds = time.as_secs().saturating_sub(not_after.as_secs());
    let ago = crate::model::format_duration(std::time::Duration::from_secs(seconds));
    format!(" {ago} ago")
}

/// The innermost message: the outer ones only say "client error".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
