//! Which images are held out as test images where a folder has none of its own: by the hash of an
//! image's name, so that the choice is the same everywhere, and no image changes sides when others
//! are added or removed. A renamed image, or one in another class, may.

use sha2::{Digest, Sha256};

use crate::dataset::imagenet::listing::entry::Listing;

/// Training and test images of a listing.
pub fn divide(listing: Listing, percent: f64) -> (Listing, Listing) {
    let (test, train) =
        listing.images.into_iter().partition(|image| is_held_out(&image.name, percent));
    let Listing { shards, others, inner_folders, .. } = listing;
    (
        Listing { images: train, shards, others, inner_folders },
        Listing { images: test, ..Listing::default() },
    )
}

/// Whether the image with this name (`<class>/<path below the class folder>`) is a test image: the
/// first 64 bits of the SHA-256 of the name, as a big-endian number, are below `percent` hundredths
/// of 2^64.
pub fn is_held_out(name: &str, percent: f64) -> bool {
    let digest = Sha256::digest(name);
    let first = digest.iter().take(8).fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    first as f64 / 2f64.powi(64) * 100.0 < percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_held_out_by_the_first_bits_of_its_names_hash() {
        // Python: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64 * 100
        for (name, share) in [
            ("cat/1.jpg", 38.784836),
            ("dog/folder/ä.png", 45.953472),
            ("n001/n001_0.JPEG", 81.894427),
        ] {
            assert!(is_held_out(name, share + 1e-6), "{name}");
            assert!(!is_held_out(name, share - 1e-6), "{name}");
        }
    }

    #[test]
    fn about_as_many_are_held_out_as_was_asked_for() {
        let names = (0..10_000).map(|number| format!("cat/{number}.jpg"));
        let count = names.filter(|name| is_held_out(name, 10.0)).count();
        // Five standard deviations of 30 images.
        assert!((850..1150).contains(&count), "{count}");
    }
}
