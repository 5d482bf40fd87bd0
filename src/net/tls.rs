//! TLS: whom we trust, how we show who we are, and what went wrong in words.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::secret::Pem;
use super::verify::{Trusting, Unverified};

/// Versions of TLS. Those below 1.2 are known, but not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.0.
    Tls10,
    /// 1.1.
    Tls11,
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

/// How a client speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsConfig {
    /// Authorities that may have signed the server's certificate; those of the system without it.
    pub ca: Option<Pem>,
    /// Our certificate and those between it and its authority; needs `key`.
    pub cert: Option<Pem>,
    /// The key of `cert`.
    pub key: Option<Pem>,
    /// The name that the server's certificate must have, when it is not the URL's host.
    pub server_name: Option<String>,
    /// Whether any certificate will do: anybody on the way can then read and change what is said.
    pub insecure_skip_verify: bool,
    /// The oldest version to speak; 1.2 without it, and never older.
    pub min_version: Option<TlsVersion>,
    /// The newest version to speak.
    pub max_version: Option<TlsVersion>,
}

/// Why a client cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The settings contradict each other.
    #[error("{0}")]
    Settings(String),
    /// A certificate or key cannot be used.
    #[error("{what} {name}: {reason}")]
    Pem {
        /// `CA certificates`, `certificate` or `key`.
        what: &'static str,
        /// The file, or `inline`.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The system's authorities cannot be read.
    #[error(
        "this system's CA certificates cannot be used: {0}; expected some in /etc/ssl/certs, or a CA of its own (ca_file)"
    )]
    System(String),
}

/// What tells one version of a file from the next; `None` while there is no file.
pub(super) type Stamps = [Option<(SystemTime, u64, u64)>; 3];

impl TlsConfig {
    /// Checks what needs no file.
    ///
    /// # Errors
    /// Says which setting contradicts which, or what is wrong with inline text.
    pub fn validate(&self) -> Result<(), TlsError> {
        let settings = |text: &str| Err(TlsError::Settings(text.to_owned()));
        self.versions()?;
        match (&self.cert, &self.key) {
            (Some(_), None) => return settings("expected a key beside the certificate (key or key_file)"),
            (None, Some(_)) => return settings("expected a certificate beside the key (cert or cert_file)"),
            _ => {}
        }
        if let Some(ca @ Pem::Inline(_)) = &self.ca {
            certificates("CA certificates", ca)?;
        }
        if let (Some(cert @ Pem::Inline(_)), Some(key @ Pem::Inline(_))) = (&self.cert, &self.key) {
            identity(cert, key)?;
        }
        if let Some(name) = &self.server_name {
            server_name(name)?;
        }
        Ok(())
    }

    /// The versions of the files that it names.
    pub(super) fn stamps(&self) -> Stamps {
        [&self.ca, &self.cert, &self.key].map(|pem| match pem {
            Some(Pem::File(path)) => stamp(path),
            _ => None,
        })
    }

    /// The settings for rustls, files read.
    pub(super) fn build(&self) -> Result<ClientConfig, TlsError> {
        let versions = self.versions()?;
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| TlsError::Settings(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?);
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else { return Ok(builder.with_no_client_auth()) };
        let chain = certificates("certificate", cert)?;
        builder.with_client_auth_cert(chain, private_key(key)?).map_err(|error| unfit(cert, key, &error))
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        if self.insecure_skip_verify {
            return Ok(Arc::new(Unverified(provider)));
        }
        let Some(ca) = &self.ca else {
            let verifier = WebPkiServerVerifier::builder_with_provider(system_roots()?, provider).build();
            return verifier.map(|it| it as _).map_err(|error| TlsError::System(error.to_string()));
        };
        let refuse = |reason: String| TlsError::Pem { what: "CA certificates", name: ca.name(), reason };
        let own = certificates("CA certificates", ca)?;
        let mut roots = RootCertStore::empty();
        // As in Go, one that cannot be read does not spoil the others: bundles often have an odd one.
        let (good, bad) = roots.add_parsable_certificates(own.iter().cloned());
        if good == 0 {
            return Err(refuse("expected a certificate of an authority, found none that can be read".to_owned()));
        }
        if bad > 0 {
            tracing::warn!(file = ca.name(), bad, good, "some CA certificates cannot be read and are left out");
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Arc::new(Trusting { inner: inner.map_err(|error| refuse(error.to_string()))?, own }))
    }

    fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
        let oldest = self.min_version.unwrap_or(TlsVersion::Tls10);
        let newest = self.max_version.unwrap_or(TlsVersion::Tls13);
        if oldest > newest {
            return Err(TlsError::Settings("expected a min_version up to max_version".to_owned()));
        }
        let known = [(TlsVersion::Tls13, &rustls::version::TLS13), (TlsVersion::Tls12, &rustls::version::TLS12)];
        let versions: Vec<_> =
            known.into_iter().filter(|(version, _)| (oldest..=newest).contains(version)).map(|(_, it)| it).collect();
        if versions.is_empty() {
            return Err(TlsError::Settings(
                "TLS below 1.2 is not spoken: expected a max_version of TLS12 or TLS13".to_owned(),
            ));
        }
        Ok(versions)
    }
}

/// The name that a certificate must have.
pub(super) fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| TlsError::Settings(format!("expected a host name or address as server_name, found {name:?}")))
}

/// The cryptography that everything here uses.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

/// The system's authorities, read once: some 140 certificates, a few hundred KiB.
fn system_roots() -> Result<Arc<RootCertStore>, TlsError> {
    static ROOTS: OnceLock<Result<Arc<RootCertStore>, String>> = OnceLock::new();
    let load = || {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (good, _) = roots.add_parsable_certificates(found.certs);
        match found.errors.first() {
            Some(error) if good == 0 => Err(error.to_string()),
            None if good == 0 => Err("there are none".to_owned()),
            _ => Ok(Arc::new(roots)),
        }
    };
    ROOTS.get_or_init(load).clone().map_err(TlsError::System)
}

fn stamp(path: &PathBuf) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}

fn certificates(what: &'static str, pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refuse = |reason: String| TlsError::Pem { what, name: pem.name(), reason };
    let text = pem.read().map_err(refuse)?;
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let list = list.map_err(|error| refuse(format!("it is no PEM: {error}")))?;
    if list.is_empty() {
        return Err(refuse("expected -----BEGIN CERTIFICATE-----, found none".to_owned()));
    }
    Ok(list)
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    let refuse = |reason: String| TlsError::Pem { what: "key", name: pem.name(), reason };
    let text = pem.read().map_err(refuse)?;
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| refuse(format!("expected a private key in PEM without a password: {error}")))
}

fn identity(cert: &Pem, key: &Pem) -> Result<(), TlsError> {
    let chain = certificates("certificate", cert)?;
    rustls::sign::CertifiedKey::from_der(chain, private_key(key)?, &provider())
        .map(|_| ())
        .map_err(|error| unfit(cert, key, &error))
}

fn unfit(cert: &Pem, key: &Pem, error: &rustls::Error) -> TlsError {
    let reason = match error {
        rustls::Error::InconsistentKeys(_) => format!("it does not belong to the certificate ({})", cert.name()),
        other => format!("it cannot be used with the certificate ({}): {other}", cert.name()),
    };
    TlsError::Pem { what: "key", name: key.name(), reason }
}
