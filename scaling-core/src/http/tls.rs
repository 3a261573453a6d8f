//! TLS by rustls and *ring*, given explicitly: works with no provider installed, and installs none.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::HttpConfigError;
use crate::causes::chain;

/// Trusts the authorities in `pem` and no others or, without one, those of the platform.
pub(super) fn config(pem: Option<&[u8]>) -> Result<ClientConfig, HttpConfigError> {
    let builder = || {
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| HttpConfigError::Client(chain(&error)))
    };
    let Some(pem) = pem else {
        return Ok(match builder()?.with_platform_verifier() {
            Ok(verified) => verified.with_no_client_auth(),
            // A container without certificates can still ask a server in the cluster without TLS. With TLS, nothing is trusted.
            Err(_) => builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
        });
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| HttpConfigError::Authority(chain(&error)))?;
        roots.add(certificate).map_err(|error| HttpConfigError::Authority(chain(&error)))?;
    }
    if roots.is_empty() {
        return Err(HttpConfigError::Authority("there is no certificate in the PEM text".into()));
    }
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_that_are_none_are_refused_by_name() {
        for pem in [
            "",
            "no certificate",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n",
        ] {
            let error = config(Some(pem.as_bytes())).unwrap_err();
            assert!(error.to_string().starts_with("certificate authority: "), "{pem}: {error}");
        }
        assert!(config(None).is_ok());
    }
}
