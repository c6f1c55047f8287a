//! Secret files that a rendered document refers to, collected while it is built.

use std::path::PathBuf;

use crate::layout::Layout;
use crate::model::SecretRef;
use crate::resource::{Address, Document, Resource, Secret, digest};

pub struct Secrets {
    root: PathBuf,
    found: Vec<(Address, Secret)>,
}

impl Secrets {
    pub fn new(layout: &Layout) -> Self {
        Self {
            root: layout.root.clone(),
            found: Vec::new(),
        }
    }

    /// The absolute path of the file that will hold the secret.
    pub fn file(&mut self, name: &str, reference: &SecretRef) -> String {
        let version = digest(format!("{reference}#{}", reference.rotation));
        let name = format!("{name}.{}", &version[..8]);
        let path = PathBuf::from("secrets").join(&name);
        let absolute = self.root.join(&path).display().to_string();
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

    pub fn addresses(&self) -> Vec<Address> {
        self.found
            .iter()
            .map(|(address, _)| address.clone())
            .collect()
    }

    pub fn resources(self) -> impl Iterator<Item = Resource> {
        self.found.into_iter().map(|(address, secret)| Resource {
            address,
            document: Document::Secret(secret),
            needs: Vec::new(),
        })
    }
}
