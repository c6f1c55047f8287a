//! Secret files that a rendered document refers to, collected while it is built.

use std::path::{Path, PathBuf};

use crate::model::{SecretRef, SecretSource};
use crate::resource::{Address, Document, Resource, Secret, digest};

pub(super) struct Secrets {
    root: PathBuf,
    /// The name of a file follows its reference, so that a changed one is a new file.
    versioned: bool,
    pub(super) found: Vec<(Address, Secret)>,
    /// Objects whose secrets are stored when they are made.
    issuers: Vec<Address>,
}

/// The name of a secret's file follows its reference, so that a changed one is a new file.
pub(super) fn versioned(name: &str, reference: &SecretRef) -> String {
    let version = digest(format!("{reference}#{}", reference.rotation));
    format!("{name}.{}", &version[..8])
}

impl Secrets {
    /// Files in the folder `secrets` below `root`.
    pub(super) fn below(root: &Path, versioned: bool) -> Self {
        Self {
            root: root.to_owned(),
            versioned,
            found: Vec::new(),
            issuers: Vec::new(),
        }
    }

    /// The absolute path of the file that will hold the secret.
    pub(super) fn file(&mut self, name: &str, reference: &SecretRef) -> String {
        let name = if self.versioned {
            versioned(name, reference)
        } else {
            name.to_owned()
        };
        let path = PathBuf::from("secrets").join(&name);
        let absolute = self.root.join(&path).display().to_string();
        if let SecretSource::Issued(object) = &reference.source {
            self.issuers.push(Address::from_marker(object));
            return absolute;
        }
        let address = Address::secret(&name);
        if !self.found.iter().any(|(known, _)| *known == address) {
            self.found.push((
                address,
                Secret {
                    path,
                    reference: reference.clone(),
                },
            ));
        }
        absolute
    }

    /// What the document needs.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        let found = self.found.iter().map(|(address, _)| address);
        found.chain(&self.issuers).cloned()
    }

    pub(super) fn into_resources(self) -> impl Iterator<Item = Resource> {
        self.found.into_iter().map(|(address, secret)| Resource {
            address,
            document: Document::Secret(secret),
            needs: Vec::new(),
        })
    }
}
