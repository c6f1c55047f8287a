//! How a server is told who asks, and by whom it must be signed. Secrets stay in their files until a
//! request needs them.

use std::fs;
use std::path::Path;

use hyper::header::HeaderValue;
use kai_contract::agent_config::HttpAuth;
use reqwest::Certificate;

use super::reason;

/// Read anew for every request, so that a changed secret needs no restart.
pub(crate) fn authorization(auth: Option<&HttpAuth>) -> Result<Option<HeaderValue>, String> {
    let Some(auth) = auth else {
        return Ok(None);
    };
    let text = match auth {
        HttpAuth::ApiKeyFile(file) => format!("ApiKey {}", secret(file)?),
        HttpAuth::TokenFile(file) => format!("Bearer {}", secret(file)?),
        HttpAuth::Basic {
            username,
            password_file,
        } => {
            let pair = format!("{username}:{}", secret(password_file)?);
            format!("Basic {}", base64(pair.as_bytes()))
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "the secret has a character that a header cannot hold".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

pub(crate) fn authorities(file: &Path) -> Result<Vec<Certificate>, String> {
    let pem = fs::read(file)
        .map_err(|error| format!("cannot read the authorities in {}: {error}", file.display()))?;
    let certificates = Certificate::from_pem_bundle(&pem)
        .map_err(|error| format!("{} is no PEM file: {}", file.display(), reason(&error)))?;
    if certificates.is_empty() {
        return Err(format!("{} has no certificate in it", file.display()));
    }
    Ok(certificates)
}

fn secret(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read the secret in {}: {error}", file.display()))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(format!(
            "{} is empty; write the secret into it",
            file.display()
        ));
    }
    Ok(text.to_owned())
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit <= chunk.len() {
                out.push(ALPHABET[(bits >> (18 - 6 * digit)) as usize & 63] as char);
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_from_files_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "open sesame\n").unwrap();
        let auth = HttpAuth::Basic {
            username: "Aladdin".into(),
            password_file: file.clone(),
        };
        let header = authorization(Some(&auth)).unwrap().unwrap();
        assert_eq!(header.as_bytes(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{header:?} {auth:?}").contains("QWxh"));
        fs::write(&file, " \n").unwrap();
        assert!(authorization(Some(&auth)).unwrap_err().contains("is empty"));
    }

    #[test]
    fn base64_pads() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
