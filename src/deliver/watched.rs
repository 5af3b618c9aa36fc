//! Files that are read once and kept: a site's maps, and the certificates towards the app. What they hold is compared with what was
//! read, so that a change is taken up: content, since a mounted ConfigMap or Secret changes by a swapped symbolic link.

use super::maps;
use crate::config::Delivery;
use std::path::Path;
use twox_hash::XxHash3_128;

/// What the files of a listener's settings held when it was made. Two are equal if all files are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// Reads the files, and blocks. One that cannot be read is a state like any other.
    pub fn of(delivery: &Delivery) -> Self {
        let mut state = Vec::new();
        let mut add = |path: &Path, content: Option<&[u8]>| {
            state.extend_from_slice(path.as_os_str().as_encoded_bytes());
            state.push(0);
            state.push(u8::from(content.is_some()));
            let hash = XxHash3_128::oneshot(content.unwrap_or_default());
            state.extend_from_slice(&hash.to_le_bytes());
        };
        if let Some(directory) = own_maps(delivery) {
            match maps::read(directory) {
                Ok(files) => files
                    .iter()
                    .for_each(|(path, text)| add(Path::new(path), Some(text.as_bytes()))),
                Err(error) => add(directory, Some(error.to_string().as_bytes())),
            }
        }
        for path in certificates(delivery) {
            add(
                path,
                maps::read_file(path).ok().as_deref().map(str::as_bytes),
            );
        }
        Self(XxHash3_128::oneshot(&state))
    }

    /// Whether there are such files.
    pub fn is_needed(delivery: &Delivery) -> bool {
        own_maps(delivery).is_some() || certificates(delivery).next().is_some()
    }
}

fn own_maps(delivery: &Delivery) -> Option<&Path> {
    delivery.fhir.as_ref()?.mappings.as_deref()
}

fn certificates(delivery: &Delivery) -> impl Iterator<Item = &Path> {
    let tls = &delivery.tls;
    let identity = tls.identity.iter().flat_map(|(cert, key)| [cert, key]);
    tls.ca_file.iter().chain(identity).map(AsRef::as_ref)
}
