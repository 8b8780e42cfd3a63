//! Packing images into tar shards, smaller where they are larger than the training needs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::dataset::imagenet::decoder::decode::{Decoder, Quality};
use crate::dataset::imagenet::decoder::error::ImageError;
use crate::dataset::imagenet::listing::entry::SPLITS;
use crate::dataset::imagenet::listing::index::Index;
use crate::dataset::imagenet::listing::shards;
use crate::dataset::imagenet::listing::shards::{Writer, file_name};
use crate::dataset::imagenet::loader::read_with;
use crate::error::bad_input;
use crate::random::{Purpose, Stream};
use crate::system::parallel::in_order;

/// What is packed, and how.
pub struct Packing {
    /// Images whose shorter side is longer are scaled down to it, and encoded anew; the others'
    /// bytes stay as they are.
    pub shorter_side: u32,
    /// Quality of those that are encoded anew, 1 to 100.
    pub quality: u8,
    /// Images a shard.
    pub per_shard: usize,
    /// Threads.
    pub threads: usize,
}

/// What was packed.
#[derive(Debug, Default, Clone, PartialEq, serde::Serialize)]
pub struct Packed {
    /// Images in the shards.
    pub images: usize,
    /// Those of them that were encoded anew.
    pub scaled: usize,
    /// Shards.
    pub shards: usize,
    /// Bytes of all images before.
    pub bytes_before: u64,
    /// Bytes of all images in the shards.
    pub bytes: u64,
    /// Images that cannot be read, and why: they are left out.
    pub unreadable: Vec<String>,
    /// Shards of each split.
    pub splits: BTreeMap<String, usize>,
}

/// An image on its way into a shard.
struct Item {
    position: usize,
    bytes_before: usize,
    result: Result<(Vec<u8>, &'static str, bool), String>,
}

impl Packing {
    /// Packs both splits of `root` into the folder `out`, which has no shards yet. Images are in
    /// random order, so that who reads shards from front to back sees all classes.
    pub fn pack(&self, root: &Path, out: &Path, mut tell: impl FnMut(&str)) -> Result<Packed> {
        let mut packed = Packed::default();
        let mut classes: Option<Vec<String>> = None;
        for split in SPLITS {
            if shards::any(out, split)? {
                return Err(bad_input(format!(
                    "{}: there are shards already: choose another folder, or remove them",
                    out.display()
                ))
                .into());
            }
            let index = Index::open(root, split, classes.as_deref())?;
            if !index.is_empty() {
                classes.get_or_insert_with(|| index.classes().to_vec());
                self.pack_split(&index, split, out, &mut packed, &mut tell)?;
            }
        }
        // Written last: shards without it are those of a packing that was interrupted.
        shards::write_contents(out, &packed.splits)?;
        Ok(packed)
    }

    fn pack_split(
        &self,
        index: &Index,
        split: &str,
        out: &Path,
        packed: &mut Packed,
        tell: &mut impl FnMut(&str),
    ) -> Result<()> {
        let mut order: Vec<usize> = (0..index.len()).collect();
        Stream::new(0, Purpose::Order, 0).shuffle(&mut order);
        let (mut writer, mut in_shard, mut shards) = (None, 0, 0);
        let state = || Decoder::new(Quality::Exact);
        in_order(
            order.len(),
            self.threads,
            state,
            |decoder, item| self.make(index, decoder, order[item]),
            |item, made| {
                packed.bytes_before += made.bytes_before as u64;
                match made.result {
                    Err(reason) => {
                        tell(&format!("{reason}; it is skipped"));
                        packed.unreadable.push(reason);
                    }
                    Ok((bytes, ending, scaled)) => {
                        let shard = match &mut writer {
                            Some(shard) => shard,
                            None => {
                                writer.insert(Writer::create(&out.join(file_name(split, shards)))?)
                            }
                        };
                        let name = index.name(made.position);
                        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
                        shard.add(stem, ending, index.label(made.position) as usize, &bytes)?;
                        packed.images += 1;
                        packed.scaled += usize::from(scaled);
                        packed.bytes += bytes.len() as u64;
                        in_shard += 1;
                    }
                }
                if in_shard == self.per_shard || item + 1 == order.len() {
                    if let Some(shard) = writer.take() {
                        shard.finish()?;
                        shards += 1;
                        packed.shards += 1;
                        packed.splits.insert(split.to_string(), shards);
                        tell(&format!(
                            "{split}: {} of {} images in {shards} shards",
                            item + 1,
                            order.len()
                        ));
                    }
                    in_shard = 0;
                }
                Ok(())
            },
        )
        .with_context(|| format!("{}: packing {split}", out.display()))
    }

    /// The image scaled down and encoded anew, if it is larger than it needs to be. It is
    /// decoded in any case: a damaged one is found here.
    fn smaller(&self, decoder: &mut Decoder, bytes: &[u8]) -> Result<Option<Vec<u8>>, ImageError> {
        let size = decoder.size(bytes)?;
        let (scaled, pixels) = decoder.scaled(bytes, size.shorter().min(self.shorter_side))?;
        if size.shorter() <= self.shorter_side {
            return Ok(None);
        }
        let side = |side: u32| {
            u16::try_from(side).map_err(|_| {
                ImageError::Unsupported(format!("{side} pixels are more than a JPEG file has"))
            })
        };
        let mut encoded = Vec::new();
        let mut encoder = Encoder::new(&mut encoded, self.quality);
        // Colours at half the resolution, as nearly all images on the web have them.
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        let done =
            encoder.encode(&pixels, side(scaled.width)?, side(scaled.height)?, ColorType::Rgb);
        done.map_err(|error| ImageError::Unsupported(error.to_string()))?;
        Ok(Some(encoded))
    }

    fn make(&self, index: &Index, decoder: &mut Decoder, position: usize) -> Item {
        let mut bytes = Vec::new();
        let result =
            read_with(index, (decoder, Quality::Exact), &mut bytes, position, |decoder, bytes| {
                self.smaller(decoder, bytes)
            });
        let bytes_before = bytes.len();
        let result = result.map(|smaller| match smaller {
            Some(smaller) => (smaller, "jpg", true),
            None => {
                let ending = if bytes.starts_with(b"\x89PNG") { "png" } else { "jpg" };
                (bytes, ending, false)
            }
        });
        Item { position, bytes_before, result: result.map_err(|unreadable| unreadable.reason) }
    }
}
