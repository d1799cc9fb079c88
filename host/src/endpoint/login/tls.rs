use std::sync::Arc;

use anyhow::{Context, ensure};
use ring::digest;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::secrets;
use crate::config::EndpointConfig;

/// The server's side of TLS.
pub struct Tls {
    pub acceptor: TlsAcceptor,
    /// `tls-server-end-point` of RFC 5929: the digest of the certificate; None where that defines none for its signature.
    pub binding: Option<Vec<u8>>,
}

impl Tls {
    /// Reads certificate and key; None where the configuration names none. TLS 1.2 and 1.3.
    ///
    /// # Errors
    /// A file cannot be read, the key can be read by everybody, or the two do not belong together.
    pub fn read(config: &EndpointConfig) -> anyhow::Result<Option<Tls>> {
        let (Some(certificate), Some(key)) = (&config.tls_certificate, &config.tls_key) else { return Ok(None) };
        let certificates = CertificateDer::pem_slice_iter(&secrets::public_file(certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("{} holds no PEM certificates", certificate.display()))?;
        ensure!(!certificates.is_empty(), "{} holds no certificate", certificate.display());
        let binding = binding(&certificates[0]);
        if binding.is_none() {
            tracing::info!("{}: no channel binding is defined for its signature", certificate.display());
        }
        let private_key = PrivateKeyDer::from_pem_slice(&secrets::secret_file(key)?)
            .with_context(|| format!("{} holds no private key in PEM", key.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, private_key)
            .with_context(|| format!("{} and {} do not fit together", certificate.display(), key.display()))?;
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Some(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), binding }))
    }
}

/// The digest that the certificate was signed with is taken; SHA-256 instead of MD5 and SHA-1.
fn binding(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match signature_algorithm(certificate)? {
        // 1.2.840.113549.1.1: RSA with MD5, SHA-1, SHA-256, SHA-384, SHA-512
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, hash] => match hash {
            0x04 | 0x05 | 0x0b => &digest::SHA256,
            0x0c => &digest::SHA384,
            0x0d => &digest::SHA512,
            _ => return None,
        },
        // 1.2.840.10045.4.1 and .4.3: ECDSA with SHA-1, SHA-256, SHA-384, SHA-512
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => {
            &digest::SHA256
        }
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => &digest::SHA384,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// The object identifier in `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, ... }, ... }`.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (_, after_tbs) = element(certificate, SEQUENCE)?;
    let (algorithm, _) = element(after_tbs, SEQUENCE)?;
    element(algorithm, OBJECT_IDENTIFIER).map(|(identifier, _)| identifier)
}

/// The content of a DER element of that type, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_tells_the_digest() {
        let certificate = |oid: &[u8]| {
            let algorithm = [&[0x30, oid.len() as u8 + 2, 0x06, oid.len() as u8], oid].concat();
            let content = [&[0x30, 0x81, 0x01, 0x00], algorithm.as_slice()].concat();
            [&[0x30, content.len() as u8], content.as_slice()].concat()
        };
        let check = |oid: &[u8], expected: Option<usize>| {
            assert_eq!(binding(&certificate(oid)).map(|digest| digest.len()), expected);
        };
        check(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], Some(32));
        check(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], Some(64));
        check(&[0x2b, 0x65, 0x70], None);
        assert_eq!(binding(b"\x30\x84\xff\xff\xff\xff"), None);
        assert_eq!(binding(b""), None);
    }
}
