//! `privacy:` — what must not leave the node in the clear.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `logs.privacy` of the agent's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Privacy {
    /// Kinds of text that are taken out wherever they stand.
    #[serde(default, skip_serializing_if = "Redacted::is_empty")]
    pub redact: Redacted,
    /// Fields whose values are replaced by keyed pseudonyms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pseudonymise: Option<Pseudonymise>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pseudonymise {
    /// Dotted names, such as `passenger.nik`; a line may have them nested or dotted.
    pub fields: Vec<String>,
    /// File that holds the key, 32 bytes or more: the same key gives the same pseudonyms.
    pub key_file: PathBuf,
}

/// A kind of text that is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Redact {
    /// Numbers of payment cards.
    Pan,
    /// Indonesia's national identity numbers (nomor induk kependudukan).
    Nik,
    Email,
    Phone,
    /// Passwords, keys, bearer tokens, cookies.
    Token,
}

impl Redact {
    pub const ALL: [Self; 5] = [Self::Pan, Self::Nik, Self::Email, Self::Phone, Self::Token];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pan => "pan",
            Self::Nik => "nik",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Token => "token",
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Redact>", into = "Vec<Redact>")]
pub struct Redacted(u8);

impl Redacted {
    pub fn has(self, kind: Redact) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether any kind is made of digits.
    pub fn numbers(self) -> bool {
        self.has(Redact::Pan) || self.has(Redact::Nik) || self.has(Redact::Phone)
    }
}

impl From<Vec<Redact>> for Redacted {
    fn from(kinds: Vec<Redact>) -> Self {
        Self(
            kinds
                .into_iter()
                .fold(0, |bits, kind| bits | (1 << kind as u8)),
        )
    }
}

impl From<Redacted> for Vec<Redact> {
    fn from(set: Redacted) -> Self {
        Redact::ALL
            .into_iter()
            .filter(|kind| set.has(*kind))
            .collect()
    }
}
